"""Running sums over the tokens of passages; they give the evidence in many ranges at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.text.units import Ranges
from fgr_retriever.types import Span, TokenEvidence

BORDER = "\n\n"
"""What stands between two passages on an axis."""

# Stands after the tokens of each passage on an axis; it lies behind every text and is never likely.
_END = np.full((1, 2), np.iinfo(np.int32).max, dtype=np.int32)
_NEVER = np.full(1, -1.0, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceSums:
    """Running sums over the tokens of a passage; they give the sums of many ranges at once.

    Args:
        anchors: Position of each token's last character, which decides to which range the token
            belongs, (t,) int64.
        mass: Sum of the probabilities of the first i tokens, (t + 1,) float64.
    """

    anchors: NDArray[np.int64]
    mass: NDArray[np.float64]

    @classmethod
    def of(cls, evidence: TokenEvidence) -> EvidenceSums:
        """Sum up the tokens of one passage."""
        anchors = np.maximum.accumulate(evidence.offsets.reshape(-1, 2)[:, 1].astype(np.int64)) - 1
        return cls(anchors, np.concatenate([[0.0], np.cumsum(evidence.probabilities, dtype=np.float64)]))

    def counts(self, ranges: Ranges) -> NDArray[np.int64]:
        """Count the tokens in each range, (n, 2) to (n,)."""
        edges = self.anchors.searchsorted(ranges).astype(np.int64)
        return np.subtract(edges[:, 1], edges[:, 0])

    def masses(self, ranges: Ranges) -> NDArray[np.float64]:
        """Sum the probabilities of the tokens in each range, (n, 2) to (n,)."""
        edges = self.anchors.searchsorted(ranges)
        return np.subtract(self.mass[edges[:, 1]], self.mass[edges[:, 0]])

    def totals(self, ranges: Ranges) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Give the masses and the counts of each range, (n, 2) to (n,) both."""
        edges = self.anchors.searchsorted(ranges)
        sums = self.mass[edges]
        return sums[:, 1] - sums[:, 0], edges[:, 1] - edges[:, 0]

    def means(self, ranges: Ranges) -> NDArray[np.float64]:
        """Average the probabilities of the tokens in each range, 0 if a range has none."""
        return mean(*self.totals(ranges))

    def spans(self, ranges: Ranges) -> tuple[Span, ...]:
        """Make spans of ranges, with the mean probability of their tokens as score."""
        return spans(ranges, self.means(ranges))


@dataclass(frozen=True, slots=True, eq=False)
class TokenAxis:
    """The tokens of several passages on one axis of characters, where no passage touches the next.

    Two positions lie between two passages. In the first one stands a token without evidence, so that
    the running sums of each passage start anew, and are to the last bit what they are for this passage
    alone. In the second one stands what a passage has without characters before its first one.

    Args:
        starts: Where each passage begins, (p,) int64.
        edges: Number of each passage's first token, and of all tokens, (p + 1,) int64. The last token of
            a passage is the one that stands after it.
        sums: The running sums. One that is taken over the border of a passage is meaningless.
        probabilities: Evidence probability of each token, (t,) float32.
    """

    starts: NDArray[np.int64]
    edges: NDArray[np.int64]
    sums: EvidenceSums
    probabilities: NDArray[np.float32]

    @classmethod
    def of(cls, sizes: Sequence[int], evidence: Sequence[TokenEvidence]) -> TokenAxis:
        """Lay passages one after the other.

        Args:
            sizes: Number of characters of each passage, at least one passage.
            evidence: The tokens of each passage.
        """
        counts = [len(one) + 1 for one in evidence]
        edges = list(accumulate(counts, initial=0))
        starts = np.array([0, *accumulate(size + len(BORDER) for size in sizes)], dtype=np.int64)
        places = np.concatenate([part for one in evidence for part in (one.offsets.reshape(-1, 2), _END)])[:, 1]
        chances = np.concatenate([part for one in evidence for part in (one.probabilities, _NEVER)])
        mass, doubles = np.zeros(len(chances)), chances.astype(np.float64)
        for first, last in pairwise(edges):
            np.add.accumulate(doubles[first : last - 1], out=mass[first + 1 : last])
        # A token beyond the end of its text belongs to no range, nor to the next passage.
        reached = np.minimum(places + starts[:-1].repeat(counts), (starts[1:] - 1).repeat(counts))
        sums = EvidenceSums(np.maximum.accumulate(reached) - 1, mass)
        return cls(starts[:-1], np.array(edges, dtype=np.int64), sums, chances)

    def masses(self) -> NDArray[np.float64]:
        """Sum the probabilities of each passage, (p,)."""
        found: NDArray[np.float64] = self.sums.mass[self.edges[1:] - 1]
        return found


def mean(masses: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average probabilities, 0 where there are none."""
    found: NDArray[np.float64] = np.minimum(np.maximum(masses / np.maximum(counts, 1), 0.0), 1.0)
    return found


def spans(ranges: Ranges, scores: NDArray[np.float64]) -> tuple[Span, ...]:
    """Make spans of ranges and scores."""
    return tuple(map(Span, ranges[:, 0].tolist(), ranges[:, 1].tolist(), scores.tolist()))
