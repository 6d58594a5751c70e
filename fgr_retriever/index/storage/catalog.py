"""The tables `segments`, `codecs` and `tombstones`: which files make up the index, and which rows are dead."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.errors import IndexCorruptError
from fgr_retriever.index.codec.codec_files import FILES
from fgr_retriever.index.storage import columns
from fgr_retriever.index.storage.database import row_number
from fgr_retriever.index.storage.files import StoredFile, files_from_json, files_to_json
from fgr_retriever.index.storage.folders import DATABASE, check_name
from fgr_retriever.index.storage.inverted_lists import MOST_PASSAGES
from fgr_retriever.index.storage.segments import SegmentInfo

_LARGEST_CODEC = 1 << 29  # bytes: half a million centroids of 512 dimensions
_MOST_ROWS = 1 << 48  # that an index was ever given; SQLite and numpy count further
_NAME, _FILES = columns.text("name", columns.MOST_NAME), columns.text("files", columns.MOST_FACTS)
_PASSAGES, _TOKENS, _ERROR = map(columns.number, ("passages", "tokens", "error"))
_ADDED, _ADDED_ERROR = map(columns.number, ("added", "added_error"))
_SEGMENT = f"first_row, {_NAME}, {_PASSAGES}, {_TOKENS}, {_FILES}"
_CODEC = f"{_NAME}, {_FILES}, {_TOKENS}, {_ERROR}, {_ADDED}, {_ADDED_ERROR}"


@dataclass(frozen=True, slots=True)
class CodecInfo:
    """What the database keeps of the codec.

    Args:
        name: Its folder.
        files: Size and checksum of each file.
        tokens: How many it was trained for.
        error: Mean quantisation error of those (see `Codec.quantisation_error`).
        added: Tokens that it encoded since.
        added_error: Mean quantisation error of those; 0 when there are none.
    """

    name: str
    files: Mapping[str, StoredFile]
    tokens: int
    error: float
    added: int = 0
    added_error: float = 0.0

    @property
    def nbytes(self) -> int:
        """Size of the files."""
        return sum(file.bytes for file in self.files.values())


def fetch_segments(connection: sqlite3.Connection) -> Iterator[tuple[int, SegmentInfo]]:
    """Read the list of segments by ascending rows, each with its first row.

    Raises:
        IndexCorruptError: An entry is damaged.
    """
    end = None
    for entry in connection.execute(f"SELECT {_SEGMENT} FROM segments ORDER BY first_row"):
        first, info = row_number(entry[0]), _to_segment(entry)
        if not 0 <= first < _MOST_ROWS or end not in (None, first):
            raise IndexCorruptError(f"{DATABASE} lists segment {info.name!r} with wrong rows: run `fgr repair`")
        end = first + info.passages
        yield first, info


def fetch_segment(connection: sqlite3.Connection, first: int) -> SegmentInfo:
    """Read the entry of the segment that begins at a row.

    Raises:
        IndexCorruptError: The entry is damaged or missing.
    """
    entry = connection.execute(f"SELECT {_SEGMENT} FROM segments WHERE first_row = ?", (first,)).fetchone()
    if entry is None:
        raise IndexCorruptError(f"{DATABASE} lists no segment from row {first} on: restore it from a copy")
    return _to_segment(entry)


def put_segments(connection: sqlite3.Connection, segments: Iterable[SegmentInfo], first: int) -> int:
    """Add new segments to the list, from row `first` on, and return the row after the last one."""
    for info in segments:
        row = (first, info.name, info.passages, info.tokens, files_to_json(info.files))
        connection.execute("INSERT INTO segments VALUES (?, ?, ?, ?, ?)", row)
        first += info.passages
    return first


def drop_segments(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    """Take segments from the list."""
    connection.executemany("DELETE FROM segments WHERE name = ?", [(name,) for name in names])


def rows_of_segments(connection: sqlite3.Connection) -> range:
    """Find the first row of the first segment and the number after the last row of the last one.

    Raises:
        IndexCorruptError: An entry is damaged.
    """
    listed = [(first, first + info.passages) for first, info in fetch_segments(connection)]
    return range(listed[0][0], listed[-1][1]) if listed else range(0)


def fetch_codec(connection: sqlite3.Connection) -> CodecInfo | None:
    """Read the entry of the codec; None when there is none yet.

    Raises:
        IndexCorruptError: The entry is damaged.
    """
    found = connection.execute(f"SELECT {_CODEC} FROM codecs").fetchone()
    if found is None:
        return None
    name, files, tokens, error, added, added_error = found
    try:
        info = CodecInfo(
            check_name(name), files_from_json(files), int(tokens), float(error), int(added), float(added_error)
        )
        if info.files.keys() != {*FILES} or info.nbytes > _LARGEST_CODEC:
            raise ValueError(f"its files are {info.files}")
        return info
    except (ValueError, TypeError, OverflowError, RecursionError) as damage:
        raise IndexCorruptError(f"{DATABASE} lists a damaged codec {name!r}: restore it from a copy") from damage


def put_codec(connection: sqlite3.Connection, info: CodecInfo | None) -> None:
    """Keep a codec in place of the one that is there; None removes it."""
    connection.execute("DELETE FROM codecs")
    if info is not None:
        row = (info.name, files_to_json(info.files), info.tokens, info.error, info.added, info.added_error)
        connection.execute("INSERT INTO codecs VALUES (?, ?, ?, ?, ?, ?)", row)


def tombstones(connection: sqlite3.Connection) -> NDArray[np.int64]:
    """List the rows that were deleted or replaced."""
    return np.array([row_number(row) for (row,) in connection.execute("SELECT row FROM tombstones")], dtype=np.int64)


def _to_segment(entry: tuple[Any, ...]) -> SegmentInfo:
    _, name, passages, tokens, files = entry
    try:
        if not (0 <= int(passages) <= MOST_PASSAGES and int(tokens) >= 0):
            raise ValueError(f"{passages!r:.50} passages with {tokens!r:.50} tokens")
        return SegmentInfo(check_name(name), int(passages), int(tokens), files_from_json(files))
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise IndexCorruptError(f"{DATABASE} lists a damaged segment {name!r}: restore it from a copy") from error
