"""What an `add` does with each passage: store it, update its metadata, or leave it as it is."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from fgr_retriever.errors import IndexCorruptError, InputError
from fgr_retriever.index.sources import refuse_taking, source_of, twice
from fgr_retriever.index.storage import rows
from fgr_retriever.index.storage.database import write_errors
from fgr_retriever.index.storage.passage_row import Row, to_metadata, to_row, verify_row
from fgr_retriever.types import Added, Passage


class Intake:
    """Takes the passages of one write into the table, and says which of them need vectors.

    A passage that is stored with the same text keeps its row, and so its vectors, words, units and
    evidence codes. All of these depend on the text and the model alone, and an index has one model.

    Args:
        folder: The folder of the index.
        connection: In the write transaction.
        bordered: Gives a row with the units of its text; None if units are not kept.
        rows: The rows that the segments have.
        within: Names of sources; a stored passage of another one is replaced by one of its own source only. None
            lets a passage replace any.

    Attributes:
        next: The row of the next passage that needs vectors.
    """

    def __init__(
        self,
        folder: Path,
        connection: sqlite3.Connection,
        bordered: Callable[[Row], Row] | None,
        rows: range,
        within: Collection[str] | None = None,
    ) -> None:
        """Take nothing yet."""
        self._within = within
        self.next = self._first = rows.stop
        self._rows = rows
        self._folder, self._connection = folder, connection
        self._bordered, self._units = bordered, bordered is not None
        self._met = bytearray(len(rows))  # marks the rows that this write keeps, to see an id that comes twice
        self._updated = self._unchanged = self._replaced = self._deleted = 0

    def texts(self, passages: Iterable[Passage]) -> Iterator[str]:
        """Take passages, one by one, and give the texts that must be encoded.

        Raises:
            InputError: A passage cannot be stored, or its id came before.
        """
        for passage in passages:
            with write_errors(self._folder):
                is_new = self._take(to_row(passage, units=False))
            if is_new:
                yield passage.text

    def drop(self, ids: Iterable[str]) -> None:
        """Delete stored passages, unless they were among those that were taken."""
        for id in ids:
            (number,) = rows.numbers_of(self._connection, [id])
            if number is not None and number in self._rows and not self._met[number - self._rows.start]:
                self._deleted += rows.bury(self._connection, id)

    def count(self) -> Added:
        """Count what was taken so far."""
        fresh = self.next - self._first
        return Added(fresh - self._replaced, self._updated + self._replaced, self._unchanged, self._deleted)

    def _take(self, row: Row) -> bool:
        """Take one passage; True if its text is not stored yet."""
        found = rows.find(self._connection, row.id, self._units)
        if found is not None:
            number, stored = found
            if not self._rows.start <= number < self.next:
                raise IndexCorruptError(f"passage {row.id!r} has a row that no segment has: run `fgr repair`")
            if number >= self._first or self._met[number - self._rows.start]:
                raise _twice(row, stored)
            _check_owner(stored, row, self._within)
            if stored.text == row.text and _is_intact(stored, self._units):
                self._keep(number, stored, row)
                return False
            rows.bury(self._connection, row.id)
            self._replaced += 1
        rows.put_row(self._connection, self.next, self._bordered(row) if self._bordered else row)
        self.next += 1
        return True

    def _keep(self, number: int, stored: Row, row: Row) -> None:
        """Leave a row where it is, with the metadata that it is to have."""
        self._met[number - self._rows.start] = 1
        if stored.metadata == row.metadata:
            self._unchanged += 1
            return
        rows.put_metadata(self._connection, number, stored, row)
        self._updated += 1


def plan(
    connection: sqlite3.Connection,
    passages: Iterable[Passage],
    gone: Iterable[str],
    within: Collection[str] | None = None,
) -> Added:
    """Say what a write would do with passages, and with the ids of others that are to go, without doing it.

    Raises:
        InputError: A passage cannot be stored, or its id came before, or is that of another source (see `Intake`).
    """
    counts, met = Counter[str](), dict[str, str | None]()
    for passage in passages:
        row = to_row(passage, units=False)
        source = source_of(passage.metadata)
        if row.id in met:
            raise twice(row.id, source, met[row.id])
        met[row.id] = source
        found = rows.find(connection, row.id, units=False)
        if found is not None:
            _check_owner(found[1], row, within)
        same = found is not None and (found[1].text, found[1].metadata) == (row.text, row.metadata)
        counts["added" if found is None else "unchanged" if same else "updated"] += 1
    deleted = sum(number is not None for number in rows.numbers_of(connection, set(gone) - met.keys()))
    return Added(counts["added"], counts["updated"], counts["unchanged"], deleted)


def _check_owner(stored: Row, row: Row, within: Collection[str] | None) -> None:
    """Raise InputError if a row may not take the place of a stored one."""
    if within is not None and row.metadata != stored.metadata:
        refuse_taking(row.id, *_sources(row, stored), within, same=row.text == stored.text)


def _twice(row: Row, stored: Row) -> InputError:
    return twice(row.id, *_sources(row, stored))


def _sources(row: Row, stored: Row) -> tuple[str | None, str | None]:
    source, other = (source_of(to_metadata(one.id, one.metadata)) for one in (row, stored))
    return source, other


def _is_intact(row: Row, units: bool) -> bool:
    """Say whether a stored row is as it was written; else the passage is stored anew."""
    try:
        verify_row(row, units)
    except IndexCorruptError:
        return False
    return True
