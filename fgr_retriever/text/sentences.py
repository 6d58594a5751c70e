# ruff: noqa: RUF001 (the look-alike characters are meant)
r"""Offset-preserving segmentation: texts into sentences, sentences into phrases.

A text is first cut into pieces where its lines say so (`blocks.py`): blank lines, headings, list items,
records such as table rows, JSON lines and log entries, statements of code. Prose is then cut at its full stops
(`stops.py`) and its sentences into phrases (`clauses.py`); a record stays whole, and a heading belongs to what
follows it. No model and no language setting: the rules cover scripts with and without spaces.
All of it takes linear time, and every range is free of surrounding white space.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import regex

from fgr_retriever.text.atoms import is_table_row
from fgr_retriever.text.blocks import pieces
from fgr_retriever.text.clauses import clause_borders
from fgr_retriever.text.lines import FENCE, MARKER, is_code, is_heading, is_rule, marker
from fgr_retriever.text.stops import stops

_LINE = regex.compile(r"[^\r\n]++")
_BLANK_LINES = regex.compile(r"(?:\r\n|[\r\n])(?:[^\S\r\n]*(?:\r\n|[\r\n]))+")
_MAX_TITLE = 100
_LONGEST_ITEM = 200  # characters of a list item that is one phrase
_MOST_HEADS = 4  # headings in a row that belong to what follows; more are a list


class Segment(NamedTuple):
    """A sentence or a record, with the headings before it.

    Args:
        start: Its first character.
        end: One past its last.
        body: Where the part begins that may be cut into phrases; `end` if it stays whole.
        silent: It is never evidence: front matter, a page number, navigation.
    """

    start: int
    end: int
    body: int
    silent: bool = False


def segments(text: str, near: Sequence[int] | None = None) -> list[Segment]:
    """Cut a text into sentences and records.

    Args:
        text: Any text.
        near: If given, characters of it, ascending: sentences that hold none of them may be one, with the white
            space around them. A search needs few of the sentences of a long text.

    Returns:
        Segments, ascending and disjoint, without white space at their ends, that together hold every
        other character.
    """
    uncased = text.islower()
    found: list[Segment] = []
    heads: list[tuple[int, int]] = []
    asked = None if near is None else [*near, len(text)]  # no range holds the last one
    held: Sequence[int] | None = None
    place = 0
    for start, end, kind in pieces(text):
        if kind == "head":
            heads += _split(text, start, end, ())
            continue
        if asked is not None:
            first = heads[0][0] if heads else start
            place = bisect_left(asked, first, place)
            if asked[place] >= end and kind != "silent":
                found.append(Segment(first, end, end))  # not joined: what lies between two is in neither
                heads = []
                continue
            held = asked[place : bisect_left(asked, end, place)]
        is_prose = kind == "prose"
        ranges = _split(text, start, end, stops(text, start, end, uncased, held) if is_prose else ())
        if heads and ranges and (kind == "silent" or len(heads) > _MOST_HEADS):
            found += [Segment(*head, head[1]) for head in heads]
            heads = []
        for low, high in ranges:
            is_whole = not is_prose or (high - low <= _LONGEST_ITEM and marker(text, low, high) is not None)
            body = high if is_whole else low
            found.append(Segment(heads[0][0] if heads else low, high, body, kind == "silent"))
            heads = []
    return found + [Segment(*head, head[1], silent=len(heads) <= _MOST_HEADS) for head in heads]


def sentences(text: str) -> list[tuple[int, int]]:
    """Cut a text into sentences and records, such as list items, table rows, statements of code and log entries.

    Args:
        text: Any text.

    Returns:
        Character ranges, ascending and disjoint, without white space at their ends, that together
        hold every other character. A heading is part of the first one that follows it.
    """
    return [(start, end) for start, end, *_ in segments(text)]


def sentences_in(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Cut a range of a record, such as a long cell, into the sentences in it."""
    return _split(text, start, end, stops(text, start, end, text[start:end].islower()))


def phrases(text: str, start: int, end: int, body: int | None = None) -> list[tuple[int, int]]:
    """Cut one sentence into phrases: at commas, dashes, brackets and conjunctions.

    Args:
        text: Any text.
        start: First character of the sentence, as `segments` gives it.
        end: One past its last character.
        body: Where its part begins that may be cut; by default at its start.

    Returns:
        Character ranges as for `sentences`. A table row is one phrase.
    """
    body = start if body is None else body
    if body >= end or is_table_row(text[start:end]):
        return [(start, end)]
    return _split(text, start, end, clause_borders(text, body, end))


def paragraph_breaks(text: str) -> list[int]:
    """Find the blank lines.

    Args:
        text: Any text.

    Returns:
        Where the line breaks around each run of blank lines begin, ascending.
    """
    return [match.start() for match in _BLANK_LINES.finditer(text)]


def title(text: str) -> tuple[int, int] | None:
    """Find the title line that a text begins with.

    Args:
        text: Any text.

    Returns:
        The character range of the first line if it is a heading, or short, without a full stop and
        set off from the text after it; None if there is none.
    """
    lines = _LINE.finditer(text)
    first = next((line for line in lines if not line.group().isspace()), None)
    second = next(lines, None)
    if first is None or second is None:
        return None
    line = first.group().strip()
    start = first.start() + len(first.group()) - len(first.group().lstrip())
    found = start, start + len(line)
    if is_heading(line) or is_rule(second.group()):
        return found
    structured = is_table_row(line) or FENCE.match(line) or MARKER.match(line) or is_code(line)
    if structured or len(line) > _MAX_TITLE or line[-1] in ".!?,;:…。！？：，；" or line[0].islower():
        return None
    if _BLANK_LINES.match(text, first.end()):
        return found
    # On adjacent lines: a soft-wrapped line would have taken the next line's first word.
    following = second.group().strip()
    room = len(following) - len(line) - 1
    return found if following and not following[0].islower() and room > len(following.split()[0]) else None


def _split(text: str, start: int, end: int, borders: Iterable[int]) -> list[tuple[int, int]]:
    """Cut a range at ascending positions and strip the white space around the pieces."""
    found = []
    for border in (*borders, end):
        if start < border and not (text[start].isspace() or text[border - 1].isspace()):
            found.append((start, border))
        elif piece := text[start:border].lstrip():
            start = border - len(piece)
            found.append((start, start + len(piece.rstrip())))
        start = border
    return found
