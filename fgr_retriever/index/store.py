"""The folder of an index: what is in it, and how it changes without ever being half changed.

================  ==============================================================================
`manifest.json`    what the index is; written once, last, when it is created
`passages.sqlite`  ids, texts, metadata, tombstones and the list of segments; the one commit point
`segments/*/`      immutable arrays (see `segments`)
================  ==============================================================================

Every passage has a row number, given in the order of adding and never changed except by `compact`.
A segment holds a run of consecutive rows. A row that was deleted or replaced has a tombstone.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.errors import IndexCorruptError, IndexNotFoundError, InputError
from fgr_retriever.index import calibration, rows
from fgr_retriever.index.calibration import StoredCalibration
from fgr_retriever.index.database import DATABASE, Database, create_database, write_errors
from fgr_retriever.index.manifest import MANIFEST, Manifest, read_manifest, read_manifest_text, write_manifest_text
from fgr_retriever.index.segments import Segment, SegmentInfo, SegmentsWriter
from fgr_retriever.types import Passage, StoredTokens, TokenBlock

SEGMENTS = "segments"


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What was committed at one moment; never changes, whatever is written later.

    Args:
        generation: Counts the commits.
        segments: All segments, by ascending rows.
        rows: Row number of every stored passage, segment after segment, (n,) int64, ascending.
        alive: False where the passage was deleted or replaced, (n,) bool.
    """

    generation: int
    segments: tuple[Segment, ...]
    rows: NDArray[np.int64]
    alive: NDArray[np.bool_]

    def parts(self) -> Iterator[tuple[Segment, slice]]:
        """Go through the segments, each with its range of `rows` and `alive`."""
        start = 0
        for segment in self.segments:
            end = start + segment.info.passages
            yield segment, slice(start, end)
            start = end

    def tokens_at(self, position: int) -> StoredTokens:
        """Look up the tokens of the passage at a position."""
        segment, part = next((segment, part) for segment, part in self.parts() if position < part.stop)
        slot = position - part.start
        vectors = segment.decode(segment.tokens_of(slot)).numpy().astype(np.float16)
        return StoredTokens(vectors, segment.offsets_of(slot))

    @property
    def tokens(self) -> int:
        """Count the tokens of the live passages."""
        return sum(int(segment.lengths[self.alive[part]].sum(dtype=np.int64)) for segment, part in self.parts())


