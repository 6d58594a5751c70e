"""The entries of tables and of lists of keys with values, each with the words that say what it is about.

An entry is about what its own words say, and also about what stands above it: the header of its table, and the
headings of the sections that it lies in. "Frankfurt" below "Amazon Web Services" is no place of Google.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import regex

from fgr_retriever.text.blocks import paragraphs
from fgr_retriever.text.lines import KEY, is_turn
from fgr_retriever.text.query_words import stems
from fgr_retriever.text.sentences import sentences
from fgr_retriever.text.tables import tables

_HEADING = regex.compile(r"^(#{1,6})[ \t]+(.+)$", regex.MULTILINE)
_LEAST_PAIRS = 2  # of keys and values, that make an entry


class Entry(NamedTuple):
    """A row, a header, or some keys with their values.

    Args:
        start: Its first character.
        end: One past the last one.
        words: The stems of its own words and of those above it (see `query_words.stems`).
        table: Number of its table; -1 for keys with values.
        is_header: Whether it is the header of its table, with the headings right above.
    """

    start: int
    end: int
    words: frozenset[str]
    table: int = -1
    is_header: bool = False


def entries(text: str) -> list[Entry]:
    """Find the entries of a text, ascending and disjoint; none in prose."""
    if "\n" not in text and "\r" not in text:  # most passages: a search looks at each
        return []
    headings = _Headings(text)
    found = [*_of_tables(text, headings), *_of_keys(text, headings)]
    return sorted(found)


class _Headings:
    """The headings of a text, as in Markdown.

    Args:
        text: Any text.
    """

    def __init__(self, text: str) -> None:
        self._places: list[int] = [-1]
        self._above: list[tuple[tuple[int, str], ...]] = [()]
        for one in _HEADING.finditer(text) if "#" in text else ():
            level = len(one[1])
            open = tuple(heading for heading in self._above[-1] if heading[0] < level)
            self._places.append(one.start())
            self._above.append((*open, (level, one[2])))

    def over(self, place: int) -> frozenset[str]:
        """Give the stems of the headings that a place lies below."""
        above = self._above[bisect_right(self._places, place) - 1]
        return frozenset(stem for _, heading in above for stem in stems(heading))


def _of_tables(text: str, headings: _Headings) -> Iterator[Entry]:
    known = tables(text)
    units = sentences(text) if known else []
    starts = [start for start, _ in units]
    for number, one in enumerate(known):
        above = headings.over(one.start) | frozenset(stems(text[one.start : one.end]))
        first, last = bisect_left(starts, one.body), bisect_left(starts, one.close)
        top = bisect_right(starts, one.start) - 1
        if 0 <= top < first:
            yield Entry(*units[top], above, number, True)
        for start, end in units[first:last]:
            yield Entry(start, end, above | frozenset(stems(text[start:end])), number)


def _of_keys(text: str, headings: _Headings) -> Iterator[Entry]:
    """Find paragraphs of keys with values, with the headings right above, if some have the same first key."""
    found: dict[str, list[Entry]] = {}
    top: int | None = None
    for lines in paragraphs(text, 0) if ":" in text else ():
        body = list(lines)
        while body and _HEADING.match(text, *body[0]):
            top = body.pop(0)[0] if top is None else (body.pop(0), top)[1]
        if not body:
            continue
        keys = [KEY.match(text, *line) for line in body]
        start, end, top = body[0][0] if top is None else top, body[-1][1], None
        if len(body) >= _LEAST_PAIRS and all(keys) and not is_turn(text[slice(*body[0])]):
            key = text[slice(*body[0])].partition(":")[0]
            words = headings.over(body[0][0]) | frozenset(stems(text[start:end]))
            found.setdefault(key, []).append(Entry(start, end, words))
    yield from (one for some in found.values() if len(some) > 1 for one in some)
