"""Rows of separated values, with quoted separators and line breaks."""

from __future__ import annotations

from collections.abc import Sequence

import regex

from fgr_retriever.text.lines import Line
from fgr_retriever.text.piece import Piece, whole


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
    for separator in ";,\t":
        if separator in first and text.find(separator, *lines[1]) >= 0:
            rows = _rows(text, lines, separator)
            if rows is not None:
                return separator, rows
    return None


def cells(row: str, separator: str) -> list[str]:
    """Split a row at its separators, without the quotation marks and the white space around each cell."""
    fields = _FIELD[separator].finditer(row)
    found = [match.group().removesuffix(separator).strip(' "\r\n') for match in fields]
    return found if row.endswith(separator) else found[:-1]


_FIELD = {
    mark: regex.compile(rf"[ ]*+(?:\"(?:[^\"]|\"\"){{0,1000}}+\"[^{mark}\"\r\n]*+|[^{mark}\r\n]*+)({mark})?+")
    for mark in ";,\t"
}
_LEAST_SHARE = 0.7


def _rows(text: str, lines: Sequence[Line], separator: str) -> list[Line] | None:
    """Read rows at a separator; None if they are none."""
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
        if len(counts) == 3 and len(set(counts)) == 3:
            return None
    return bounds if _are_rows(text, counts, bounds, separator) else None


def _are_rows(text: str, counts: list[int], bounds: list[Line], separator: str) -> bool:
    """Say whether rows are rows of a file, and not lines of prose that have as many commas by chance."""
    same = sum(count == counts[0] for count in counts) / len(counts)
    spaced = (
        any(text.find(separator + " ", *row) >= 0 for row in bounds) and '"' not in text[bounds[0][0] : bounds[-1][1]]
    )
    if not spaced or separator != ",":
        return len(counts) > 1 and same >= _LEAST_SHARE and counts[0] >= 1
    header = text[slice(*bounds[0])].rstrip()
    return len(counts) > 2 and same == 1 and counts[0] > 1 and header[-1:] not in ".!?,;:"
