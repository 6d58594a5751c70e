"""The joint stage: encoder and head learn evidence together, while retrieval stays what it was."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from sentence_transformers import MultiVectorEncoder
from torch import Tensor, nn
from torch.nn.functional import normalize

from fgr_retriever.errors import ConfigError
from fgr_retriever.model.evidence_head import EvidenceHead
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.losses import (
    contrastive_loss,
    evidence_loss,
    hold_loss,
    in_batch_maxsim,
    margin_mse_loss,
    own_scores,
    pairwise_loss,
    ranking_loss,
)
from fgr_retriever.training.noise import CodecNoise

_POOLED_SHARE = 0.25
_FOREIGN_SHARE = 0.8  # of the own passage's score; foreign passages above it may hold evidence all the same


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
        self._noise = CodecNoise(recipe.noise_bits)
        _freeze(encoder, recipe.frozen_layers)

    def forward(
        self,
        query_ids: Tensor,
        query_mask: Tensor,
        passage_ids: Tensor,
        passage_mask: Tensor,
        labels: Tensor,
        tuples: dict[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Give the losses of one batch: `loss` is their weighted sum.

        Args:
            query_ids: (b, q) int64, with a mask of the same shape.
            query_mask: 1 for real tokens.
            passage_ids: (b, t) int64, with a mask of the same shape.
            passage_mask: 1 for real tokens.
            labels: The probability of evidence, -1 for no label, (b, t) float32.
            tuples: A batch of retrieval examples, the arguments of `retrieval`.
        """
        untrained = self._untrained[0].to(query_ids.device)
        queries, query_kept = encode(self.encoder, query_ids, query_mask, "query")
        passages, passage_kept = encode(self.encoder, passage_ids, passage_mask, "document")
        with torch.no_grad():
            old_queries = Untrained.of(untrained, query_ids, query_mask)
            old_passages = Untrained.of(untrained, passage_ids, passage_mask)
        scores = in_batch_maxsim(queries, query_kept, passages, passage_kept)
        read = self.head, queries, query_kept, self._noise(passages), passage_kept
        parts = {
            **evidence_parts(*read, labels, scores, self.recipe.positive_weight),
            "hold": hold_loss(passages, old_passages.projected, passage_kept)
            + hold_loss(queries, old_queries.projected, query_kept),
            "ranking": ranking_loss(scores, teacher_scores(old_queries, query_kept, old_passages, passage_kept)),
        }
        if tuples is not None:
            parts["retrieval"] = self.retrieval(**tuples)
        return weighted(parts, self.recipe)

    def retrieval(
        self, query_ids: Tensor, query_mask: Tensor, passage_ids: Tensor, passage_mask: Tensor, scores: Tensor
    ) -> Tensor:
        """Give the retrieval loss of the recipe on queries with n passages each.

        Args:
            query_ids: (b, q) int64, with a mask of the same shape.
            query_mask: 1 for real tokens.
            passage_ids: (b * n, t) int64, the passages of a query side by side, its positive first.
            passage_mask: 1 for real tokens.
            scores: A teacher's, (b, n); where it is NaN, the untrained model is the teacher.
        """
        queries, query_kept = encode(self.encoder, query_ids, query_mask, "query")
        passages, passage_kept = encode(self.encoder, passage_ids, passage_mask, "document")
        found = in_batch_maxsim(queries, query_kept, passages, passage_kept)
        kind = self.recipe.retrieval_loss
        if kind == "contrastive":
            return contrastive_loss(found, (passage_ids[:, None] == passage_ids).all(dim=2))
        if kind == "pairwise":
            return pairwise_loss(own_scores(found))
        if scores.isnan().any():
            untrained = self._untrained[0].to(query_ids.device)
            with torch.no_grad():
                old_queries = Untrained.of(untrained, query_ids, query_mask)
                old_passages = Untrained.of(untrained, passage_ids, passage_mask)
                taught = own_scores(teacher_scores(old_queries, query_kept, old_passages, passage_kept))
            scores = torch.where(scores.isnan(), taught.float(), scores)
        return {"kl": ranking_loss, "margin_mse": margin_mse_loss}[kind](own_scores(found), scores)


