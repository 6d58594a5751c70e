"""Numbers of a claim in the rows of its sources: does a number stand in the row, and in the column, that it names?

Rows are those of tables and of separated values, records of keys with values, entries of a log, and items of a list.
"The weekend call costs 220" is not supported by the row of the weekday call, though that has the number and the words
of the table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import dropwhile, groupby

import regex

from fgr_retriever.agents.amounts import Quantity
from fgr_retriever.agents.opposites import stem
from fgr_retriever.agents.statement import Statement
from fgr_retriever.agents.units import UNIT_OF
from fgr_retriever.text.blocks import paragraphs
from fgr_retriever.text.lines import KEY, is_heading, is_rule, is_stamped, marker
from fgr_retriever.text.rows import cells, separated
from fgr_retriever.text.stop_words import is_content

_WORD = regex.compile(r"[\p{L}\p{N}]+(?:[.'\N{RIGHT SINGLE QUOTATION MARK}-][\p{L}\p{N}]+)*")
_CLEARLY = 2  # so many more words of a claim make another row the one that it names
_PIPE = "|"
_PERIODS = ("time", "months")
_AROUND_KEY = " \t:=\N{FULLWIDTH COLON}\"'*"


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A number of a claim that stands in another place of its sources than the claim names.

    Args:
        number: The number.
        told: The row or the column that the sources have it in.
        is_sure: Whether that row says less of what the claim says than another one, and nothing more of it.
    """

    number: Quantity
    told: str
    is_sure: bool


class _Row:
    """A row, an entry or an item.

    Args:
        cells: Its cells; an entry of a log and an item of a list have one.
        names: The names of the columns; none if they are not known.
    """

    def __init__(self, cells: Sequence[str], names: Sequence[str] = ()) -> None:
        self.cells = [Statement(cell) for cell in cells]
        self.names = names

    @cached_property
    def words(self) -> frozenset[str]:
        """The stems of its words."""
        return frozenset(word for cell in self.cells for word in _stems(cell.text))

    @property
    def label(self) -> str:
        """Its first cell."""
        return self.cells[0].text

    def places(self, number: Quantity) -> list[int]:
        """Give the cells that have a number."""
        return [place for place, cell in enumerate(self.cells) if number in cell.amounts]


def rates(sources: Sequence[str]) -> str:
    """Write units that name columns of numbers as what these are for: "per week" for a column "Week".

    Args:
        sources: What was kept of each of the sources, with a line for each row.
    """
    tables = [rows for source in sources for rows in _read(source)[1]]
    columns = [
        (name, [row.cells[place] for row in rows]) for rows in tables for place, name in enumerate(rows[0].names)
    ]
    names = [
        word for name, column in columns if any(one.quantities for one in column) for word in name.casefold().split()
    ]
    return " ".join(f"per {word}" for word in dict.fromkeys(names) if UNIT_OF.get(word, ("",))[0] in _PERIODS)


def misplaced(claim: Statement, sources: Sequence[str]) -> Iterator[Misplaced]:
    """Find numbers that the sources have only in other rows or columns than the claim names.

    Args:
        claim: The claim.
        sources: What was kept of each of its sources, with a line for each row.

    Yields:
        The numbers, at most once each.
    """
    read = [_read(source) for source in sources] if claim.quantities else []
    prose, tables = Statement("\n\n".join(text for text, _ in read)), [table for _, some in read for table in some]
    asked = _Asked(claim)
    for one in asked.numbers if tables else ():
        if one not in prose.amounts:
            found = [_in_table(one, asked, rows) for rows in tables if any(row.places(one) for row in rows)]
            if found and all(found):
                yield min(filter(None, found), key=lambda other: not other.is_sure)


class _Asked:
    """What a claim names.

    Args:
        claim: The claim.
    """

    def __init__(self, claim: Statement) -> None:
        names = [match.span() for match in _WORD.finditer(claim.text) if match.group()[0].isalpha()]
        self.numbers = [
            one for one in claim.quantities if not any(start < one.start < end for start, end in names)
        ]  # "BP-30" has none
        self.words = _stems(claim.text, without=claim.quantities)
        self.all = _stems(claim.text, all=True)

    def names(self, text: str) -> bool:
        """Say whether it has all words of a text."""
        return _stems(text, all=True) <= self.all


