"""Statements of code: lines that belong together by their brackets, strings, comments and line continuations.

Not a parser: brackets, quotation marks and the ends of lines tell enough in most languages, also in an excerpt that
begins in the middle, and no language needs to be known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import regex

from fgr_retriever.text.lines import COMMENT, Line

_TOKEN = regex.compile(r"\"(?:[^\"\\\n]|\\.)*+\"|'(?:[^'\\\n]|\\.)*+'|(?:\#|//|--[ ]).*|[()\[\]{}]")
_LONG_STRING = regex.compile(r"\"\"\"|'''")
_SQL = regex.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|WITH|MERGE|GRANT)\b", regex.IGNORECASE)
_GOES_ON = regex.compile(r"\s*(?:\.\w|\?\.|&&|\|\||[)\]}])")
_DEFAULT = "([{"
LONGEST_STATEMENT = 800
"""Characters of a statement beyond which its lines are units of their own."""


def depth(line: str, opening: str = _DEFAULT) -> int:
    """Count the brackets that a line opens, less those that it closes; those in strings and comments do not count."""
    if not any(mark in line for mark in "()[]{}"):
        return 0
    closing = "".join({"(": ")", "[": "]", "{": "}"}[mark] for mark in opening)
    marks = [match.group() for match in _TOKEN.finditer(line)]
    return sum(mark in opening for mark in marks if len(mark) == 1) - sum(
        mark in closing for mark in marks if len(mark) == 1
    )


def statements(text: str, lines: Sequence[Line]) -> Iterator[tuple[Line, bool]]:
    """Join lines of code to statements.

    Args:
        text: Any text.
        lines: Lines of it that are code, without blank lines between them.

    Yields:
        Range of each statement, and whether it is a comment that belongs to what follows.
    """
    place = 0
    while place < len(lines):
        start, end = lines[place]
        line = text[start:end]
        if COMMENT.match(line) and place + 1 < len(lines):
            yield (start, end), True
            place += 1
            continue
        last = _last_line(text, lines, place)
        if lines[last][1] - start <= LONGEST_STATEMENT:
            yield (start, lines[last][1]), False
            place = last + 1
        else:
            yield (start, end), False
            place += 1


def _last_line(text: str, lines: Sequence[Line], first: int) -> int:
    """Find the last line of the statement that a line begins; looks no further than a statement may be long."""
    limit = lines[first][0] + LONGEST_STATEMENT
    line = text[slice(*lines[first])]
    is_sql, opened, quoted, last = _SQL.match(line) is not None, depth(line, "(["), _quotes(line), first
    while last + 1 < len(lines) and lines[last][1] <= limit:
        behind = text[slice(*lines[last + 1])]
        ended = line.rstrip().endswith(";") if is_sql else not line.endswith("\\") or line.endswith("\\\\")
        if opened <= 0 and not quoted and ended and not (_GOES_ON.match(behind) and _continues(behind)):
            break
        last, line = last + 1, behind
        opened += depth(line, "([")
        quoted ^= _quotes(line)
    return last


def _continues(line: str) -> bool:
    """Say whether a line that begins with an operator goes on with a statement: a closing brace alone does not."""
    return not line.strip().startswith("}")


def _quotes(line: str) -> bool:
    """Say whether a string over several lines begins or ends in a line."""
    return len(_LONG_STRING.findall(line)) % 2 == 1
