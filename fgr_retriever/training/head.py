"""The head stage: the evidence head alone learns on, from the vectors that an index would store.

The encoder is finished and no longer moves, so every text is encoded once; retrieval cannot change.
"""

from __future__ import annotations

from torch import Tensor, nn

from fgr_retriever.model.evidence_head import EvidenceHead
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.joint import evidence_parts, weighted
from fgr_retriever.training.losses import in_batch_maxsim
from fgr_retriever.training.noise import CodecNoise


class HeadModel(nn.Module):
    """The head with its part of the joint loss.

    Args:
        head: The evidence head to train.
        recipe: The weights of the losses.
    """

    def __init__(self, head: EvidenceHead, recipe: TrainingConfig) -> None:
        super().__init__()
        self.head, self.recipe = head, recipe
        self._noise = CodecNoise(recipe.noise_bits)

    def forward(
        self, queries: Tensor, query_kept: Tensor, passages: Tensor, passage_kept: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """Give the losses of one batch: `loss` is their weighted sum."""
        queries, passages = queries.float(), passages.float()
        scores = in_batch_maxsim(queries, query_kept, passages, passage_kept)
        read = self.head, queries, query_kept, self._noise(passages), passage_kept
        found = evidence_parts(*read, labels, scores, self.recipe.positive_weight)
        return weighted(found, self.recipe)
