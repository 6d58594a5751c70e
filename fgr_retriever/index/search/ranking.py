"""The best passages that were found so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

_EVERY = 16  # score is in the sample


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Passages, best first; among equals, the earlier one comes first.

    Args:
        positions: Their positions in a snapshot's rows, (n,) int64.
        scores: (n,) float32.
    """

    positions: NDArray[np.int64]
    scores: NDArray[np.float32]

    @classmethod
    def empty(cls) -> Self:
        """Give the ranking of no passages."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.float32))

    def merged(self, positions: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Self:
        """Give the k best of these and of other passages.

        Args:
            positions: Passages that were not merged before, (m,).
            scores: (m,) float32; -inf stands for no score.
            k: How many to keep, at least 1.
        """
        hits = best_of(scores, k)
        positions = np.concatenate([self.positions, positions[hits]])
        scores = np.concatenate([self.scores, scores[hits]])
        order = np.lexsort((positions, -scores))[:k]
        return type(self)(positions[order], scores[order])


def best_of(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Find the k best scores.

    Args:
        scores: (n,) float32; -inf stands for no score.
        k: How many to find, at least 1.

    Returns:
        Where they are, (k,) int64, ascending; among equals the first. Fewer if fewer have a score.
    """
    if len(scores) > _EVERY * k:  # a sample tells what some 2 k reach: only they need to be ordered
        sample, few = scores[::_EVERY], -(-2 * k // _EVERY)
        sample = sample[sample > sample.min()]  # often most are 0, and numpy is slow at many equal ones
        if len(sample) >= few:
            likely = np.flatnonzero(scores >= np.partition(sample, -few)[-few])
            if k <= len(likely) < len(scores):
                return likely[best_of(scores[likely], k)]
    if len(scores) > k:
        least = np.partition(scores, -k)[-k]
        better = np.flatnonzero(scores > least)
        found = np.concatenate([better, np.flatnonzero(scores == least)[: k - len(better)]])
        if len(found) == k and least > -np.inf:
            return np.sort(found)
    there = np.flatnonzero(scores > -np.inf)  # what is no number, in a damaged index, is left out too
    return there if len(there) <= k else there[best_of(scores[there], k)]
