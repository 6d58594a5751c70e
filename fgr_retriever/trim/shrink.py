"""Cut one span that is too long for a budget down to its best part that fits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.evidence.spans import EvidenceSums, Ranges, as_ranges
from fgr_retriever.text.atoms import cuts
from fgr_retriever.text.parts import Parts, is_prose
from fgr_retriever.text.units import Units
from fgr_retriever.trim.bisection import most
from fgr_retriever.trim.layout import Scored
from fgr_retriever.trim.news import news
from fgr_retriever.trim.record_parts import Fits, Room, shrink_records
from fgr_retriever.types import Span

# Evidence that a whole sentence or phrase must have, as a share of that of the best run of words.
_WHOLE = 0.8
# Of these, the most with which that is tried: in a long span hundreds have as much evidence as a short run.
_PIECES_TRIED = 32


def shrink(passage: Scored, span: Span, asked: frozenset[str], room: Room) -> Span | None:
    """Find the part of a span that fits and has the most evidence.

    Args:
        passage: The passage with its evidence.
        span: The span that is too long.
        asked: Stems of the words of the question.
        room: What a part must be.

    Returns:
        Of prose a run of words, or a whole sentence or phrase that has almost as much evidence; of records what
        `shrink_records` gives. None if not even the likeliest word fits.
    """
    if is_prose(passage.text, span.start, span.end):
        return _shrink_prose(passage, span, asked, room.fits)
    return shrink_records(passage, Parts.of(passage.text, span.start, span.end).without(room.beside), asked, room)


def _shrink_prose(passage: Scored, span: Span, asked: frozenset[str], fits: Fits) -> Span | None:
    """Find the best run of words, or else a whole sentence or phrase that has almost as much evidence."""
    text, sums = passage.text, EvidenceSums.of(passage.evidence)
    units = Units.near(text, np.arange(span.start, span.end))
    parts, clauses = (_clipped(ranges, span) for ranges in (units.sentences, units.phrases))
    words = _words(text, clauses)
    worths = sums.masses(words) * news(text, words, asked)
    mass = np.concatenate([[0.0], np.cumsum(worths)])
    run = _richest_run(sums, words, mass, fits)
    if run is None:
        return None
    pieces = as_ranges([(start, end) for start, end in parts + clauses if end - start < span.end - span.start])
    masses = _between(mass, words, pieces)
    least = _WHOLE * float(_between(mass, words, as_ranges([(run.start, run.end)]))[0])
    order = (-masses).argsort(kind="stable")
    found = sums.spans(pieces[order[masses[order] >= least][:_PIECES_TRIED]])
    return next((piece for piece in found if fits(piece)), run)


def _clipped(ranges: Ranges, span: Span) -> list[tuple[int, int]]:
    """List what lies in a span of some ranges that ascend."""
    first, last = ranges[:, 1].searchsorted(span.start, "right"), ranges[:, 0].searchsorted(span.end)
    return [(max(start, span.start), min(end, span.end)) for start, end in ranges[first:last].tolist()]


def _richest_run(sums: EvidenceSums, words: Ranges, mass: NDArray[np.float64], fits: Fits) -> Span | None:
    """Find by bisection the most words in a row that fit, always those with the most evidence."""

    def run(count: int) -> Span:
        first = int((mass[count:] - mass[:-count]).argmax())
        return sums.spans(as_ranges([(int(words[first, 0]), int(words[first + count - 1, 1]))]))[0]

    fitting = most(len(words), lambda count: fits(run(count)))
    return run(fitting) if fitting else None


def _between(mass: NDArray[np.float64], words: Ranges, ranges: Ranges) -> NDArray[np.float64]:
    """Sum the words in each range, given the running sum over all words, (w + 1,): (n, 2) to (n,)."""
    first, last = words[:, 0].searchsorted(ranges[:, 0]), words[:, 1].searchsorted(ranges[:, 1], "right")
    return np.subtract(mass[last], mass[first])


def _words(text: str, clauses: list[tuple[int, int]]) -> Ranges:
    """List what must not be cut within some ranges, without the white space between."""
    edges = [cuts(text, start, end) for start, end in clauses]
    pairs = [pair for found in edges for pair in zip(found[:-1].tolist(), found[1:].tolist(), strict=True)]
    return as_ranges([(start, end) for start, end in pairs if not text[start:end].isspace()])
