"""The folder of an index: what is in it, and how it changes without ever being half changed.

================  ==============================================================================
`manifest.json`    what the index is; written once, last, when it is created
`passages.sqlite`  ids, texts, metadata, tombstones, lists of segments and codecs; the one commit point
`segments/*/`      immutable arrays (see `segments`)
`codecs/*/`        the residual codec of the coded segments
`writer.lock`      empty; whoever writes holds its lock
================  ==============================================================================

Every passage has a row number, given in the order of adding and never changed except by `compact`.
A segment holds a run of consecutive rows. A row that was deleted or replaced has a tombstone.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from fgr_retriever.errors import IndexCorruptError, IndexNotFoundError, InputError
from fgr_retriever.index.codec.residual_codec import Codec, check_sizes
from fgr_retriever.index.storage import calibration, rows
from fgr_retriever.index.storage.calibration import StoredCalibration
from fgr_retriever.index.storage.catalog import fetch_codec, fetch_segments, next_row, put_segments
from fgr_retriever.index.storage.database import (
    DATABASE,
    WRITER_LOCK,
    Database,
    create_database,
    verify_database,
    write_errors,
)
from fgr_retriever.index.storage.files import check_bytes
from fgr_retriever.index.storage.growth import Growth
from fgr_retriever.index.storage.manifest import (
    MANIFEST,
    Manifest,
    read_manifest,
    read_manifest_text,
    sync_folder,
    write_manifest_text,
)
from fgr_retriever.index.storage.snapshot import CODECS, SEGMENTS, Snapshot, load_snapshot
from fgr_retriever.index.storage.word_table import WordTable
from fgr_retriever.index.storage.writing import BlockWriter
from fgr_retriever.model.tokens import TokenBlock
from fgr_retriever.types import Passage


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
        """Read the manifest, map all segments and load the codec."""
        self.folder = folder
        self.manifest = read_manifest(folder)
        self.words = WordTable(self.manifest.config.words)
        self._database = Database(folder, self.words)
        self._latest: Snapshot | None = None
        with self.reading() as (_, connection):  # a missing or short file shows now, not at the first search
            calibration.fetch(connection)

    @contextmanager
    def reading(self) -> Iterator[tuple[Snapshot, sqlite3.Connection]]:
        """Open the latest snapshot and a read transaction that sees exactly the same state."""
        with self._database.reading() as connection:
            yield self._snapshot(connection), connection

    def add(
        self,
        passages: Iterable[Passage],
        encode: Callable[[Iterable[str]], Iterable[TokenBlock]],
        *,
        progress: bool = False,
    ) -> int:
        """Add or replace passages: all of them, or on any error none.

        Args:
            passages: Read once, as `encode` asks for texts.
            encode: Turns texts into token blocks, in order.
            progress: Show bars on stderr while segments are encoded and merged.

        Returns:
            How many passages were added or replaced.
        """
        with self._changing(progress) as (connection, growth):
            first = following = next_row(connection)

            def texts() -> Iterator[str]:
                nonlocal following
                for passage in passages:
                    with write_errors(self.folder):
                        rows.put(connection, following, rows.to_row(passage), first)
                    following += 1
                    yield passage.text

            with growth.writer() as segments:
                writer = BlockWriter(segments, self.manifest.dim)
                for block in encode(texts()):
                    with write_errors(self.folder):
                        writer.write(block)
                with write_errors(self.folder):
                    stored = put_segments(connection, segments.finish(), first)
            if stored != following:
                raise InputError(f"the encoder took {following - first} texts and gave {stored - first} passages")
            if stored > first:
                with write_errors(self.folder):
                    growth.grow()
            return stored - first

    def delete(self, ids: Iterable[str]) -> int:
        """Delete passages and return how many there were."""
        with self._database.writing() as connection, write_errors(self.folder):
            self.words.refresh(connection)
            return sum(rows.bury(connection, id) for id in ids)

    def compact(self, *, progress: bool = False) -> None:
        """Rewrite what is alive into full segments, in the same order, and drop the rest; shrink the database.

        Trains a new codec when the index has outgrown the one that it has.

        Args:
            progress: Show bars on stderr.
        """
        with self._changing(progress, shrink=True) as (connection, growth), write_errors(self.folder):
            growth.compact()
            self.words.compact(connection)

    def calibration(self) -> StoredCalibration | None:
        """Read the calibration that the index keeps, if any."""
        with self._database.reading() as connection:
            return calibration.fetch(connection)

    def calibrate(self, stored: StoredCalibration | None) -> None:
        """Keep a calibration in place of the one that is there; None removes it."""
        with self._database.writing() as connection, write_errors(self.folder):
            calibration.put(connection, stored)

    def verify(self, *, progress: bool = False) -> None:
        """Check every stored byte, and that the parts fit each other.

        Args:
            progress: Show progress bars on stderr.

        Raises:
            IndexCorruptError: Something is damaged; names it.
        """
        with self.reading() as (snapshot, connection):
            (manifest,) = connection.execute("SELECT value FROM state WHERE name = 'manifest'").fetchone()
            if read_manifest_text(self.folder) != manifest:
                raise IndexCorruptError(f"{self.folder / MANIFEST} differs from what was written: restore it")
            calibration.fetch(connection)
            verify_database(self.folder, connection)
            if snapshot.codec_info is not None:
                check_bytes(self.folder / CODECS / snapshot.codec_info.name, snapshot.codec_info.files)
                Codec.load(self.folder / CODECS / snapshot.codec_info.name)
            stored = sum(segment.info.tokens for segment in snapshot.segments)
            with tqdm(total=stored, unit=" tokens", desc="segments", disable=not progress) as bar:
                for segment in snapshot.segments:
                    segment.verify()
                    bar.update(segment.info.tokens)
            if not np.array_equal(rows.verify_rows(connection, progress), snapshot.rows[snapshot.alive]):
                raise IndexCorruptError(f"{self.folder / DATABASE}: passages and segments do not match; restore it")
            self.words.verify(connection, progress)

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
                loaded = load_snapshot(self.folder, self.manifest.dim, connection, generation, latest)
            except (FileNotFoundError, IndexCorruptError) as error:
                # A writer removes segments that no later snapshot has: look at the present state.
                connection.execute("COMMIT")
                connection.execute("BEGIN")
                if _generation(connection) != generation:
                    continue
                if isinstance(error, FileNotFoundError):
                    raise IndexCorruptError(f"{error.filename} is missing: restore it from a copy") from error
                raise
            self._latest = loaded  # from here on another thread may put the snapshot of its transaction there
            return loaded

    @contextmanager
    def _changing(self, progress: bool, *, shrink: bool = False) -> Iterator[tuple[sqlite3.Connection, Growth]]:
        """Open a write transaction over passages and segments.

        Folders that it does not name in the end are removed, and so are those that an interrupted
        writer left behind. Readers that still map them keep their bytes; what cannot be removed,
        because Windows keeps files that are mapped, the next writer removes.
        """
        with self._database.writing(shrink=shrink) as connection:
            with write_errors(self.folder):
                self.words.refresh(connection)
                self._make_roots()
            before = self._named(connection)
            self._remove_all_but(before)
            try:
                yield connection, Growth(self.folder, self.manifest, connection, self._latest, progress)
                after = self._named(connection)
            except BaseException:
                self._remove_all_but(before)
                raise
            self._remove_all_but(before | after)
        _remove(before - after)

    def _make_roots(self) -> None:
        """Make the folders of segments and codecs, durably, if they are not there."""
        for root in (self.folder / SEGMENTS, self.folder / CODECS):
            if not root.exists():
                root.mkdir()
                sync_folder(self.folder)

    def _named(self, connection: sqlite3.Connection) -> set[Path]:
        """List the folders that a transaction names."""
        segments = {self.folder / SEGMENTS / info.name for _, info in fetch_segments(connection)}
        codec = fetch_codec(connection)
        return segments | ({self.folder / CODECS / codec.name} if codec else set())

    def _remove_all_but(self, folders: set[Path]) -> None:
        """Remove what else lies beside segments and codecs."""
        for root in (self.folder / SEGMENTS, self.folder / CODECS):
            _remove(set(root.iterdir()) - folders)


def create_store(folder: Path, manifest: Manifest) -> None:
    """Make an empty index; an interrupted attempt to do so is finished.

    Raises:
        IndexNotFoundError: The folder holds something else.
        ConfigError: Vectors of this width do not fill whole bytes at this number of bits, or words
            cannot be kept.
        MissingExtraError: It is to keep words, and the stemmer is not installed.
        IndexLockedError: Another process creates it, and does not get done.
        IndexWriteError: The disk refused.
    """
    words = WordTable(manifest.config.words)
    words.check()
    if manifest.config.nbits < 16:
        check_sizes(manifest.dim, manifest.config.nbits)
    if folder.exists() and not folder.is_dir():
        raise IndexNotFoundError(f"{folder} is a file: give a folder")
    with write_errors(folder):
        made = [one for one in (folder, *folder.absolute().parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for one in made:
            sync_folder(one.parent)
        ours = (DATABASE, WRITER_LOCK, MANIFEST)
        foreign = [path.name for path in folder.iterdir() if not path.name.startswith(ours)]
    if foreign:
        raise IndexNotFoundError(
            f"{folder} holds no index ({MANIFEST} is missing) but other files such as {sorted(foreign)[0]!r}: "
            "give an empty or a new folder"
        )
    text = create_database(folder, manifest.to_json(), words)
    with write_errors(folder):
        write_manifest_text(folder, text)


def _generation(connection: sqlite3.Connection) -> int:
    """Read how many commits there were."""
    found = connection.execute("SELECT value FROM state WHERE name = 'generation'").fetchone()
    if found is None or not isinstance(found[0], int):
        raise IndexCorruptError(f"{DATABASE} does not count its commits: restore it from a copy")
    return found[0]


def _remove(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
