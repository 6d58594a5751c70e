"""Statements of code: lines that belong together by their brackets, strings, comments and line continuations.

Not a parser: brackets, quotation marks and the ends of lines tell enough in most languages, also in an excerpt that
begins in the middle, and no language needs to be known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import regex

from fgr_retriever.text.lines import Line, is_comment

_TOKEN = regex.compile(r"\"(?:[^\"\\\n]|\\.)*+\"|'(?:[^'\\\n]|\\.)*+'|(?:\#|//|--[ ]).*|[()\[\]{}]")
_LONG_STRING = re.compile(r"\"\"\"|'''")
_SQL = regex.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|WITH|MERGE|GRANT)\b", regex.IGNORECASE)
_GOES_ON = regex.compile(r"\s*(?:\.\w|\?\.|&&|\|\||[)\]])")  # a closing brace ends a block of statements
_SQL_MARKS = frozenset("SIUDCAWMG")
_DEFAULT = "([{"
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_BRACKET = re.compile(r"[()\[\]{}]")
_QUOTE_OR_COMMENT = re.compile(r"[\"'#]|//|--[ ]")
_GOES_ON_MARKS = frozenset(".?&|)]")
LONGEST_STATEMENT = 800
"""Characters of a statement beyond which its lines are units of their own."""
_MOST_LINES = 40  # of a statement; likewise, and so that very short lines are not looked at some hundred times each


def depth(line: str, opening: str = _DEFAULT) -> int:
    """Count the brackets that a line opens, less those that it closes; those in strings and comments do not count."""
    if _BRACKET.search(line) is None:
        return 0
    if _QUOTE_OR_COMMENT.search(line) is not None:
        line = "".join(token for token in _TOKEN.findall(line) if len(token) == 1)
    return sum(line.count(mark) - line.count(_CLOSING[mark]) for mark in opening)


def statements(text: str, lines: Sequence[Line]) -> Iterator[tuple[Line, bool]]:
    """Join lines of code to statements.

    Args:
        text: Any text.
        lines: Lines of it that are code, without blank lines between them.

    Yields:
        Range of each statement, and whether it is a comment that belongs to what follows.
    """
    shapes = [_Shape.of(text[start:end]) for start, end in lines]
    place = 0
    while place < len(lines):
        start, end = lines[place]
        if shapes[place].is_comment and place + 1 < len(lines):
            yield (start, end), True
            place += 1
            continue
        last = _last_line(lines, shapes, place)
        if last - place >= _MOST_LINES or lines[last][1] - start > LONGEST_STATEMENT:
            last = place
        yield (start, lines[last][1]), False
        place = last + 1


class _Shape(NamedTuple):
    """What of a line of code matters for where a statement ends; looked at once, since statements look ahead."""

    is_comment: bool
    is_sql: bool
    opened: int
    quotes: bool
    semicolon: bool
    backslash: bool
    goes_on: bool

    @classmethod
    def of(cls, line: str) -> _Shape:
        """Look at a line."""
        bare = line.rstrip()
        mark = bare.lstrip()[:1]
        return cls(
            is_comment(line),
            mark.upper() in _SQL_MARKS and _SQL.match(line) is not None,
            depth(line, "(["),
            ('"""' in line or "'''" in line) and len(_LONG_STRING.findall(line)) % 2 == 1,
            bare.endswith(";"),
            bare.endswith("\\") and not bare.endswith("\\\\"),
            mark in _GOES_ON_MARKS and _GOES_ON.match(line) is not None,
        )


def _last_line(lines: Sequence[Line], shapes: Sequence[_Shape], first: int) -> int:
    """Find the last line of the statement that a line begins; looks no further than a statement may be long."""
    limit = lines[first][0] + LONGEST_STATEMENT
    end = min(first + _MOST_LINES, len(lines) - 1)
    opened, quoted, last = shapes[first].opened, shapes[first].quotes, first
    is_sql = shapes[first].is_sql
    while last < end and lines[last][1] <= limit:
        ended = shapes[last].semicolon if is_sql else not shapes[last].backslash
        if opened <= 0 and not quoted and ended and not shapes[last + 1].goes_on:
            break
        last += 1
        opened += shapes[last].opened
        quoted ^= shapes[last].quotes
    return last
