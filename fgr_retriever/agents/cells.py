"""Numbers of a claim in the rows of its sources: does a number stand in the row, and in the column, that it names?

Rows are those of tables and of separated values, records of keys with values, entries of a log, and items of a list.
"The weekend call costs 220" is not supported by the row of the weekday call, though that has the number and the words
of the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import regex

from fgr_retriever.agents.amounts import NUMBERING, Quantity
from fgr_retriever.agents.source_rows import (
    Row,
    content_stems,
    identifiers,
    outside_names,
    rows_of,
    series,
    without_names,
)
from fgr_retriever.agents.source_sections import without_sections
from fgr_retriever.agents.statement import Statement, clauses
from fgr_retriever.agents.units import UNIT_OF

_CLEARLY = 2  # so many more words of a claim make another row the one that it names
_PERIODS = ("time", "months")
_LETTERS = regex.compile(r"\p{L}+")
_BY_THE = regex.compile(r"\bby the (\p{L}+)", regex.IGNORECASE)
_UNIT_ALONE = regex.compile(r"\W*(?:(?:per|an?|each|every|1)\s+)?(\p{L}+)\W*", regex.IGNORECASE)
_SEVERAL = 2  # sources
_NOTHING: frozenset[object] = frozenset()


@dataclass(frozen=True, slots=True)
class Misplaced:
    """Something of a claim that stands in another place of its sources than the claim names.

    Args:
        said: A number as the claim has it, or the text of a cell.
        told: The row or the column that the sources have it in.
        is_column: Whether `told` is a column.
        is_sure: Whether that row says less of what the claim says than another one, and nothing more of it.
    """

    said: str
    told: str
    is_column: bool = False
    is_sure: bool = False


def rates(sources: Sequence[str]) -> str:
    """Write units that name columns of numbers, or stand in cells beside numbers, as what these are for.

    "per week" for a column "Week", and "per hour" for a cell "hour", or for "by the hour".

    Args:
        sources: What was kept of each of the sources, with a line for each row.
    """
    rows = [row for table in rows_of(sources)[1] for row in table]
    columns = dict.fromkeys(name for row in rows for name in row.names)
    told = {name for row in rows for name, cell in zip(row.names, row.cells, strict=False) if cell.quantities}
    names = [word for name in columns if name in told for word in _LETTERS.findall(name.casefold())]
    for row in rows:
        units = [match[1].casefold() for cell in row.cells if (match := _UNIT_ALONE.fullmatch(cell.text))]
        names += units if any(cell.quantities for cell in row.cells) else []
    names += [word.casefold() for source in sources for word in _BY_THE.findall(source)]
    return " ".join(f"per {word}" for word in dict.fromkeys(names) if UNIT_OF.get(word, ("",))[0] in _PERIODS)


def misplaced(claim: Statement, sources: Sequence[str]) -> Iterator[Misplaced]:
    """Find what the sources have only in other rows or columns than the claim names.

    Args:
        claim: The claim.
        sources: What was kept of each of its sources, with a line for each row.

    Yields:
        The numbers, at most once each. Or else what one row has where the claim gives it to the name of another.
    """
    parted = [without_sections(source) for source in sources]
    text, tables = rows_of([rest for rest, _ in parted])
    tables += [table for _, found in parted for table in found]
    prose, asked = Statement(text), _Asked(claim)
    numbers = list(_numbers(asked, tables, prose)) or list(_of_others(asked, sources))
    yield from numbers
    if not numbers and not claim.negations:
        for rows in tables:
            yield from _crossed(asked, rows, prose)


def _numbers(asked: _Asked, tables: Sequence[Sequence[Row]], prose: Statement) -> Iterator[Misplaced]:
    """Find numbers that only stand in other rows or columns."""
    for one in asked.numbers:
        if one not in prose.amounts:
            found = [_in_table(one, asked, rows) for rows in tables if any(row.places(one) for row in rows)]
            if found and all(found):
                yield min(filter(None, found), key=lambda other: not other.is_sure)


def _of_others(asked: _Asked, sources: Sequence[str]) -> Iterator[Misplaced]:
    """Find numbers that stand only in sources of another identifier than the claim has: "RP-024" for "RP-016"."""
    named = identifiers(asked.claim.text)
    kinds = set(map(series, named))
    if not named or len(sources) < _SEVERAL:
        return
    told = [(identifiers(source), without_names(Statement(source))) for source in sources]
    if not any(one in words for words, _ in told for one in named):
        return
    for number in asked.numbers:
        holding = [words for words, amounts in told if number in amounts]
        if any(not named.keys().isdisjoint(words) for words in holding):
            continue
        rivals = [[written for word, written in words.items() if series(word) in kinds] for words in holding]
        if rivals and all(rivals):
            yield Misplaced(asked.cut(number), rivals[0][0])


class _Asked:
    """What a claim names.

    Args:
        claim: The claim.
    """

    def __init__(self, claim: Statement) -> None:
        self.claim = claim
        labels = [one for one in claim.quantities if one.label == NUMBERING]  # "priority 2" names a row
        self.numbers = [one for one in outside_names(claim.text, claim.quantities) if one not in labels]
        self.words = content_stems(claim.text, without=[one for one in claim.quantities if one not in labels])
        self.all = content_stems(claim.text, all=True)

    def names(self, text: str) -> bool:
        """Say whether it has all words of a text."""
        return content_stems(text, all=True) <= self.all

    def cut(self, number: Quantity) -> str:
        """Give a number as written."""
        return self.claim.text[number.start : number.end]

    def found(self, row: Row, place: int) -> frozenset[object]:
        """Give what a claim has of a cell: stems of words, and numbers."""
        return (self.words & row.stems[place]) | {one for one in self.numbers if one in row.amounts[place]}

    def is_named(self, row: Row, place: int) -> bool:
        """Say whether the claim has all words of a cell; if there are numbers in it, a number and any words."""
        found, cell = self.found(row, place), row.cells[place]
        numbers = outside_names(cell.text, cell.quantities)
        if numbers:
            return any(one in row.amounts[place] for one in self.numbers) and (
                not content_stems(cell.text, without=numbers) or bool(self.words & found)
            )
        return bool(found) and row.stems[place] <= self.words

    def speaks_of(self, name: frozenset[object], value: frozenset[object]) -> bool:
        """Say whether the claim speaks of a value: of two bare numbers, only if they stand in one clause."""
        numbers = [one for one in (*name, *value) if isinstance(one, Quantity)]
        if len(numbers) < len(name) + len(value):
            return True
        places = clauses(self.claim.text, 0, len(self.claim.text))
        return any(all(start <= one.start < end for one in numbers) for start, end in places)

    def written(self, told: frozenset[object], cell: str) -> str:
        """Give a number of a cell as the claim has it, or else the cell."""
        return next((self.cut(one) for one in self.numbers if one in told), cell)


def _in_table(number: Quantity, asked: _Asked, rows: Sequence[Row]) -> Misplaced | None:
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
            is_sure = mine < theirs and (bool(mine) or (row.is_pair and asked.names(row.label)))
            return Misplaced(asked.cut(number), best.label, is_sure=is_sure)
    columns = [_column(number, asked, row) for row in holding if asked.words & row.words == mine]
    return columns[0] if all(columns) else None


def _column(number: Quantity, asked: _Asked, row: Row) -> Misplaced | None:
    """Look for a column with a number that the claim names rather than that of its own number."""
    places = row.places(number)
    if len(row.names) != len(row.cells) or any(asked.words & row.stems[place] for place in places):
        return None  # "a rope of 16 mm" names the row
    others = [
        row.names[place]
        for place, cell in enumerate(row.cells)
        if place and cell.quantities and not any(one in cell.amounts for one in asked.numbers)
    ]
    own = [row.names[place] for place in places]
    beside = all(any(_is_rather(other, name, asked) for other in others) for name in own)
    return Misplaced(asked.cut(number), own[0], is_column=True) if beside else None


def _is_rather(other: str, name: str, asked: _Asked) -> bool:
    """Say whether a claim names another column rather than one: more words of it, or all."""
    mine, theirs = asked.words & content_stems(name), asked.words & content_stems(other)
    return mine < theirs or (mine == theirs and bool(mine) and asked.names(other) and not asked.names(name))


def _crossed(asked: _Asked, rows: Sequence[Row], prose: Statement) -> Iterator[Misplaced]:
    """Find a claim that gives what one row has to the name of another, where both rows have something else instead."""
    found = [{row.column(place): asked.found(row, place) for place in range(len(row.cells))} for row in rows]
    named: dict[tuple[str | int, frozenset[object]], tuple[int, int]] = {}
    for number, row in enumerate(rows):
        for place in range(len(row.cells)):
            key = row.column(place), found[number][row.column(place)]
            if key not in named and asked.is_named(row, place):
                named[key] = number, place
    having = {
        (column, told): {one for one, cells in enumerate(found) if cells.get(column, _NOTHING) >= told}
        for column, told in named
    }
    for name, value in permutations(named, 2):
        (number, place), is_apart = named[value], name[1].isdisjoint(value[1])
        if named[name][1] >= place or not is_apart or not having[name].isdisjoint(having[value]):
            continue
        others = [(one, value) for one in having[name]] + [(one, name) for one in having[value]]
        instead = all(found[one].get(column, told) < told for one, (column, told) in others)
        if instead and asked.speaks_of(name[1], value[1]) and not _has(prose, value[1]):
            yield Misplaced(asked.written(value[1], rows[number].cells[place].text), rows[number].label)
            return


def _has(prose: Statement, told: frozenset[object]) -> bool:
    """Say whether prose has words and numbers."""
    return all(one in prose.amounts if isinstance(one, Quantity) else one in prose.stems for one in told)
