"""Candidates: the few coded passages that are worth decoding for a query.

The lists of the centroids nearest to a query token name the passages that may match it well, as in
PLAID (arXiv:2205.09707, section 4.2). A passage's approximate score sums, over the query tokens,
the score of the best probed centroid that it has a token of, or where it has none, the score of the
first centroid that was not probed: no token of the passage has a better one. (WARP,
arXiv:2501.17788, section 4.3, calls this imputation.) ::

    sum_i max(unprobed_i, max over probed centroids c of d:  E_qi . C_c)

The sum of what is imputed is the same for all passages and is left out: what counts is the gain.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgr_retriever.index.lists import InvertedLists
from fgr_retriever.index.ranking import Ranking
from fgr_retriever.index.snapshot import Snapshot


def find_candidates(
    snapshot: Snapshot, queries: Sequence[Tensor], count: int, allowed: NDArray[np.bool_], nprobe: int
) -> list[NDArray[np.int64]] | None:
    """Choose the coded passages with the best approximate scores.

    Args:
        snapshot: What to search.
        queries: Query token embeddings, (q, d) float32 each, q >= 1.
        count: How many passages to choose for each query.
        allowed: True where a passage may be chosen, (n,) bool like `snapshot.alive`.
        nprobe: Centroids whose lists are read for each query token.

    Returns:
        For each query `count` positions in `snapshot.rows`, ascending; None where no more than
        `count` coded passages are allowed, so that all of them are candidates.
    """
    coded = [(segment, part) for segment, part in snapshot.parts() if segment.codec is not None]
    if snapshot.codec is None or sum(int(allowed[part].sum()) for _, part in coded) <= count:
        return None
    centroids, gains = _probe(torch.cat(list(queries)), snapshot.codec.float_centroids, nprobe)
    owners = np.repeat(np.arange(len(queries)), [len(query) for query in queries])
    best = [Ranking.empty()] * len(queries)
    for segment, part in coded:
        scores = _gains(segment.lists, segment.info.passages, centroids, gains, owners)
        scores[:, ~allowed[part]] = -np.inf
        positions = np.arange(part.start, part.stop)
        best = [found.merged(positions, row, count) for found, row in zip(best, scores, strict=True)]
    return [np.sort(found.positions) for found in best]


def _probe(tokens: Tensor, centroids: Tensor, nprobe: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the nearest centroids of each token, the nearest last, and their scores above the next one's."""
    scores, found = (tokens @ centroids.T).topk(min(nprobe + 1, len(centroids)))
    return found[:, :-1].flip(1).numpy(), (scores[:, :-1] - scores[:, -1:]).flip(1).numpy()


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
