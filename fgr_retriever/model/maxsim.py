"""Late interaction: the score of a passage and the evidence of its tokens, as pure tensor functions.

MaxSim is equation 3 of Khattab & Zaharia 2020 (ColBERT, arXiv:2004.12832): every query token takes
its best match among the passage tokens, and the matches are summed::

    score(q, d) = sum_i max_j  E_qi . E_dj

Evidence reads the same similarities in the other direction (FGR-ColBERT, arXiv:2604.00242): every
passage token takes its best match among the query tokens.

Padding is masked with -inf, never with 0, because a real match may be negative.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fgr_retriever.errors import InputError
from fgr_retriever.model.ragged import Ragged


def maxsim(query: Tensor, passages: Tensor, mask: Tensor) -> Tensor:
    """Score a padded batch of passages.

    Args:
        query: Query token embeddings, (q, d) with q >= 1.
        passages: Passage token embeddings, (b, t, d).
        mask: True where `passages` holds a real token, (b, t) bool.

    Returns:
        MaxSim of each passage, (b,) float32; -inf for a passage without a real token.

    Raises:
        InputError: The shapes do not fit each other.
    """
    _check_padded(query, passages, mask)
    if not passages.shape[1]:
        return torch.full((len(passages),), -torch.inf, device=passages.device)
    similarities = (passages.float() @ query.float().T).masked_fill(~mask[..., None], -torch.inf)
    return similarities.amax(dim=1).sum(dim=1)


def token_evidence(query: Tensor, passages: Tensor, mask: Tensor, query_mask: Tensor | None = None) -> Tensor:
    """Take the best match of every passage token among the query tokens.

    Args:
        query: Query token embeddings, (q, d) with q >= 1; or a padded query for each passage, (b, q, d).
        passages: Passage token embeddings, (b, t, d).
        mask: True where `passages` holds a real token, (b, t) bool.
        query_mask: True where a padded `query` holds a real token, (b, q) bool.

    Returns:
        Raw similarities, not probabilities, (b, t) float32; -inf at padding.

    Raises:
        InputError: The shapes do not fit each other.
    """
    _check_padded(query, passages, mask)
    similarities = passages.float() @ query.float().mT
    if query_mask is not None:
        similarities = similarities.masked_fill(~query_mask[:, None], -torch.inf)
    return similarities.amax(dim=2).masked_fill(~mask, -torch.inf)


def best_matches(query: Tensor, vectors: Tensor, lengths: Tensor) -> Tensor:
    """Take the best match of every query token in every passage, without padding.

    Args:
        query: Query token embeddings, (q, d); several queries may be stacked.
        vectors: The passages' token embeddings one after the other, (sum(lengths), d).
        lengths: Number of tokens of each passage, (n,) int64; 0 is allowed.

    Returns:
        The similarity of each query token's best match, (n, q) float32; -inf where a passage has
        no token.

    Raises:
        InputError: The shapes do not fit each other.
    """
    _check_ragged(query, vectors, lengths)
    return Ragged(lengths).maxima(vectors.float() @ query.float().T)


def maxsim_ragged(query: Tensor, vectors: Tensor, lengths: Tensor) -> Tensor:
    """Score passages that lie one after the other, without padding.

    Args:
        query: Query token embeddings, (q, d) with q >= 1.
        vectors: The passages' token embeddings one after the other, (sum(lengths), d).
        lengths: Number of tokens of each passage, (n,) int64; 0 is allowed.

    Returns:
        MaxSim of each passage, (n,) float32; -inf for a passage without a token.

    Raises:
        InputError: The shapes do not fit each other.
    """
    return best_matches(query, vectors, lengths).sum(dim=1)


def attention_maxsim(
    query: Tensor,
    query_importance: Tensor,
    vectors: Tensor,
    importance: Tensor,
    lengths: Tensor,
    *,
    query_weight: float,
    passage_weight: float,
) -> Tensor:
    """Score passages by MaxSim that is modulated by the importance of the tokens (ColBERT-Att).

    ::

        score(q, d) = sum_i exp(a w_i) max_j s_ij exp(sign(s_ij) b w_j),     s_ij = E_qi . E_dj

    As in ColBERT-Att (arXiv:2603.25248), the exponentials of both tokens' attention modulate their
    similarity. We added the weights a and b, standardised importance (see `importance`), and the sign.
    With a plain product with exp(b w_j), an important token would lose against an unimportant one if
    both similarities are negative. With the sign, a score never falls when a passage token matches
    better. With b > 0, it never falls when a passage token becomes more important. a = b = 0 is MaxSim.

    Args:
        query: Query token embeddings, (q, d) with q >= 1.
        query_importance: w_i of each query token, (q,) float32.
        vectors: The passages' token embeddings one after the other, (sum(lengths), d).
        importance: w_j of each passage token, (sum(lengths),) float32.
        lengths: Number of tokens of each passage, (n,) int64; 0 is allowed.
        query_weight: The weight a.
        passage_weight: The weight b.

    Returns:
        Score of each passage, (n,) float32; -inf for a passage without a token.

    Raises:
        InputError: The shapes do not fit each other.
    """
    _check_ragged(query, vectors, lengths)
    if query_importance.shape != query.shape[:1] or importance.shape != vectors.shape[:1]:
        shapes = f"{tuple(query_importance.shape)} and {tuple(importance.shape)}"
        raise InputError(f"importance {shapes}: must be ({len(query)},) and ({len(vectors)},), one for each vector")
    similarities = vectors.float() @ query.float().T
    modulated = similarities * torch.exp(similarities.sign() * (passage_weight * importance)[:, None])
    return Ragged(lengths).maxima(modulated) @ torch.exp(query_weight * query_importance)


def _check_ragged(query: Tensor, vectors: Tensor, lengths: Tensor) -> None:
    """Raise InputError unless the shapes are (q, d) and (sum(lengths), d)."""
    if query.ndim != 2 or vectors.ndim != 2 or query.shape[1] != vectors.shape[1]:
        raise InputError(f"query {tuple(query.shape)} and vectors {tuple(vectors.shape)}: must be (q, d) and (T, d)")
    if int(lengths.sum()) != len(vectors):
        raise InputError(f"lengths sum to {int(lengths.sum())}, but there are {len(vectors)} vectors")


def _check_padded(query: Tensor, passages: Tensor, mask: Tensor) -> None:
    """Raise InputError unless the shapes are (q, d) or (b, q, d), (b, t, d) and (b, t) with q >= 1."""
    shapes = f"query {tuple(query.shape)}, passages {tuple(passages.shape)}, mask {tuple(mask.shape)}"
    fits = query.ndim == 2 or (query.ndim == 3 and len(query) == len(passages))
    if not fits or passages.ndim != 3 or query.shape[-1] != passages.shape[2] or mask.shape != passages.shape[:2]:
        raise InputError(f"{shapes}: must be (q, d) or (b, q, d), (b, t, d) and (b, t)")
    if not query.shape[-2]:
        raise InputError(f"{shapes}: a query must have at least one token")
