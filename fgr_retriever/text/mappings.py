# ruff: noqa: RUF001 (the look-alike characters are meant)
"""Keys with values: JSON, YAML, INI files, sheets and turns of speakers. A value never stands without its key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import regex

from fgr_retriever.text.code import depth
from fgr_retriever.text.lines import KEY, Line, is_comment, is_heading, is_plain_heading, is_question, is_turn
from fgr_retriever.text.piece import Piece, whole

_LONGEST_GROUP = 400  # of an object or mapping that is one unit with all its pairs
_FIRST_LINES = 4  # in which a key must stand
_LONGEST_TURN = 200
# A label of a few words, also with commas, and what it stands for. A stop makes it a sentence.
_LABELLED = regex.compile(
    r"[^\S\r\n]*[\p{Lu}\p{Lo}\p{N}\"“'(][^:.!?;\r\n]{0,90}?(?:\.\p{N}[^:.!?;\r\n]{0,60})?:[ \t]+\S[^\r\n]{0,200}"
)
_LEAST_LABELLED = 0.6  # of the lines of a paragraph that are no headings
_STOPS = ".!?…。"
_JSON = regex.compile(
    r"\s*(?:[{\[]\s*(?:$|[\"{\[\]}\-]|\d(?!\d*\]\s)|true\b|false\b|null\b)|\"[^\"\n]{1,80}\"\s*:(?:\s|$)|[}\]],?\s*$)"
)


_JSON_MARKS = tuple('{["}]')


def json_values(text: str, lines: Sequence[Line], first: str) -> list[Piece] | None:
    """Read JSON: a line that is closed in itself, or an object or list without another one inside, is a record."""
    if first.lstrip()[:1] not in _JSON_MARKS or _JSON.match(first) is None:
        return None
    changes = [depth(text[start:end]) for start, end in lines]
    found, place = [], 0
    while place < len(lines):
        last = _leaf(lines, changes, place)
        start, end = lines[place][0], lines[last][1]
        opens = last == place and changes[place] > 0
        found.append(Piece(start, end, "head") if opens else whole(start, end))
        place = last + 1
    return found


def _leaf(lines: Sequence[Line], changes: Sequence[int], first: int) -> int:
    """Find the line that closes the brackets of a line, if nothing is opened in between; else the line itself."""
    opened = changes[first]
    if opened <= 0:
        return first
    for place in range(first + 1, len(lines)):
        opened += changes[place]
        if changes[place] > 0 or lines[place][1] - lines[first][0] > _LONGEST_GROUP:
            return first
        if opened <= 0:
            return place
    return first


def key_values(text: str, lines: Sequence[Line], first: str) -> list[Piece] | None:
    """Read keys with values: pairs, mappings without a mapping inside, sections, turns of speakers."""
    keys = [_key(text, lines[0])]
    if keys[0] is None and not (
        first.lstrip().startswith(("[", "#", ";", "- "))
        and _may_stand_among(text, lines[0])
        and any(_key(text, line) for line in lines[1:_FIRST_LINES])
    ):
        return None
    for line in lines[1:]:
        keys.append(_key(text, line))
        if keys[-1] is None and not _may_stand_among(text, line):
            return None
    if len(lines) == 1:
        is_one = keys[0] and is_turn(first) and len(first) <= _LONGEST_TURN and not is_question(first)
        return [whole(*lines[0])] if is_one else None
    pairs = sum(key is not None for key in keys)
    if pairs + is_heading(first) < 2:
        return None
    return list(_mappings(text, lines, keys))


def labelled_lines(text: str, lines: Sequence[Line], first: str) -> list[Piece] | None:
    """Read lines that say something of what stands before their colon, such as "Logger, lost or broken: 85 EUR"."""
    if len(lines) < 2 or not any(text.find(":", *line) >= 0 and _LABELLED.fullmatch(text, *line) for line in lines[:2]):
        return None
    kinds = [_kind_beside(text, line, place) for place, line in enumerate(lines)]
    labels = kinds.count("whole")
    if labels < 2 or labels < _LEAST_LABELLED * (len(lines) - kinds.count("head")) or "" in kinds:
        return None
    return [Piece(*line, kind) for line, kind in zip(lines, kinds, strict=True)]


def _kind_beside(text: str, line: Line, place: int) -> str:
    """Give the kind of a line among labelled ones: with a label, a heading above them, a sentence; else nothing."""
    if _LABELLED.fullmatch(text, *line):
        return "whole"
    bare = text[slice(*line)].rstrip()
    if bare[-1] == ":" or (place == 0 and is_plain_heading(bare)):
        return "head"
    return "prose" if bare[-1] in _STOPS and bare[0].isupper() else ""


def is_pair(text: str, line: Line) -> bool:
    """Say whether a line is a key with a colon and a value."""
    return text.find(":", *line) >= 0 and KEY.match(text, *line) is not None


def _key(text: str, line: Line) -> regex.Match[str] | None:
    if text.find(":", *line) < 0 and text.find("=", *line) < 0 and text.find("：", *line) < 0:
        return None
    return KEY.match(text, *line)


def _may_stand_among(text: str, line: Line) -> bool:
    """Say whether a line without a key may stand among keys: indented or an item, a section, a comment."""
    if text[line[0]] in " \t" or text.startswith("- ", line[0]):
        return True
    return is_heading(text[slice(*line)]) or is_comment(text[slice(*line)])


def _mappings(text: str, lines: Sequence[Line], keys: Sequence[regex.Match[str] | None]) -> Iterator[Piece]:
    """Join each key to its value: what is indented deeper, unless there are mappings in it."""
    indents = [_indent(text, line) for line in lines]
    place = 0
    while place < len(lines):
        start, end = lines[place]
        key = keys[place]
        line = text[start:end]
        if not line[-1].isalnum() and is_question(line):
            yield Piece(start, end, "head")
            place += 1
            continue
        if key is None:
            is_head = is_heading(line) or is_comment(line)
            yield Piece(start, end, "head") if is_head else whole(start, end)
            place += 1
            continue
        opens = not key["value"].split("#")[0].strip()
        last, nested = place, False
        while last + 1 < len(lines) and _belongs(text, lines, indents, place, last + 1, opens):
            last += 1
            inner = keys[last]
            nested |= inner is not None and not inner["value"].strip()
            if nested or lines[last][1] - start > _LONGEST_GROUP:
                last = place
                break
        yield Piece(start, end, "head") if opens and last == place else whole(start, lines[last][1])
        place = last + 1


def _belongs(text: str, lines: Sequence[Line], indents: Sequence[int], key: int, place: int, opens: bool) -> bool:
    """Say whether a line is part of a key's value: indented deeper, or an item below a key without a value."""
    if indents[place] > indents[key]:
        return True
    return opens and indents[place] == indents[key] and text.startswith("- ", lines[place][0] + indents[place])


def _indent(text: str, line: Line) -> int:
    """Count the white space that a line begins with."""
    start, end = line
    return end - start - len(text[start:end].lstrip())