def _in_table(number: Quantity, asked: _Asked, rows: Sequence[_Row]) -> Misplaced | None:
    """Compare the rows of a table that have a number with the others, then its columns."""
    holding = [row for row in rows if row.places(number)]
    best = max(holding, key=lambda row: (len(asked.words & row.words), asked.names(row.label)))
    mine = asked.words & best.words
    for row in rows:
        if row in holding or any(row.places(one) and not best.places(one) for one in asked.numbers):
            continue  # what it has of another number is said of that
        theirs = asked.words & row.words
        named = bool(mine) and mine == theirs and asked.names(row.label) and not asked.names(best.label)
        if mine < theirs or len(theirs) >= len(mine) + _CLEARLY or named:
            return Misplaced(number, best.label, bool(mine) and mine < theirs)
    columns = [_column(number, asked, row) for row in holding if asked.words & row.words == mine]
    return columns[0] if all(columns) else None


def _column(number: Quantity, asked: _Asked, row: _Row) -> Misplaced | None:
    """Look for a column with a number that the claim names rather than that of its own number."""
    if len(row.names) != len(row.cells):
        return None
    others = [
        row.names[place]
        for place, cell in enumerate(row.cells)
        if place and cell.quantities and not any(one in cell.amounts for one in asked.numbers)
    ]
    own = [row.names[place] for place in row.places(number)]
    beside = all(any(_is_rather(other, name, asked) for other in others) for name in own)
    return Misplaced(number, own[0], False) if beside else None


def _is_rather(other: str, name: str, asked: _Asked) -> bool:
    """Say whether a claim names another column rather than one: more words of it, or all."""
    mine, theirs = asked.words & _stems(name), asked.words & _stems(other)
    return mine < theirs or (mine == theirs and bool(mine) and asked.names(other) and not asked.names(name))


def _stems(text: str, *, all: bool = False, without: Collection[Quantity] = ()) -> frozenset[str]:
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


def _read(text: str) -> tuple[str, list[list[_Row]]]:
    """Part a text into prose and tables."""
    prose: list[str] = []
    tables: list[list[_Row]] = []
    text, records = _without_keys(text)
    tables += records
    lines = [line for line in text.splitlines() if line.strip()]
    for kind, group in groupby(lines, key=_kind):
        block = list(group)
        rows = _rows(kind, block)
        if rows:
            tables.append(rows)
        else:
            prose += block
    return "\n".join(prose), tables


def _without_keys(text: str) -> tuple[str, list[list[_Row]]]:
    """Take the records of keys with values out of a text: their keys are the names of columns.

    Pairs in paragraphs behind each other are one record as long as no key comes twice, since a span may be a pair.
    Records with the same first key are rows of one table.
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
    tables: dict[str, list[_Row]] = {}
    for one in records:
        tables.setdefault(next(iter(one)), []).append(_Row(list(one.values()), list(one)))
    return "".join([*rest, text[end:]]), list(tables.values())


def _paragraphs_of_pairs(text: str) -> Iterator[tuple[int, int, dict[str, str]]]:
    """Find paragraphs that are keys with values, each key once; give where they begin and end, and the pairs."""
    for lines in paragraphs(text, 0) if ":" in text or "=" in text else ():
        body = list(dropwhile(lambda line: is_heading(text[slice(*line)]), lines))
        found = [KEY.match(text, *line) for line in body if not marker(text, *line)]
        pairs = {
            text[one.start() : one.start("value")].strip(_AROUND_KEY).replace("_", " "): one["value"].strip()
            for one in found
            if one
        }
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


def _rows(kind: str, lines: Sequence[str]) -> list[_Row]:
    """Read lines of a kind as rows; none if they are prose."""
    if len(lines) < 2 or not kind:
        return []
    if kind == "log":
        return [_Row([line]) for line in lines]
    if kind == "list":
        items = [_Row([line[match.end() :]]) for line in lines if (match := marker(line, 0, len(line)))]
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
    return [_Row(row, [name.replace("_", " ") for name in names]) for row in table[bool(names) :]]


def _is_told(line: str) -> bool:
    """Say whether a line is no rule below a header."""
    return not is_rule(line) and not set(line) <= set("|:-+= \t")
