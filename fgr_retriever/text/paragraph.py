"""A paragraph: a run of lines without a blank one between them, cut where its lines say so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fgr_retriever.text.atoms import is_table_row
from fgr_retriever.text.furniture import is_boilerplate
from fgr_retriever.text.latex import display_end, latex_kind
from fgr_retriever.text.lines import (
    Line,
    begins_block,
    is_code_line,
    is_heading,
    is_plain_heading,
    is_question,
    is_rule,
    is_turn,
    marker,
)
from fgr_retriever.text.piece import Piece
from fgr_retriever.text.plain import is_plain, is_title
from fgr_retriever.text.records import records
from fgr_retriever.text.rows import csv_rows

_LONGEST_TURN = 200  # characters of a turn that is one record
_LONGEST_LEAD = 80  # characters of a line with a colon that belongs to the list below it


def paragraph_pieces(text: str, lines: Sequence[Line]) -> Iterator[Piece]:
    """Yield the pieces of a paragraph: records, or else prose with headings, items and rows.

    Args:
        text: Any text.
        lines: Lines of it, at least one, none of them blank.

    Yields:
        Its pieces, ascending.
    """
    found = _told_at_once(text, lines) or records(text, lines)
    if found is not None:
        yield from found
        return
    start = end = -1  # of the open piece of prose, if start >= 0
    place = 0
    tried = False  # what follows a first heading may be records, too
    while place < len(lines):
        first, last = lines[place]
        line = text[first:last]
        kind = _kind(text, lines, place, line)
        if start >= 0 and (kind or begins_block(line)):
            yield Piece(start, end, "prose")
            start = -1
        if kind == "display":
            place, kind = display_end(text, lines, place), "whole"
            last = lines[place][1]
        if kind:
            yield Piece(first, last, kind)
        else:
            start, end = (start if start >= 0 else first), last
        place += 1
        if kind == "head" and not tried and place < len(lines) and not is_heading(text[slice(*lines[place])]):
            tried = True
            if (rest := records(text, lines[place:])) is not None:
                yield from rest
                return
    if start >= 0:
        yield Piece(start, end, "prose")


def _told_at_once(text: str, lines: Sequence[Line]) -> list[Piece] | None:
    """Read a paragraph of words, or with nothing but a heading: most are such, and need no other rule."""
    start, end = lines[0][0], lines[-1][1]
    if is_plain(text, start, end):
        return csv_rows(text, lines, text[slice(*lines[0])]) or [Piece(start, end, "prose")]
    return [Piece(start, end, "head")] if len(lines) == 1 and is_title(text, start, end) else None


def _kind(text: str, lines: Sequence[Line], place: int, line: str) -> str:
    """Give the kind of a line that is a piece of its own; empty for prose."""
    marked = not line.lstrip()[:1].isalpha()
    behind = text[slice(*lines[place + 1])] if (place == 0 or line[-1] == ":") and place + 1 < len(lines) else ""
    if (marked and is_heading(line)) or (place < 2 and _is_underlined(text, lines, place, line, behind)):
        return "head"
    if line[-1] in "?*_ " and is_question(line):
        return "head"
    if marked and is_rule(line):
        return "whole"
    if is_boilerplate(line):
        return "silent"
    if is_table_row(line):
        return "whole"
    if line[-1] == ":" and len(line) <= _LONGEST_LEAD and marker(behind, 0, len(behind)):
        return "head"
    if (marked or "\\" in line) and (latex := latex_kind(line)):
        return latex
    if (line[-1] in "{};:" or "=" in line or "import" in line) and is_code_line(line):
        return "whole"
    return "whole" if len(line) <= _LONGEST_TURN and is_turn(line) and _is_alone(text, lines, place) else ""


def _is_underlined(text: str, lines: Sequence[Line], place: int, line: str, behind: str) -> bool:
    """Say whether a line is a heading with a rule below it, or that rule."""
    if place == 1:
        return is_rule(line) and is_plain_heading(text[slice(*lines[0])])
    return place == 0 and is_rule(behind) and is_plain_heading(line)


def _is_alone(text: str, lines: Sequence[Line], place: int) -> bool:
    """Say whether nothing goes on with a line in the next one."""
    return place + 1 == len(lines) or begins_block(text[slice(*lines[place + 1])])
