# ruff: noqa: RUF001 (the look-alike characters are meant)
"""Lines that are records: rows of CSV, JSON, keys with values, log entries with what follows, cues, HTML elements.

Each reader looks at a paragraph, a run of lines without a blank one between them, and either leaves it alone or says
which of its lines belong together. What it reads is told by the first lines; each looks ahead no further than a
record may be long, so that all of them take linear time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import regex

from fgr_retriever.text.atoms import is_table_row
from fgr_retriever.text.code import depth, statements
from fgr_retriever.text.lines import COMMENT, CUE, KEY, TRACE, Line, is_code, is_heading, is_rule, is_stamped, is_turn

LONGEST_RECORD = 1_000
"""Characters of a record beyond which it is prose with a label: its sentences are units."""
_LONGEST_GROUP = 400  # of an object or mapping that is one unit with all its pairs
_LONGEST_TURN = 200


class Piece(NamedTuple):
    """A range of a text that no unit crosses.

    Args:
        start: Its first character.
        end: One past its last.
        kind: `prose` is cut into sentences and phrases, `whole` is one unit, `head` belongs to what follows,
            `silent` is never evidence.
    """

    start: int
    end: int
    kind: str


def whole(start: int, end: int) -> Piece:
    """Make a record of a range; what is too long for one is prose."""
    return Piece(start, end, "whole" if end - start <= LONGEST_RECORD else "prose")


def records(text: str, lines: Sequence[Line]) -> list[Piece] | None:
    """Read a paragraph as records.

    Args:
        text: Any text.
        lines: Lines of it, at least one, none of them blank.

    Returns:
        Its pieces, or None if it is prose.
    """
    first = text[slice(*lines[0])]
    if "|" in first and is_table_row(first):
        return None
    for reader in _READERS:
        found = reader(text, lines, first)
        if found is not None:
            return found
    return None


def _cues(text: str, lines: Sequence[Line], first: str) -> list[Piece] | None:
    """Read the cues of a VTT or SRT file: an id, times, and lines of speech."""
    if "-->" not in first and (len(lines) < 2 or text.find("-->", *lines[1]) < 0):
        return None
    begins = [place for place, line in enumerate(lines) if CUE.match(text, *line)]
    if not begins or begins[0] > 1:
        return None
    firsts = [0, *(place - _has_id(text, lines, place) for place in begins[1:])]
    return _runs(lines, firsts)


def _has_id(text: str, lines: Sequence[Line], place: int) -> bool:
    return text[slice(*lines[place - 1])].strip().isdigit()


def _log(text: str, lines: Sequence[Line], first: str) -> list[Piece] | None:
    """Read log entries and lines of chat with a time: what has none belongs to the line before."""
    if not is_stamped(first):
        return _trace(text, lines)
    return _runs(lines, [place for place, line in enumerate(lines) if is_stamped(text[slice(*line)])])


def _trace(text: str, lines: Sequence[Line]) -> list[Piece] | None:
    """Read a stack trace."""
    if len(lines) < 2 or not any(TRACE.match(text, *line) for line in lines[:2]):
        return None
    return _runs(lines, [0])


def _runs(lines: Sequence[Line], firsts: Sequence[int]) -> list[Piece]:
    """Join lines to records that begin with some of them; one that is too long falls into its lines."""
    found = []
    for low, high in zip(firsts, (*firsts[1:], len(lines)), strict=True):
        if lines[high - 1][1] - lines[low][0] <= LONGEST_RECORD:
            found.append(Piece(lines[low][0], lines[high - 1][1], "whole"))
        else:
            found += [whole(*line) for line in lines[low:high]]
    return found


_JSON = regex.compile(r"\s*(?:[{\[]\s*(?:$|[\"{\[\]}\-]|\d(?!\d*\]\s)|true\b|false\b|null\b)|\"[^\"\n]{1,80}\"\s*:(?:\s|$)|[}\]],?\s*$)")


_JSON_MARKS = tuple('{["}]')


def _json(text: str, lines: Sequence[Line], first: str) -> list[Piece] | None:
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


def _csv(text: str, lines: Sequence[Line], first: str) -> list[Piece] | None:
    """Read rows of separated values: every row has as many separators, outside quotation marks, as the first."""
    if len(lines) < 2:
        return None
    for separator in ";,\t":
        if separator in first and text.find(separator, *lines[1]) >= 0:
            rows = _rows(text, lines, separator)
            if rows is not None:
                return rows
    return None


_FIELD = {
    mark: regex.compile(rf"[ ]*+(?:\"(?:[^\"]|\"\"){{0,1000}}+\"[^{mark}\"\r\n]*+|[^{mark}\r\n]*+)({mark})?+")
    for mark in ";,\t"
}
_LEAST_SHARE = 0.7


def _rows(text: str, lines: Sequence[Line], separator: str) -> list[Piece] | None:
    """Read rows at a separator; None if they are none."""
    field, ends, counts, bounds = _FIELD[separator], {end: place for place, (_, end) in enumerate(lines)}, [], []
    place = 0
    while place < len(lines):
        start = position = lines[place][0]
        count = 0
        while (match := field.match(text, position, lines[-1][1])) and match[1]:
            position, count = match.end(), count + 1
        last = ends.get(match.end() if match else -1)
        if last is None:
            return None
        bounds.append((start, lines[last][1]))
        counts.append(count)
        place = last + 1
        if len(counts) == 3 and len(set(counts)) == 3:
            return None
    return [whole(*row) for row in bounds] if _are_rows(text, counts, bounds, separator) else None


def _are_rows(text: str, counts: list[int], bounds: list[Line], separator: str) -> bool:
    """Say whether rows are rows of a file, and not lines of prose that have as many commas by chance."""
    same = sum(count == counts[0] for count in counts) / len(counts)
    spaced = any(text.find(separator + " ", *row) >= 0 for row in bounds) and '"' not in text[bounds[0][0] : bounds[-1][1]]
    if not spaced or separator != ",":
        return len(counts) > 1 and same >= _LEAST_SHARE and counts[0] >= 1
    header = text[slice(*bounds[0])].rstrip()
    return len(counts) > 2 and same == 1 and counts[0] > 1 and header[-1:] not in ".!?,;:"


_TAG = regex.compile(r"\s*<(?:/?[a-zA-Z][\w-]*(?:\s[^<>]*)?/?>|!--|!DOCTYPE)")
_ELEMENT = regex.compile(r"<(tr|li|dt|h[1-6]|option|caption)\b[^<>]{0,300}>|\n(?=[ \t]*<)", regex.IGNORECASE)


def _html(text: str, lines: Sequence[Line], first: str) -> list[Piece] | None:
    """Read HTML: rows, items and terms with their definitions are records, headings belong to what follows."""
    if first.lstrip()[:1] != "<" or _TAG.match(first) is None:
        return None
    start, end = lines[0][0], lines[-1][1]
    found, position = [], start
    for match in _ELEMENT.finditer(text, start, end):
        if match.start() < position:
            continue
        name = (match[1] or "").lower()
        close = text.find("</dd>" if name == "dt" else f"</{name}>", match.end(), match.end() + LONGEST_RECORD)
        if name and close < 0:
            continue
        if text[position : match.start()].strip():
            found.append(Piece(position, match.start(), "prose"))
        position = match.start()
        if name:
            position = min(text.find(">", close, close + 20) + 1 or end, end)
            found.append(Piece(match.start(), position, "head" if name[0] == "h" else "whole"))
    return [*found, Piece(position, end, "prose")] if text[position:end].strip() else found


_KEY_MARK = regex.compile(r"[:=：\[\#;-]")


def _keys(text: str, lines: Sequence[Line], first: str) -> list[Piece] | None:
    """Read keys with values: pairs, mappings without a mapping inside, sections, turns of speakers."""
    if _KEY_MARK.search(first) is None or KEY.match(first) is None and not first.lstrip().startswith(("[", "#", ";", "- ")):
        return None
    keys = [KEY.match(text, *line) for line in lines]
    if len(lines) == 1:
        return [whole(*lines[0])] if keys[0] and is_turn(first) and len(first) <= _LONGEST_TURN else None
    pairs = sum(key is not None for key in keys)
    if pairs < 2 or not all(
        key or is_heading(text[slice(*line)]) or COMMENT.match(text, *line) or _continues(text, line) for key, line in zip(keys, lines, strict=True)
    ):
        return None
    return list(_mappings(text, lines, keys))


def _continues(text: str, line: Line) -> bool:
    """Say whether a line goes on with the value of the line before: it is indented, or an item."""
    return text[line[0]] in " \t" or text.startswith("- ", line[0])


def _mappings(text: str, lines: Sequence[Line], keys: Sequence[regex.Match[str] | None]) -> Iterator[Piece]:
    """Join each key to its value: what is indented deeper, unless there are mappings in it."""
    indents = [_indent(text, line) for line in lines]
    place = 0
    while place < len(lines):
        start, end = lines[place]
        key = keys[place]
        if key is None:
            is_head = is_heading(text[start:end]) or COMMENT.match(text, start, end)
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


_TEX = regex.compile(r"\s*\\[a-zA-Z]+\*?[{\[]")


def _code(text: str, lines: Sequence[Line], first: str) -> list[Piece] | None:
    """Read code that stands in no fence: at least half of its lines look like it."""
    if not any(is_code(text[slice(*line)]) for line in lines[:2]) and COMMENT.match(first) is None:
        return None
    if _TEX.match(first) or any(is_rule(text[slice(*line)]) for line in lines):
        return None
    coded = [is_code(text[slice(*line)]) for line in lines]
    others = (line for line, is_one in zip(lines, coded, strict=True) if not is_one)
    alike = sum(COMMENT.match(text, *line) is not None or text[line[0] : line[0] + 2].isspace() for line in others)
    if not any(coded) or (sum(coded) + alike) * 2 < len(lines):
        return None
    return [Piece(*line, "head" if is_comment else "whole") for line, is_comment in statements(text, lines)]


_READERS: tuple[Callable[[str, Sequence[Line], str], list[Piece] | None], ...] = (
    _cues,
    _log,
    _json,
    _csv,
    _html,
    _keys,
    _code,
)
