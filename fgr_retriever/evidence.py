"""The evidence head: how likely each passage token supports the query, from stored vectors.

FGR-ColBERT (arXiv 2604.00242, section 3) turns late interaction round: the best match of a
*passage* token over the *query* tokens, through a small projection H, is the logit of that token
being evidence::

    p_j = sigmoid(scale * max_i H(q_i) . H(d_j) + bias)

The authors feed H un-normalised encoder outputs, which no index keeps; here it works on the
normalised vectors that the index gives back, so evidence never needs a second encoding.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fgr_retriever.errors import CheckpointError

SUBFOLDER = "evidence"
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceConfig:
    """What `evidence/config.json` holds.

    Args:
        dim: Width of the token embeddings.
        width: Width of the head's projection; 0 for none (raw MaxSim, calibrated).
        threshold: Probability from which a token counts as evidence, fitted on development data.
        temperature: Divides the logits; fitted on development data, 1 for none.
    """

    dim: int
    width: int
    threshold: float = 0.5
    temperature: float = 1.0


class EvidenceHead(nn.Module):
    """Evidence logits of passage tokens, from normalised token embeddings.

    Args:
        config: Sizes and calibration.
    """

    def __init__(self, config: EvidenceConfig) -> None:
        super().__init__()
        self.config = config
        self.projection = nn.Linear(config.dim, config.width, bias=False) if config.width else nn.Identity()
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.bias = nn.Parameter(torch.tensor(-5.0))
        if isinstance(self.projection, nn.Linear):
            # Starts as (a slice of) the identity: before training, evidence is plain similarity.
            nn.init.eye_(self.projection.weight)

    @classmethod
    def raw(cls, dim: int) -> EvidenceHead:
        """Build the head of a checkpoint that has none: raw token similarity, calibrated.

        The constants were fitted on the untrained default model (p = 0.5 at a cosine of 0.62);
        `fgr eval spans` tells how well they suit another model.
        """
        head = cls(EvidenceConfig(dim=dim, width=0))
        with torch.no_grad():
            head.scale.fill_(12.0)
            head.bias.fill_(-7.5)
        return head.eval()

    def forward(self, query: Tensor, passages: Tensor, query_mask: Tensor | None = None) -> Tensor:
        """Score passage tokens against a query.

        Args:
            query: Query token embeddings, (..., q, d), L2-normalised.
            passages: Passage token embeddings, (..., t, d), L2-normalised.
            query_mask: True where a query token is real, (..., q); None if all are.

        Returns:
            Evidence logits, (..., t) float32.
        """
        similarities = self.projection(passages) @ self.projection(query).transpose(-1, -2)  # (..., t, q)
        if query_mask is not None:
            similarities = similarities.masked_fill(~query_mask.unsqueeze(-2), -torch.inf)
        similarity = similarities.amax(dim=-1)
        logits: Tensor = (self.scale * similarity + self.bias) / self.config.temperature
        return logits

    @torch.inference_mode()
    def probabilities(self, query: Tensor, vectors: Tensor) -> Tensor:
        """Give the evidence probability of each token.

        Args:
            query: (q, d) float32, L2-normalised.
            vectors: (t, d) float32, L2-normalised.

        Returns:
            (t,) float32 in [0, 1].
        """
        return torch.sigmoid(self(query, vectors))

    def save(self, checkpoint: Path) -> None:
        """Write the head into the `evidence/` subfolder of a checkpoint folder."""
        folder = checkpoint / SUBFOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _CONFIG).write_text(json.dumps(asdict(self.config), indent=2) + "\n", encoding="utf-8")
        save_file(
            {name: value.detach().float().contiguous() for name, value in self.state_dict().items()}, folder / _WEIGHTS
        )

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