class Store:
    """An open index folder: passages, their token vectors, and transactions over both.

    Needs no model: vectors come in as token blocks. Safe to use from many threads.

    Args:
        folder: The folder of an index.

    Raises:
        IndexNotFoundError: There is no index.
        IndexFormatError: The index has a format that this version cannot read.
        IndexCorruptError: A file is missing or has the wrong size.
    """

    def __init__(self, folder: Path) -> None:
        """Read the manifest and map all segments."""
        self.folder = folder
        self.manifest = read_manifest(folder)
        self._database = Database(folder)
        self._segments = folder / SEGMENTS
        self._latest: Snapshot | None = None
        with self.reading() as (_, connection):  # a missing or short file shows now, not at the first search
            calibration.fetch(connection)

    @contextmanager
    def reading(self) -> Iterator[tuple[Snapshot, sqlite3.Connection]]:
        """Open the latest snapshot and a read transaction that sees exactly the same state."""
        with self._database.reading() as connection:
            yield self._snapshot(connection), connection

    def add(self, passages: Iterable[Passage], encode: Callable[[Iterable[str]], Iterable[TokenBlock]]) -> int:
        """Add or replace passages: all of them, or on any error none.

        Args:
            passages: Read once, as `encode` asks for texts.
            encode: Turns texts into token blocks, in order.

        Returns:
            How many passages were added or replaced.
        """
        with self._database.writing() as connection, self._new_segments(connection) as writer:
            first = next_row = _next_row(connection)

            def texts() -> Iterator[str]:
                nonlocal next_row
                for passage in passages:
                    with write_errors(self.folder):
                        rows.put(connection, next_row, rows.to_row(passage), first)
                    next_row += 1
                    yield passage.text

            for block in encode(texts()):
                with write_errors(self.folder):
                    writer.write(block)
            with write_errors(self.folder):
                stored = _list_segments(connection, writer.finish(), first)
            if stored != next_row:
                raise InputError(f"the encoder took {next_row - first} texts and gave {stored - first} passages")
            return stored - first

    def delete(self, ids: Iterable[str]) -> int:
        """Delete passages and return how many there were."""
        with self._database.writing() as connection, write_errors(self.folder):
            return sum(rows.bury(connection, id) for id in ids)

    def compact(self) -> None:
        """Rewrite what is alive into fresh segments, in the same order, and drop the rest."""
        with self._database.writing() as connection, self._new_segments(connection) as writer:
            snapshot = self._snapshot(connection)
            if len(snapshot.segments) <= 1 and snapshot.alive.all():
                return
            first = _next_row(connection)
            with write_errors(self.folder):
                for segment, part in snapshot.parts():
                    for slot in np.flatnonzero(snapshot.alive[part]).tolist():
                        tokens = segment.tokens_of(slot)
                        writer.write(TokenBlock(slot, segment.vectors[tokens], segment.offsets[tokens], last=True))
                moved = enumerate(snapshot.rows[snapshot.alive].tolist(), start=first)
                connection.execute("DELETE FROM tombstones")
                connection.execute("DELETE FROM segments")
                connection.executemany("UPDATE passages SET row = ? WHERE row = ?", moved)
                _list_segments(connection, writer.finish(), first)
        for segment in snapshot.segments:  # readers that still map them keep their bytes
            shutil.rmtree(segment.folder, ignore_errors=True)

    def calibration(self) -> StoredCalibration | None:
        """Read the calibration that the index keeps, if any."""
        with self._database.reading() as connection:
            return calibration.fetch(connection)

    def calibrate(self, stored: StoredCalibration | None) -> None:
        """Keep a calibration in place of the one that is there; None removes it."""
        with self._database.writing() as connection, write_errors(self.folder):
            calibration.put(connection, stored)

    def verify(self) -> None:
        """Check every stored byte, and that the parts fit each other.

        Raises:
            IndexCorruptError: Something is damaged; names it.
        """
        with self.reading() as (snapshot, connection):
            (manifest,) = connection.execute("SELECT value FROM state WHERE name = 'manifest'").fetchone()
            if read_manifest_text(self.folder) != manifest:
                raise IndexCorruptError(f"{self.folder / MANIFEST} differs from what was written: restore it")
            calibration.fetch(connection)
            for (problem,) in connection.execute("PRAGMA integrity_check"):
                if problem != "ok":
                    raise IndexCorruptError(f"{self.folder / DATABASE} is damaged: {problem}")
            for segment in snapshot.segments:
                segment.verify()
            if not np.array_equal(rows.verify_rows(connection), snapshot.rows[snapshot.alive]):
                raise IndexCorruptError(f"{self.folder / DATABASE}: passages and segments do not match; restore it")

    def close(self) -> None:
        """Close the files; every later call raises InputError."""
        self._database.close()
        self._latest = None

    def _snapshot(self, connection: sqlite3.Connection) -> Snapshot:
        """Take the snapshot that the connection's transaction sees, from memory if it is the latest."""
        while True:
            generation = _generation(connection)
            latest = self._latest
            if latest is not None and latest.generation == generation:
                return latest
            try:
                self._latest = self._load(connection, generation, latest.segments if latest else ())
                return self._latest
            except FileNotFoundError as error:
                # `compact` removes segments that no later snapshot has: look at the present state.
                connection.execute("COMMIT")
                connection.execute("BEGIN")
                if _generation(connection) == generation:
                    raise IndexCorruptError(f"{error.filename} is missing: restore it from a copy") from error

    def _load(self, connection: sqlite3.Connection, generation: int, known: Sequence[Segment]) -> Snapshot:
        """Read the list of segments and the tombstones; segments that are mapped already stay so."""
        mapped = {segment.info.name: segment for segment in known}
        segments, runs = [], [np.zeros(0, np.int64)]
        for first, info in _segments(connection):
            segments.append(mapped.get(info.name) or Segment(self._segments, info, self.manifest.dim))
            runs.append(np.arange(first, first + info.passages, dtype=np.int64))
        tombstones = [row for (row,) in connection.execute("SELECT row FROM tombstones")]
        numbers = np.concatenate(runs)
        alive = ~np.isin(numbers, np.array(tombstones, dtype=np.int64))
        return Snapshot(generation, tuple(segments), numbers, alive)

    @contextmanager
    def _new_segments(self, connection: sqlite3.Connection) -> Iterator[SegmentsWriter]:
        """Begin to write segments, after removing those that an interrupted writer left behind."""
        with write_errors(self.folder):
            self._segments.mkdir(exist_ok=True)
            known = {info.name for _, info in _segments(connection)}
            for path in self._segments.iterdir():
                if path.name not in known:
                    shutil.rmtree(path, ignore_errors=True)
        with SegmentsWriter(self._segments, self.manifest.dim, self.manifest.config.segment_tokens) as writer:
            yield writer


def create_store(folder: Path, manifest: Manifest) -> None:
    """Make an empty index; an interrupted attempt to do so is finished.

    Raises:
        IndexNotFoundError: The folder holds something else.
        IndexWriteError: The disk refused.
    """
    if folder.exists() and not folder.is_dir():
        raise IndexNotFoundError(f"{folder} is a file: give a folder")
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        foreign = [path.name for path in folder.iterdir() if not path.name.startswith((DATABASE, MANIFEST))]
    if foreign:
        raise IndexNotFoundError(
            f"{folder} holds no index ({MANIFEST} is missing) but other files such as {sorted(foreign)[0]!r}: "
            "give an empty or a new folder"
        )
    text = create_database(folder, manifest.to_json())
    with write_errors(folder):
        write_manifest_text(folder, text)


def _generation(connection: sqlite3.Connection) -> int:
    """Read how many commits there were."""
    found = connection.execute("SELECT value FROM state WHERE name = 'generation'").fetchone()
    if found is None:
        raise IndexCorruptError(f"{DATABASE} does not count its commits: restore it from a copy")
    return int(found[0])


def _next_row(connection: sqlite3.Connection) -> int:
    """Find the number after the last row of the last segment."""
    return int(connection.execute("SELECT COALESCE(MAX(first_row + passages), 0) FROM segments").fetchone()[0])


def _segments(connection: sqlite3.Connection) -> Iterator[tuple[int, SegmentInfo]]:
    """Read the list of segments, each with its first row."""
    listed = "SELECT first_row, name, passages, tokens, checksums FROM segments ORDER BY first_row"
    for first, name, passages, tokens, checksums in connection.execute(listed):
        try:
            yield first, SegmentInfo(name, passages, tokens, json.loads(checksums))
        except (ValueError, TypeError) as error:
            raise IndexCorruptError(f"{DATABASE} lists a damaged segment {name!r}: restore it from a copy") from error


def _list_segments(connection: sqlite3.Connection, segments: Iterable[SegmentInfo], first: int) -> int:
    """Add new segments to the list, from row `first` on, and return the row after the last one."""
    for info in segments:
        row = (first, info.name, info.passages, info.tokens, json.dumps(info.checksums))
        connection.execute("INSERT INTO segments VALUES (?, ?, ?, ?, ?)", row)
        first += info.passages
    return first
