# ruff: noqa: RUF001 (the look-alike characters are meant)
r"""Where a text may be cut: never inside a word, number, identifier, URL, link or grapheme.

An *atom* is a stretch of text that loses its meaning when it is cut. Atoms are found line by line
(none crosses a line break), so the cost is linear and only the lines around a cut are looked at.
Chinese, Japanese kana, Thai, Lao, Khmer and Burmese write no spaces between words: there every
grapheme stands alone. A mark that follows white space is broken text and protects nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import regex
from numpy.typing import NDArray

from fgr_retriever.text.groups import number_groups

_SPACELESS = r"[\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_LETTER = rf"[[\p{{L}}--{_SPACELESS}]\p{{N}}\p{{Pc}}]"
# Marks, zero-width (non-)joiners, soft hyphens and word joiners continue a word.
_WORD = rf"{_LETTER}[{_LETTER}\p{{M}}\u200c\u200d\u00ad\u2060]*+"
# What joins two words into one identifier, number, path, e-mail address or hyphenated word.
_JOINT = (
    r"(?:['’.·‧@&_/\\+^\-‐‑]|::?|:\\|/\.{1,2}/"
    r"|(?<=\p{Nd})[,–](?=\p{Nd})"
    r"|(?<=\p{Nd})[\u00a0\u2009\u202f](?=\p{Nd}))"
)
_PREFIX = r"(?<![\p{L}\p{N}.])(?:\.{0,2}/|~/|\.|--|[+−±\-]?\p{Sc}[+−\-]?|[+−±\-@#\\])"
_SUFFIX = (
    r"(?:\(\)|\[\p{N}*\]"  # a call, an index or a footnote mark
    r"|(?<=\p{N})(?:[ \u00a0\u202f]?[%‰]|[ \u00a0\u202f]?°\p{L}?|\p{Sc})"
    r"|(?<=[A-Za-z])(?:\+\+|\#)(?!\w)"  # C++, C#
    r"|(?<=\.\p{L})\.(?![\p{L}\p{N}])"  # U.S.
    r"|/(?!\S))"
)
_TERM = regex.compile(rf"(?V1)(?:{_PREFIX})?{_WORD}(?:{_SUFFIX})?(?:{_JOINT}{_WORD}(?:{_SUFFIX})?)*+")
_SPACE = r"\s\x1c-\x1f"  # what `str.strip` drops; `\s` alone leaves out the four separators
_URL_END = r"(?<![.,;:!?'’”*_\]])"
_URL = regex.compile(
    r"(?<![A-Za-z0-9])(?:[A-Za-z][A-Za-z0-9+.\-]{1,20}://|www\.|mailto:)"
    rf"(?:[^{_SPACE}()<>\"“”`{{}}|\\^（）「」『』【】《》〈〉，。；：？！、｡．।॥—]|\([^{_SPACE}()]*+\))+" + _URL_END
)
# The two atoms that hold white space. Bounded, so that a stray mark costs a constant.
_SPACED = regex.compile(
    r"(?<!`)(`{1,2})(?!`)[^\r\n]{1,300}?(?<!`)\1(?!`)"
    r"|!?\[[^\[\]\r\n]{0,300}\](?:\([^()\s]{0,2000}(?:\([^()\s]{0,200}\)[^()\s]{0,200})?(?:[ ]\"[^\"\r\n]{0,200}\")?\)"
    r"|\[[^\[\]\r\n]{0,100}\])"
)
_PIPED_ROW = regex.compile(r"\s*+(?:\|.*\||.*?\s\|\s.*?\s\|\s)")
_LONGEST_CELL = 80  # characters of a cell beside a single tab: what is longer is prose with a label or an indent
_LINE = regex.compile(r"[^\r\n]++")
# Flags are paired here: `\X` counts back to the first of a run from each of its letters, in quadratic time.
_GRAPHEME = regex.compile(r"\p{RI}{1,2}[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]*+|\X")


def is_table_row(line: str) -> bool:
    """Say whether a line is a row of a Markdown or tab-separated table."""
    return ("|" in line and _PIPED_ROW.match(line.rstrip()) is not None) or ("\t" in line and _is_tabbed_row(line))


def _is_tabbed_row(line: str) -> bool:
    """Say whether a line has cells with tabs between them: three or more, or two short ones that are no sentences."""
    found = [bare for cell in line.split("\t") if (bare := cell.strip())]
    if len(found) != 2:
        return len(found) > 2
    return max(map(len, found)) <= _LONGEST_CELL and not (found[0][-1] in ".!?…" and " " in found[0])


def spaced_atoms(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Find inline code and Markdown links, the atoms that may hold spaces and stops.

    Args:
        text: Any text.
        start: First character to look at.
        end: One past the last character to look at.

    Returns:
        Their character ranges, ascending and disjoint.
    """
    if text.find("`", start, end) < 0 and text.find("[", start, end) < 0:
        return []
    return [match.span() for match in _SPACED.finditer(text, start, end)]


