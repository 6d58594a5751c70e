"""A passage as a row of the database and back, character for character, with checksums of its parts."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from fgr_retriever.errors import IndexCorruptError, InputError
from fgr_retriever.index.storage import columns
from fgr_retriever.text.units import Units
from fgr_retriever.types import Passage

READ_BYTES = 16  # of a checksum: those of id and metadata
ROW_BYTES = 32  # of a checksum: those of all but the units


class Row(NamedTuple):
    """The stored columns of one passage.

    Texts are bytes and metadata is ASCII JSON, so that NUL and lone surrogates survive. The units of a
    text are bytes, too; format 2 has none.
    """

    id: str
    metadata: str
    text: bytes
    checksum: bytes
    units: bytes | None = None


def to_row(passage: Passage, units: bool) -> Row:
    """Check a passage and encode it, with the units of its text if they are kept.

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
    _check_sizes(passage, metadata, text)
    row = Row(passage.id, metadata, text, _checksum(passage.id, metadata, text))
    return with_units(row) if units else row


def with_units(row: Row, units: bytes | None = None) -> Row:
    """Put the units of its text into an intact row; None works them out."""
    units = Units.of(_text(row)).to_bytes() if units is None else units
    return row._replace(units=units, checksum=row.checksum[:ROW_BYTES] + _units_checksum(units))


def without_units(row: Row) -> Row:
    """Take the units from an intact row."""
    return row._replace(units=None, checksum=row.checksum[:ROW_BYTES])


def to_passage(row: Row) -> Passage:
    """Decode a passage.

    Raises:
        IndexCorruptError: The row is not what `to_row` made.
    """
    try:
        return Passage(row.id, _text(row), to_metadata(row.id, row.metadata))
    except (ValueError, AttributeError, TypeError) as error:
        raise IndexCorruptError(f"passage {row.id!r} is damaged ({error}): restore the index from a copy") from error


def to_metadata(id: str, metadata: str) -> dict[str, Any]:
    """Decode the metadata of a passage.

    Raises:
        IndexCorruptError: They are not what `to_row` made.
    """
    try:
        found = json.loads(metadata)
        if isinstance(found, dict):
            return found
        raise ValueError("no JSON object")
    except (ValueError, RecursionError) as error:
        raise IndexCorruptError(
            f"the metadata of passage {id!r} are damaged ({error}): restore the index from a copy"
        ) from error


def verify_row(row: Row, units: bool) -> None:
    """Compare a row with its checksum, also the units if they are kept.

    Raises:
        IndexCorruptError: It differs from what was written.
    """
    verify_passage(row)
    right = _units_checksum(row.units) if isinstance(row.units, bytes) else b""
    if isinstance(row.units, bytes) != units or row.checksum[ROW_BYTES:] != right:
        raise IndexCorruptError(f"the units of passage {row.id!r} differ from what was written: run `fgr repair`")


def verify_passage(row: Row) -> None:
    """Compare all but the units of a row with its checksum.

    Raises:
        IndexCorruptError: It differs from what was written.
    """
    columns = (row.id, row.metadata, row.text, row.checksum)
    intact = all(isinstance(one, kind) for one, kind in zip(columns, (str, str, bytes, bytes), strict=True))
    if not intact or _checksum(row.id, row.metadata, row.text) != row.checksum[:ROW_BYTES]:
        raise damaged(row.id)


def is_id(value: object) -> bool:
    """Say whether a value can be the id of a passage."""
    return isinstance(value, str) and bool(value) and not any("\ud800" <= char <= "\udfff" for char in value)


def check_read(id: object, metadata: object, checksum: bytes) -> None:
    """Compare what is read without the text with its checksum."""
    intact = isinstance(id, str) and isinstance(metadata, str) and isinstance(checksum, bytes)
    if not intact or _read_checksum(str(id), str(metadata)) != checksum[:READ_BYTES]:
        raise damaged(id)


def _text(row: Row) -> str:
    return row.text.decode("utf-8", "surrogatepass")


def damaged(id: object) -> IndexCorruptError:
    """Make the error that says which passage is damaged."""
    return IndexCorruptError(f"passage {id!r} differs from what was written: restore the index from a copy")


def _checksum(id: str, metadata: str, text: bytes) -> bytes:
    """Hash a row: first what filters read, so that they can check it without the text, then the text."""
    return _read_checksum(id, metadata) + hashlib.blake2b(text, digest_size=16).digest()


def _units_checksum(units: bytes) -> bytes:
    return hashlib.blake2b(units, digest_size=16).digest()


def _read_checksum(id: str, metadata: str) -> bytes:
    """Hash id and metadata; the length before the id keeps the two apart."""
    name = id.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(
        len(name).to_bytes(8, "little") + name + metadata.encode("utf-8", "surrogatepass"), digest_size=READ_BYTES
    ).digest()


def _check_sizes(passage: Passage, metadata: str, text: bytes) -> None:
    """Raise InputError if a part of a passage is larger than what is ever read."""
    parts = (("id", len(passage.id.encode()), columns.MOST_ID), ("metadata", len(metadata), columns.MOST_METADATA))
    for name, size, most in (*parts, ("text", len(text), columns.MOST_TEXT)):
        if size > most:
            raise InputError(
                f"passage {passage.id!r:.200}: {name} of {size:,} bytes, and at most {most:,} can be stored: split it"
            )


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
