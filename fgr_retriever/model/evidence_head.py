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

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from typing_extensions import Self

from fgr_retriever.model.evidence_reader import EvidenceReader
from fgr_retriever.model.head import READ_TOKENS, Head, HeadConfig
from fgr_retriever.model.maxsim import token_evidence

_PIECES = 16  # that are read together; bounds the memory of long passages


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceConfig(HeadConfig):
    """The content of `evidence/config.json` for this head.

    Args:
        width: Width of the head's projection; 0 for none (raw MaxSim, calibrated).
        reader_layers: Depth of the reader; 0 for the paper's head alone.
        reader_width: Width of the reader.
    """

    width: int
    reader_layers: int = 0
    reader_width: int = 0


class EvidenceHead(Head):
    """Computes evidence logits of passage tokens from normalised token embeddings.

    Args:
        config: Sizes and calibration.
    """

    KIND = "reader"
    config: EvidenceConfig

    def __init__(self, config: EvidenceConfig) -> None:
        super().__init__()
        self.config = config
        self.coder = None
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
    def probabilities(
        self, query: Tensor, vectors: Tensor, lengths: Sequence[int], codes: Tensor | None = None
    ) -> Tensor:
        """Give the evidence probability of each token; see `Head`. Codes are not read.

        A passage is read in pieces of `READ_TOKENS` tokens, several pieces at once.
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

    def in_precision(self, dtype: torch.dtype) -> Self:
        """Give a copy whose reader computes in another precision. Never save this copy."""
        other = deepcopy(self)
        if other.reader is not None:
            other.reader.layers.to(dtype)
        return other