def outside_atoms(
    text: str, start: int, end: int, borders: Iterable[tuple[int, regex.Match[str]]]
) -> Iterator[tuple[int, regex.Match[str]]]:
    """Leave out the borders, ascending, that lie inside inline code or a Markdown link."""
    atoms = iter(spaced_atoms(text, start, end))
    atom = next(atoms, (end, end))
    for border, match in borders:
        while atom[1] < border:
            atom = next(atoms, (end, end))
        if not atom[0] < border < atom[1]:
            yield border, match


def cuts(text: str, start: int, end: int, *, rows: bool = True) -> NDArray[np.int64]:
    """Find every position at which a span of `text[start:end]` may begin or end.

    Args:
        text: Any text.
        start: First character; must itself be a place for a cut, such as the start of a line.
        end: One past the last character; likewise.
        rows: A table row is an atom, too.

    Returns:
        Positions in ascending order, (n,) int64, with `start` and `end` among them.
    """
    atoms = [match.span() for match in _TERM.finditer(text, start, end)]
    atoms += [match.span() for match in _URL.finditer(text, start, end)]
    atoms += spaced_atoms(text, start, end)
    atoms += number_groups(text, start, end)
    atoms += _rows(text, start, end) if rows else []
    atoms += _graphemes(text, start, end)
    ranges = np.array(atoms, dtype=np.int64).reshape(-1, 2) - start
    opened = np.bincount(ranges[:, 0] + 1, minlength=end - start + 1)
    closed = np.bincount(ranges[:, 1], minlength=end - start + 1)
    depth = np.cumsum(opened - closed)  # how many atoms hold both sides of a position
    return np.flatnonzero(depth == 0) + start


def snap_to_atoms(text: str, start: int, end: int) -> tuple[int, int]:
    """Grow a range until it ends inside no atom.

    Args:
        text: Any text.
        start: First character of the range.
        end: One past its last character.

    Returns:
        The smallest range around it that cuts no grapheme, word, number, identifier, URL, e-mail
        address, inline code, Markdown link or table row.
    """
    if start >= end:
        return start, end
    line_start, line_end = line_around(text, start)
    first = cuts(text, line_start, line_end)
    last = cuts(text, *line_around(text, end - 1)) if end > line_end else first
    return int(first[first.searchsorted(start, "right") - 1]), int(last[last.searchsorted(end)])


def line_around(text: str, position: int) -> tuple[int, int]:
    """Give the range of the line that holds a character, with its line break.

    Args:
        text: Any text.
        position: A character of it.

    Returns:
        Where the line starts, and where the next one does.
    """
    start = max(text.rfind("\n", 0, position), text.rfind("\r", 0, position)) + 1
    ends = [found + 1 for mark in "\n\r" if (found := text.find(mark, position)) >= 0]
    return start, min(ends, default=len(text))


def _rows(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Find the table rows, without the white space around them."""
    if text.find("|", start, end) < 0 and text.find("\t", start, end) < 0:
        return []
    found = []
    for match in _LINE.finditer(text, start, end):
        line = match.group()
        if is_table_row(line):
            found.append((match.start() + len(line) - len(line.lstrip()), match.start() + len(line.rstrip())))
    return found


def _graphemes(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Find the graphemes of more than one character, except those that hold white space."""
    if text.isascii():
        return []
    clusters = (match for match in _GRAPHEME.finditer(text, start, end) if len(match.group()) > 1)
    return [match.span() for match in clusters if match.group().split() == [match.group()]]
