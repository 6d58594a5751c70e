"""The best passages of a collection, by MaxSim on the server.

Two kinds of candidates, half of each: the passages whose mean vector is nearest to that of the query, and those that
gain most by its centroids. A query token *probes* the centroids nearest to it; a passage with a token of one of them
gains what this centroid's score has above that of the first one not probed, as in `index.search.candidates`. Here the
gains of all probed centroids add up: a sparse vector cannot take the best of them. MaxSim ranks the candidates.

If a filter leaves no more passages than there would be candidates, all of them are ranked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from qdrant_client import models
from torch import Tensor

from fgr_retriever.config import SearchConfig
from fgr_retriever.index.qdrant.layout import CENTROIDS, MEAN, TOKENS, in_order
from fgr_retriever.index.qdrant.server import Server
from fgr_retriever.index.search.candidates import nearest_centroids, probed

_GROWS_FROM = 1000  # passages: with ten times as many, there are twice as many candidates, then three times
_LEAST_EF = 128


def candidates_of(passages: int, k: int, config: SearchConfig) -> int:
    """Choose how many candidates are ranked in a collection, or in what a filter leaves of one."""
    return max(k, round(config.candidates * max(1.0, math.log10(max(1, passages) / _GROWS_FROM))))


def best_points(
    server: Server,
    query: Tensor,
    k: int,
    allowed: models.Filter,
    config: SearchConfig,
    *,
    centroids: Tensor | None,
    payload: Sequence[str],
    vectors: bool,
) -> list[Any]:
    """Find the best passages of a query.

    Args:
        server: The collection.
        query: Query token embeddings, (q, d) float32, q >= 1.
        k: How many passages to find, at least 1.
        allowed: Which may be found.
        config: How to search.
        centroids: Those of the collection, (c, d) float32; None while it has none.
        payload: What is read of each.
        vectors: Read the token vectors, too.

    Returns:
        Points with scores, best first; of equals the one that was added earlier.
    """
    passages = server("count", count_filter=allowed, exact=allowed != models.Filter()).count
    wanted = candidates_of(passages, k, config)
    if config.exact or passages <= wanted:
        how: dict[str, Any] = {"query_filter": allowed, "search_params": models.SearchParams(exact=True)}
    else:
        how = {"prefetch": _candidates(query, allowed, wanted, centroids, config.nprobe)}
    return in_order(_ranked(server, query, k, how, payload, vectors))


def scored_points(
    server: Server, query: Tensor, points: Sequence[str], payload: Sequence[str], vectors: bool
) -> list[Any]:
    """Score points by exact MaxSim, in any order; those that are not there, or have no tokens, are left out."""
    chosen = models.Filter(must=[models.HasIdCondition(has_id=list(points))])
    how = {"query_filter": chosen, "search_params": models.SearchParams(exact=True)}
    return _ranked(server, query, len(points), how, payload, vectors)


def _ranked(
    server: Server, query: Tensor, k: int, how: dict[str, Any], payload: Sequence[str], vectors: bool
) -> list[Any]:
    found = server(
        "query_points",
        query=query.tolist(),
        using=TOKENS,
        limit=k,
        with_payload=[*payload],
        with_vectors=[TOKENS] if vectors else False,
        **how,
    )
    return list(found.points)


def _candidates(
    query: Tensor, allowed: models.Filter, count: int, centroids: Tensor | None, nprobe: int
) -> list[models.Prefetch]:
    """Ask for candidates, with the filter in each request: what it lets through is found, however few they are."""
    mean = query.mean(dim=0).tolist()
    weights = None if centroids is None else _gains(query, centroids, nprobe)
    half = count if weights is None else -(-count // 2)
    ef = models.SearchParams(hnsw_ef=max(_LEAST_EF, half))
    found = [models.Prefetch(query=mean, using=MEAN, filter=allowed, limit=half, params=ef)]
    if weights is not None:
        found.append(models.Prefetch(query=weights, using=CENTROIDS, filter=allowed, limit=half))
    return found


def _gains(query: Tensor, centroids: Tensor, nprobe: int) -> models.SparseVector | None:
    """Sum up what a passage gains by each centroid; None if nothing gains."""
    numbers, gains = probed(*nearest_centroids(query, centroids, nprobe), nprobe)
    total = np.bincount(numbers.ravel(), gains.ravel().astype(np.float64), len(centroids))
    (kept,) = total.nonzero()
    return models.SparseVector(indices=kept.tolist(), values=total[kept].tolist()) if len(kept) else None
