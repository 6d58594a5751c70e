"""What the parts of a text cannot do without: the header row of a table, the pair that names a record of keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import dropwhile

from fgr_retriever.text.blocks import paragraphs
from fgr_retriever.text.lines import Line, is_heading
from fgr_retriever.text.mappings import is_pair
from fgr_retriever.text.tables import Table, tables

_LEAST_PAIRS = 2
_NAMING = 3  # lines of a record, of which one names it
_LONGEST_NAME = 120  # characters; what is longer is no name


def headers(text: str) -> list[Table]:
    """Find the tables and the records of a text whose first part says what the others are about.

    A record is a paragraph of keys with values, such as a row of a sheet that was written so. The first pair with a
    letter in its value names it, together with those before. That counts if the record is the whole text, but for
    headings, or if another record there begins with the same key: most settings have no name.

    Args:
        text: Any text.

    Returns:
        Tables, and records as tables whose header is the name; ascending and disjoint.
    """
    found = tables(text)
    if text.count(":") < _LEAST_PAIRS:
        return found
    apart = [
        one for one in _records(text) if all(one.close <= other.start or other.close <= one.start for other in found)
    ]
    return sorted(found + apart)


def _records(text: str) -> Iterator[Table]:
    """Yield the records that have a name."""
    bodies = [list(dropwhile(lambda line: is_heading(text[slice(*line)]), lines)) for lines in paragraphs(text, 0)]
    bodies = [lines for lines in bodies if lines]
    keys = [_key(text, lines[0]) for lines in bodies]
    same = Counter(keys)
    for key, lines in zip(keys, bodies, strict=True):
        if key and (len(bodies) == 1 or same[key] > 1) and _is_record(text, lines):
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
    for place, (first, end) in enumerate(lines[: min(_NAMING, len(lines) - 1)]):
        if any(map(str.isalpha, text[text.index(":", first, end) : end] if is_pair(text, (first, end)) else "")):
            if end - start <= _LONGEST_NAME:
                yield Table(start, end, lines[place + 1][0], lines[-1][1])
            return
