"""What is read of a source to judge a claim: its kept spans, up to whole sentences where their passages are known.

A span may be a clause. "may enter the engine room" says the contrary of "No visitor, even if accompanied, may enter the
engine room".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.agents.evidence import EvidenceSource, EvidenceSpan
from fgr_retriever.agents.source_sections import heading_above
from fgr_retriever.text.sentences import sentences

_ELISION = " … "
_FURTHEST = 1_000  # characters before and behind a span: a text without stops is one sentence


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A piece of a passage, or a span by itself.

    Args:
        text: Its text.
        spans: The numbers of the spans in it, and where each begins and ends there.
        heading: The heading above it.
    """

    text: str
    spans: Sequence[tuple[int, int, int]]
    heading: str = ""


class Reading:
    """What is read of a source, as one text.

    Args:
        source: The source.
        passages: The texts of passages by their ids. A span that does not stand there is read by itself.
    """

    def __init__(self, source: EvidenceSource, passages: Mapping[str, str]) -> None:
        self.number = source["number"]
        self._spans = source["spans"]
        self._stretches = _stretches(source["spans"], passages)
        lengths = np.array([len(one.text) for one in self._stretches], dtype=np.int64)
        ends = lengths.cumsum() + len(_ELISION) * np.arange(len(lengths))
        self._ranges: NDArray[np.int64] = np.stack([ends - lengths, ends], axis=1)

    @property
    def text(self) -> str:
        """The text, for the model."""
        return _ELISION.join(one.text for one in self._stretches)

    @property
    def rows(self) -> str:
        """The text with a line for each row, and the heading above each stretch of it, where it is known."""
        return "\n\n".join(f"{one.heading}\n\n{one.text}" if one.heading else one.text for one in self._stretches)

    def spans_at(self, places: NDArray[np.int32]) -> tuple[EvidenceSpan, ...]:
        """Give the spans that hold one of some characters; if only the text around them has them, all spans there."""
        owners = self._ranges[:, 0].searchsorted(places, "right") - 1
        inside = (owners >= 0) & (places < self._ranges[owners, 1])
        found: list[int] = []
        for owner in np.unique(owners[inside]).tolist():
            here, spans = places[inside & (owners == owner)] - self._ranges[owner, 0], self._stretches[owner].spans
            holding = [number for number, start, end in spans if ((start <= here) & (here < end)).any()]
            found += holding or [number for number, *_ in spans]
        return tuple(self._spans[number] for number in sorted(found))


def _stretches(spans: Sequence[EvidenceSpan], passages: Mapping[str, str]) -> list[_Stretch]:
    """Widen spans and join those that then overlap, in the order of the first span of each."""
    found: dict[int, _Stretch] = {}
    known: dict[str, list[int]] = {}
    for number, span in enumerate(spans):
        text = passages.get(span.get("passage", ""), "")
        if text and text[span["start"] : span["end"]] == span["text"]:
            known.setdefault(span["passage"], []).append(number)
        else:
            found[number] = _Stretch(span["text"], [(number, 0, len(span["text"]))])
    for id, numbers in known.items():
        ranges = [(spans[number]["start"], spans[number]["end"]) for number in numbers]
        for start, end in _joined(_widened(ranges, sentences(passages[id]))):
            inside = [
                (number, first - start, last - start)
                for number, (first, last) in zip(numbers, ranges, strict=True)
                if start <= first and last <= end
            ]
            found[min(inside)[0]] = _Stretch(passages[id][start:end], inside, heading_above(passages[id], start))
    return [found[number] for number in sorted(found)]


def _widened(ranges: Iterable[tuple[int, int]], borders: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Grow ranges to the whole sentences that they touch, unless these are very long."""
    starts, ends = [start for start, _ in borders], [end for _, end in borders]
    for start, end in ranges:
        first, last = bisect_right(ends, start), bisect_left(starts, end) - 1
        wide = (min(start, starts[first]), max(end, ends[last])) if first <= last else (start, end)
        yield wide if start - wide[0] <= _FURTHEST and wide[1] - end <= _FURTHEST else (start, end)


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join ranges that overlap."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if found and start < found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found
