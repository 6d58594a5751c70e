# ruff: noqa: RUF001 (the look-alike characters are meant)
"""The entries of tables, of lists of keys, and others that are alike, each with the words that say what it is about.

An entry is about what its own words say, and also about what stands above it: the header of its table, and the
headings of the sections that it lies in. "Frankfurt" below "Amazon Web Services" is no place of Google. Objects of
JSON, mappings of YAML and lines of a log are entries if some begin with the same key; sections and the items of a
list, if they have most words in common; and what has identifiers of one kind.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, dropwhile
from operator import attrgetter
from typing import NamedTuple, TypeAlias

import regex

from fgr_retriever.text.blocks import paragraphs
from fgr_retriever.text.lines import Line, is_stamped, is_turn
from fgr_retriever.text.mappings import is_pair
from fgr_retriever.text.query_words import stems
from fgr_retriever.text.sections import Section, are_alike, named_apart, sections
from fgr_retriever.text.tables import tables

_HEADING = regex.compile(r"^(#{1,6})[ \t]+(.+)$", regex.MULTILINE)
_LEAST_PAIRS = 2  # of keys and values, that make an entry
# The first key of an object with a plain value, of a mapping in a list, and of a line of a log. What is looked for in
# every text is `re` and not `regex`: it takes half the time.
_FIRST_KEY = regex.compile(
    r"\{\s*\"(?P<key>[^\"\r\n]{1,60})\"\s*:\s*[\"\d\-tfn]|\G\s*-[ ]+(?P<key>[\p{L}_][\w .\-/]{0,40}):[ ]+\S"
    r"|\G(?P<key>[\w.\-]{1,40})=\S[^\r\n]*?[ ][\w.\-]{1,40}="
)
_LOGGED_KEY = regex.compile(r"[ ](?P<key>[\w.\-]{1,40})=\S[^\r\n]*?[ ][\w.\-]{1,40}=")
_MAPPING = re.compile(r"^[ \t]*-[ ]+[^\W\d][\w .\-/]{0,40}:[ ]", re.MULTILINE)
_ITEM = re.compile(
    r"^(?P<indent>[ \t]*)(?:(?:[-*+•]|\d{1,3}[.)])[ \t]+)?(?=(?P<name>[^\s|:][^\r\n:|]{0,90}?)(?:[:|][ \t]| [–—-] ))",
    re.MULTILINE,
)
# As for sections. A long note in some items lowers it: 0.39 keeps 75 % in place of 96 (`benchmarks.trimming.records`).
_ALIKE = 0.3
_DIGIT = re.compile(r"\d")
_IDENTIFIER = re.compile(r"(?=.*\d)(?=.*[^\W\d]).+|(?!(?:19|20)\d\d$)\d{4,}")  # no year, and no small number
_BLANK_LINE = re.compile(r"\r?\n[ \t]*\r?\n")


Borders: TypeAlias = Callable[[], Sequence[Line]]


class Entry(NamedTuple):
    """A row, a header, some keys with their values, a section or an item.

    Args:
        start: Its first character.
        end: One past the last one.
        words: The stems of its own words and of those above it (see `query_words.stems`).
        group: Number of its table, or of the entries that it is alike with.
        is_header: Whether it is the header of its table, with the headings right above.
    """

    start: int
    end: int
    words: frozenset[str]
    group: int = 0
    is_header: bool = False


def entries(text: str, known: frozenset[str], borders: Borders) -> list[Entry]:
    """Find the entries of a text.

    Args:
        text: Any text.
        known: Stems of the content words of the question: sections and items are entries only if it names some.
        borders: Gives its sentences and records, as `sentences` does; called only if they are needed.

    Returns:
        The entries, ascending and disjoint; none in prose.
    """
    if "\n" not in text and "\r" not in text:  # most passages: a search looks at each
        return []
    heads = sections(text)
    headings = _Headings(heads)
    found = list(_of_tables(text, headings, borders))
    numbers = count(len(found))
    for groups in (
        _of_keys(text, headings),
        (_at(text, headings, one) for one in _sections(text, heads, known)),
        (_at(text, headings, one) for one in _records(text, borders)),
        (_at(text, headings, one) for one in _items(text, known)),
        (_at(text, headings, one) for one in _identified(text, known, borders)),
    ):
        found.sort()
        group = zip(numbers, groups, strict=False)
        found += [one._replace(group=number) for number, some in group for one in some if _is_apart(one, found)]
    return sorted(found)


def _is_apart(one: Entry, found: Sequence[Entry]) -> bool:
    """Say whether an entry touches none of some others, which ascend and are disjoint."""
    place = bisect_right(found, one.start, key=attrgetter("end"))
    return place == len(found) or one.end <= found[place].start


class _Headings:
    """The headings of a text.

    Args:
        heads: Its sections.
    """

    def __init__(self, heads: Sequence[Section]) -> None:
        self._places: list[int] = [-1]
        self._above: list[tuple[tuple[int, str], ...]] = [()]
        for one in heads:
            open = tuple(heading for heading in self._above[-1] if heading[0] < one.level)
            self._places.append(one.start)
            self._above.append((*open, (one.level, one.name)))

    def over(self, place: int) -> frozenset[str]:
        """Give the stems of the headings that a place lies below."""
        above = self._above[bisect_right(self._places, place) - 1]
        return frozenset(stem for _, heading in above for stem in stems(heading))


def _of_tables(text: str, headings: _Headings, borders: Borders) -> Iterator[Entry]:
    known = tables(text)
    if not known:
        return
    units = borders()
    starts = [start for start, _ in units]
    for number, one in enumerate(known):
        above = headings.over(one.start) | frozenset(stems(text[one.start : one.end]))
        first, last = bisect_left(starts, one.body), bisect_left(starts, one.close)
        top = bisect_right(starts, one.start) - 1
        if 0 <= top < first:
            yield Entry(*units[top], above, number, True)
        for start, end in units[first:last]:
            yield Entry(start, end, above | frozenset(stems(text[start:end])), number)


def _of_keys(text: str, headings: _Headings) -> Iterator[list[Entry]]:
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
    yield from (some for some in found.values() if len(some) > 1)


def _sections(text: str, heads: Sequence[Section], known: frozenset[str]) -> Iterator[list[Line]]:
    """Find sections that are built alike, of which the question names some."""
    yield from ([(one.start, one.close) for one in group] for group in named_apart(text, heads, known))


def _records(text: str, borders: Borders) -> Iterator[list[Line]]:
    """Find objects, mappings and lines of a log that begin with the same key."""
    objects, pairs = text.count("{") > 1 and '":' in text, text.count("=") >= 2 * _LEAST_PAIRS
    if not (objects or pairs or _MAPPING.search(text)):
        return
    found: dict[str, list[Line]] = defaultdict(list)
    for start, end in borders():
        match = _FIRST_KEY.search(text, start, end)
        if match is None and is_stamped(text[start:end]):
            match = _LOGGED_KEY.search(text, start, end)
        if match:
            found[match["key"]].append((start, end))
    yield from (some for some in found.values() if len(some) > 1)


def _items(text: str, known: frozenset[str]) -> Iterator[list[Line]]:
    """Find items of a list, or lines, that are built alike and have names, of which the question has words of some."""
    marks = list(_ITEM.finditer(text))
    if len(marks) < 2 or known.isdisjoint(stems("\n".join(one["name"] for one in marks))):
        return
    runs: list[list[Line]] = []
    last = ("", -1)
    for place, one in enumerate(marks):
        behind = marks[place + 1].start() if place + 1 < len(marks) else len(text)
        blank = _BLANK_LINE.search(text, one.end(), behind)
        item = one.start(), blank.start() if blank else behind
        if last != (one["indent"], one.start()):
            runs.append([])
        runs[-1].append(item)
        last = one["indent"], item[1]
    yield from (run for run in runs if are_alike([text[start:end] for start, end in run], _ALIKE))


def _identified(text: str, known: frozenset[str], borders: Borders) -> Iterator[list[Line]]:
    """Find sentences and records with identifiers of the kind that the question has: E14 and E27 for "What is E44?"."""
    said = text.casefold()
    asked = {_kind_of(stem) for stem in known if _IDENTIFIER.fullmatch(stem) and stem in said}
    if not asked:
        return
    units = borders()
    kinds = [{_kind_of(stem) for stem in stems(text[slice(*one)])} for one in units]
    found = [one for one, there in zip(units, kinds, strict=True) if there & asked]
    if len(found) > 1:
        yield found


def _kind_of(stem: str) -> str:
    return _DIGIT.sub("0", stem)


def _at(text: str, headings: _Headings, ranges: Iterable[Line]) -> list[Entry]:
    """Make entries of ranges, with their own words and those of the headings above."""
    return [Entry(*one, headings.over(one[0]) | frozenset(stems(text[slice(*one)]))) for one in ranges]
