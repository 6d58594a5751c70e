"""Cut records that are too long for a budget at their own places: rows, entries, cells, then sentences and words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.evidence.spans import EvidenceSums, Ranges, as_ranges
from fgr_retriever.text.parts import Parts
from fgr_retriever.text.query_words import query_words, stems
from fgr_retriever.trim.bisection import most
from fgr_retriever.trim.layout import Scored
from fgr_retriever.trim.news import news
from fgr_retriever.types import Span

# Evidence that whole sentences, records and phrases must have, as a share of that of the best run of words; and cells
# with the name of their row, and the sentences in a cell.
_WHOLE, _CELLS = 0.8, 0.5
# Of these, the most with which that is tried: in a long span hundreds have as much evidence as a short run.
_PIECES_TRIED = 12
# What each word of its name adds to the weight of a row that the question names.
_OF_NAME = 0.25


Fits: TypeAlias = Callable[[Span], bool]
"""Says whether a part is short enough."""


@dataclass(frozen=True, slots=True)
class Room:
    """What there is room for.

    Args:
        fits: Each call counts the whole context.
        least: Words that a part of a sentence beside records must have. With more than one, records are not cut.
        beside: Ranges that are of no use alone, such as the header of a table: left out if there is anything else.
    """

    fits: Fits
    least: int = 1
    beside: Sequence[tuple[int, int]] = ()


def shrink_records(passage: Scored, parts: Parts, asked: frozenset[str], room: Room) -> Span | None:
    """Find the part of a span with records that fits and has the most evidence, cut at the best places that there are.

    Whole sentences and records come first. Of one that does not fit, cells, sentences in a cell, phrases or else words
    are kept, and nothing beyond its ends.

    Args:
        passage: The passage with its evidence.
        parts: The parts of the span.
        asked: Stems of the words of the question.
        room: What a part must be.

    Returns:
        The part; None if there is none.
    """
    evidence = _Evidence.of(passage, parts, asked)
    if room.least > 1 and (whole := _richest_parts(evidence, parts.units, None, room.fits)):
        return whole
    if room.least > 1:
        parts = parts.prose()
        evidence = _Evidence.of(passage, parts, asked)
    run = _richest_run(evidence, parts, room.fits) or _richest_parts(
        evidence, parts.words, parts.owners(parts.words), room.fits
    )  # the likeliest word may be a long one
    if run is None:
        return None
    tried: list[Ranges] = []
    for ranges, share in zip(parts.levels(), (_WHOLE, _CELLS, _CELLS, _WHOLE), strict=True):
        if not any(np.array_equal(ranges, others) for others in tried):
            owners, named = parts.owners(ranges) if tried else None, ranges is parts.cells
            found = _richest_parts(evidence, ranges, owners, room.fits, named=named)
            if found and evidence.of_span(found) >= share * evidence.of_span(run):
                return found
        tried.append(ranges)
    said = query_words(passage.text[run.start : run.end])
    return run if room.least == 1 or sum(any(map(str.isalpha, one.text)) for one in said) >= room.least else None


@dataclass(frozen=True, slots=True, eq=False)
class _Evidence:
    """The evidence in the words of a span.

    Args:
        sums: The evidence of the tokens of its passage.
        words: The words, (n, 2).
        mass: Running sum of their evidence, as far as it is news, (n + 1,).
    """

    sums: EvidenceSums
    words: Ranges
    mass: NDArray[np.float64]

    @classmethod
    def of(cls, passage: Scored, parts: Parts, asked: frozenset[str]) -> _Evidence:
        """Weigh the words of a span by whether they tell a reader who knows the question anything."""
        sums = EvidenceSums.of(passage.evidence)
        worths = sums.masses(parts.words) * news(passage.text, parts.words, asked)
        worths *= _named(passage.text, parts, asked)[parts.owners(parts.words)]
        return cls(sums, parts.words, np.concatenate([[0.0], np.cumsum(worths)]))

    def within(self, ranges: Ranges) -> NDArray[np.float64]:
        """Sum the words in each range, (n, 2) to (n,)."""
        first, last = self.words[:, 0].searchsorted(ranges[:, 0]), self.words[:, 1].searchsorted(ranges[:, 1], "right")
        return np.subtract(self.mass[np.maximum(first, last)], self.mass[first])

    def of_span(self, span: Span) -> float:
        """Sum the words in a span."""
        return float(self.within(as_ranges([(span.start, span.end)]))[0])

    def span(self, start: int, end: int) -> Span:
        """Make a span of a range."""
        return self.sums.spans(as_ranges([(int(start), int(end))]))[0]


def _richest_parts(
    evidence: _Evidence,
    ranges: Ranges,
    owners: NDArray[np.int64] | None,
    fits: Fits,
    *,
    named: bool = False,
) -> Span | None:
    """Find the part that fits with the most evidence, and as many beside it as fit, the richer side first.

    Args:
        evidence: The evidence in them.
        ranges: The parts, (n, 2).
        owners: The unit of each part, (n,), beyond which nothing is added; None if they are units.
        fits: As in `Room`.
        named: The first part of each unit says what the others tell about: it must come along.
    """
    masses = evidence.within(ranges)
    order = (-masses).argsort(kind="stable")[:_PIECES_TRIED].tolist()
    best = next((place for place in order if fits(evidence.span(*ranges[place]))), None)
    if best is None:
        return None
    low, high, grown = 0, len(ranges) - 1, [(best, best)]
    if owners is not None:
        low, high = int(owners.searchsorted(owners[best])), int(owners.searchsorted(owners[best], "right")) - 1
    if named:
        tails = (place for place in order if low < place <= high)
        last = next((one for one in tails if fits(evidence.span(ranges[low, 0], ranges[one, 1]))), None)
        if last is None:
            return None
        grown = [(low, last)]
    while grown[-1] != (low, high):
        first, last = grown[-1]
        to_left = first > low and (last == high or masses[first - 1] > masses[last + 1])
        grown.append((first - 1, last) if to_left else (first, last + 1))

    def reached(steps: int) -> Span:
        first, last = grown[steps]
        return evidence.span(ranges[first, 0], ranges[last, 1])

    return reached(most(len(grown) - 1, lambda steps: fits(reached(steps))))


def _richest_run(evidence: _Evidence, parts: Parts, fits: Fits) -> Span | None:
    """Find by bisection the most words in a row in one unit that fit, always those with the most evidence."""
    words, mass, owners = parts.words, evidence.mass, parts.owners(parts.words)

    def run(count: int) -> Span:
        in_one = owners[count - 1 :] == owners[: len(owners) - count + 1]
        first = int(np.where(in_one, mass[count:] - mass[:-count], -1.0).argmax())
        return evidence.span(words[first, 0], words[first + count - 1, 1])

    longest = int(np.bincount(owners, minlength=1).max())
    fitting = most(longest, lambda count: fits(run(count)))
    return run(fitting) if fitting else None


def _named(text: str, parts: Parts, asked: frozenset[str]) -> NDArray[np.float64]:
    """Weigh units: rows whose name, the first cell, is a name in the question, and says no more, come first; (n,)."""
    found = np.ones(len(parts.units))
    first = parts.cells[:, 0].searchsorted(parts.units[:, 0])
    counts = np.bincount(parts.owners(parts.cells), minlength=len(found))
    for place in np.flatnonzero((counts > 1) & ~parts.is_prose).tolist():
        start, end = parts.cells[first[place]].tolist()
        name = stems(text[start:end])
        if asked.issuperset(name):
            found[place] += _OF_NAME * len(name)
    return found
