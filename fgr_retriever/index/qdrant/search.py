"""The best passages of a collection, by MaxSim on the server.

Two kinds of candidates, half of each: the passages whose mean vector is nearest to that of the query, and those that
gain most by its centroids. A query token *probes* the centroids nearest to it; a passage with a token of one of them
gains what this centroid's score has above that of the first one not probed, as in `index.search.candidates`. Here the
gains of all probed centroids add up: a sparse vector cannot take the best of them. MaxSim ranks the candidates.

If a filter leaves no more passages than there would be candidates, all of them are ranked.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qdrant_client import models
from torch import Tensor

from fgr_retriever.config import SearchConfig
from fgr_retriever.index.qdrant.layout import CENTROIDS, MEAN, TOKENS, in_order
from fgr_retriever.index.qdrant.reading import batches
from fgr_retriever.index.qdrant.server import Server
from fgr_retriever.index.search.candidates import nearest_centroids, probed

_GROWS_FROM = 1000  # passages: with ten times as many, there are twice as many candidates, then three times
_LEAST_EF = 128
_COUNTED_S = 60.0
_MOST_POINTS = 512  # of one answer: some ten megabytes with their vectors


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read of each point that was found: some of its payload, and perhaps its token vectors."""

    payload: Sequence[str]
    vectors: bool


class Size:
    """Counts passages: those of a filter at each call, all of them once a minute.

    How many there are says how many candidates are ranked. That grows slowly, so that an old number does no harm.

    Args:
        server: The collection.
    """

    def __init__(self, server: Server) -> None:
        self._server, self._found, self._until = server, 0, -math.inf

    def __call__(self, allowed: models.Filter) -> int:
        """Count what may be found."""
        if allowed != models.Filter():
            return int(self._server("count", count_filter=allowed, exact=True).count)
        if time.monotonic() >= self._until:
            self._found = int(self._server("count", exact=False).count)
            self._until = time.monotonic() + _COUNTED_S
        return self._found

    def forget(self) -> None:
        """Count all passages again at the next call."""
        self._until = -math.inf


def candidates_of(passages: int, k: int, config: SearchConfig) -> int:
    """Choose how many candidates are ranked in a collection, or in what a filter leaves of one."""
    return max(k, round(config.candidates * max(1.0, math.log10(max(1, passages) / _GROWS_FROM))))


def best_points(
    server: Server,
    queries: Sequence[Tensor],
    k: int,
    allowed: models.Filter,
    config: SearchConfig,
    *,
    passages: int,
    centroids: Tensor | None,
    reading: Reading,
) -> list[list[Any]]:
    """Find the best passages of queries, many with one call.

    Args:
        server: The collection.
        queries: Query token embeddings, (q, d) float32 each, q >= 1.
        k: How many passages to find for each, at least 1.
        allowed: Which may be found.
        config: How to search.
        passages: How many of them there are, about; any number with `config.exact`.
        centroids: Those of the collection, (c, d) float32; None while it has none.
        reading: What is read of each.

    Returns:
        Points with scores, best first; of equals the one that was added earlier.
    """
    wanted = candidates_of(passages, k, config)
    if config.exact or passages <= wanted:
        asked = [_everything(query, k, allowed, reading) for query in queries]
    else:
        prefetched = [_candidates(query, allowed, wanted, centroids, config.nprobe) for query in queries]
        pairs = zip(queries, prefetched, strict=True)
        asked = [_request(query, k, reading, prefetch=prefetch) for query, prefetch in pairs]
    # A long scan goes alone: the time limit of a call is for one.
    together = 1 if config.exact else max(1, _MOST_POINTS // k)
    return [in_order(points) for some in batches(asked, together) for points in _answers(server, some)]


def scored_points(server: Server, query: Tensor, points: Sequence[str], reading: Reading) -> list[Any]:
    """Score points by exact MaxSim, in any order; those that are not there, or have no tokens, are left out."""
    return _answers(server, [_everything(query, len(points), among(models.Filter(), points), reading)])[0]


def among(allowed: models.Filter, points: Sequence[str]) -> models.Filter:
    """Let only some points pass, by their ids."""
    chosen = models.HasIdCondition(has_id=list(points))
    return models.Filter(must=[chosen] if allowed == models.Filter() else [chosen, allowed])


def _answers(server: Server, asked: list[models.QueryRequest]) -> list[list[Any]]:
    return [list(one.points) for one in server("query_batch_points", requests=asked)]


def _everything(query: Tensor, k: int, allowed: models.Filter, reading: Reading) -> models.QueryRequest:
    """Ask for the best of all that may be found, without candidates."""
    return _request(query, k, reading, filter=allowed, params=models.SearchParams(exact=True))


def _request(query: Tensor, k: int, reading: Reading, **how: Any) -> models.QueryRequest:
    return models.QueryRequest(
        query=query.tolist(),
        using=TOKENS,
        limit=k,
        with_payload=[*reading.payload],
        with_vector=[TOKENS] if reading.vectors else False,
        **how,
    )


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
