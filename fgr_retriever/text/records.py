"""Lines that are records: rows of CSV, JSON, keys with values, log entries with what follows, cues, HTML elements.

Each reader looks at a paragraph, a run of lines without a blank one between them, and either leaves it alone or says
which of its lines belong together. What it reads is told by the first lines; each looks ahead no further than a
record may be long, so that all of them take linear time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import regex

from fgr_retriever.text.atoms import is_table_row
from fgr_retriever.text.code import statements
from fgr_retriever.text.lines import COMMENT, CUE, TRACE, Line, is_code, is_comment, is_rule, is_stamped
from fgr_retriever.text.mappings import json_values, key_values, labelled_lines
from fgr_retriever.text.piece import LONGEST_RECORD, Piece, whole
from fgr_retriever.text.rows import csv_rows


def records(text: str, lines: Sequence[Line]) -> list[Piece] | None:
    """Read a paragraph as records.

    Args:
        text: Any text.
        lines: Lines of it, at least one, none of them blank.

    Returns:
        Its pieces, or None if it is prose.
    """
    first = text[slice(*lines[0])]
    if "|" in first and is_table_row(first):
        return None
    for reader in _READERS:
        found = reader(text, lines, first)
        if found is not None:
            return found
    return None


def _cues(text: str, lines: Sequence[Line], first: str) -> list[Piece] | None:
    """Read the cues of a VTT or SRT file: an id, times, and lines of speech."""
    if "-->" not in first and (len(lines) < 2 or text.find("-->", *lines[1]) < 0):
        return None
    begins = [place for place, line in enumerate(lines) if CUE.match(text, *line)]
    if not begins or begins[0] > 1:
        return None
    firsts = [0, *(place - _has_id(text, lines, place) for place in begins[1:])]
    return _runs(lines, firsts)


def _has_id(text: str, lines: Sequence[Line], place: int) -> bool:
    return text[slice(*lines[place - 1])].strip().isdigit()


def _log(text: str, lines: Sequence[Line], first: str) -> list[Piece] | None:
    """Read log entries and lines of chat with a time: what has none belongs to the line before."""
    if not is_stamped(first):
        return _trace(text, lines)
    return _runs(lines, [place for place, line in enumerate(lines) if is_stamped(text[slice(*line)])])


_TRACE_MARKS = frozenset("CTg")


def _begins_trace(text: str, line: Line) -> bool:
    mark = text[line[0]]
    return (mark in _TRACE_MARKS or mark.isspace()) and TRACE.match(text, *line) is not None


def _trace(text: str, lines: Sequence[Line]) -> list[Piece] | None:
    """Read a stack trace."""
    if len(lines) < 2 or not (_begins_trace(text, lines[0]) or _begins_trace(text, lines[1])):
        return None
    return _runs(lines, [0])


def _runs(lines: Sequence[Line], firsts: Sequence[int]) -> list[Piece]:
    """Join lines to records that begin with some of them; one that is too long falls into its lines."""
    found = []
    for low, high in zip(firsts, (*firsts[1:], len(lines)), strict=True):
        if lines[high - 1][1] - lines[low][0] <= LONGEST_RECORD:
            found.append(Piece(lines[low][0], lines[high - 1][1], "whole"))
        else:
            found += [whole(*line) for line in lines[low:high]]
    return found


_TAG = regex.compile(r"\s*<(?:/?[a-zA-Z][\w-]*(?:\s[^<>]*)?/?>|!--|!DOCTYPE)")
_ELEMENT = regex.compile(r"<(tr|li|dt|h[1-6]|option|caption)\b[^<>]{0,300}>|\n(?=[ \t]*<)", regex.IGNORECASE)


def _html(text: str, lines: Sequence[Line], first: str) -> list[Piece] | None:
    """Read HTML: rows, items and terms with their definitions are records, headings belong to what follows."""
    if first.lstrip()[:1] != "<" or _TAG.match(first) is None:
        return None
    start, end = lines[0][0], lines[-1][1]
    found, position = [], start
    for match in _ELEMENT.finditer(text, start, end):
        if match.start() < position:
            continue
        name = (match[1] or "").lower()
        close = text.find("</dd>" if name == "dt" else f"</{name}>", match.end(), match.end() + LONGEST_RECORD)
        if name and close < 0:
            continue
        if text[position : match.start()].strip():
            found.append(Piece(position, match.start(), "prose"))
        position = match.start()
        if name:
            position = min(text.find(">", close, close + 20) + 1 or end, end)
            found.append(Piece(match.start(), position, "head" if name[0] == "h" else "whole"))
    return [*found, Piece(position, end, "prose")] if text[position:end].strip() else found


_TEX = regex.compile(r"\s*\\[a-zA-Z]+\*?[{\[]")


def _code(text: str, lines: Sequence[Line], first: str) -> list[Piece] | None:
    """Read code that stands in no fence: at least half of its lines look like it."""
    coded = [is_code(text[slice(*line)]) for line in lines[:2]]
    if not (any(coded) or is_comment(first)) or _TEX.match(first):
        return None
    coded += [is_code(text[slice(*line)]) for line in lines[2:]]
    if not any(coded) or any(is_rule(text[slice(*line)]) for line in lines):
        return None
    others = (line for line, is_one in zip(lines, coded, strict=True) if not is_one)
    alike = sum(COMMENT.match(text, *line) is not None or text[line[0] : line[0] + 2].isspace() for line in others)
    if (sum(coded) + alike) * 2 < len(lines):
        return None
    return [Piece(*line, "head" if is_comment else "whole") for line, is_comment in statements(text, lines)]


_READERS: tuple[Callable[[str, Sequence[Line], str], list[Piece] | None], ...] = (
    _cues,
    _log,
    json_values,
    csv_rows,
    _html,
    key_values,
    labelled_lines,
    _code,
)
