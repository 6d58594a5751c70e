"""The joint stage: encoder and head learn evidence together, while retrieval stays what it was."""

from __future__ import annotations

import copy

import torch
from sentence_transformers import MultiVectorEncoder
from torch import Tensor, nn

from fgr_retriever.evidence import EvidenceHead
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.losses import evidence_loss, hold_loss, in_batch_maxsim, ranking_loss


class JointModel(nn.Module):
    """Encoder and head with the joint loss; the untrained encoder is the teacher of retrieval.

    Args:
        encoder: The model to train.
        head: The evidence head to train.
        recipe: The weights of the losses.
    """

    def __init__(self, encoder: MultiVectorEncoder, head: EvidenceHead, recipe: TrainingConfig) -> None:
        super().__init__()
        self.encoder, self.head, self.recipe = encoder, head, recipe
        # In a list, so that it is neither trained nor saved with the checkpoints.
        self._untrained = [copy.deepcopy(encoder).requires_grad_(False).eval()]

    def forward(
        self, query_ids: Tensor, query_mask: Tensor, passage_ids: Tensor, passage_mask: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """Give the losses of one batch: `loss` is their weighted sum."""
        untrained = self._untrained[0].to(query_ids.device)
        queries, query_kept = encode(self.encoder, query_ids, query_mask, "query")
        passages, passage_kept = encode(self.encoder, passage_ids, passage_mask, "document")
        with torch.no_grad():
            old_queries, _ = encode(untrained, query_ids, query_mask, "query")
            old_passages, _ = encode(untrained, passage_ids, passage_mask, "document")
        parts = {
            **evidence_parts(self.head, queries, query_kept, passages, passage_kept, labels),
            "hold": hold_loss(passages, old_passages, passage_kept) + hold_loss(queries, old_queries, query_kept),
            "ranking": ranking_loss(
                in_batch_maxsim(queries, query_kept, passages, passage_kept),
                in_batch_maxsim(old_queries, query_kept, old_passages, passage_kept),
            ),
        }
        return weighted(parts, self.recipe)


def encode(model: MultiVectorEncoder, ids: Tensor, mask: Tensor, task: str) -> tuple[Tensor, Tensor]:
    """Run the encoder: (b, t, d) unit vectors and the (b, t) mask of stored tokens."""
    found = model({"input_ids": ids, "attention_mask": mask, "modality": "text"}, task=task)
    return found["token_embeddings"], found["attention_mask"].bool()


def evidence_parts(
    head: EvidenceHead, queries: Tensor, query_kept: Tensor, passages: Tensor, passage_kept: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    """Give the losses of the head: on each query's own passage, and on the next one's, which holds no evidence."""
    counted = passage_kept & (labels >= 0)
    own = head(queries, passages, query_kept, passage_kept)
    others = head(queries.roll(1, 0), passages, query_kept.roll(1, 0), passage_kept)
    return {
        "evidence": evidence_loss(own, labels, counted),
        "irrelevant": evidence_loss(others, torch.zeros_like(labels), counted),
    }


def weighted(parts: dict[str, Tensor], recipe: TrainingConfig) -> dict[str, Tensor]:
    """Add up losses by the weights of a recipe: `loss`, and the parts for the log."""
    loss = sum(getattr(recipe, f"{name}_weight") * part for name, part in parts.items())
    return {"loss": torch.as_tensor(loss), **{name: part.detach() for name, part in parts.items()}}
