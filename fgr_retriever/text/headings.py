# ruff: noqa: RUF001 (the look-alike characters are meant)
"""Headings above what they name: where a section begins, and which paragraphs belong to what follows them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import regex

from fgr_retriever.text.atoms import is_table_row
from fgr_retriever.text.latex import latex_kind
from fgr_retriever.text.lines import FENCE, is_heading, is_plain_heading, is_question, is_rule, marker

LOWEST = 9
"""The level of a heading that has no mark of one: a short line between blank ones."""
_BOLD_LEVEL = LOWEST - 1
_MOST_LINES = 3
_LONGEST_LINE = 200  # characters of a line in bold, a question or a caption
_LONGEST_LEAD = 500  # characters of a paragraph that ends with a colon
_HASHES = re.compile(r" {0,3}(#{1,6})[ \t]+(\S.*?)(?:[ \t]+#+)?[ \t]*$")
_SIGNS = re.compile(r"(={1,6}|\*{1,6})[ \t]*\S")  # wiki, AsciiDoc, Org
_DOCUMENT = re.compile(r"=[ \t]+[^\W\d]")  # the title of a document in AsciiDoc
_LATEX = re.compile(r"\\(part|chapter|(?:sub)*section|(?:sub)?paragraph)\*?(?:\[[^\]]*\])?\{([^{}]*)")
_LATEX_LEVELS = {"part": 1, "chapter": 2, "section": 3, "subsection": 4, "subsubsection": 5}
# The rule below a heading of reST, and the levels that most documents give them; Markdown has the first two.
_ADORNMENT = re.compile(r"([-=~^\"'+.:#*_])\1{2,}\s*")
_LEVELS_BELOW = {"=": 1, "-": 2, "~": 3, "^": 4, '"': 5}
_BOLD = re.compile(r"(\*\*|__|''')(?=\S).*\S\1:?|<(b|strong)>.*</\2>:?")
_NUMBERED = regex.compile(r"(\d{1,3}(?:\.\d{1,3}){0,5})\.?[ \t]+[\p{Lu}\p{Lo}\d\"“'(]")
_BARE_NUMBER = re.compile(r"\d{1,3}(?:\.\d{1,3})+\.?|\d{1,3}\.")
_LAW = regex.compile(
    r"(?i:(?P<high>part|title|book|annex|appendix|schedule|exhibit|teil|anlage|anhang|titre|título|parte)"
    r"|(?P<middle>chapter|kapitel|chapitre|capítulo|capitolo)"
    r"|article|art\.|section|sec\.|clause|artikel|abschnitt|ziffer|artículo|articolo)[ ]+"
    r"(?:\d+(?:[.\-]\d+)*[a-z]?|[IVXLC]+|[A-Z])(?=[\s.:)–—-]|$)|§{1,2}[ ]?\d+"
)
_SILENT = re.compile(r"\s*(?:<!--.*-->|<a (?:id|name)=.*|\[\[[^\[\]]+\]\])\s*")
_GRID = re.compile(r"\s*(?:\+[-=+]{3,}\+|\|===|\\begin\{(?:long)?tab\w*\*?\}|<table\b|=+(?:[ ]+=+)+\s*$)")


class Heading(NamedTuple):
    """The heading that a paragraph begins with.

    Args:
        level: Its level, 0 for the highest: a title between two rules.
        text: Its words without marks; empty if it has no mark that tells it from a line of text.
    """

    level: int
    text: str = ""


def heading_of(lines: Sequence[str]) -> Heading | None:
    """Find the heading that a paragraph begins with.

    Args:
        lines: The lines of a paragraph, none of them blank.
    """
    line = lines[0].strip()
    if hashes := _HASHES.match(lines[0]):
        return Heading(len(hashes[1]), hashes[2])
    if latex := _LATEX.match(line):
        return Heading(_LATEX_LEVELS.get(latex[1], _BOLD_LEVEL), latex[2])
    if is_heading(lines[0]) or _DOCUMENT.match(line):
        signs = _SIGNS.match(line)
        if signs:
            return Heading(len(signs[1]), line.strip("=* "))
        return Heading(1 if len(lines) > 1 and "=" in lines[1] else LOWEST)  # a section of settings, or "[Music]"
    if end := _underlined(lines):
        level = 0 if end > 2 else _LEVELS_BELOW.get(lines[1].strip()[0], 6)
        return Heading(level, lines[end - 2].strip())
    alone = _level_alone(lines)
    return None if alone is None else Heading(alone)


def is_heading_in(line: str, paragraph: Sequence[str]) -> bool:
    """Say whether a line of a paragraph is marked as a heading; `** b` in a list that begins with `* a` is an item."""
    return is_heading(line) and not (line.startswith("*") and paragraph[0].startswith(("* ", "- ")))


def belongs_to_next(lines: Sequence[str], following: Sequence[str]) -> bool:
    """Say whether a paragraph ends with what belongs to the one that follows it.

    Such are headings of all kinds, a line that leads in with a colon, a question, and the caption of a table.

    Args:
        lines: The lines of a paragraph, none of them blank.
        following: The lines of the next one.
    """
    last = len(lines)
    while last > 1 and (_SILENT.fullmatch(lines[last - 1]) or latex_kind(lines[last - 1]) == "silent"):
        last -= 1
    line = lines[last - 1].strip()
    if FENCE.match(lines[last - 1]):
        return False
    if is_heading_in(lines[last - 1], lines) or latex_kind(lines[last - 1]) == "head" or _underlined(lines) == last:
        return True
    if last == 1 and _DOCUMENT.match(line):
        return True
    if line.rstrip('*_"”») ')[-1:] in (":", "：") and sum(map(len, lines)) <= _LONGEST_LEAD:
        return True
    if _level_alone(lines[:last]) is not None:
        return True
    if last > 1 or len(line) > _LONGEST_LINE:
        return False
    if line[-1] in "?？" or is_question(line):
        return True
    return _names_entries(line, following[0]) or (not is_table_row(line) and _begins_table(following[0]))


def _level_alone(lines: Sequence[str]) -> int | None:
    """Give the level of a heading without a mark: one line, or a few, between blank ones."""
    if len(lines) > _MOST_LINES:
        return None
    levels = [level for line in lines if (level := _level_of(line.strip())) is not None]
    return min(levels) if len(levels) == len(lines) else None


def _level_of(line: str) -> int | None:
    """Give the level of a line between blank ones; None if it is no heading, or the item of a list."""
    if len(line) > _LONGEST_LINE:
        return None
    if law := _LAW.match(line):
        return (1 if law["high"] else 2 if law["middle"] else 3) if is_plain_heading(line.rstrip(".:")) else None
    if _BARE_NUMBER.fullmatch(line):
        return line.strip(".").count(".") + 1
    if is_plain_heading(line):
        if marker(line, 0, len(line)):
            return None
        return numbered[1].count(".") + 1 if (numbered := _NUMBERED.match(line)) else LOWEST
    return _BOLD_LEVEL if _BOLD.fullmatch(line) else None


def _underlined(lines: Sequence[str]) -> int:
    """Count the lines of a heading with a rule below it, and perhaps above it; 0 if there is none."""
    first = 1 if _ADORNMENT.fullmatch(lines[0]) else 0
    if len(lines) < first + 2 or not lines[first].strip()[0].isalnum() or not _ADORNMENT.fullmatch(lines[first + 1]):
        return 0
    is_wide = len(lines[first + 1].strip()) >= len(lines[first].strip())
    if first:
        return 3 if is_wide and lines[0].strip() == lines[2].strip() else 0
    return 2 if is_wide or (is_rule(lines[1]) and is_plain_heading(lines[0])) else 0


def _names_entries(line: str, behind: str) -> bool:
    """Say whether an item by itself is a heading: `4. Fees`, `* Prices` in Org, not followed by an item like it."""
    mark = marker(line, 0, len(line))
    if mark is None or line[0] in "-+•‣◦▪●–" or not is_plain_heading(line[mark.end() :] or "-"):
        return False
    return _kind(mark[0]) != (_kind(other[0]) if (other := marker(behind, 0, len(behind))) else "")


def _kind(mark: str) -> str:
    """Write the mark of an item so that it equals that of the items beside it."""
    return re.sub(r"[a-z]+", "a", re.sub(r"\d+", "1", mark.strip().lower()))


def _begins_table(line: str) -> bool:
    return is_table_row(line) or _GRID.match(line) is not None
