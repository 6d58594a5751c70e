"""The `passages` table: passages as rows and back, character for character."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from fgr_retriever.errors import IndexCorruptError, InputError
from fgr_retriever.index.filters import Predicate
from fgr_retriever.index.storage.database import row_number
from fgr_retriever.types import Passage

_COLUMNS = "id, metadata, text, checksum"
_READ_BYTES = 16  # of a checksum: those of id and metadata


class Row(NamedTuple):
    """The stored columns of one passage.

    Texts are bytes and metadata is ASCII JSON, so that NUL and lone surrogates survive.
    """

    id: str
    metadata: str
    text: bytes
    checksum: bytes


def to_row(passage: Passage) -> Row:
    """Check a passage and encode it.

    Raises:
        InputError: The id, text or metadata cannot be stored; names the passage and the key.
    """
    if not isinstance(passage, Passage):
        raise InputError(f"{passage!r:.200}: must be a Passage")
    if not is_id(passage.id):
        raise InputError(f"passage id {passage.id!r:.200}: must be a non-empty string without lone surrogates")
    if not isinstance(passage.text, str):
        raise InputError(f"passage {passage.id!r}: text must be a string, got {type(passage.text).__name__}")
    metadata = _metadata_json(passage)
    text = passage.text.encode("utf-8", "surrogatepass")
    return Row(passage.id, metadata, text, _checksum(passage.id, metadata, text))


def to_passage(row: Row) -> Passage:
    """Decode a passage.

    Raises:
        IndexCorruptError: The row is not what `to_row` made.
    """
    try:
        return Passage(row.id, row.text.decode("utf-8", "surrogatepass"), json.loads(row.metadata))
    except (ValueError, AttributeError, TypeError) as error:
        raise IndexCorruptError(f"passage {row.id!r} is damaged ({error}): restore the index from a copy") from error


def put(connection: sqlite3.Connection, number: int, row: Row, first: int) -> None:
    """Store a row under a number; an older row with the same id is buried.

    Raises:
        InputError: This write, whose rows begin at `first`, has stored the same id already.
    """
    older = connection.execute("SELECT row FROM passages WHERE id = ?", (row.id,)).fetchone()
    if older is not None and row_number(older[0]) >= first:
        raise InputError(f"passage id {row.id!r} comes twice in one call: ids must be unique; nothing was stored")
    bury(connection, row.id)
    put_row(connection, number, row)


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


def fetch_row(connection: sqlite3.Connection, number: int) -> Row | None:
    """Read the columns of a row as they are; None when there is none."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM passages WHERE row = ?", (number,)).fetchone()
    return None if found is None else Row(*found)


def put_row(connection: sqlite3.Connection, number: int, row: Row) -> None:
    """Store columns as they are under a number that is free."""
    connection.execute("INSERT INTO passages VALUES (?, ?, ?, ?, ?)", (number, *row))


def fetch_number(connection: sqlite3.Connection, number: int) -> Passage:
    """Read the passage of a live row.

    Raises:
        IndexCorruptError: The row is damaged or missing.
    """
    passage = _fetch(connection, "row = ?", number)
    if passage is None:
        raise _missing(number)
    return passage


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
    found = connection.execute("SELECT id, metadata, checksum FROM passages WHERE row = ?", (number,)).fetchone()
    if found is None:
        raise _missing(number)
    _check_read(*found)
    return str(found[0])


def text_digests(connection: sqlite3.Connection) -> list[tuple[int, bytes]]:
    """List the live rows, ascending, each with 16 bytes that are the same for equal texts.

    Raises:
        IndexCorruptError: A row is damaged.
    """
    select = f"SELECT row, substr(checksum, {_READ_BYTES + 1}), id FROM passages ORDER BY row"
    found = []
    for number, digest, id in connection.execute(select):
        if not isinstance(digest, bytes):
            raise _damaged(id)
        found.append((row_number(number), digest))
    return found


def numbers_where(connection: sqlite3.Connection, matches: Predicate) -> list[int]:
    """List the live rows whose metadata match.

    Raises:
        IndexCorruptError: The metadata of a row differ from what was written.
    """
    found = []
    for number, id, metadata, checksum in connection.execute("SELECT row, id, metadata, checksum FROM passages"):
        _check_read(id, metadata, checksum)
        if matches(json.loads(metadata)):
            found.append(row_number(number))
    return found


