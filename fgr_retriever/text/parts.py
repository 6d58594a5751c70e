"""The parts of a text that is too long for a budget: its units, and in them cells, sentences, phrases and words.

A sentence falls into phrases and words. A record first falls into what its form says: a row into its cells, an object
into its pairs, an entry of several lines into these. Then a long cell falls into sentences, phrases and words, while a
short one stays whole. A number stays with its unit of measure, a value with its key, a date with its time, a name of
several words in one piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import regex
from numpy.typing import NDArray
from typing_extensions import Self

from fgr_retriever.text.atoms import cuts, is_table_row, line_around
from fgr_retriever.text.lines import STAMP, Line, is_stamped
from fgr_retriever.text.rows import SEPARATORS, cell_ranges, separated
from fgr_retriever.text.sentences import Segment, phrases, segments, sentences_in
from fgr_retriever.text.stop_words import is_content
from fgr_retriever.text.units import Ranges, as_ranges

# Characters of a cell that is not cut. Cells kept on the mean over budgets of 10 to 60 tokens, with and without the
# name of their row (`benchmarks.trimming.records`, 240 questions): 20, 40 and 60: 59.4; 90: 59.1; 150: 58.3.
_SHORT_CELL = 60
_LONGEST_NAME = 4  # words; more capitals in a row are a title
# Lines that tell on either side of a row what separates its cells. 1 to 12 give the same there, on regular tables.
_LINES_AROUND = 5
_LINE = regex.compile(r"[^\r\n]+")
_PIPES = regex.compile(r"(?:[^|\\\r\n]|\\.|\\)+")
_TABS = regex.compile(r"[^\t\r\n]+")
_PAIRS = regex.compile(r"[,{](?=\s*\"[^\"\r\n]{1,60}\"\s*:)")  # before each pair of an object
_AROUND_CELL, _AROUND_PAIR = ' \t\r\n"', " \t\r\n{}"
_NUMBER = r"(?<![\p{L}\p{N}.,_])(?:\p{N}{1,3}(?:[ \u00a0\u202f]\p{N}{3})++(?!\p{N})(?:[.,]\p{N}++)?+|\p{N}[\p{N}.,]*+)"
_TO = r"[ \u00a0]?(?:[–-]|(?<=[ \u00a0])(?:to|bis|à|a|al|till?|until)(?=[ \u00a0]))[ \u00a0]?"  # noqa: RUF001
_TOGETHER = regex.compile(
    r"(?<![\w.\-/])[\w.\-/]++=(?:\"[^\"\r\n]{0,100}\"|[^\s,;|\"]+)"  # key=value
    r"|\"[^\"\r\n]{1,60}\"\s*:\s*(?:\"[^\"\r\n]{0,60}\"|[^\s,\"\[{]+)"  # "key": value
    r"|(?m:^)\p{L}[\w \-]{0,40}:[ ]\S{1,60}(?m:$)"  # a line with a key and a short value
    rf"|{_NUMBER}(?:{_TO}{_NUMBER})?+(?:(?<!,)[ \u00a0](?P<unit>\p{{L}}+))?+"  # a number or a range, with its unit
    r"|(?<![\p{L}\p{N}])(?P<name>\p{Lu}\p{Ll}[\p{L}\p{M}]*+(?:[ ]\p{Lu}\p{Ll}[\p{L}\p{M}]*+)++)"  # a name
)


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What a range of a text falls into; each of the fields is ascending and disjoint, (n, 2).

    Args:
        units: Its sentences and records.
        cells: The same, and in place of a record its cells.
        sentences: The same, and in place of a long cell its sentences.
        phrases: The same, and in place of a sentence its phrases.
        words: The same, and in place of a phrase its words, as far as they may be parted.
        is_prose: Which units are sentences, (n,) bool.
    """

    units: Ranges
    cells: Ranges
    sentences: Ranges
    phrases: Ranges
    words: Ranges
    is_prose: NDArray[np.bool_]

    @classmethod
    def of(cls, text: str, start: int, end: int) -> Self:
        """Take a range of a text apart.

        Args:
            text: Any text.
            start: First character.
            end: One past the last character.
        """
        near = _near(text, start, end)
        units = [(max(one.start, start), min(one.end, end)) for one in near]
        is_prose = [_is_sentence(text, one, start, end) for one in near]
        cells, told, said, words = [], [], [], []
        for uncut, unit in zip(is_prose, units, strict=True):
            found = [unit] if uncut else _cells(text, *unit)
            cells += found
            for cell in found:
                if len(found) > 1 and cell[1] - cell[0] <= _SHORT_CELL:
                    sentences = clauses = atoms = [cell]
                else:
                    sentences = [cell] if uncut else sentences_in(text, *cell)
                    clauses = [phrase for one in sentences for phrase in phrases(text, *one)]
                    atoms = [word for one in clauses for word in words_in(text, *one)]
                told += sentences
                said += clauses
                words += atoms
        prose = np.array(is_prose, dtype=np.bool_)
        return cls(as_ranges(units), as_ranges(cells), as_ranges(told), as_ranges(said), as_ranges(words), prose)

    def without(self, ranges: Sequence[tuple[int, int]]) -> Self:
        """Leave out units that touch some ranges, which ascend, with all in them; all stays if no unit would."""
        starts, ends = as_ranges(ranges).T
        free = ends.searchsorted(self.units[:, 0], "right") == starts.searchsorted(self.units[:, 1])
        if free.all() or not free.any():
            return self
        return self._only(free)

    def prose(self) -> Self:
        """Leave out records, with all that is in them."""
        return self._only(self.is_prose)

    def _only(self, chosen: NDArray[np.bool_]) -> Self:
        """Leave out all but chosen units, (n,) bool."""
        units, cells, sentences, clauses, words = (
            found[chosen[self.owners(found)]] for found in (*self.levels(), self.words)
        )
        return type(self)(units, cells, sentences, clauses, words, self.is_prose[chosen])

    def levels(self) -> tuple[Ranges, ...]:
        """Give units, cells, sentences and phrases."""
        return self.units, self.cells, self.sentences, self.phrases

    def owners(self, ranges: Ranges) -> NDArray[np.int64]:
        """Give the number of the unit that holds each part, (n, 2) to (n,)."""
        return self.units[:, 0].searchsorted(ranges[:, 0], "right") - 1


