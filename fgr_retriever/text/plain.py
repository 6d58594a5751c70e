# ruff: noqa: RUF001 (the look-alike characters are meant)
"""Lines of words: most lines of prose, of which one look says that no other rule about lines holds.

Such a line begins with a letter or a digit and ends with a letter, a hyphen or a mark of prose. It has no mark that a
rule cannot do without, and no word at its start that one looks for. The other way round says nothing: a line that is
not told here may be prose, too. A new rule about lines has its marks and words here; a test says where one is missing.
"""

from __future__ import annotations

import re

from fgr_retriever.text.furniture import COMMON_STARTS
from fgr_retriever.text.lines import CODE_WORDS

# `re` and not `regex`: it takes half the time here.
_BREAK = r"(?:\r\n|[\r\n])"
_MARK = r"(?:(?:[a-z]|[ivx]{1,5}|\d{1,3})[.)]|[A-Z]\))\s"  # of an item
_NUMBER = r"[ivxl]{1,6}(?:[\r\n]|\Z)"  # of a page
_STARTS = rf"{_MARK}|{_NUMBER}|[A-Z]{{4}}|\d{{10}}|Traceback |goroutine |(?:{'|'.join(sorted(CODE_WORDS))})\b"
_COMMON = "|".join(map(re.escape, sorted(COMMON_STARTS)))
_LINE = rf"(?!{_STARTS}|(?i:{_COMMON}))[^\W_][^|\t:：=\\>\r\n]*(?:(?<=[.!…。,”\"’-])|(?<=[^\W\d_]))"
_LINES = re.compile(rf"{_LINE}(?:{_BREAK}{_LINE})*")

_TITLE = re.compile(r"#{1,6}[ ]+.*[^\W\d_]")


def is_plain(text: str, start: int, end: int) -> bool:
    """Say whether a range has only lines of words: no heading, item, row, label, time, code or page furniture.

    Args:
        text: Any text.
        start: Where the first of its lines starts.
        end: Where the last one ends.

    Returns:
        True if every line in it is one of words, so that only commas could make them rows of separated values;
        False if that takes more than one look to tell.
    """
    if _LINES.fullmatch(text, start, end) is None:
        return False
    return text.find(" -", start, end) < 0 and text.find("ookie", start, end) < 0


def is_title(text: str, start: int, end: int) -> bool:
    """Say whether a line between blank ones is a heading of Markdown; one that ends with no letter may be code."""
    return text[start] == "#" and _TITLE.fullmatch(text, start, end) is not None
