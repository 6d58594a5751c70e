"""Documents to text: HTML, Jupyter notebooks and PDF. What is kept is text; pictures and layout are not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from fgr_retriever.errors import InputError, MissingExtraError

_SILENT = frozenset({"script", "style", "template", "noscript", "head", "nav", "svg"})
_BLOCKS = frozenset(  # of HTML (WHATWG): what is not part of a line
    {"address", "article", "aside", "blockquote", "body", "dd", "details", "div", "dl", "dt", "fieldset", "figcaption"}
    | {"figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "ol", "p", "pre"}
    | {"section", "summary", "table", "tbody", "td", "th", "thead", "tr", "ul"}
)
_LINES = frozenset({"br", "li", "tr", "dt", "dd"})  # begin a line, not a paragraph
_CELLS = frozenset({"td", "th"})
_SPACES = re.compile(r"\s+")
_BEGINNING = re.compile(r"^(?: ?\| | (?=\S))")  # of a line: the mark before a row's first cell, or one space


def html_text(markup: str) -> str:
    """Take the text out of HTML: blocks become paragraphs, headings Markdown headings, cells are parted by ` | `."""
    reader = _TextOfHtml()
    reader.feed(markup)
    reader.close()
    return reader.text()


def notebook_text(content: str, name: str) -> str:
    """Take the cells of a Jupyter notebook, Markdown as it is and code in fences, without outputs.

    Raises:
        InputError: It is no notebook.
    """
    try:
        cells = json.loads(content)["cells"]
        found = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{name}: not a Jupyter notebook: {error!r}") from error
    return "\n\n".join(f"```\n{text}\n```" if kind == "code" else text for kind, text in found if text.strip())


def pdf_pages(path: Path, name: str) -> Iterator[str]:
    """Give the text of each page of a PDF file.

    Raises:
        MissingExtraError: pypdf is not installed.
        InputError: It cannot be read, or needs a password.
    """
    try:
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError
    except ImportError as error:
        raise MissingExtraError(f"reading {name}", "pdf") from error
    try:
        for page in PdfReader(path).pages:
            yield page.extract_text()
    except (PyPdfError, ValueError, KeyError, TypeError) as error:  # what it raises for damaged files
        raise InputError(f"{name}: not a PDF file that can be read: {error}") from error


class _TextOfHtml(HTMLParser):
    """Collects text, and where paragraphs, lines and cells end."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
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
            if tag in _BLOCKS - _LINES - _CELLS:
                self._parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._parts.append(data if self._literal else _SPACES.sub(" ", data))

    def _begin(self, tag: str) -> None:
        if tag in _CELLS:
            self._parts.append(" | ")
        elif tag in _LINES:
            self._parts.append("\n- " if tag == "li" else "\n")
        elif tag in _BLOCKS:
            self._parts.append(
                "\n\n" + ("#" * int(tag[1]) + " " if tag in ("h1", "h2", "h3", "h4", "h5", "h6") else "")
            )

    def text(self) -> str:
        """Join what was collected, with at most one blank line between paragraphs."""
        lines = [_BEGINNING.sub("", line.rstrip()) for line in "".join(self._parts).split("\n")]
        kept = [line for before, line in zip(["", *lines], lines, strict=False) if line or before]
        return "\n".join(kept).strip() + "\n"
