"""Cut records that are too long for a budget at their own places: rows, entries, cells, then sentences and words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.evidence.spans import Ranges
from fgr_retriever.text.parts import Parts
from fgr_retriever.text.query_words import query_words, stems
from fgr_retriever.trim.bisection import most
from fgr_retriever.trim.layout import Scored
from fgr_retriever.trim.word_evidence import WordEvidence, weights_of_units
from fgr_retriever.types import Span

# Evidence that whole sentences, records and phrases must have, as a share of that of the best run of words; and cells
# with the name of their row, and the sentences in a cell. Cells kept, and kept with the name of their row, at 30 tokens
# (`benchmarks.trimming.records`, 240 questions): 0.35: 70 and 67 %; 0.5: 72 and 61; 0.65: 72 and 55; the mean over all
# budgets is 59.6, 59.4 and 58.4, of which the first two are within noise of each other.
_WHOLE, _CELLS = 0.8, 0.5
# Of these, the most with which that is tried: in a long span hundreds have as much evidence as a short run. There, 4 to
# 48 give the same within 0.1; but its tables have six rows, so it says nothing of longer ones.
_PIECES_TRIED = 12
# What each word of its name adds to the weight of a row that the question names (`benchmarks.trimming.records`): 0 and
# 0.1 keep 0.4 less on the mean; 0.25 to 1.5 keep the same. A short name ("IT") needs the most beside likelier rows.
_OF_ROW = 1.5

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
    evidence = _evidence(passage, parts, asked)
    if room.least > 1 and (whole := _richest_parts(evidence, parts.units, None, room.fits)):
        return whole
    if room.least > 1:
        parts = parts.prose()
        evidence = _evidence(passage, parts, asked)
    owners = parts.owners(parts.words)
    pieces = evidence.unbroken()
    run = evidence.richest_run(room.fits, owners) or _richest_parts(
        evidence, pieces, parts.owners(pieces), room.fits
    )  # the likeliest word may be a long one
    if run is None:
        return None
    tried: list[Ranges] = []
    for ranges, share in zip(parts.levels(), (_WHOLE, _CELLS, _CELLS, _WHOLE), strict=True):
        if not any(np.array_equal(ranges, others) for others in tried):
            within, named = parts.owners(ranges) if tried else None, ranges is parts.cells
            found = _richest_parts(evidence, ranges, within, room.fits, named=named)
            if found and evidence.of_span(found) >= share * evidence.of_span(run):
                return found
        tried.append(ranges)
    said = query_words(passage.text[run.start : run.end])
    return run if room.least == 1 or sum(any(map(str.isalpha, one.text)) for one in said) >= room.least else None


def best_record(passage: Scored, parts: Parts, asked: frozenset[str]) -> Span:
    """Find the sentence or record with the most evidence, of at least one.

    Args:
        passage: The passage with its evidence.
        parts: The parts of a span.
        asked: Stems of the words of the question.
    """
    evidence = _evidence(passage, parts, asked)
    return evidence.span(*parts.units[evidence.within(parts.units).argmax()])


def _richest_parts(
    evidence: WordEvidence,
    ranges: Ranges,
    owners: NDArray[np.int64] | None,
    fits: Fits,
    *,
    named: bool = False,
) -> Span | None:
    """Find the part that fits with the most evidence, and as many beside it as fit, the richer side first.

    A part of a unit must tell something: a cell with words of the question alone is of no use.

    Args:
        evidence: The evidence in them.
        ranges: The parts, (n, 2).
        owners: The unit of each part, (n,), beyond which nothing is added; None if they are units.
        fits: As in `Room`.
        named: The first part of each unit says what the others tell about: it must come along.
    """
    masses, order = evidence.within(ranges), np.arange(len(ranges))
    if owners is not None:
        order = order[evidence.tell(ranges)]
    order = order[(-masses[order]).argsort(kind="stable")][:_PIECES_TRIED].tolist()
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


def _evidence(passage: Scored, parts: Parts, asked: frozenset[str]) -> WordEvidence:
    """Weigh the words of parts of a passage, those of rows that the question names more."""
    weights = _named(passage.text, parts, asked)[parts.owners(parts.words)]
    return WordEvidence.of(passage, parts.words, asked, weights)


def _named(text: str, parts: Parts, asked: frozenset[str]) -> NDArray[np.float64]:
    """Weigh units, (n,): rows whose name, the first cell, is a name in the question, and says no more, come first.

    Sentences and items of a list have no such cell; all their words count.
    """
    first = parts.cells[:, 0].searchsorted(parts.units[:, 0])
    counts = np.bincount(parts.owners(parts.cells), minlength=len(parts.units))
    rows = (counts > 1) & ~parts.is_prose
    found = weights_of_units(text, parts.units[~rows], asked)
    weights = np.ones(len(rows))
    weights[~rows] = found
    for place in np.flatnonzero(rows).tolist():
        start, end = parts.cells[first[place]].tolist()
        name = stems(text[start:end])
        if asked.issuperset(name):
            weights[place] += _OF_ROW * len(name)
    return weights
