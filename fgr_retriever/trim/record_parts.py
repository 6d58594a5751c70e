"""Cut records that are too long for a budget at their own places: rows, entries, cells, then sentences and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.evidence.spans import Ranges
from fgr_retriever.text.parts import Parts
from fgr_retriever.text.query_words import query_words, stems
from fgr_retriever.text.tables import Table
from fgr_retriever.trim.asked_cells import asked_cells, holds_several
from fgr_retriever.trim.bisection import most
from fgr_retriever.trim.layout import Scored
from fgr_retriever.trim.word_evidence import WordEvidence, telling, weights_of_units, wordless
from fgr_retriever.types import Span

# Evidence that whole sentences, records and phrases must have, as a share of that of the best run of words; and cells
# with the name of their row, and the sentences in a cell. Cells kept, and kept with the name of their row, at 30 tokens
# (`benchmarks.trimming.records`, 240 questions): 0.35: 70 and 67 %; 0.5: 72 and 61; 0.65: 72 and 55; the mean over all
# budgets is 59.6, 59.4 and 58.4, of which the first two are within noise. (Before the cell asked for came first.)
_WHOLE, _CELLS = 0.8, 0.5
# Of these, the most with which that is tried: in a long span hundreds have as much evidence as a short run. There, 4 to
# 48 give the same within 0.1; but its tables have six rows, so it says nothing of longer ones.
_PIECES_TRIED = 12
# What each word of its name adds to the weight of a row that the question names (`benchmarks.trimming.records`): 0 and
# 0.1 keep 0.4 less on the mean; 0.25 to 1.5 keep the same. A short name ("IT") needs the most beside likelier rows.
_OF_ROW = 1.5


class Fits(Protocol):
    """Says whether a part is short enough, with the name of its row if that stands apart."""

    def __call__(self, span: Span, name: Span | None = None) -> bool:
        """Count it."""


class Kept(NamedTuple):
    """A part of a span.

    Args:
        span: The part.
        name: The name of the row that it is a part of, if that stands apart from it.
    """

    span: Span
    name: Span | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """What there is room for.

    Args:
        fits: Each call counts the whole context.
        least: Words that a part of a sentence beside records must have. With more than one, records are not cut.
        tables: The tables that a span touches. Their headers are of no use alone: left out if there is anything else.
        known: Stems of the content words of the question.
    """

    fits: Fits
    least: int = 1
    tables: Sequence[Table] = ()
    known: frozenset[str] = frozenset()

    def parts(self, text: str, span: Span) -> Parts:
        """Take a span apart."""
        return Parts.of(text, span.start, span.end).without([(one.start, one.body) for one in self.tables])


def shrink_records(passage: Scored, parts: Parts, asked: frozenset[str], room: Room) -> Kept | None:
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
    evidence = _evidence(passage, parts, asked, room)
    if room.least > 1 and (whole := _richest_parts(evidence, parts.units, None, room.fits)):
        return Kept(whole)
    if room.least > 1:
        parts = parts.prose()
        evidence = _evidence(passage, parts, asked, room)
    owners = parts.owners(parts.words)
    pieces = evidence.unbroken()
    run = evidence.richest_run(room.fits, owners) or _richest_parts(
        evidence, pieces, parts.owners(pieces), room.fits
    )  # the likeliest word may be a long one
    if run is None:
        return None
    enough = evidence.of_span(run)
    tried: list[Ranges] = []
    for ranges, share in zip(parts.levels(), (_WHOLE, _CELLS, _CELLS, _WHOLE), strict=True):
        if not any(np.array_equal(ranges, others) for others in tried):
            if ranges is parts.cells and (
                cells := _richest_cells(evidence, passage.text, parts, room.fits, share * enough)
            ):
                return cells
            found = _richest_parts(evidence, ranges, parts.owners(ranges) if tried else None, room.fits)
            if found and evidence.of_span(found) >= share * enough:
                return Kept(found)
        tried.append(ranges)
    said = query_words(passage.text[run.start : run.end])
    tells = room.least == 1 or sum(any(map(str.isalpha, one.text)) for one in said) >= room.least
    return Kept(run) if tells else None


def best_record(passage: Scored, span: Span, asked: frozenset[str], room: Room) -> Span:
    """Find the sentence or record of a span with the most evidence.

    Args:
        passage: The passage with its evidence.
        span: The span.
        asked: Stems of the words of the question.
        room: As for `shrink_records`.
    """
    parts = room.parts(passage.text, span)
    evidence = _evidence(passage, parts, asked, room)
    return evidence.span(*parts.units[evidence.within(parts.units).argmax()])


def _richest_parts(evidence: WordEvidence, ranges: Ranges, owners: NDArray[np.int64] | None, fits: Fits) -> Span | None:
    """Find the part that fits with the most evidence, and as many beside it as fit, the richer side first.

    A part of a unit must tell something: a cell with words of the question alone is of no use.

    Args:
        evidence: The evidence in them.
        ranges: The parts, (n, 2).
        owners: The unit of each part, (n,), beyond which nothing is added; None if they are units.
        fits: As in `Room`.
    """
    masses, order = evidence.within(ranges), np.arange(len(ranges))
    if owners is not None:
        order = order[evidence.tell(ranges)]
    order = order[(-masses[order]).argsort(kind="stable")][:_PIECES_TRIED].tolist()
    best = next((place for place in order if fits(evidence.span(*ranges[place]))), None)
    if best is None:
        return None
    low, high = 0, len(ranges) - 1
    if owners is not None:
        low, high = int(owners.searchsorted(owners[best])), int(owners.searchsorted(owners[best], "right")) - 1
    grown = _grown(masses, best, low, high)

    def reached(steps: int) -> Span:
        first, last = grown[steps]
        return evidence.span(ranges[first, 0], ranges[last, 1])

    return reached(most(len(grown) - 1, lambda steps: fits(reached(steps))))


def _richest_cells(evidence: WordEvidence, text: str, parts: Parts, fits: Fits, least: float) -> Kept | None:
    """Find the cell of a row with the most evidence that fits with the name of its row, and as many beside it as fit.

    Args:
        evidence: The evidence in the parts.
        text: The passage.
        parts: The parts of a span.
        fits: As in `Room`.
        least: Evidence that cell and name must have.
    """
    cells, owners = parts.cells, parts.owners(parts.cells)
    order = (-evidence.within(cells)).argsort(kind="stable")
    for best in order[evidence.tell(cells)[order]][:_PIECES_TRIED].tolist():
        low, high = int(owners.searchsorted(owners[best])), int(owners.searchsorted(owners[best], "right")) - 1
        if low == high or holds_several(text, *parts.units[owners[best]].tolist()):
            return None
        if best > low and (kept := _cells_with_name(evidence, cells, (best, low, high), fits)):
            known = evidence.of_span(kept.span) + (evidence.of_span(kept.name) if kept.name else 0)
            return kept if known >= least else None
    return None


def _cells_with_name(evidence: WordEvidence, cells: Ranges, places: tuple[int, int, int], fits: Fits) -> Kept | None:
    """Keep a cell, those beside it that fit, and the first of its row; None if even the two do not fit.

    Args:
        evidence: The evidence in them.
        cells: The cells, (n, 2).
        places: Number of the cell, and of the first and the last of its row.
        fits: As in `Room`.
    """
    best, low, high = places
    grown = _grown(evidence.within(cells), best, low + 1, high)
    name = evidence.span(*cells[low])

    def reached(steps: int) -> Kept:
        first, last = grown[steps]
        if first == low + 1:
            return Kept(evidence.span(cells[low, 0], cells[last, 1]))
        return Kept(evidence.span(cells[first, 0], cells[last, 1]), name)

    if not fits(*reached(0)):
        return None
    return reached(most(len(grown) - 1, lambda steps: fits(*reached(steps))))


def _grown(masses: NDArray[np.float64], best: int, low: int, high: int) -> list[tuple[int, int]]:
    """List the first and the last of ever more parts in a row, from one part on, the richer side first."""
    grown = [(best, best)]
    while grown[-1] != (low, high):
        first, last = grown[-1]
        to_left = first > low and (last == high or masses[first - 1] > masses[last + 1])
        grown.append((first - 1, last) if to_left else (first, last + 1))
    return grown


def _evidence(passage: Scored, parts: Parts, asked: frozenset[str], room: Room) -> WordEvidence:
    """Weigh the words of parts of a passage: those of rows that the question names more.

    In a row with a cell that it asks for, this one tells something, whatever it says, and the others nothing.
    """
    weights = _named(passage.text, parts, asked)[parts.owners(parts.words)]
    tells = telling(passage.text, parts.words, asked)
    counts = asked_cells(passage.text, parts, room.tables, room.known)
    if counts.any():
        rows = parts.owners(parts.cells)
        most = np.maximum.reduceat(counts, rows.searchsorted(np.arange(len(parts.units))))[rows]
        cells = parts.cells[:, 0].searchsorted(parts.words[:, 0], "right") - 1
        beside, wanted = (counts < most)[cells], ((counts == most) & (most > 0))[cells]
        tells = (tells & ~beside) | (wanted & ~wordless(passage.text, parts.words))
        weights = np.where(beside, 0.0, weights)
    return WordEvidence.of(passage, parts.words, tells, weights)


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
