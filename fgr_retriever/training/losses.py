"""What training minimises: evidence on labelled tokens, and rankings, of the untrained model or of a teacher.

Ranking losses take scores that are already there, so that one MaxSim serves the loss and its teacher
alike; they equal those of sentence-transformers, which encode by themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cosine_similarity,
    cross_entropy,
    kl_div,
    log_softmax,
    mse_loss,
    softplus,
)


def evidence_loss(logits: Tensor, labels: Tensor, mask: Tensor, positive_weight: float = 1.0) -> Tensor:
    """Binary cross-entropy of evidence logits, averaged over real tokens; 0 where none counts.

    Args:
        logits: (b, t).
        labels: The probability of evidence: 1 for evidence, 0 for none, (b, t) float.
        mask: True where a token counts, (b, t) bool.
        positive_weight: Weight of the evidence in a label; above 1, evidence is missed less often
            and claimed more often.

    Source: FGR-ColBERT (arXiv 2604.00242), section 3: masked tokens are left out.
    """
    weight = logits.new_tensor(positive_weight, dtype=torch.float32)
    found = binary_cross_entropy_with_logits(logits[mask].float(), labels[mask], pos_weight=weight, reduction="sum")
    return found / mask.sum().clamp(min=1)


def hold_loss(vectors: Tensor, untrained: Tensor, mask: Tensor) -> Tensor:
    """One minus the cosine of token vectors to the untrained ones, averaged over real tokens.

    Args:
        vectors: (b, t, d).
        untrained: (b, t, d).
        mask: (b, t) bool.
    """
    return 1 - cosine_similarity(vectors[mask].float(), untrained[mask].float(), dim=-1).mean()


def ranking_loss(scores: Tensor, teacher: Tensor) -> Tensor:
    """KL divergence of rankings from a teacher's, averaged over queries.

    Args:
        scores: MaxSim of every query with its passages, (b, n).
        teacher: The teacher's scores of the same, (b, n); a constant added to a row changes nothing.

    Source: Santhanam et al. 2022 (ColBERTv2, arXiv 2112.01488), section 3.2.
    """
    target = log_softmax(teacher.float(), dim=1)
    return kl_div(log_softmax(scores.float(), dim=1), target, reduction="batchmean", log_target=True)


def pairwise_loss(scores: Tensor) -> Tensor:
    """Softmax cross-entropy of each pair of the positive and a negative, averaged over the pairs.

    Args:
        scores: MaxSim of every query with its own passages, the positive first, (b, n) with n >= 2.

    Source: Khattab & Zaharia 2020 (ColBERT, arXiv 2004.12832), section 3.3.
    """
    return softplus((scores[:, 1:] - scores[:, :1]).float()).mean()


def contrastive_loss(scores: Tensor, same: Tensor) -> Tensor:
    """Softmax cross-entropy of each query's positive among the passages of the whole batch.

    Args:
        scores: MaxSim of every query with every passage, (b, b * n): the n passages of a query lie
            side by side, its positive first.
        same: True where two passages of the batch have the same text, (b * n, b * n) bool: what
            another query brings is no negative when it is this query's positive.

    Source: Santhanam et al. 2022 (ColBERTv2, arXiv 2112.01488), section 3.2: in-batch negatives.
    """
    rows = torch.arange(len(scores), device=scores.device)
    positives = rows * (scores.shape[1] // len(scores))
    copies = same[positives].clone()
    copies[rows, positives] = False
    return cross_entropy(scores.float().masked_fill(copies, -torch.inf), positives)


def margin_mse_loss(scores: Tensor, teacher: Tensor) -> Tensor:
    """Squared difference to the teacher's margins between the positive and each negative, averaged over the pairs.

    Args:
        scores: MaxSim of every query with its own passages, the positive first, (b, n) with n >= 2.
        teacher: The teacher's scores of the same, (b, n), on the scale that MaxSim shall have.

    Source: Hofstätter et al. 2020 (arXiv 2010.02666), equation 7.
    """
    return mse_loss((scores[:, :1] - scores[:, 1:]).float(), (teacher[:, :1] - teacher[:, 1:]).float())


def in_batch_maxsim(queries: Tensor, query_mask: Tensor, passages: Tensor, passage_mask: Tensor) -> Tensor:
    """Score every query of a batch with every passage of it.

    Args:
        queries: (b, q, d).
        query_mask: (b, q) bool.
        passages: (n, t, d).
        passage_mask: (n, t) bool.

    Returns:
        (b, n) float32; row i holds query i's scores.
    """
    similarities = torch.einsum("iqd,jtd->ijqt", queries, passages)
    best = similarities.masked_fill(~passage_mask[None, :, None, :], -torch.inf).amax(dim=-1)  # (i, j, q)
    # In bfloat16 the sum would be right to 0.1 only.
    return best.masked_fill(~query_mask[:, None, :], 0).sum(dim=-1, dtype=torch.float32)


def own_scores(scores: Tensor) -> Tensor:
    """Take each query's scores with its own passages, (b, n), from those with all, (b, b * n)."""
    return scores.view(len(scores), len(scores), -1).diagonal().T
