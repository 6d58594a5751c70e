"""HTML to text: blocks become paragraphs; headings and the rows of tables are written as in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

_SILENT = frozenset({"script", "style", "template", "noscript", "head", "nav", "svg"})
_BLOCKS = frozenset(  # of HTML (WHATWG): what is not part of a line
    {"address", "article", "aside", "blockquote", "body", "dd", "details", "div", "dl", "dt", "fieldset", "figcaption"}
    | {"figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "ol", "p", "pre"}
    | {"section", "summary", "table", "td", "th", "tr", "ul"}
)
_LINES = frozenset({"br", "li", "tr", "dt", "dd"})  # begin a line, not a paragraph
_CELLS = frozenset({"td", "th"})
_TABLES = _CELLS | {"tr", "table"}
_SPACES = re.compile(r"\s+")
_BEGINNING = re.compile(r"^ (?=\S)")


def html_text(markup: str, *, data: bool = False) -> str:
    """Take the text out of HTML.

    Args:
        markup: Any HTML.
        data: Whether every table holds data: its first row is its header, and a cell is one line. On web pages, tables
            also arrange text: there, a row of `th` is a header, and a cell of several paragraphs keeps them.
    """
    reader = _TextOfHtml(data)
    reader.feed(markup)
    reader.close()
    return reader.text()


class _TextOfHtml(HTMLParser):
    """Collects text, and where paragraphs, lines and cells end."""

    def __init__(self, data: bool) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._table = _Table(self._parts, data)
        self._silent: list[str] = []
        self._literal = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        if tag in _SILENT:
            self._silent.append(tag)
        elif not self._silent:
            self._literal += tag == "pre"
            self._begin(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent:
            while self._silent.pop() != tag:
                pass
        elif not self._silent:
            self._literal -= tag == "pre" and self._literal > 0
            if tag in _TABLES:
                self._table.end(tag)
            if tag in _BLOCKS - _LINES - _CELLS:
                self._parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._parts.append(data if self._literal else _SPACES.sub(" ", data))

    def _begin(self, tag: str) -> None:
        if tag in _TABLES:
            self._table.begin(tag)
        elif tag in _LINES:
            self._parts.append("\n- " if tag == "li" else "\n")
        elif tag in _BLOCKS:
            self._table.keep_lines(tag)
            self._parts.append(
                "\n\n" + ("#" * int(tag[1]) + " " if tag in ("h1", "h2", "h3", "h4", "h5", "h6") else "")
            )

    def text(self) -> str:
        """Join what was collected, with at most one blank line between paragraphs."""
        self._table.end("table")  # of which a broken page may have no end
        lines = [_BEGINNING.sub("", line.rstrip()) for line in "".join(self._parts).split("\n")]
        kept = [line for before, line in zip(["", *lines], lines, strict=False) if line or before]
        return "\n".join(kept).strip() + "\n"


class _Table:
    """The table that is being read: makes a line of each row, and a rule as in Markdown below its header.

    Args:
        parts: The text so far; cells are written to it, too.
        data: See `html_text`.
    """

    def __init__(self, parts: list[str], data: bool) -> None:
        self._parts, self._data = parts, data
        self._cell: int | None = None  # where the text of the open cell begins
        self._row: list[tuple[str, str | None]] = []  # tag and text of its cells; no text if that has several lines
        self._start = 0  # of the row
        self._first = False
        self._rule = ""

    def begin(self, tag: str) -> None:
        """Begin a table, a row or a cell; the end of what stands before it may be left out in HTML."""
        if tag == "table":  # a cell with a table in it has several lines
            self._cell, self._row, self._first, self._rule = None, [], True, ""
            self._parts.append("\n\n")
        elif tag == "tr":
            self.end("tr")
            self._parts.append(f"\n{self._rule}\n" if self._rule else "\n")
            self._rule = ""
        else:
            self.end("td")
            if self._row:
                self._parts.append(" | ")
            else:
                self._start = len(self._parts)
            self._cell = len(self._parts)
            self._row.append((tag, None))

    def end(self, tag: str) -> None:
        """End a cell; and the row, and the table, if it is the end of one."""
        if self._cell is not None:
            text = "".join(self._parts[self._cell :]).strip()
            if self._data or "\n\n" not in text:
                self._row[-1] = self._row[-1][0], _SPACES.sub(" ", text)
            self._cell = None
        if tag not in _CELLS and self._row:
            self._end_row()
        if tag == "table":
            self._first, self._rule = False, ""

    def _end_row(self) -> None:
        tags, cells = {tag for tag, _ in self._row}, [text for _, text in self._row if text is not None]
        if len(cells) == len(self._row) > 1:
            self._parts[self._start :] = [markdown_row(cells)]
            if self._first and (self._data or tags == {"th"}):
                self._rule = rule_below(cells)
        self._row, self._first = [], False

    def keep_lines(self, tag: str) -> None:
        """Keep the lines of the open cell if there is code or a heading in it."""
        if not self._data and tag in ("pre", "h1", "h2", "h3", "h4", "h5", "h6"):
            self._cell = None


def markdown_row(cells: Sequence[str]) -> str:
    """Write the row of a table; what splits texts knows it again."""
    return f"| {' | '.join(cells)} |"


def rule_below(header: Sequence[str]) -> str:
    """Write the rule that tells a header from the rows below."""
    return markdown_row(["---"] * len(header))