@dataclass(frozen=True, slots=True)
class Untrained:
    """What the untrained model says of a batch of texts.

    Args:
        projected: Its vectors as they would be stored, (b, t, d), not normalised.
        full: Its vectors before the projection, (b, t, h), L2-normalised.
        pooled: Their mean, the embedding of the bi-encoder that it was, (b, h), L2-normalised.
    """

    projected: Tensor
    full: Tensor
    pooled: Tensor

    @classmethod
    def of(cls, model: MultiVectorEncoder, ids: Tensor, mask: Tensor) -> Untrained:
        """Encode a batch, (b, t) ids with their mask, by the model that training starts from."""
        transformer, projection = model[0], model[1]
        hidden = transformer({"input_ids": ids, "attention_mask": mask, "modality": "text"})["token_embeddings"]
        projected = projection({"token_embeddings": hidden})["token_embeddings"]
        pooled = (hidden.float() * mask[..., None]).sum(dim=1)
        return cls(projected, normalize(hidden.float(), dim=-1), normalize(pooled, dim=-1))


def teacher_scores(queries: Untrained, query_kept: Tensor, passages: Untrained, passage_kept: Tensor) -> Tensor:
    """Score every query with every passage as the untrained model does best, (b, b).

    MaxSim before the projection ranks better than after it, and a quarter of the bi-encoder's
    cosine for each query token makes it better still: what the projection loses, training wins back.
    """
    cosine = queries.pooled @ passages.pooled.T
    tokens = query_kept.sum(dim=1, keepdim=True)
    return in_batch_maxsim(queries.full, query_kept, passages.full, passage_kept) + _POOLED_SHARE * tokens * cosine


def _freeze(encoder: MultiVectorEncoder, layers: int) -> None:
    """Train nothing below a layer of the transformer, so that no gradient goes through there."""
    if not layers:
        return
    transformer = encoder[0]
    stack = next((module for module in transformer.modules() if isinstance(module, nn.ModuleList)), nn.ModuleList())
    if layers > len(stack):
        raise ConfigError(f"frozen_layers={layers}: the base model has {len(stack)} layers; freeze at most that many")
    transformer.requires_grad_(False)
    stack[layers:].requires_grad_(True)


def encode(model: MultiVectorEncoder, ids: Tensor, mask: Tensor, task: str) -> tuple[Tensor, Tensor]:
    """Run the encoder: (b, t, d) unit vectors and the (b, t) mask of stored tokens."""
    found = model({"input_ids": ids, "attention_mask": mask, "modality": "text"}, task=task)
    return found["token_embeddings"], found["attention_mask"].bool()


def evidence_parts(
    head: EvidenceHead,
    queries: Tensor,
    query_kept: Tensor,
    passages: Tensor,
    passage_kept: Tensor,
    labels: Tensor,
    scores: Tensor,
    positive_weight: float = 1.0,
) -> dict[str, Tensor]:
    """Give the losses of the head: on each query's own passage, and on a foreign one, which holds no evidence.

    `scores` is MaxSim of every query with every passage, (b, b), by which foreign ones are chosen.
    """
    counted = passage_kept & (labels >= 0)
    own = head(queries, passages, query_kept, passage_kept)
    asked, foreign = foreign_queries(scores.detach())
    others = head(queries[asked], passages, query_kept[asked], passage_kept)
    return {
        "evidence": evidence_loss(own, labels, counted, positive_weight),
        "irrelevant": evidence_loss(others, torch.zeros_like(labels), counted & foreign[:, None]),
    }


def foreign_queries(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Choose for every passage of a batch a question that it all but answers: nothing there is evidence.

    It is the question whose own passage beats this one by the least, but clearly: beyond that, the
    passage may answer it too.

    Args:
        scores: MaxSim of every question with every passage, (b, b); the own ones on the diagonal.

    Returns:
        Which question, (b,) int64, and False where there is none, (b,) bool.
    """
    share = scores / scores.diagonal()[:, None].clamp(min=1e-6)
    share = share.masked_fill(share > _FOREIGN_SHARE, -torch.inf)
    best, asked = share.max(dim=0)
    return asked, best > -torch.inf


def weighted(parts: dict[str, Tensor], recipe: TrainingConfig) -> dict[str, Tensor]:
    """Add up losses by the weights of a recipe: `loss`, and the parts for the log."""
    loss = sum(getattr(recipe, f"{name}_weight") * part for name, part in parts.items())
    return {"loss": torch.as_tensor(loss), **{name: part.detach() for name, part in parts.items()}}
