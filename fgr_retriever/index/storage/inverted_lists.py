"""Inverted lists: which passages of a segment have a token of each centroid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.errors import InputError

MOST_PASSAGES = 1 << 16  # of one segment: a slot has 16 bits


@dataclass(frozen=True, slots=True, eq=False)
class InvertedLists:
    """The passages of every centroid, centroid after centroid.

    Args:
        bounds: Where the list of each centroid begins, and at last where all end,
            (centroids + 1,) int64.
        slots: Places of passages in their segment, (entries,) uint16; ascending within a centroid,
            each passage once.
    """

    bounds: NDArray[np.int64]
    slots: NDArray[np.uint16]

    def gather(self, centroids: NDArray[np.int64]) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
        """Read some lists, one after the other.

        Args:
            centroids: Their numbers, (n,), in any order and even repeated.

        Returns:
            The slots, (entries,) uint16, and the length of each list, (n,) int64.
        """
        starts = self.bounds[centroids]
        counts = self.bounds[centroids + 1] - starts
        return self.slots[ranges(starts, counts)], counts


def build_lists(codes: NDArray[np.integer], lengths: NDArray[np.integer], centroids: int) -> InvertedLists:
    """Invert the codes of a segment.

    Args:
        codes: The centroid of every token, passage after passage, (tokens,); from 0 to
            `centroids` - 1.
        lengths: Tokens of each passage, (passages,), at most 65,536 passages; 0 is allowed.
        centroids: How many centroids there are.

    Raises:
        InputError: There are too many passages, the lengths do not sum to the codes, or a code is
            not that of a centroid.
    """
    if len(lengths) > MOST_PASSAGES:
        raise InputError(f"{len(lengths)} passages in one segment: inverted lists hold at most {MOST_PASSAGES}")
    if int(lengths.sum(dtype=np.int64)) != len(codes):
        raise InputError(f"lengths sum to {int(lengths.sum(dtype=np.int64))}, but there are {len(codes)} codes")
    if len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) < centroids:
        raise InputError(f"codes from {codes.min()} to {codes.max()}: must be from 0 to {centroids - 1}")
    order = np.argsort(codes, kind="stable")  # a radix sort where codes have 16 bits
    slots = np.repeat(np.arange(len(lengths)).astype(np.uint16), lengths)[order]
    ordered = codes[order]
    first = np.ones(len(codes), bool)  # not the second token of a passage in the same list
    first[1:] = (ordered[1:] != ordered[:-1]) | (slots[1:] != slots[:-1])
    counts = np.bincount(ordered[first], minlength=centroids)
    return InvertedLists(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), slots[first])


def ranges(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """List the numbers of half-open ranges, one range after the other.

    Args:
        starts: First number of each, (n,).
        counts: Numbers in each, (n,); 0 is allowed.

    Returns:
        (sum(counts),) int64.
    """
    ends = np.cumsum(counts, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - (ends - counts), counts) + np.arange(total)
