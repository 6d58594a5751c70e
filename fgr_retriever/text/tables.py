# ruff: noqa: RUF001 (the look-alike characters are meant)
"""The header rows of tables in Markdown, in grids and in separated values: what a row of them cannot do without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import regex

from fgr_retriever.text.atoms import is_table_row
from fgr_retriever.text.blocks import paragraphs
from fgr_retriever.text.lines import Line, is_heading, is_rule
from fgr_retriever.text.rows import cells, runs_of_rows, separated

_DELIMITER = regex.compile(
    r"\s*(?:\|\s*)?:?-+:?\s*(?:\|\s*:?-+:?\s*)+\|?\s*$|\s*\|\s*:?-+:?\s*\|\s*$|\s*\+(?:=+\+)+\s*$"
)
_RULE_MARKS = frozenset("|:-+")
_NAME = regex.compile(r"[\p{L}_#%][\p{L}\p{M}\p{N}_ .()/%€$£°&'’*:\-]{0,40}")
_NUMBER = regex.compile(r"[^\p{L}\p{N}]{0,3}\d[\d.,:/\- ]*[^\p{L}\p{N}]{0,2}(?:\p{L}{1,3})?")
_ROWS_READ = 20  # after a header, to see whether it is one
_LONGEST_HEADER = 500  # characters; what is longer would cost more than it tells
# A header is shorter than its rows, where no number tells it from them.
_LONGER = 1.3
_MOST_WORDS = 2


class Table(NamedTuple):
    """A table with a header row.

    Args:
        start: First character of its header.
        end: One past the last one.
        body: Where its first row begins, behind the rule below the header if there is one.
        close: Where its last row ends.
    """

    start: int
    end: int
    body: int
    close: int


def tables(text: str) -> list[Table]:
    """Find the tables of a text that have a header row; a text that begins within a table does not have its header.

    Args:
        text: Any text.

    Returns:
        The tables, ascending and disjoint.
    """
    if not any(mark in text for mark in "|,;\t"):
        return []
    found: list[Table] = []
    runs = list(paragraphs(text, 0))
    read = 0
    for place, run in enumerate(runs):
        if place < read:
            continue
        read = place + runs_of_rows(text, runs, place)
        lines = [line for one in runs[place:read] for line in one] if read > place + 1 else run
        first = is_heading(text[slice(*lines[0])])
        if len(lines) > first + 1:
            found += list(_ruled(text, lines)) or _separated(text, lines[first:]) or _piped(text, lines[first:])
    return [one for one in found if one.end - one.start <= _LONGEST_HEADER]


def _ruled(text: str, lines: Sequence[Line]) -> Iterator[Table]:
    """Yield tables whose header has a rule below it, in Markdown and in grids."""
    place = 1
    while place + 1 < len(lines):
        rule = text[slice(*lines[place])]
        if rule.lstrip()[:1] not in _RULE_MARKS or not _DELIMITER.match(rule):
            place += 1
            continue
        top, last = place - 1, place
        least = lines[place][0] - _LONGEST_HEADER
        while top and "+" in rule and lines[top - 1][0] > least and not is_rule(text[slice(*lines[top - 1])]):
            top -= 1
        while last + 1 < len(lines) and _is_row(text[slice(*lines[last + 1])]):
            last += 1
        if last > place and is_table_row(text[slice(*lines[top])]):
            yield Table(*_bare(text, lines[top][0], lines[place - 1][1]), lines[place + 1][0], lines[last][1])
        place = last + 1


def _is_row(line: str) -> bool:
    return is_table_row(line) or is_rule(line)


def _separated(text: str, lines: Sequence[Line]) -> list[Table]:
    """Find the header of separated values: names, above numbers or above longer rows."""
    first = text[slice(*lines[0])]
    if len(lines) < 2 or not _NAME.match(first.lstrip(' "\t;,')):
        return []
    found = separated(text, lines, first)
    if found is None:
        return []
    separator, rows = found
    header, *others = (cells(text[slice(*row)], separator) for row in rows[: _ROWS_READ + 1])
    if not others or not _is_header(header, others):
        return []
    return [Table(*_bare(text, *rows[0]), rows[1][0], rows[-1][1])]


def _piped(text: str, lines: Sequence[Line]) -> list[Table]:
    """Find the header of rows with bars between their cells and no rule below the first one."""
    if text.find("|", *lines[0]) < 0 or not all(is_table_row(text[slice(*line)]) for line in lines):
        return []
    header, *others = ([cell.strip() for cell in text[slice(*line)].strip(" \t|").split("|")] for line in lines)
    if any(len(row) != len(header) for row in others) or not _is_header(header, others[:_ROWS_READ]):
        return []
    return [Table(*_bare(text, *lines[0]), lines[1][0], lines[-1][1])]


def _is_header(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Say whether a first row names its columns; that of the row numbers may have no name."""
    names = header[1:] if not header[0] else header
    if not names or len(set(names)) < len(names) or not all(map(_NAME.fullmatch, names)):
        return False
    for place in range(len(header) - len(names), len(header)):
        column = [row[place] for row in rows if place < len(row) and row[place]]
        if column and 2 * sum(_NUMBER.fullmatch(one) is not None for one in column) >= len(column):
            return True
    longer = sum(len(one) for row in rows for one in row) >= _LONGER * len(rows) * sum(map(len, names))
    return longer and all(len(one.split()) <= _MOST_WORDS for one in names)


def _bare(text: str, start: int, end: int) -> Line:
    """Drop the white space around a range."""
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