def _is_entry(line: str) -> bool:
    """Say whether what stands alone in prose is a row of a table or an entry of a log."""
    return is_table_row(line) or is_stamped(line)


def is_prose(text: str, start: int, end: int) -> bool:
    """Say whether a range of a text holds no record, without taking it apart."""
    return all(_is_sentence(text, one, start, end) for one in _near(text, start, end))


def _near(text: str, start: int, end: int) -> list[Segment]:
    """Give the segments that touch a range; those that are never evidence only if there is nothing else."""
    found = [one for one in _segments(text) if one.start < end and start < one.end]
    return [one for one in found if not one.silent] or found


def _is_sentence(text: str, one: Segment, start: int, end: int) -> bool:
    return one.body < one.end and not _is_entry(text[max(one.start, start) : min(one.end, end)])


@lru_cache(maxsize=1)
def _segments(text: str) -> list[Segment]:
    """Remember the last text: a budget asks for the parts of several ranges of a passage, one after the other."""
    return segments(text)


def _cells(text: str, start: int, end: int) -> list[Line]:
    """Cut a record where its form says so."""
    whole, marks = list(_pairs(text, start, end)), _AROUND_PAIR
    if len(whole) < 2:
        whole, marks = list(fields(text, start, end)), _AROUND_CELL
    found = [
        bare
        for low, high in whole
        if (bare := _bare(text, low, high, marks)) and any(map(str.isalnum, text[slice(*bare)]))
    ]
    return found if len(found) > 1 else [(start, end)]


def _pairs(text: str, start: int, end: int) -> Iterator[Line]:
    """Yield the pairs of an object."""
    borders = [match.start() for match in _PAIRS.finditer(text, start, end)]
    yield from ((low + 1, high) for low, high in pairwise([*borders, end]))


def fields(text: str, start: int, end: int) -> Iterator[Line]:
    """Yield the cells of a row with what stands around them, also those that hold nothing but white space."""
    if separator := _separator(text, start, end):
        yield from cell_ranges(text, start, end, separator)
        return
    for line in _LINE.finditer(text, start, end):
        row = is_table_row(line.group())
        pattern = _PIPES if row and "|" in line.group() else _TABS if row else _LINE
        yield from (match.span() for match in pattern.finditer(text, *line.span()))


def _separator(text: str, start: int, end: int) -> str:
    """Find what separates the cells of a row, as the lines around it tell; nothing if it has no separated values."""
    if not any(text.find(mark, start, end) >= 0 for mark in SEPARATORS):
        return ""
    low, high = start, max(end - 1, start)
    for _ in range(_LINES_AROUND + 1):
        low = line_around(text, max(low - 1, 0))[0] if low else 0
        high = min(line_around(text, high)[1], len(text) - 1)
    low, _ = line_around(text, low)
    lines = [match.span() for match in _LINE.finditer(text, low, high + 1) if not match.group().isspace()]
    before = text[low:start].rfind("\n\n")
    behind = text.find("\n\n", end, high)
    lines = [one for one in lines if one[0] >= low + before + 1 and (behind < 0 or one[1] <= behind)]
    found = separated(text, lines, text[slice(*lines[0])]) if len(lines) > 1 else None
    if found is None:
        return ""
    return found[0] if any(row[0] <= start < row[1] for row in found[1]) else ""


def words_in(text: str, start: int, end: int) -> Iterator[Line]:
    """Yield what must not be parted in a phrase, without the white space between."""
    edges = cuts(text, start, end, rows=False)
    low, high = as_ranges(list(_kept_together(text, start, end))).T
    edges = edges[np.sort(low).searchsorted(edges) == np.sort(high).searchsorted(edges, "right")]
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if bare := _bare(text, low, high, None):
            yield bare


def _kept_together(text: str, start: int, end: int) -> Iterator[Line]:
    """Yield numbers with their units, values with their keys, names, and a date with its time."""
    if stamp := STAMP.match(text, start, end):
        yield stamp.span()
    for match in _TOGETHER.finditer(text, start, end):
        unit, name = match["unit"], match["name"]
        if name is not None and name.count(" ") >= _LONGEST_NAME:
            continue
        yield match.start(), match.end() if unit is None or _is_unit(unit) else match.start("unit") - 1


def _is_unit(word: str) -> bool:
    """Say whether a word behind a number may be its unit of measure: no function word, but for a letter as in 3 g."""
    return is_content(word) or (len(word) == 1 and word not in "aIoyeuàéè")


def _bare(text: str, start: int, end: int, marks: str | None) -> Line | None:
    """Drop some marks, by default white space, around a range; None if it holds nothing else."""
    piece = text[start:end]
    low, high = start + len(piece) - len(piece.lstrip(marks)), start + len(piece.rstrip(marks))
    return (low, high) if low < high else None
