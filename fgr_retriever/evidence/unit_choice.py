"""Choose the words, phrases or sentences that are evidence; each passage on an axis finds its own cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.config import Unit
from fgr_retriever.evidence.axis import Axis
from fgr_retriever.evidence.sums import mean
from fgr_retriever.text.atoms import cuts
from fgr_retriever.text.units import Ranges
from fgr_retriever.types import TokenEvidence

# At a fixed threshold, a unit is kept when at least this share of its tokens passes: a stray word in a
# long clause says nothing to a reader, but a short answer is worth its sentence. Best on held-out examples.
_SHARES: dict[Unit, float] = {"token": 0.0, "phrase": 0.3, "sentence": 0.05}


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The units to choose from: those that hold likely tokens.

    Args:
        ranges: The units of all passages, (n, 2), disjoint and ascending.
        masses: Sum of the probabilities of each unit's tokens, (n,).
        counts: Number of each unit's tokens, (n,).
        hot: Number of each unit's likely tokens, (n,).
        sizes: How many of the units each passage has, (p,); only passages that have one.
        totals: Sum of the probabilities of each of these passages, (p,).
    """

    ranges: Ranges
    masses: NDArray[np.float64]
    counts: NDArray[np.int64]
    hot: NDArray[np.int64]
    sizes: NDArray[np.int64]
    totals: NDArray[np.float64]

    @classmethod
    def of(cls, axis: Axis, evidence: Sequence[TokenEvidence], hot: NDArray[np.int64], unit: Unit) -> Choice:
        """Find the units that hold the likely tokens.

        Args:
            axis: The passages.
            evidence: The tokens of each passage.
            hot: Numbers of the likely tokens on the axis, ascending, at least one. Their passages have sentences.
            unit: What to choose from.
        """
        if unit == "token":
            units = np.unique(_words(axis, evidence, hot), axis=0)
        else:
            units = axis.units.phrases if unit == "phrase" else axis.units.sentences
        tokens = np.bincount(_owners(axis, units, hot), minlength=len(units))
        if unit != "token":  # a word without an owner of its own lies in another one
            (held,) = tokens.nonzero()
            units, tokens = units[held], tokens[held]
        masses, counts = axis.tokens.sums.totals(units)
        sizes = np.bincount(axis.passage_of(units), minlength=len(axis.texts))
        (filled,) = sizes.nonzero()
        return cls(units, masses, counts, tokens, sizes[filled], axis.tokens.masses()[filled])

    @property
    def first(self) -> NDArray[np.int64]:
        """Number of the first unit of each passage, (p,)."""
        found: NDArray[np.int64] = self.sizes.cumsum() - self.sizes
        return found

    def by_expected_f1(self) -> NDArray[np.bool_]:
        """Choose the units that are the evidence with the highest expected F1, if probabilities are honest.

        Keeping n tokens whose probabilities sum to m, where those of the whole passage sum to M, has an
        expected F1 of about 2 m / (n + M). The best choice is a run from the top of the units ordered
        by mean probability; the cut comes out at half of the F1 that is reached, so it is low where a
        passage is hard to judge and high where it is clear.

        Source: Ye et al. 2012, "Optimizing F-measure: a tale of two approaches" (arXiv 1206.4625);
        Lipton et al. 2014 (arXiv 1402.1892), theorem 1.
        """
        first, passage = self.first, np.arange(len(self.sizes)).repeat(self.sizes)
        order = np.lexsort((-mean(self.masses, self.counts), passage))  # the first among equals first
        masses, counts = self.masses[order], self.counts[order].cumsum()
        for start, end in pairwise([*first.tolist(), len(order)]):
            np.add.accumulate(masses[start:end], out=masses[start:end])
        counts -= (counts[first] - self.counts[order[first]])[passage]
        expected = 2 * masses / np.maximum(counts + self.totals[passage], np.finfo(np.float64).tiny)
        (best,) = (expected == np.maximum.reduceat(expected, first)[passage]).nonzero()
        last = best[best.searchsorted(first)]
        chosen = np.empty(len(order), dtype=np.bool_)
        chosen[order] = np.arange(len(order)) <= last[passage]
        return chosen

    def by_share(self, unit: Unit) -> NDArray[np.bool_]:
        """Choose the units of whose tokens enough are likely; if there is none, those with the largest share."""
        share = self.hot / np.maximum(self.counts, 1)
        least = np.minimum(np.maximum.reduceat(share, self.first), _SHARES[unit])
        chosen: NDArray[np.bool_] = share >= least.repeat(self.sizes)
        return chosen


def _owners(axis: Axis, units: Ranges, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the unit that holds each token, or else the one before it, or else the first of the passage."""
    starts = axis.tokens.starts
    reach = np.append(units[:, 0], np.iinfo(np.int64).max)
    # A passage's first unit takes what lies before it. A passage without units has the place of the next one's.
    reach[units[:, 0].searchsorted(starts)] = starts - 1
    owners: NDArray[np.int64] = reach.searchsorted(axis.tokens.sums.anchors[tokens], "right") - 1
    return owners


def _words(axis: Axis, evidence: Sequence[TokenEvidence], tokens: NDArray[np.int64]) -> Ranges:
    """Grow tokens to whole words (atoms), looking only at the sentences that hold them."""
    owners = _owners(axis, axis.units.sentences, tokens)
    edges = tokens.searchsorted(axis.tokens.edges).tolist()
    found = []
    for place, (low, high) in enumerate(pairwise(edges)):
        if low < high:
            start, mine = axis.tokens.starts[place], tokens[low:high] - axis.tokens.edges[place]
            which, owner = np.unique(owners[low:high], return_inverse=True)
            offsets = evidence[place].offsets.reshape(-1, 2)[mine].astype(np.int64)
            found.append(_atoms(axis.texts[place], axis.units.sentences[which] - start, owner, offsets) + start)
    return np.concatenate(found)


def _atoms(text: str, sentences: Ranges, owner: NDArray[np.int64], offsets: Ranges) -> Ranges:
    """Grow ranges to whole words, each inside the sentence that owns it; sentences without a range are not given."""
    borders = np.concatenate([cuts(text, *sentence) for sentence in sentences.tolist()])
    inside = np.clip(offsets, sentences[owner, :1], sentences[owner, 1:])
    starts = borders[borders.searchsorted(inside[:, 0], "right") - 1]
    ends = borders[borders.searchsorted(inside[:, 1], "left")]
    return np.stack([starts, ends], axis=1)
