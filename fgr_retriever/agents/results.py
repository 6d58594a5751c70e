"""The results that an adapter returned, as numbered sources: so the citations of an answer from them can be checked.

A result has its kept ranges in its metadata, so nothing is searched or trimmed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from fgr_retriever.adapters import RESULT_KEYS, visible_metadata
from fgr_retriever.agents.evidence import EvidenceSource, NumberedSources
from fgr_retriever.agents.evidence_search import span_of
from fgr_retriever.text.valid import valid
from fgr_retriever.trim.composed import SPANS, Piece, pieces_of, start_of
from fgr_retriever.trim.context import Excerpt
from fgr_retriever.trim.origin import Origin
from fgr_retriever.types import Passage, Span


def numbered(results: Iterable[Passage]) -> NumberedSources:
    """Number results from 1, in their order.

    Args:
        results: Text and metadata as an adapter returned them, or of any other text. If the metadata have no
            ranges, or the text is not what they say, the whole text is one span, a range of itself.
    """
    return cast(NumberedSources, valid({"sources": [_source(*pair) for pair in enumerate(results, start=1)]}))


def _source(number: int, result: Passage) -> EvidenceSource:
    """Describe one result."""
    origin, metadata = Origin.of(result), visible_metadata(result.metadata)
    pieces = pieces_of(metadata, result.text)
    if pieces:
        whole = f"#{pieces[0].whole}-{pieces[-1].whole + pieces[-1].length}"  # ends the id of a node for each span
        origin = Origin(result.id.removesuffix(whole), origin.title, start=start_of(metadata, pieces))
    own = {key: value for key, value in metadata.items() if key not in RESULT_KEYS}
    also_in = metadata.get("fgr_also_in")
    return {
        "number": number,
        "title": origin.title,
        "also_in": [str(one) for one in also_in] if isinstance(also_in, list) else [],
        "passages": [{"id": origin.id, "metadata": own}],
        "spans": [span_of(one, origin) for one in _excerpts(number, result, pieces)],
    }


def _excerpts(number: int, result: Passage, pieces: Sequence[Piece]) -> Iterator[Excerpt]:
    """Take the kept ranges out of a result, or else its whole text."""
    text = result.text
    ranges = cast("list[list[float]]", result.metadata[SPANS]) if pieces else []
    for one, kept in zip(pieces, ranges, strict=True):
        span = Span(one.whole, one.whole + one.length, kept[2])
        yield Excerpt(number, 0, span, text[one.here : one.here + one.length])
    if not pieces and text:
        yield Excerpt(number, 0, Span(0, len(text), 0.0), text)
