"""The evidence head: how likely each passage token supports the query, from stored vectors.

FGR-ColBERT (arXiv 2604.00242, section 3) reverses late interaction: the best match of a
*passage* token over the *query* tokens, through a small projection H, is the logit of that token
being evidence::

    p_j = sigmoid(scale * max_i H(q_i) . H(d_j) + bias)

Optionally, an `EvidenceReader` corrects the logits with the context of a token. In the paper, H
works on un-normalised encoder outputs, which no index keeps. Here it works on the normalised vectors
that the index gives back, so evidence never needs a second encoding.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from fgr_retriever.config import Calibration, Cut
from fgr_retriever.errors import CheckpointError
from fgr_retriever.model.evidence_reader import EvidenceReader
from fgr_retriever.model.maxsim import token_evidence

SUBFOLDER = "evidence"
READ_TOKENS = 512  # a passage is read in pieces of this length, so that time grows linearly with it
_PIECES = 16  # that are read together; bounds the memory of long passages
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceConfig:
    """The content of `evidence/config.json`.

    Args:
        dim: Width of the token embeddings.
        width: Width of the head's projection; 0 for none (raw MaxSim, calibrated).
        reader_layers: Depth of the reader; 0 for the paper's head alone.
        reader_width: Width of the reader.
        threshold: Lowest probability with which a token counts as evidence, fitted on development
            data.
        temperature: Divides the logits; fitted on development data, 1 for none.
        cut: Whether the threshold is fixed or only the lowest probability that counts; see
            `Calibration`.

    Raises:
        ConfigError: Threshold, temperature or cut is out of range.
    """

    dim: int
    width: int
    reader_layers: int = 0
    reader_width: int = 0
    threshold: float = 0.5
    temperature: float = 1.0
    cut: Cut = "expected_f1"

    def __post_init__(self) -> None:
        """Check the calibration."""
        self.calibration  # noqa: B018 - building it checks it

    @property
    def calibration(self) -> Calibration:
        """The calibration of the model: which evidence probabilities count."""
        return Calibration(threshold=self.threshold, temperature=self.temperature, cut=self.cut)


class EvidenceHead(nn.Module):
    """Computes evidence logits of passage tokens from normalised token embeddings.

    Args:
        config: Sizes and calibration.
    """

    def __init__(self, config: EvidenceConfig) -> None:
        super().__init__()
        self.config = config
        self.projection = nn.Linear(config.dim, config.width, bias=False) if config.width else nn.Identity()
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.bias = nn.Parameter(torch.tensor(-5.0))
        self.reader = (
            EvidenceReader(config.dim, config.reader_width, config.reader_layers) if config.reader_layers else None
        )
        if isinstance(self.projection, nn.Linear):
            # Starts as (a slice of) the identity: before training, evidence is plain similarity.
            nn.init.eye_(self.projection.weight)

    @classmethod
    def raw(cls, dim: int) -> EvidenceHead:
        """Build a head for a checkpoint that has none: raw token similarity, calibrated.

        The constants were fitted on the untrained default model (p = 0.5 at a cosine of 0.62);
        `fgr eval spans` tells how well they suit another model.
        """
        head = cls(EvidenceConfig(dim=dim, width=0))
        with torch.no_grad():
            head.scale.fill_(12.0)
            head.bias.fill_(-7.5)
        return head.eval()

    def forward(self, query: Tensor, passages: Tensor, query_mask: Tensor, passage_mask: Tensor) -> Tensor:
        """Score the tokens of each passage against its query.

        Args:
            query: Query token embeddings, (b, q, d), L2-normalised.
            passages: Passage token embeddings, (b, t, d), L2-normalised.
            query_mask: True where a query token is real, (b, q) bool.
            passage_mask: True where a passage token is stored, (b, t) bool.

        Returns:
            Evidence logits, (b, t) float32; the logits of masked tokens have no meaning.
        """
        similarity = token_evidence(self.projection(query), self.projection(passages), passage_mask, query_mask)
        similarity = similarity.masked_fill(~passage_mask, 0)  # a reader turns infinities into NaN
        logits = self.scale * similarity + self.bias
        if self.reader is not None:
            logits = logits + self.reader(query, passages, similarity, query_mask, passage_mask)
        found: Tensor = logits / self.config.temperature
        return found

    @torch.inference_mode()
    def probabilities(self, query: Tensor, vectors: Tensor, lengths: Sequence[int]) -> Tensor:
        """Give the evidence probability of each token of consecutive passages.

        Args:
            query: (q, d) float32, L2-normalised, q >= 1.
            vectors: (sum(lengths), d) float16 or float32, L2-normalised. A passage is read in pieces of
                `READ_TOKENS` tokens, several pieces at once.
            lengths: Number of tokens of each passage; 0 is allowed.

        Returns:
            (sum(lengths),) float32 in [0, 1].
        """
        passages = torch.split(vectors, list(lengths))
        pieces = [piece for passage in passages for piece in torch.split(passage, READ_TOKENS) if len(piece)]
        found = [torch.empty(0)]
        for start in range(0, len(pieces), _PIECES):
            group = pieces[start : start + _PIECES]
            read = torch.tensor([len(piece) for piece in group])
            told = torch.arange(int(read.max())) < read[:, None]
            padded = pad_sequence([piece.float() for piece in group], batch_first=True)
            queries = query.expand(len(group), -1, -1)
            logits = self(queries, padded, torch.ones(queries.shape[:2], dtype=torch.bool), told)
            found.append(logits[told].float().sigmoid())
        return torch.cat(found)

    def calibrated(self, calibration: Calibration) -> EvidenceHead:
        """Give the same head with another calibration; it shares all weights with this one."""
        other = copy(self)
        other.config = replace(self.config, **asdict(calibration))
        return other

    def fingerprint(self) -> str:
        """Hash everything that changes an evidence logit: only the weights, not the calibration."""
        digest = hashlib.sha256()
        hash_weights(digest.update, self.state_dict())
        return digest.hexdigest()

    def in_precision(self, dtype: torch.dtype) -> EvidenceHead:
        """Give a copy whose reader computes in another precision. Never save this copy."""
        other = deepcopy(self)
        if other.reader is not None:
            other.reader.layers.to(dtype)
        return other

    def save(self, checkpoint: Path) -> None:
        """Write the head into the `evidence/` subfolder of a checkpoint folder.

        Raises:
            OSError: The disk refused the write.
        """
        folder = checkpoint / SUBFOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _CONFIG).write_text(json.dumps(asdict(self.config), indent=2) + "\n", encoding="utf-8")
        weights = save({name: value.detach().float().contiguous() for name, value in self.state_dict().items()})
        (folder / _WEIGHTS).write_bytes(weights)  # where `save_file` would raise an error of its own on a full disk

    @classmethod
    def load(cls, folder: Path) -> EvidenceHead:
        """Read the head from the `evidence/` subfolder.

        Args:
            folder: The `evidence/` folder itself.

        Raises:
            CheckpointError: A file is missing or does not fit its config.
        """
        try:
            config = EvidenceConfig(**json.loads((folder / _CONFIG).read_text(encoding="utf-8")))
            head = cls(config)
            head.load_state_dict(load_file(folder / _WEIGHTS))
        except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(
                f"the evidence head in {folder} cannot be read: {error}. Restore the folder, or delete it to fall "
                "back to raw MaxSim evidence."
            ) from error
        return head.eval()


def hash_weights(update: Callable[[bytes], object], weights: Mapping[str, Tensor]) -> None:
    """Feed names, shapes and float32 values to a hash."""
    for key, value in sorted(weights.items()):
        update(f"{key} {tuple(value.shape)}".encode())
        update(value.detach().cpu().float().contiguous().numpy().tobytes())
