"""Cut one span that is too long for a budget down to its best part that fits."""

from __future__ import annotations

import numpy as np

from fgr_retriever.evidence.spans import Ranges, as_ranges
from fgr_retriever.text.parts import is_prose, words_in
from fgr_retriever.text.units import Units
from fgr_retriever.trim.layout import Scored
from fgr_retriever.trim.record_parts import Fits, Kept, Room, shrink_records
from fgr_retriever.trim.word_evidence import WordEvidence, telling, weights_of_units
from fgr_retriever.types import Span

# Evidence that a whole sentence or phrase must have, as a share of that of the best run of words.
_WHOLE = 0.8
# Of these, the most with which that is tried: in a long span hundreds have as much evidence as a short run.
_PIECES_TRIED = 32


def shrink(passage: Scored, span: Span, asked: frozenset[str], room: Room) -> Kept | None:
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
        part = _shrink_prose(passage, span, asked, room.fits)
        return Kept(part) if part else None
    return shrink_records(passage, room.parts(passage.text, span), asked, room)


def _shrink_prose(passage: Scored, span: Span, asked: frozenset[str], fits: Fits) -> Span | None:
    """Find the best run of words, or else a whole sentence or phrase that has almost as much evidence."""
    units = Units.near(passage.text, np.arange(span.start, span.end))
    parts, clauses = (_clipped(ranges, span) for ranges in (units.sentences, units.phrases))
    words = as_ranges([word for clause in clauses for word in words_in(passage.text, *clause)])
    wholes = as_ranges(parts)
    weights = weights_of_units(passage.text, wholes, asked)
    owners = np.maximum(wholes[:, 0].searchsorted(words[:, 0], "right") - 1, 0)
    tells = telling(passage.text, words, asked)
    evidence = WordEvidence.of(
        passage, words, tells, weights[owners] if len(weights) else 1.0, phrases=as_ranges(clauses)
    )
    run = evidence.richest_run(fits)
    if run is None:
        return None
    pieces = as_ranges([(start, end) for start, end in parts + clauses if end - start < span.end - span.start])
    pieces = pieces[evidence.tell(pieces)]
    masses = evidence.within(pieces)
    order = (-masses).argsort(kind="stable")
    enough = masses[order] >= _WHOLE * evidence.of_span(run)
    found = evidence.sums.spans(pieces[order[enough][:_PIECES_TRIED]])
    return next((piece for piece in found if fits(piece)), run)


def _clipped(ranges: Ranges, span: Span) -> list[tuple[int, int]]:
    """List what lies in a span of some ranges that ascend."""
    first, last = ranges[:, 1].searchsorted(span.start, "right"), ranges[:, 0].searchsorted(span.end)
    return [(max(start, span.start), min(end, span.end)) for start, end in ranges[first:last].tolist()]
