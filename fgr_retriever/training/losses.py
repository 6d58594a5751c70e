"""What training minimises: evidence on labelled tokens, while retrieval stays what it was."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cosine_similarity, kl_div, log_softmax


def evidence_loss(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy of evidence logits, averaged over real tokens.

    Args:
        logits: (b, t).
        labels: 1 for evidence, 0 for none, (b, t) float.
        mask: True where a token counts, (b, t) bool.

    Source: FGR-ColBERT (arXiv 2604.00242), section 3: masked tokens are left out.
    """
    return binary_cross_entropy_with_logits(logits[mask].float(), labels[mask])


def hold_loss(vectors: Tensor, untrained: Tensor, mask: Tensor) -> Tensor:
    """One minus the cosine of token vectors to the untrained ones, averaged over real tokens.

    Args:
        vectors: (b, t, d).
        untrained: (b, t, d).
        mask: (b, t) bool.
    """
    return 1 - cosine_similarity(vectors[mask].float(), untrained[mask].float(), dim=-1).mean()


def ranking_loss(scores: Tensor, untrained: Tensor) -> Tensor:
    """KL divergence of in-batch rankings from the untrained model's.

    Args:
        scores: MaxSim of every query with every passage of the batch, (b, b).
        untrained: The same by the untrained model, (b, b).

    Source: Santhanam et al. 2022 (ColBERTv2, arXiv 2112.01488), section 3.2, with the untrained
    model as the teacher.
    """
    target = log_softmax(untrained.float(), dim=1)
    return kl_div(log_softmax(scores.float(), dim=1), target, reduction="batchmean", log_target=True)


def in_batch_maxsim(queries: Tensor, query_mask: Tensor, passages: Tensor, passage_mask: Tensor) -> Tensor:
    """Score every query of a batch with every passage of it.

    Args:
        queries: (b, q, d).
        query_mask: (b, q) bool.
        passages: (b, t, d).
        passage_mask: (b, t) bool.

    Returns:
        (b, b); row i holds query i's scores.
    """
    similarities = torch.einsum("iqd,jtd->ijqt", queries, passages)
    best = similarities.masked_fill(~passage_mask[None, :, None, :], -torch.inf).amax(dim=-1)  # (i, j, q)
    return best.masked_fill(~query_mask[:, None, :], 0).sum(dim=-1)
