"""What the parts of a text cannot do without: the header row of a table, what names a record, the heading asked for."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import dropwhile, zip_longest

from fgr_retriever.text.blocks import paragraphs
from fgr_retriever.text.lines import Line, is_heading, marker
from fgr_retriever.text.mappings import is_pair
from fgr_retriever.text.query_words import stems
from fgr_retriever.text.sections import Section, sections
from fgr_retriever.text.tables import Table, tables

_LEAST_PAIRS = 2
_NAMING = 3  # lines of a record, of which one names it
_LONGEST_NAME = 120  # characters; what is longer is no name
_MOST_NAME_WORDS = 3  # of the name in an item of a list


def headers(text: str, known: frozenset[str] = frozenset()) -> list[Table]:
    """Find the tables and the records of a text whose first part says what the others are about.

    A record is a paragraph of keys with values, such as a row of a sheet that was written so. The first pair with a
    letter in its value names it, together with those before; but if it stands right below one of several headings,
    this is its name. That counts if the record is the whole text, but for headings, or if another record there begins
    with the same key: most settings have no name. A section is a record if its heading, or one of its level, has a word
    of the question.

    Args:
        text: Any text.
        known: Stems of the content words of the question.

    Returns:
        Tables, and records as tables whose header is the name; ascending and disjoint.
    """
    found, heads = tables(text), sections(text)
    if text.count(":") >= _LEAST_PAIRS:
        found = _with(found, _records(text, heads))
    return _with(found, _asked(heads, known))


def _with(found: Sequence[Table], others: Iterable[Table]) -> list[Table]:
    """Add what touches none of those found, which ascend and are disjoint; others must be so, too."""
    starts = [one.start for one in found]
    apart = []
    for one in others:
        place = bisect_left(starts, one.close)
        if not place or found[place - 1].close <= one.start:
            apart.append(one)
    return sorted([*found, *apart])


def _asked(found: Sequence[Section], known: frozenset[str]) -> Iterator[Table]:
    """Yield the sections of the levels on which a heading has a word of the question; only those that hold no other."""
    levels = {one.level for one in found if not known.isdisjoint(stems(one.name))}
    asked = [one for one in found if one.level in levels]
    for one, behind in zip_longest(asked, asked[1:]):
        if behind is None or one.close <= behind.start:
            yield Table(one.start, one.end, one.body, one.close)


def _records(text: str, found: Sequence[Section]) -> Iterator[Table]:
    """Yield the records that have a name, or a heading right above that is one of several."""
    levels = Counter(one.level for one in found)
    above = {one.body: one for one in found if levels[one.level] > 1}
    bodies = [list(dropwhile(lambda line: is_heading(text[slice(*line)]), lines)) for lines in paragraphs(text, 0)]
    bodies = [lines for lines in bodies if lines]
    keys = [_key(text, lines[0]) for lines in bodies]
    same = Counter(keys)
    for key, lines in zip(keys, bodies, strict=True):
        if not key or (len(bodies) > 1 and same[key] == 1) or not _is_record(text, lines):
            continue
        if head := above.get(lines[0][0]):
            yield Table(head.start, head.end, lines[0][0], lines[-1][1])
        else:
            yield from _named(text, lines)


def _key(text: str, line: Line) -> str:
    """Give the key of a line; empty if it is no pair, or stands below another one."""
    return text[line[0] : text.index(":", *line)] if is_pair(text, line) and not text[line[0]].isspace() else ""


def _is_record(text: str, lines: Sequence[Line]) -> bool:
    """Say whether lines are mostly pairs, of which no two have the same key: the turns of a talk have."""
    keys = [key for key in (_key(text, line) for line in lines) if key]
    return len(keys) >= _LEAST_PAIRS and 2 * len(keys) > len(lines) and len(set(keys)) == len(keys)


def _named(text: str, lines: Sequence[Line]) -> Iterator[Table]:
    """Give a record with its name, if it has one."""
    start = lines[0][0]
    for place, line in enumerate(lines[: min(_NAMING, len(lines) - 1)]):
        value = text[text.index(":", *line) + 1 : line[1]] if is_pair(text, line) else ""
        if any(map(str.isalpha, value)):
            if line[1] - start <= _LONGEST_NAME and not (marker(text, *line) and _tells_more(value)):
                yield Table(start, line[1], lines[place + 1][0], lines[-1][1])
            return


def _tells_more(value: str) -> bool:
    """Say whether a value is longer than a name: of a list, every item may have its own subject."""
    return "," in value or len(value.split()) > _MOST_NAME_WORDS
