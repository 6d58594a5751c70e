"""Candidates: the few coded passages that are worth decoding for a query.

Each centroid has a list of passages. The lists of the centroids nearest to a query token name the
passages that may match it well, as in PLAID (arXiv:2205.09707, section 4.2); these centroids are
*probed*. The approximate score of a passage is a sum over the query tokens. A query token adds the
score of the best probed centroid that the passage has a token of. If the passage has none, it adds
the score of the first centroid that was not probed, because no token of the passage has a better
one. (WARP, arXiv:2501.17788, section 4.3, calls this imputation.) ::

    sum_i max(unprobed_i, max over probed centroids c of d:  E_qi . C_c)

The sum of the imputed scores is the same for all passages and is left out: only the gain over it
counts.

A token of a candidate can only be the best match of a query token if its centroid is near that
token. The nearest centroids, twice as many as are probed, tell which tokens are worth decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgr_retriever.index.search.ranking import Ranking
from fgr_retriever.index.storage.inverted_lists import InvertedLists
from fgr_retriever.index.storage.snapshot import Snapshot
from fgr_retriever.model.kernel.library import kernel

_NEAR = 2  # times nprobe: twice that finds no more


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The passages and centroids that are worth decoding for one query.

    Args:
        positions: Positions of the passages in `Snapshot.rows`, (n,) int64, ascending.
        near: True for the centroids that are among the nearest of a query token, (centroids,) bool.
    """

    positions: NDArray[np.int64]
    near: NDArray[np.bool_]


def find_candidates(
    snapshot: Snapshot, queries: Sequence[Tensor], count: int, allowed: NDArray[np.bool_], nprobe: int
) -> list[Candidates] | None:
    """Choose the coded passages with the best approximate scores.

    Args:
        snapshot: The snapshot to search.
        queries: Query token embeddings, (q, d) float32 each, q >= 1.
        count: How many passages to choose for each query.
        allowed: True where a passage may be chosen, (n,) bool like `snapshot.alive`.
        nprobe: Number of centroids whose lists are read for each query token.

    Returns:
        `count` passages for each query. None if no more than `count` coded passages are allowed: then
        all of them are candidates.
    """
    coded = [(segment, part) for segment, part in snapshot.parts() if segment.codec is not None]
    if snapshot.codec is None or sum(int(allowed[part].sum()) for _, part in coded) <= count:
        return None
    nearest, scores = nearest_centroids(torch.cat(list(queries)), snapshot.codec.float_centroids, nprobe)
    centroids, gains = probed(nearest, scores, nprobe)
    owners = np.repeat(np.arange(len(queries)), [len(query) for query in queries])
    best = [Ranking.empty()] * len(queries)
    for segment, part in coded:
        total = _gains(segment.lists, segment.info.passages, centroids, gains, owners)
        total[:, ~allowed[part]] = -np.inf
        best = [_merged(found, part.start, row, count) for found, row in zip(best, total, strict=True)]
    near = np.zeros((len(queries), len(snapshot.codec.centroids)), np.bool_)
    near[owners[:, None], nearest] = True
    return [Candidates(np.sort(found.positions), row) for found, row in zip(best, near, strict=True)]


def _merged(best: Ranking, start: int, gains: NDArray[np.float32], count: int) -> Ranking:
    """Give the best of these and of a segment's passages; where enough gain something, the others are not sorted."""
    slots = np.flatnonzero(gains > 0)
    slots = slots if len(slots) >= count else np.arange(len(gains))
    return best.merged(start + slots, gains[slots], count)


def nearest_centroids(tokens: Tensor, centroids: Tensor, nprobe: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the centroids that are near each token, the nearest first, and their scores."""
    count = min(_NEAR * nprobe + 1, len(centroids))
    if compiled := kernel():
        return compiled.nearest(tokens.numpy(), centroids.numpy(), count)
    scores, found = (tokens @ centroids.T).topk(count)
    return found.numpy(), scores.numpy()


def probed(
    nearest: NDArray[np.int64], scores: NDArray[np.float32], nprobe: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Take the nearest centroids of each token, the nearest last, and their scores above the next one's."""
    count = min(nprobe, nearest.shape[1] - 1)
    gains = scores[:, :count] - scores[:, count : count + 1]
    return np.ascontiguousarray(nearest[:, :count][:, ::-1]), np.ascontiguousarray(gains[:, ::-1])


def _gains(
    lists: InvertedLists,
    passages: int,
    centroids: NDArray[np.int64],
    gains: NDArray[np.float32],
    owners: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Sum up what the tokens of each query gain in each passage of a segment.

    Args:
        lists: Those of the segment.
        passages: How many the segment has.
        centroids: What each token probes, by ascending score, (t, nprobe).
        gains: Their scores above that of the next one, (t, nprobe).
        owners: The query of each token, (t,), ascending from 0.

    Returns:
        (queries, passages).
    """
    if compiled := kernel():
        cuts = owners.searchsorted(range(1, owners[-1] + 1))
        pairs = zip(np.split(centroids, cuts), np.split(gains, cuts), strict=True)
        found = [compiled.gains(lists.bounds, lists.slots, passages, *pair) for pair in pairs]
        return np.stack(found).astype(np.float32)
    slots, counts = lists.gather(centroids.ravel())
    tokens = np.repeat(np.arange(len(owners)), counts.reshape(centroids.shape).sum(axis=1))
    # Only the best gain of a token in a passage counts: the last one that claims their cell.
    entries = np.arange(len(slots), dtype=np.int32)
    cells = tokens * passages + slots
    claims = np.empty(len(owners) * passages, np.int32)  # never read where nothing was written
    claims[cells] = entries
    best = np.flatnonzero(claims[cells] == entries)
    places = owners[tokens[best]] * passages + slots[best]
    total = np.bincount(places, np.repeat(gains.ravel(), counts)[best], (owners[-1] + 1) * passages)
    return total.reshape(-1, passages).astype(np.float32)
