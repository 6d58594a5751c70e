# ruff: noqa: RUF001 (the look-alike characters are meant)
"""Blocks: the pieces of a text between which no sentence goes on, as its lines and blank lines say."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence

import regex

from fgr_retriever.text.code import statements
from fgr_retriever.text.furniture import front_matter_end, is_boilerplate, is_number, running_heads
from fgr_retriever.text.lines import FENCE, Line, begins_block, is_code_line, is_comment, is_plain_heading
from fgr_retriever.text.paragraph import paragraph_pieces
from fgr_retriever.text.piece import Piece, whole
from fgr_retriever.text.plain import is_plain
from fgr_retriever.text.rows import csv_rows, runs_of_rows

_LINE = re.compile(r"[^\r\n]+")  # `re` and not `regex`: it takes half the time here
_MOST_HEADING_LINES = 3
_STOPS = ".!?,;:。"
_ENDS = ".!?:)。"
_CODE_MARK = regex.compile(r"[{};:=]|import")  # without one, only a line with `from` may be code
_UNFINISHED = regex.compile(r"(?r)[\p{L}\p{M}\p{N},;–—-]\s*")


def pieces(text: str) -> Iterator[Piece]:
    """Yield the pieces of a text, ascending and disjoint; together they hold all but white space."""
    position = front_matter_end(text)
    if text[position:].strip():
        if position:
            yield Piece(0, position, "silent")
    else:
        position = 0
    yield from _over_pages(text, _of_paragraphs(text, position))


def _over_pages(text: str, found: Iterator[Piece]) -> Iterator[Piece]:
    """Join what goes on behind page numbers and running heads: a sentence over a page break is one."""
    held: list[Piece] = []  # prose that may go on, and page furniture behind it
    for piece in found:
        if not held and piece.kind in ("whole", "head", "silent"):
            yield piece
            continue
        if held and piece.kind in ("silent", "number"):
            held.append(piece)
            continue
        if len(held) > 1 and piece.kind == "prose" and text[piece.start : piece.end].lstrip()[:1].islower():
            piece, held = Piece(held[0].start, piece.end, "prose"), []
        yield from map(_settled, held)
        held = [piece] if _may_go_on(text, piece) else []
        if not held:
            yield _settled(piece)
    yield from map(_settled, held)


def _settled(piece: Piece) -> Piece:
    """Take a bare number that turned out to be no page number for a line of text."""
    return piece if piece.kind != "number" else piece._replace(kind="whole")


def _may_go_on(text: str, piece: Piece) -> bool:
    """Say whether a piece is prose that ends without a stop."""
    return (
        piece.kind == "prose"
        and text[piece.end - 1] not in _ENDS
        and _UNFINISHED.match(text, piece.start, piece.end) is not None
    )


def _of_paragraphs(text: str, position: int) -> Iterator[Piece]:
    """Yield the pieces of each paragraph; of a paragraph that may be a page number, the kind is `number`."""
    heads, fenced, has_pages = running_heads(text), "```" in text or "~~~" in text, "\f" in text
    fence = ""
    runs = list(paragraphs(text, position))
    read = 0  # runs before this one are yielded
    for place, lines in enumerate(runs):
        if place < read:
            continue
        if not fence and (count := runs_of_rows(text, runs, place)) > 1:
            read = place + count
            joined = [line for run in runs[place:read] for line in run]
            yield from csv_rows(text, joined, text[slice(*lines[0])]) or [whole(*line) for line in joined]
            continue
        last = place + 1 == len(runs)
        if not fence and len(lines) <= _MOST_HEADING_LINES:
            paged = has_pages and "\f" in (text[lines[0][0]], "" if last else text[runs[place + 1][0][0]])
            short = _short(text, lines, heads, last, paged)
            if short is not None:
                is_title = place == 0 and len(short) == 1 and short[0].kind == "head"
                if is_title and not is_plain_heading(text[slice(*runs[1][0])]):
                    yield short[0]._replace(kind="silent")  # the title of the passage: `keep_title` decides
                else:
                    yield from short
                continue
        if fenced:
            fence = yield from _fenced(text, lines, fence)
        else:
            yield from paragraph_pieces(text, lines)


def _fenced(text: str, lines: Sequence[Line], fence: str) -> Generator[Piece, None, str]:
    """Yield the pieces of lines that may lie in fences, given the fence that is open.

    Returns:
        The fence that is open at the end.
    """
    at = 0
    for place, line in enumerate(lines):
        mark = FENCE.match(text, *line)
        if mark is None or (fence and not (mark[1].startswith(fence) and not text[slice(*line)].strip(" `~"))):
            continue
        yield from _inside(text, lines[at:place], fence)
        yield Piece(*line, "whole")
        at, fence = place + 1, "" if fence else mark[1]
    yield from _inside(text, lines[at:], fence)
    return fence


def _inside(text: str, lines: Sequence[Line], fence: str) -> Iterator[Piece]:
    """Yield the pieces of lines that are code if there is a fence around them."""
    if fence:
        for line, is_comment in statements(text, lines):
            yield Piece(*line, "head" if is_comment else "whole")
    elif lines:
        yield from paragraph_pieces(text, lines)


def paragraphs(text: str, position: int) -> Iterator[list[Line]]:
    """Yield the lines of each run of lines without a blank one between them, from a position on."""
    lines: list[Line] = []
    last = position
    for match in _LINE.finditer(text, position):
        start, end = match.span()
        mark, gap = text[start], start - last
        blank = mark.isspace() and match.group().isspace()
        if lines and (blank or gap > 2 or (gap == 2 and text[last:start] != "\r\n") or mark == "\f"):
            yield lines
            lines = []
        if not blank:
            lines.append((start, end))
        last = end
    if lines:
        yield lines


def _short(text: str, lines: Sequence[Line], heads: frozenset[str], last: bool, paged: bool) -> list[Piece] | None:
    """Read a paragraph of one to three lines that is no prose: furniture, or a heading."""
    found = []
    for place, (start, end) in enumerate(lines):
        line = text[start:end]
        if line[-1] in _STOPS and not heads:
            return None
        plain = is_plain(text, start, end)
        if (heads and line.strip() in heads and (line[0] == "\f" or place == 0)) or (
            not plain and is_boilerplate(line)
        ):
            found.append(Piece(start, end, "silent"))
        elif not plain and is_number(line) and len(lines) == 1:
            found.append(Piece(start, end, "silent" if paged else "number"))
        elif is_plain_heading(line) and not last and (plain or not _is_marked(line)):
            found.append(Piece(start, end, "head"))
        else:
            return None
    return found


def _is_marked(line: str) -> bool:
    """Say whether a line has a mark that says what it is."""
    if begins_block(line) or is_comment(line) or FENCE.match(line):
        return True
    return (_CODE_MARK.search(line) is not None or "from" in line) and is_code_line(line)
