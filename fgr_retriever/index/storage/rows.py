"""The `passages` table: rows are stored, buried, looked up and checked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from fgr_retriever.errors import IndexCorruptError
from fgr_retriever.index.filters import Predicate
from fgr_retriever.index.storage import columns
from fgr_retriever.index.storage.database import row_number
from fgr_retriever.index.storage.passage_row import (
    READ_BYTES,
    ROW_BYTES,
    Row,
    check_read,
    to_metadata,
    to_passage,
    verify_passage,
    verify_row,
)
from fgr_retriever.text.units import Units
from fgr_retriever.types import Metadata, Passage

_NAMES = ("id", "metadata", "text", "checksum")
_ID, _METADATA, _CHECKSUM = (
    columns.text("id", columns.MOST_ID),
    columns.text("metadata", columns.MOST_METADATA),
    columns.blob("checksum", columns.MOST_NAME),
)
_READ = f"{_ID}, {_METADATA}, {_CHECKSUM}"  # without the text
_COLUMNS = f"{_ID}, {_METADATA}, {columns.blob('text', columns.MOST_TEXT)}, {_CHECKSUM}"


def find(connection: sqlite3.Connection, id: str, units: bool) -> tuple[int, Row] | None:
    """Read number and columns of the live row of an id, unchecked, also the units if they are kept."""
    found = connection.execute(f"SELECT row, {_columns(units)} FROM passages WHERE id = ?", (id,)).fetchone()
    return None if found is None else (row_number(found[0]), Row(*found[1:]))


def bury(connection: sqlite3.Connection, id: str) -> bool:
    """Replace the row of an id by a tombstone; False when there is none."""
    buried = "INSERT INTO tombstones SELECT row FROM passages WHERE id = ?"
    if not connection.execute(buried, (id,)).rowcount:
        return False
    connection.execute("DELETE FROM passages WHERE id = ?", (id,))
    return True


def fetch(connection: sqlite3.Connection, id: str) -> Passage | None:
    """Read a passage by its id; None when there is none.

    Raises:
        IndexCorruptError: The row is damaged.
    """
    return _fetch(connection, "id = ?", id)


def fetch_row(connection: sqlite3.Connection, number: int, units: bool) -> Row | None:
    """Read the columns of a row as they are, also the units if they are kept; None when there is none."""
    select = f"SELECT {_columns(units)} FROM passages WHERE row = ?"
    found = connection.execute(select, (number,)).fetchone()
    return None if found is None else Row(*found)


def put_row(connection: sqlite3.Connection, number: int, row: Row) -> None:
    """Store columns as they are under a number that is free."""
    *columns, units = row
    kept = columns if units is None else row
    places = ", ".join("?" for _ in kept)
    names = ", ".join(_NAMES if units is None else (*_NAMES, "units"))
    connection.execute(f"INSERT INTO passages (row, {names}) VALUES (?, {places})", (number, *kept))


def put_metadata(connection: sqlite3.Connection, number: int, stored: Row, row: Row) -> None:
    """Store other metadata in an intact row; text and units stay.

    Args:
        connection: In the write transaction.
        number: The row.
        stored: What it has.
        row: The same passage with the new metadata.
    """
    checksum = row.checksum[:ROW_BYTES] + stored.checksum[ROW_BYTES:]
    connection.execute("UPDATE passages SET metadata = ?, checksum = ? WHERE row = ?", (row.metadata, checksum, number))


def put_units(connection: sqlite3.Connection, number: int, row: Row) -> None:
    """Store the units of a row that is there without them."""
    connection.execute("UPDATE passages SET units = ?, checksum = ? WHERE row = ?", (row.units, row.checksum, number))


def intact_row(connection: sqlite3.Connection, number: int, units: bool) -> Row:
    """Read the columns of a live row, also the units if they are kept.

    Raises:
        IndexCorruptError: The row is damaged or missing.
    """
    row = fetch_row(connection, number, units)
    if row is None:
        raise _missing(number)
    verify_row(row, units)
    return row


def numbers(connection: sqlite3.Connection) -> Iterator[int]:
    """List the live rows, ascending, while they may be written to.

    Raises:
        IndexCorruptError: A row has no number.
    """
    last, select = -1, "SELECT row FROM passages WHERE row > ? ORDER BY row LIMIT 1000"
    while found := [row_number(number) for (number,) in connection.execute(select, (last,))]:
        yield from found
        last = found[-1]


def fetch_number(connection: sqlite3.Connection, number: int) -> Passage:
    """Read the passage of a live row, without its units.

    Raises:
        IndexCorruptError: The row is damaged or missing.
    """
    passage = _fetch(connection, "row = ?", number)
    if passage is None:
        raise _missing(number)
    return passage


def fetch_with_units(
    connection: sqlite3.Connection, numbers: Sequence[int], units: bool
) -> list[tuple[Passage, Units | None]]:
    """Read the passages of live rows, with the units of their texts if they are kept.

    Raises:
        IndexCorruptError: A row is damaged or missing.
    """
    found = [intact_row(connection, number, units) for number in numbers]
    passages = [to_passage(row) for row in found]
    if not units:
        return [(passage, None) for passage in passages]
    stored = [row.units for row in found if row.units is not None]
    return [*zip(passages, Units.read(stored, [len(one.text) for one in passages]), strict=True)]


def numbers_of(connection: sqlite3.Connection, ids: Iterable[str]) -> list[int | None]:
    """Look up the live rows of ids, in their order; None where there is none.

    Raises:
        IndexCorruptError: A row has no number.
    """
    found = (connection.execute("SELECT row FROM passages WHERE id = ?", (id,)).fetchone() for id in ids)
    return [None if one is None else row_number(one[0]) for one in found]


def fetch_id(connection: sqlite3.Connection, number: int) -> str:
    """Read the id of a live row.

    Raises:
        IndexCorruptError: The row is damaged or missing.
    """
    found = connection.execute(f"SELECT {_READ} FROM passages WHERE row = ?", (number,)).fetchone()
    if found is None:
        raise _missing(number)
    check_read(*found)
    return str(found[0])


def text_digests(connection: sqlite3.Connection) -> list[tuple[int, bytes]]:
    """List the live rows, ascending, each with 16 bytes that are the same for equal texts.

    Raises:
        IndexCorruptError: A row is damaged.
    """
    found = []
    for number, checksum in connection.execute(f"SELECT row, {_CHECKSUM} FROM passages ORDER BY row"):
        if not isinstance(checksum, bytes):
            raise IndexCorruptError(f"the passage of row {number} has no checksum: restore the index from a copy")
        found.append((row_number(number), checksum[READ_BYTES:ROW_BYTES]))
    return found


def numbers_where(connection: sqlite3.Connection, matches: Predicate) -> list[int]:
    """List the live rows whose metadata match.

    Raises:
        IndexCorruptError: The metadata of a row differ from what was written.
    """
    return [number for number, _, metadata in each(connection) if matches(metadata)]


def each(connection: sqlite3.Connection) -> Iterator[tuple[int, str, Metadata]]:
    """Go through the live rows: number, id and metadata.

    Raises:
        IndexCorruptError: The metadata of a row differ from what was written.
    """
    for number, id, metadata, checksum in connection.execute(f"SELECT row, {_READ} FROM passages"):
        check_read(id, metadata, checksum)
        yield row_number(number), id, to_metadata(id, metadata)


def verify_rows(connection: sqlite3.Connection, units: bool, progress: bool = False) -> NDArray[np.int64]:
    """Compare every row with its checksum and list the rows, ascending.

    Args:
        connection: In a transaction.
        units: Whether units are kept.
        progress: Show a bar on stderr.

    Raises:
        IndexCorruptError: A row differs from what was written.
    """
    numbers = []
    (total,) = connection.execute("SELECT count(*) FROM passages").fetchone()
    stored = connection.execute(f"SELECT row, {_columns(units)} FROM passages ORDER BY row")
    for number, *values in tqdm(stored, total=total, unit=" passages", desc="texts", disable=not progress):
        row = Row(*values)
        verify_row(row, units)
        numbers.append(row_number(number))
    return np.array(numbers, dtype=np.int64)


def _fetch(connection: sqlite3.Connection, condition: str, value: str | int) -> Passage | None:
    found = connection.execute(f"SELECT {_COLUMNS} FROM passages WHERE {condition}", (value,)).fetchone()
    if found is None:
        return None
    row = Row(*found)
    verify_passage(row)
    return to_passage(row)


def _columns(units: bool) -> str:
    return f"{_COLUMNS}, {columns.blob('units', columns.MOST_TEXT)}" if units else _COLUMNS


def _missing(number: int) -> IndexCorruptError:
    return IndexCorruptError(f"row {number} has vectors but no passage: restore the index from a copy")
