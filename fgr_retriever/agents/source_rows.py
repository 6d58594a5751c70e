"""The rows of sources: of tables and separated values, records of keys with values, entries of a log, list items."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from itertools import dropwhile, groupby

import regex

from fgr_retriever.agents.amounts import Amounts, Quantity
from fgr_retriever.agents.opposites import stem
from fgr_retriever.agents.source_lists import are_things, listed_pairs
from fgr_retriever.agents.statement import Statement
from fgr_retriever.text.blocks import paragraphs
from fgr_retriever.text.lines import KEY, is_heading, is_rule, is_stamped, marker
from fgr_retriever.text.rows import cells, separated
from fgr_retriever.text.stop_words import is_content

_WORD = regex.compile(r"[\p{L}\p{N}]+(?:[.'\N{RIGHT SINGLE QUOTATION MARK}-][\p{L}\p{N}]+)*")
_DIGITS = regex.compile(r"\p{N}+")
_PIPE = "|"
_AROUND_TITLE = "# \t:*"
_TITLE = ""  # in the place of a key
_SAME_KIND = 2  # so many common keys make records of one kind
_PAIR = 2  # cells: a name and its value
_AROUND_KEY = " \t:=\N{FULLWIDTH COLON}\"'*"


class Row:
    """A row, an entry or an item.

    Args:
        cells: Its cells; an entry of a log and an item of a list have one.
        names: The names of the columns; none if they are not known.
        is_record: Whether it is a record of keys with values; it may lack some keys.
    """

    def __init__(self, cells: Sequence[str], names: Sequence[str] = (), *, is_record: bool = False) -> None:
        self.cells = [Statement(cell) for cell in cells]
        self.names = names
        self.is_record = is_record

    @cached_property
    def stems(self) -> list[frozenset[str]]:
        """The stems of the words of each cell."""
        return [content_stems(cell.text) for cell in self.cells]

    @cached_property
    def words(self) -> frozenset[str]:
        """The stems of its words."""
        return frozenset().union(*self.stems)

    @cached_property
    def amounts(self) -> list[Amounts]:
        """The numbers of each cell, without those in names such as "RP-016"."""
        return [without_names(cell) for cell in self.cells]

    @property
    def is_pair(self) -> bool:
        """Whether it is a thing with an amount, and nothing else."""
        return len(self.cells) == _PAIR and not self.names

    def is_like(self, other: Row) -> bool:
        """Say whether another row, of any source, may stand in one table with it."""
        if self.is_record and other.is_record:
            shared = set(self.names) & set(other.names) - {_TITLE}
            return self.names[0] in shared & {other.names[0]} or len(shared) >= _SAME_KIND
        return bool(self.names) and self.names == other.names

    def column(self, place: int) -> str | int:
        """Give the name of the column of a cell, or else its number."""
        return self.names[place] if len(self.names) == len(self.cells) else place

    @property
    def label(self) -> str:
        """Its first cell."""
        return self.cells[0].text

    def places(self, number: Quantity) -> list[int]:
        """Give the cells that have a number."""
        return [place for place, amounts in enumerate(self.amounts) if number in amounts]


def rows_of(sources: Sequence[str]) -> tuple[str, list[list[Row]]]:
    """Part texts into prose and tables.

    Records of a kind are one table though each may be a source of its own: those with the same first key or with a few
    common ones, and rows below the same header.

    Args:
        sources: What was kept of each source, with a line for each row.
    """
    prose: list[str] = []
    tables: list[list[Row]] = []
    titled = [_titled(source) for source in sources]
    for source, row in zip(sources, titled, strict=True):
        is_one = row is not None and any(
            row.is_like(other) for other in titled if other is not None and other is not row
        )
        text, found = ("", [[row]]) if row is not None and is_one else _read(source)
        prose.append(text)
        for rows in found:
            same = next((table for table in tables if table[0].is_like(rows[0])), None)
            if same is None:
                tables.append(rows)
            else:
                same += rows
    return "\n\n".join(prose), [_listed(rows) for rows in tables]


def _listed(rows: list[Row]) -> list[Row]:
    """Read a single record as rows if its keys are things with one amount each, as in a list of prices."""
    record = rows[0]
    if len(rows) > 1 or not record.is_record or _TITLE in record.names:
        return rows
    pairs = [(name, cell.text) for name, cell in zip(record.names, record.cells, strict=True)]
    return [Row(pair) for pair in pairs] if are_things(pairs) else rows


def outside_names(text: str, numbers: Sequence[Quantity]) -> list[Quantity]:
    """Leave out numbers that are a part of a name, such as that of "RP-016"."""
    names = [match.span() for match in _WORD.finditer(text) if match.group()[0].isalpha()]
    return [one for one in numbers if not any(start < one.start < end for start, end in names)]


def content_stems(text: str, *, all: bool = False, without: Collection[Quantity] = ()) -> frozenset[str]:
    """Give the stems of the content words of a text, or of all; those within some numbers are left out."""
    found = set()
    for match in _WORD.finditer(text):
        word, (start, end) = match.group(), match.span()
        if not any(one.start <= start and end <= one.end for one in without) and (all or _tells(word)):
            found.add(word.casefold() if any(map(str.isdigit, word)) else stem(word))
    return frozenset(found)


def _tells(word: str) -> bool:
    """Say whether a word has a meaning; so has a letter by itself, as in "Cargo E"."""
    return is_content(word) or (len(word) == 1 and word.isupper() and word not in "AI")


def identifiers(text: str) -> dict[str, str]:
    """Give the words that begin with a letter and have digits, such as "RP-016", by what they are in lower case."""
    words = [word for word in _WORD.findall(text) if word[0].isalpha() and any(map(str.isdigit, word))]
    return {word.casefold(): word for word in words}


def series(identifier: str) -> str:
    """Give what an identifier in lower case has in common with others of its kind: "rp-0"."""
    return _DIGITS.sub("0", identifier)


def without_names(cell: Statement) -> Amounts:
    """Give the numbers of a cell that are no part of a name."""
    free = outside_names(cell.text, cell.quantities)
    return cell.amounts if len(free) == len(cell.quantities) else Amounts(free)


def _read(text: str) -> tuple[str, list[list[Row]]]:
    """Part a text into prose and tables."""
    prose: list[str] = []
    tables: list[list[Row]] = []
    text, records = _without_keys(text)
    tables += records
    lines, objects = _without_objects([line for line in text.splitlines() if line.strip()])
    tables += objects
    for kind, group in groupby(lines, key=_kind):
        block = list(group)
        rows = _rows(kind, block)
        if rows:
            tables.append(rows)
        else:
            prose += block
    return "\n".join(prose), tables


def _without_objects(lines: Sequence[str]) -> tuple[list[str], list[list[Row]]]:
    """Take lines that are JSON objects out of others: records."""
    rest: list[str] = []
    rows: list[list[Row]] = []
    for line in lines:
        found = _object(line.strip().rstrip(","))
        if found:
            rows.append([Row(list(found.values()), list(found), is_record=True)])
        else:
            rest.append(line)
    return rest, rows


def _object(line: str) -> dict[str, str]:
    """Read a line as a JSON object, without what is nested in it; empty if it is none."""
    if line[:1] != "{" or line[-1:] != "}":
        return {}
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):  # looks like one
        return {}
    told = {key: value for key, value in found.items() if isinstance(value, (str, int, float))}
    return {key.replace("_", " "): str(value) for key, value in told.items() if not isinstance(value, bool)}


def _titled(text: str) -> Row | None:
    """Read a whole source as one record: a line that names it, and keys with values, which may be items of a list."""
    (lines, *more) = list(paragraphs(text, 0)) or [[]]
    if more or len(lines) <= _SAME_KIND or marker(text, *lines[0]) or KEY.match(text, *lines[0]):
        return None
    items = [(match.end() if (match := marker(text, *line)) else line[0], line[1]) for line in lines[1:]]
    pairs = dict(_pair(text, match) for item in items if (match := KEY.match(text, *item)))
    title = text[slice(*lines[0])].strip(_AROUND_TITLE)
    return Row([title, *pairs.values()], [_TITLE, *pairs], is_record=True) if len(pairs) == len(items) else None


def _pair(text: str, match: regex.Match[str]) -> tuple[str, str]:
    """Give the key and the value of a pair."""
    return text[match.start() : match.start("value")].strip(_AROUND_KEY).replace("_", " "), match["value"].strip()


def _without_keys(text: str) -> tuple[str, list[list[Row]]]:
    """Take the records of keys with values out of a text: their keys are the names of columns.

    Pairs in paragraphs behind each other are one record as long as no key comes twice, since a span may be a pair.
    """
    records: list[dict[str, str]] = []
    rest, end = [], 0
    for first, last, pairs in _paragraphs_of_pairs(text):
        between, end = text[end:first], last
        rest.append(between)
        if records and not between.strip() and records[-1].keys().isdisjoint(pairs):
            records[-1] |= pairs
        else:
            records.append(pairs)
    rows = [Row(list(one.values()), list(one), is_record=True) for one in records]
    return "".join([*rest, text[end:]]), [[row] for row in rows]


def _paragraphs_of_pairs(text: str) -> Iterator[tuple[int, int, dict[str, str]]]:
    """Find paragraphs that are keys with values, each key once; give where they begin and end, and the pairs."""
    for lines in paragraphs(text, 0) if ":" in text or "=" in text else ():
        body = list(dropwhile(lambda line: is_heading(text[slice(*line)]), lines))
        found = [KEY.match(text, *line) for line in body if not marker(text, *line)]
        pairs = dict(_pair(text, one) for one in found if one)
        if pairs and len(pairs) == len(body):
            yield body[0][0], body[-1][1], pairs


def _kind(line: str) -> str:
    """Say what kind of row a line may be: by its separator, of a log, of a list; empty for prose."""
    if line.count(_PIPE) > 1:
        return _PIPE
    if is_stamped(line):
        return "log"
    if marker(line, 0, len(line)):
        return "list"
    return next((mark for mark in "\t;," if mark in line), "")


def _rows(kind: str, lines: Sequence[str]) -> list[Row]:
    """Read lines of a kind as rows; none if they are prose."""
    if pairs := listed_pairs(lines):
        return [Row(pair) for pair in pairs]
    if len(lines) < 2 or not kind:
        return []
    if kind == "log":
        return [Row([line]) for line in lines]
    if kind == "list":
        items = [Row([line[match.end() :]]) for line in lines if (match := marker(line, 0, len(line)))]
        return items if all(item.cells[0].quantities for item in items) else []  # others may be prose
    if kind == _PIPE:
        table = [[cell.strip() for cell in line.strip().strip(_PIPE).split(_PIPE)] for line in lines if _is_told(line)]
    else:
        text, ranges, start = "\n".join(lines), [], 0
        for line in lines:
            ranges.append((start, start + len(line)))
            start += len(line) + 1
        found = separated(text, ranges, lines[0])
        table = [cells(text[slice(*row)], found[0]) for row in found[1]] if found else []
    names = table[0] if table and not any(map(str.isdigit, "".join(table[0]))) else []
    header = table[0] if names else None
    names = [name.replace("_", " ") for name in names]
    return [Row(row, names) for row in table if row != header]


def _is_told(line: str) -> bool:
    """Say whether a line is no rule below a header."""
    return not is_rule(line) and not set(line) <= set("|:-+= \t")
