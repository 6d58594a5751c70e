"""The entries of tables and of lists of keys with values, each with the words that say what it is about.

An entry is about what its own words say, and also about what stands above it: the header of its table, and the
headings of the sections that it lies in. "Frankfurt" below "Amazon Web Services" is no place of Google.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import dropwhile
from typing import NamedTuple

import regex

from fgr_retriever.text.blocks import paragraphs
from fgr_retriever.text.lines import is_turn
from fgr_retriever.text.mappings import is_pair
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


def entries(text: str, borders: Sequence[tuple[int, int]] | None = None) -> list[Entry]:
    """Find the entries of a text.

    Args:
        text: Any text.
        borders: Its sentences and records, as `sentences` gives them, where they are known.

    Returns:
        The entries, ascending and disjoint; none in prose.
    """
    if "\n" not in text and "\r" not in text:  # most passages: a search looks at each
        return []
    headings = _Headings(text)
    found = [*_of_tables(text, headings, borders), *_of_keys(text, headings)]
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


def _of_tables(text: str, headings: _Headings, borders: Sequence[tuple[int, int]] | None) -> Iterator[Entry]:
    known = tables(text)
    if not known:
        return
    units = sentences(text) if borders is None else borders
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
    above: int | None = None  # where the headings right above begin
    for lines in paragraphs(text, 0) if text.count(":") >= 2 * _LEAST_PAIRS else ():
        body = list(dropwhile(lambda line: _HEADING.match(text, *line), lines))
        if above is None and len(body) < len(lines):
            above = lines[0][0]
        if not body:
            continue
        first, end = body[0][0], body[-1][1]
        start, above = first if above is None else above, None
        if (
            len(body) >= _LEAST_PAIRS
            and all(is_pair(text, line) for line in body)
            and not is_turn(text[slice(*body[0])])
        ):
            words = headings.over(first) | frozenset(stems(text[start:end]))
            found.setdefault(text[first : text.index(":", first)], []).append(Entry(start, end, words))
    yield from (one for some in found.values() if len(some) > 1 for one in some)
