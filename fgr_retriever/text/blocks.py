"""Blocks: the pieces of a text between which no sentence goes on, as its lines and blank lines say."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import regex

from fgr_retriever.text.atoms import is_table_row
from fgr_retriever.text.code import statements
from fgr_retriever.text.furniture import front_matter_end, is_boilerplate, is_number, running_heads
from fgr_retriever.text.lines import (
    COMMENT,
    FENCE,
    MARKER,
    Line,
    begins_block,
    is_heading,
    is_plain_heading,
    is_rule,
    is_turn,
)
from fgr_retriever.text.records import Piece, records

_LINE = regex.compile(r"[^\r\n]++")
_LONGEST_TURN = 200
_LONGEST_LEAD = 80  # characters of a line with a colon that belongs to the list below it
_MOST_HEADING_LINES = 3
_CODE_LINE = regex.compile(
    r".*(?:[{}]|[)\]}];|\):)\s*$|\s*[\w.\[\]]+\s*(?:[-+*/|&]?=|:=)\s*\S|\s*(?:import|from)\s+[\w.]+\s*$"
)
_TEX_BEGIN = regex.compile(r"\s*\\begin\{(\w+\*?)\}")
_TEX_DISPLAY = regex.compile(
    r"(?:equation|align|gather|multline|eqnarray|displaymath|math|verbatim|lstlisting|minted|figure|table)\*?"
)
_TEX_ALONE = regex.compile(r"\s*\\end\b|.*\\\\\s*$|\s*\$\$")
_TEX_SILENT = regex.compile(r"\s*(?:\\(?:label|centering|maketitle|tableofcontents|newpage|clearpage)\b|%)")
_LONGEST_DISPLAY = 800
_STOPS = ".!?,;:。"
_UNFINISHED = regex.compile(r"(?r)[\p{L}\p{M}\p{N},;–—-]\s*")


def pieces(text: str) -> Iterator[Piece]:
    """Yield the pieces of a text, ascending and disjoint; together they hold all but white space."""
    position = front_matter_end(text)
    if text[position:].strip():
        if position:
            yield Piece(0, position, "silent")
    else:
        position = 0
    open_prose: Piece | None = None  # the last piece, if a page may end inside it
    held: list[Piece] = []  # page numbers and running heads behind it
    for piece in _of_paragraphs(text, position):
        if open_prose is None:
            if _may_go_on(text, piece):
                open_prose = piece
            else:
                yield piece
        elif piece.kind in ("silent", "number"):
            held.append(piece)
        elif held and piece.kind == "prose" and text[piece.start : piece.end].lstrip()[:1].islower():
            joined = Piece(open_prose.start, piece.end, "prose")
            open_prose, held = joined, []
            if not _may_go_on(text, joined):
                yield joined
                open_prose = None
        else:
            yield open_prose
            yield from map(_settled, held)
            held = []
            open_prose = piece if _may_go_on(text, piece) else None
            if open_prose is None:
                yield piece
    if open_prose is not None:
        yield open_prose
        yield from map(_settled, held)


def _settled(piece: Piece) -> Piece:
    """Take a bare number that turned out to be no page number for a line of text."""
    return piece if piece.kind != "number" else piece._replace(kind="whole")


def _may_go_on(text: str, piece: Piece) -> bool:
    """Say whether a piece is prose that ends without a stop."""
    return piece.kind == "prose" and _UNFINISHED.match(text, piece.start, piece.end) is not None


def _of_paragraphs(text: str, position: int) -> Iterator[Piece]:
    """Yield the pieces of each paragraph; of a paragraph that may be a page number, the kind is `number`."""
    heads, fenced = running_heads(text), "```" in text or "~~~" in text
    fence = ""
    paragraphs = list(_paragraphs(text, position))
    for place, lines in enumerate(paragraphs):
        last = place + 1 == len(paragraphs)
        if not fence and len(lines) <= _MOST_HEADING_LINES:
            paged = text[lines[0][0]] == "\f" or (not last and text[paragraphs[place + 1][0][0]] == "\f")
            short = _short(text, lines, heads, last, paged)
            if short is not None:
                is_title = place == 0 and len(short) == 1 and short[0].kind == "head"
                if is_title and not is_plain_heading(text[slice(*paragraphs[1][0])]):
                    yield short[0]._replace(kind="silent")  # the title of the passage: `keep_title` decides
                else:
                    yield from short
                continue
        if fenced:
            fence = yield from _fenced(text, lines, fence)
        else:
            yield from _of_lines(text, lines)


def _fenced(text: str, lines: Sequence[Line], fence: str) -> Generator[Piece, None, str]:
    """Yield the pieces of lines that may lie in fences, given the fence that is open; return the one open at the end."""
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
        yield from _of_lines(text, lines)


def _paragraphs(text: str, position: int) -> Iterator[list[Line]]:
    """Yield the lines of each run of lines without a blank one between them."""
    lines: list[Line] = []
    last = position
    for match in _LINE.finditer(text, position):
        start, end = match.span()
        gap = text[last:start]
        blank = match.group().isspace()
        if lines and (blank or len(gap) > 2 or gap in ("\n\n", "\r\r", "\n\r") or text[start] == "\f"):
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
        if is_boilerplate(line) or (heads and line.strip() in heads and (line[0] == "\f" or place == 0)):
            found.append(Piece(start, end, "silent"))
        elif is_number(line) and len(lines) == 1:
            found.append(Piece(start, end, "silent" if paged else "number"))
        elif is_plain_heading(line) and not last and not _is_marked(line):
            found.append(Piece(start, end, "head"))
        else:
            return None
    return found


def _is_marked(line: str) -> bool:
    """Say whether a line has a mark that says what it is."""
    return begins_block(line) or any(pattern.match(line) for pattern in (COMMENT, _CODE_LINE, FENCE))


def _of_lines(text: str, lines: Sequence[Line]) -> Iterator[Piece]:
    """Yield the pieces of some lines without a fence: records, or else prose with headings, items and rows."""
    found = records(text, lines)
    if found is not None:
        yield from found
        return
    start = end = -1  # of the open piece of prose, if start >= 0
    place = 0
    tried = False  # what follows a first heading may be records, too
    while place < len(lines):
        first, last = lines[place]
        line = text[first:last]
        kind = _kind(text, lines, place, line)
        if start >= 0 and (kind or begins_block(line)):
            yield Piece(start, end, "prose")
            start = -1
        if kind == "display":
            place, last = _display(text, lines, place)
            kind = "whole"
        if kind:
            yield Piece(first, last, kind)
        else:
            start, end = (start if start >= 0 else first), last
        place += 1
        if kind == "head" and not tried and place < len(lines) and not is_heading(text[slice(*lines[place])]):
            tried = True
            if (rest := records(text, lines[place:])) is not None:
                yield from rest
                return
    if start >= 0:
        yield Piece(start, end, "prose")


def _kind(text: str, lines: Sequence[Line], place: int, line: str) -> str:
    """Give the kind of a line that is a piece of its own; empty for prose."""
    if is_heading(line):
        return "head"
    behind = text[slice(*lines[place + 1])] if place + 1 < len(lines) else ""
    if behind and is_rule(behind) and behind.strip()[0] in "=-~^" and is_plain_heading(line) and place == 0:
        return "head"
    if is_rule(line):
        return "head" if place == 1 and is_plain_heading(text[slice(*lines[0])]) else "whole"
    if is_boilerplate(line):
        return "silent"
    if is_table_row(line):
        return "whole"
    if line[-1] == ":" and len(line) <= _LONGEST_LEAD and behind and MARKER.match(behind):
        return "head"
    if "\\" in line or line.lstrip()[:1] in ("%", "$"):
        begin = _TEX_BEGIN.match(line)
        if begin:
            return "display" if _TEX_DISPLAY.fullmatch(begin[1]) else "head"
        if _TEX_SILENT.match(line):
            return "silent"
        if _TEX_ALONE.match(line):
            return "whole"
    if (line[-1] in "{};:" or "=" in line or "import" in line) and _CODE_LINE.match(line):
        return "whole"
    return "whole" if len(line) <= _LONGEST_TURN and is_turn(line) and _is_alone(text, lines, place) else ""


def _is_alone(text: str, lines: Sequence[Line], place: int) -> bool:
    """Say whether nothing goes on with a line in the next one."""
    return place + 1 == len(lines) or begins_block(text[slice(*lines[place + 1])])


def _display(text: str, lines: Sequence[Line], place: int) -> tuple[int, int]:
    """Find the last line of a formula or listing of LaTeX, and where it ends."""
    begin = _TEX_BEGIN.match(text, *lines[place])
    if begin:
        close = text.find(f"\\end{{{begin[1]}}}", begin.end(), begin.end() + _LONGEST_DISPLAY)
        for last in range(place, len(lines)):
            if close >= 0 and lines[last][0] <= close < lines[last][1]:
                return last, lines[last][1]
            if lines[last][0] > begin.end() + _LONGEST_DISPLAY:
                break
    return place, lines[place][1]