def verify_row(row: Row) -> None:
    """Compare a row with its checksum.

    Raises:
        IndexCorruptError: It differs from what was written.
    """
    intact = isinstance(row.id, str) and isinstance(row.metadata, str) and isinstance(row.text, bytes)
    if not intact or _checksum(row.id, row.metadata, row.text) != row.checksum:
        raise _damaged(row.id)


def verify_rows(connection: sqlite3.Connection, progress: bool = False) -> NDArray[np.int64]:
    """Compare every row with its checksum and list the rows, ascending.

    Args:
        connection: In a transaction.
        progress: Show a bar on stderr.

    Raises:
        IndexCorruptError: A row differs from what was written.
    """
    numbers = []
    (total,) = connection.execute("SELECT count(*) FROM passages").fetchone()
    stored = connection.execute(f"SELECT row, {_COLUMNS} FROM passages ORDER BY row")
    for number, *columns in tqdm(stored, total=total, unit=" passages", desc="texts", disable=not progress):
        row = Row(*columns)
        verify_row(row)
        numbers.append(row_number(number))
    return np.array(numbers, dtype=np.int64)


def is_id(value: object) -> bool:
    """Say whether a value can be the id of a passage."""
    return isinstance(value, str) and bool(value) and not any("\ud800" <= char <= "\udfff" for char in value)


def _fetch(connection: sqlite3.Connection, condition: str, value: str | int) -> Passage | None:
    found = connection.execute(f"SELECT {_COLUMNS} FROM passages WHERE {condition}", (value,)).fetchone()
    if found is None:
        return None
    row = Row(*found)
    verify_row(row)
    return to_passage(row)


def _check_read(id: object, metadata: object, checksum: bytes) -> None:
    """Compare what is read without the text with its checksum."""
    intact = isinstance(id, str) and isinstance(metadata, str) and isinstance(checksum, bytes)
    if not intact or _read_checksum(str(id), str(metadata)) != checksum[:_READ_BYTES]:
        raise _damaged(id)


def _missing(number: int) -> IndexCorruptError:
    return IndexCorruptError(f"row {number} has vectors but no passage: restore the index from a copy")


def _damaged(id: object) -> IndexCorruptError:
    return IndexCorruptError(f"passage {id!r} differs from what was written: restore the index from a copy")


def _checksum(id: str, metadata: str, text: bytes) -> bytes:
    """Hash a row: first what filters read, so that they can check it without the text, then the text."""
    return _read_checksum(id, metadata) + hashlib.blake2b(text, digest_size=16).digest()


def _read_checksum(id: str, metadata: str) -> bytes:
    """Hash id and metadata; the length before the id keeps the two apart."""
    name = id.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(
        len(name).to_bytes(8, "little") + name + metadata.encode("utf-8", "surrogatepass"), digest_size=_READ_BYTES
    ).digest()


def _metadata_json(passage: Passage) -> str:
    """Write metadata as JSON, refusing what would come back as something else."""
    name = f"passage {passage.id!r}: metadata"
    if not isinstance(passage.metadata, Mapping):
        raise InputError(f"{name} must be a mapping, got {type(passage.metadata).__name__}")
    try:
        metadata = dict(passage.metadata)
        _check_json(metadata, name)
        return json.dumps(metadata, allow_nan=False)
    except (RecursionError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name} cannot be written as JSON: {error}") from error


def _check_json(value: Any, name: str) -> None:
    """Raise InputError unless a value is JSON and comes back from JSON as it was."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InputError(f"{name} has the key {key!r:.200}: keys must be strings")
            _check_json(item, f"{name}[{key!r}]")
    elif isinstance(value, list):
        for position, item in enumerate(value):
            _check_json(item, f"{name}[{position}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{name} is {value}: numbers must be finite")
    elif value is not None and not isinstance(value, (bool, int, float, str)):
        kinds = "None, bool, int, float, str, list or dict"
        raise InputError(f"{name} is {value!r:.200} ({type(value).__name__}): must be {kinds}")
