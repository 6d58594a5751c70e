"""Lines of LaTeX: formulas and listings that stay whole, rows, and what is never evidence."""

from __future__ import annotations

from collections.abc import Sequence

import regex

from fgr_retriever.text.lines import Line, matcher

_BEGIN = regex.compile(r"\s*\\begin\{(\w+\*?)\}")
_DISPLAY = regex.compile(
    r"(?:equation|align|gather|multline|eqnarray|displaymath|math|verbatim|lstlisting|minted|figure|table)\*?"
)
_is_alone = matcher(r"\s*\\end\b|.*\\\\\s*$|\s*\$\$")
_is_silent = matcher(r"\s*(?:\\(?:label|centering|maketitle|tableofcontents|newpage|clearpage)\b|%)")
_LONGEST_DISPLAY = 800


def latex_kind(line: str) -> str:
    """Give the kind of a line of LaTeX that is a piece of its own; empty for any other line.

    Returns:
        A kind of `Piece`, or `display` for the first line of a formula or listing.
    """
    if "\\" not in line and line.lstrip()[:1] not in ("%", "$"):
        return ""
    begin = _BEGIN.match(line)
    if begin:
        return "display" if _DISPLAY.fullmatch(begin[1]) else "head"
    if _is_silent(line):
        return "silent"
    return "whole" if _is_alone(line) else ""


def display_end(text: str, lines: Sequence[Line], place: int) -> int:
    """Find the last line of a formula or listing that a line begins; that line itself if it is not closed soon."""
    begin = _BEGIN.match(text, *lines[place])
    close = text.find(f"\\end{{{begin[1]}}}", begin.end(), begin.end() + _LONGEST_DISPLAY) if begin else -1
    last = place
    while close >= 0 and last + 1 < len(lines) and lines[last][1] <= close:
        last += 1
    return last
