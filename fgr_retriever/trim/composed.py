"""Trimming what was trimmed before: ranges of the trimmed text become ranges of the whole one.

The metadata of a result say which ranges of the whole text were kept. The trimmed text is made of them,
with the same separator between all. Where that fits, the ranges can be composed; where somebody changed
the text meanwhile, they cannot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

from fgr_retriever.trim.context import Trimmed
from fgr_retriever.types import Span

SPANS, SOURCE_SPANS, KEPT, WHOLE_TEXT = "fgr_spans", "fgr_source_spans", "fgr_kept", "fgr_text"
"""Metadata keys of a result: see `Trimmed.to_metadata`; with `full_text`, the last one has the whole text."""


class Piece(NamedTuple):
    """A part of a trimmed text: where it begins there and in the whole text, and its length."""

    here: int
    whole: int
    length: int


def compose(metadata: Mapping[str, Any], text: str, trimmed: Trimmed) -> tuple[Trimmed, int | None] | None:
    """Say what a second trimming kept of the whole text.

    Args:
        metadata: What the first trimming left.
        text: The text that it left.
        trimmed: What the second trimming kept of this text.

    Returns:
        The same result with ranges and share of the whole text, without elision marks of the first
        trimming at the ends of spans; and the position in the source at which the whole text begins, if
        it is known. None if the text is not what the metadata say.
    """
    pieces = pieces_of(metadata, text)
    inside = [(span, _inside(pieces, span)) for span in trimmed.spans]
    kept = [(span, parts) for span, parts in inside if parts]
    if not kept:
        return None
    spans = tuple(Span(one.whole, one.whole + one.length, span.score) for span, parts in kept for one in parts)
    texts = [text[parts[0].here : parts[-1].here + parts[-1].length] for _, parts in kept]
    before, after = sum(one.length for one in pieces), sum(span.end - span.start for span in spans)
    share = metadata.get(KEPT)
    return replace(
        trimmed,
        text=_separator(trimmed).join(texts),
        spans=spans,
        kept=min(float(share) * after / before, 1.0) if isinstance(share, (int, float)) else trimmed.kept,
    ), start_of(metadata, pieces)


def _separator(trimmed: Trimmed) -> str:
    """Find what stands between the spans of a result."""
    lengths = [span.end - span.start for span in trimmed.spans]
    gap = (len(trimmed.text) - sum(lengths)) // max(len(lengths) - 1, 1)
    return trimmed.text[lengths[0] : lengths[0] + gap]


def pieces_of(metadata: Mapping[str, Any], text: str) -> list[Piece]:
    """Find the kept ranges in a trimmed text; nothing unless they account for all of it."""
    ranges = _ranges(metadata.get(SPANS))
    if not ranges:
        return []
    gap, uneven = divmod(len(text) - sum(end - start for start, end in ranges), max(len(ranges) - 1, 1))
    if uneven or gap < 0 or (len(ranges) == 1 and gap):
        return []
    found, here = [], 0
    for start, end in ranges:
        found.append(Piece(here, start, end - start))
        here += end - start + gap
    separators = {text[one.here + one.length : other.here] for one, other in pairwise(found)}
    whole = metadata.get(WHOLE_TEXT)
    is_part = not isinstance(whole, str) or all(
        whole[one.whole : one.whole + one.length] == text[one.here : one.here + one.length] for one in found
    )
    return found if is_part and len(separators) <= 1 else []


def start_of(metadata: Mapping[str, Any], pieces: Sequence[Piece]) -> int | None:
    """Tell where in the source the whole text of some pieces begins, if the metadata of the result tell."""
    sources = _ranges(metadata.get(SOURCE_SPANS))
    return sources[0][0] - pieces[0].whole if sources else None


def _inside(pieces: Sequence[Piece], span: Span) -> list[Piece]:
    """Cut a range of the trimmed text out of the pieces; one that crosses a separator gives several."""
    found = []
    for one in pieces:
        start, end = max(span.start, one.here), min(span.end, one.here + one.length)
        if start < end:
            found.append(Piece(start, one.whole + start - one.here, end - start))
    return found


def _ranges(value: Any) -> list[tuple[int, int]]:
    """Read `[start, end, score]` of each range; nothing unless all are ascending and disjoint."""
    if not isinstance(value, list) or not all(isinstance(one, (list, tuple)) and len(one) >= 2 for one in value):
        return []
    found = [(one[0], one[1]) for one in value]
    places = [place for one in found for place in one]
    if not all(isinstance(place, int) and not isinstance(place, bool) and place >= 0 for place in places):
        return []
    return found if all(one <= other for one, other in pairwise(places)) else []
