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

A token of a candidate can hardly be the best match of a query token if its centroid is not near that
token. So the same centroids tell which tokens are worth a look: with twice as many, recall at 10 was the
same with 2 bits, and higher by 0.003 with two layers of them (61,520 passages).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgr_retriever.index.search.ranking import best_of
from fgr_retriever.index.storage.inverted_lists import InvertedLists
from fgr_retriever.index.storage.snapshot import Snapshot
from fgr_retriever.index.storage.token_reader import TokenReader
from fgr_retriever.model.kernel.library import kernel
from fgr_retriever.model.kernel.steps import Kernel
from fgr_retriever.model.kernel.threads import side_by_side

_Nearest = tuple[NDArray[np.int64], NDArray[np.float32]]  # numbers of centroids and their scores, (tokens, n) each

_SHARE = 1 << 15  # passages whose gains are worth a thread: handing them over takes some 70 µs
_SHARE_CENTROIDS = 1 << 13


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The passages and centroids that are worth decoding for one query.

    Args:
        positions: Positions of the passages in `Snapshot.rows`, (n,) int64, ascending.
        near: True for the centroids that are near a query token, (centroids,) bool.
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
    reader = snapshot.reader
    among = allowed & ~reader.raw if reader.some_raw else allowed
    if snapshot.codec is None or np.count_nonzero(among) <= count:
        return None
    nearest, scores = nearest_centroids(torch.cat(list(queries)), snapshot.codec.float_centroids, nprobe)
    ends = np.cumsum([len(query) for query in queries])[:-1]
    by_query = (np.split(one, ends) for one in (nearest, *probed(nearest, scores, nprobe)))
    found = []
    for numbers, centroids, gains in zip(*by_query, strict=True):
        near = np.zeros(len(snapshot.codec.centroids), np.bool_)
        near[numbers] = True
        gain_most = partial(_gain_most, reader, centroids, gains, among, count)
        parts = side_by_side(gain_most, len(among), _SHARE)
        positions, totals = (np.concatenate(one) for one in zip(*parts, strict=True))
        found.append(Candidates(positions[best_of(totals, count)], near))
    return found


def nearest_centroids(tokens: Tensor, centroids: Tensor, nprobe: int) -> _Nearest:
    """Find the centroids to probe for each token and the next one, the nearest first, and their scores."""
    count = min(nprobe + 1, len(centroids))
    if compiled := kernel():
        nearest = partial(_nearest_of, compiled, tokens.numpy(), centroids.numpy(), count)
        parts = side_by_side(nearest, len(centroids), _SHARE_CENTROIDS)
        return parts[0] if len(parts) == 1 else _nearest_in_all(parts, count)
    scores, found = (tokens @ centroids.T).topk(count)
    return found.numpy(), scores.numpy()


def _nearest_of(
    compiled: Kernel, tokens: NDArray[np.float32], centroids: NDArray[np.float32], count: int, part: slice
) -> _Nearest:
    """Find the nearest of a part of the centroids."""
    numbers, scores = compiled.nearest(tokens, centroids[part], min(count, part.stop - part.start))
    return numbers + part.start, scores


def _nearest_in_all(parts: Sequence[_Nearest], count: int) -> _Nearest:
    """Merge what was found in each part; among equals, the lower number comes first."""
    numbers, scores = (np.concatenate(one, axis=1) for one in zip(*parts, strict=True))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(numbers, order, axis=1), np.take_along_axis(scores, order, axis=1)


def probed(
    nearest: NDArray[np.int64], scores: NDArray[np.float32], nprobe: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Take the nearest centroids of each token, the nearest last, and their scores above the next one's."""
    count = min(nprobe, nearest.shape[1] - 1)
    gains = scores[:, :count] - scores[:, count : count + 1]
    return np.ascontiguousarray(nearest[:, :count][:, ::-1]), np.ascontiguousarray(gains[:, ::-1])


def _gain_most(
    reader: TokenReader,
    centroids: NDArray[np.int64],
    gains: NDArray[np.float32],
    among: NDArray[np.bool_],
    count: int,
    passages: slice,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find those of some passages in which the tokens of a query gain most.

    Args:
        reader: Of all passages.
        centroids: What each token probes, by ascending score, (t, nprobe).
        gains: Their scores above that of the next one, (t, nprobe).
        among: True where a passage may be found, (n,).
        count: How many to find.
        passages: Among which.

    Returns:
        Their positions, (count,), ascending, and what is gained in them; fewer if fewer may be found.
    """
    totals = _gains(reader, centroids, gains, passages)
    if not (mine := among[passages]).all():
        totals[~mine] = -np.inf
    best = best_of(totals, count)
    return best + passages.start, totals[best]


def _gains(
    reader: TokenReader, centroids: NDArray[np.int64], gains: NDArray[np.float32], passages: slice
) -> NDArray[np.float32]:
    """Sum up what the tokens of a query gain in each of some passages; 0 for passages that are not coded."""
    if compiled := kernel():
        return compiled.gains(reader.lists, centroids, gains, passages)
    found = (
        np.zeros(one.info.passages) if one.codec is None else gains_in(one.lists, one.info.passages, centroids, gains)
        for one in reader.segments
    )
    return np.concatenate([np.zeros(0), *found])[passages].astype(np.float32)


def gains_in(
    lists: InvertedLists, passages: int, centroids: NDArray[np.int64], gains: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Sum up the gains in each passage of one segment with these lists, (passages,)."""
    slots, counts = lists.gather(centroids.ravel())
    tokens = np.repeat(np.arange(len(centroids)), counts.reshape(centroids.shape).sum(axis=1))
    # Only the best gain of a token in a passage counts: the last one that claims their cell.
    entries = np.arange(len(slots), dtype=np.int32)
    cells = tokens * passages + slots
    claims = np.empty(len(centroids) * passages, np.int32)  # never read where nothing was written
    claims[cells] = entries
    best = np.flatnonzero(claims[cells] == entries)
    return np.bincount(slots[best], np.repeat(gains.ravel(), counts)[best], passages).astype(np.float64, copy=False)
