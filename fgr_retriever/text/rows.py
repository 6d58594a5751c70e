"""Rows of separated values, with quoted separators and line breaks."""

from __future__ import annotations

import re
from collections.abc import Sequence

import regex

from fgr_retriever.text.lines import Line
from fgr_retriever.text.piece import Piece, whole

SEPARATORS = ";,\t"
_STOPS = ".!?:"  # prose, and not the names of columns
_MOST_RUNS = 8  # runs of lines in one quoted cell
_LEAST_RUNS = 3  # rows, and cells of each, that a file with blank lines between its rows has


def csv_rows(text: str, lines: Sequence[Line], first: str) -> list[Piece] | None:
    """Read rows of separated values: every row has as many separators, outside quotation marks, as the first."""
    found = separated(text, lines, first)
    return None if found is None else [whole(*row) for row in found[1]]


def separated(text: str, lines: Sequence[Line], first: str) -> tuple[str, list[Line]] | None:
    """Find the separator and the rows of separated values.

    Args:
        text: Any text.
        lines: Lines of it, at least one, none of them blank.
        first: The first of them.

    Returns:
        The separator and the range of each row, at least two; None if the lines are no rows.
    """
    if len(lines) < 2:
        return None
    for separator in SEPARATORS:
        if separator in first and text.find(separator, *lines[1]) >= 0:
            rows = _rows(text, lines, separator)
            if rows is not None:
                return separator, rows
    return None


def runs_of_rows(text: str, runs: Sequence[Sequence[Line]], place: int) -> int:
    """Count the runs of lines that are rows of one file with blank lines in a quoted cell or between all rows.

    Args:
        text: Any text.
        runs: Lines of it; between two runs there are blank lines.
        place: The first run.

    Returns:
        How many runs belong together; 1 if blank lines part this one from the next.
    """
    lines = runs[place]
    start, end = lines[0][0], lines[-1][1]
    if place + 1 == len(runs):
        return 1
    first = text[slice(*lines[0])]
    is_open = text.count('"', start, end) % 2 == 1
    if not is_open and (len(lines) > 1 or len(runs[place + 1]) > 1 or first.rstrip()[-1] in _STOPS):
        return 1
    if "," not in first and ";" not in first and "\t" not in first:  # of `SEPARATORS`
        return 1
    if is_open:
        joined = list(lines)
        for count, more in enumerate(runs[place + 1 : place + _MOST_RUNS], 2):
            joined += more
            if text.count('"', more[0][0], more[-1][1]) % 2:
                return count if separated(text, joined, first) else 1
        return 1
    rows = [run[0] for run in runs[place : place + _LEAST_RUNS] if len(run) == 1]
    found = separated(text, rows, first) if len(rows) == _LEAST_RUNS else None
    if found is None or len(found[1]) < _LEAST_RUNS:
        return 1
    width, count = len(cells(first, found[0])), place
    while count < len(runs) and len(runs[count]) == 1:
        if len(cells(text[slice(*runs[count][0])], found[0])) != width:
            break
        count += 1
    return count - place if count - place >= _LEAST_RUNS and width >= _LEAST_RUNS else 1


def cells(row: str, separator: str) -> list[str]:
    """Split a row at its separators, without the quotation marks and the white space around each cell."""
    fields = _FIELD[separator].finditer(row)
    found = [match.group().removesuffix(separator).strip(' "\r\n') for match in fields]
    return found if row.endswith(separator) else found[:-1]


def cell_ranges(text: str, start: int, end: int, separator: str) -> list[Line]:
    """Give the range of each cell of a row, with the quotation marks and the white space around it."""
    found = [match.span() for match in _FIELD[separator].finditer(text, start, end)]
    return [(low, high - text.endswith(separator, low, high)) for low, high in found if low < high]


_FIELD = {
    mark: regex.compile(rf"[ ]*+(?:\"(?:[^\"]|\"\"){{0,1000}}+\"[^{mark}\"\r\n]*+|[^{mark}\r\n]*+)({mark})?+")
    for mark in SEPARATORS
}
_COMMA_BETWEEN = re.compile(r"(?<!\d),|,(?!\d)")  # one that is not part of a number
_LEAST_SHARE = 0.7
_DIFFERENT = 3  # first rows that are none if each has another number of separators


def _rows(text: str, lines: Sequence[Line], separator: str) -> list[Line] | None:
    """Read rows at a separator; None if they are none."""
    if text.find('"', lines[0][0], lines[-1][1]) < 0:
        counts = [text.count(separator, *line) for line in lines]
        return list(lines) if _are_rows(text, counts, lines, separator) else None
    field, ends, counts, bounds = _FIELD[separator], {end: place for place, (_, end) in enumerate(lines)}, [], []
    place = 0
    while place < len(lines):
        start = position = lines[place][0]
        count = 0
        while (match := field.match(text, position, lines[-1][1])) and match[1]:
            position, count = match.end(), count + 1
        last = ends.get(match.end() if match else -1)
        if last is None:
            return None
        bounds.append((start, lines[last][1]))
        counts.append(count)
        place = last + 1
        if len(counts) == _DIFFERENT == len(set(counts)):
            return None
    return bounds if _are_rows(text, counts, bounds, separator) else None


def _are_rows(text: str, counts: Sequence[int], bounds: Sequence[Line], separator: str) -> bool:
    """Say whether rows are rows of a file, and not lines of prose that have as many commas by chance."""
    same = counts.count(counts[0]) / len(counts)
    if len(counts) < 2 or same < _LEAST_SHARE or counts[0] < 1 or len(set(counts[:_DIFFERENT])) == _DIFFERENT:
        return False
    if separator != "," or '"' in text[bounds[0][0] : bounds[-1][1]]:
        return True
    if not any(_COMMA_BETWEEN.search(text, *row) for row in bounds):  # "The tank holds 1,250 litres."
        first = text[slice(*bounds[0])].strip()
        return " " not in first or not any(map(str.isalpha, first))
    if not any(text.find(", ", *row) >= 0 for row in bounds):
        return True
    header = text[slice(*bounds[0])].rstrip()
    return len(counts) > 2 and same == 1 and counts[0] > 1 and header[-1:] not in ".!?,;:"
