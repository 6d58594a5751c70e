"""The folder of an index: what is in it, and how it changes without ever being half changed.

================  ==============================================================================
`manifest.json`    what the index is; written last when it is created, and when it is upgraded
`passages.sqlite`  ids, texts, metadata, tombstones, lists of segments and codecs; the one commit point
`segments/*/`      immutable arrays (see `segments`)
`codecs/*/`        the residual codec of the coded segments
`writer.lock`      empty; whoever writes holds its lock
================  ==============================================================================

Every passage has a row number, given in the order of adding and never changed except by `compact`.
A segment holds a run of consecutive rows. A row that was deleted or replaced has a tombstone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from fgr_retriever.errors import IndexCorruptError, InputError, ModelMismatchError
from fgr_retriever.index.codec.codec_files import load_codec
from fgr_retriever.index.storage import calibration, columns, rows
from fgr_retriever.index.storage.calibration import StoredCalibration
from fgr_retriever.index.storage.catalog import fetch_codec, fetch_segments, put_segments, rows_of_segments, tombstones
from fgr_retriever.index.storage.database import Database, verify_database, write_errors
from fgr_retriever.index.storage.files import check_bytes
from fgr_retriever.index.storage.folders import CODECS, DATABASE, MANIFEST, SEGMENTS, check_own, remove, remove_all_but
from fgr_retriever.index.storage.growth import Growth
from fgr_retriever.index.storage.intake import Intake
from fgr_retriever.index.storage.manifest import (
    read_manifest,
    read_manifest_text,
    stored_manifest,
    stored_texts,
    sync_folder,
)
from fgr_retriever.index.storage.passage_row import Row, with_units
from fgr_retriever.index.storage.snapshot import Snapshot, load_snapshot
from fgr_retriever.index.storage.upgrade import CodeMaker, is_complete, upgrade
from fgr_retriever.index.storage.word_table import WordTable
from fgr_retriever.index.storage.writing import BlockWriter
from fgr_retriever.model.mismatch import called
from fgr_retriever.model.tokens import TokenBlock
from fgr_retriever.types import Added, Passage


class Store:
    """An open index folder: passages, their token vectors, and transactions over both.

    Needs no model: vectors come in as token blocks. Safe to use from many threads.

    Args:
        folder: The folder of an index.

    Raises:
        IndexNotFoundError: There is no index.
        IndexFormatError: The index has a format that this version cannot read.
        IndexCorruptError: A file is missing or has the wrong size.

    Attributes:
        manifest: What the index was when it was opened; an upgrade changes its format and evidence codes.
    """

    def __init__(self, folder: Path) -> None:
        """Read the manifest, map all segments and load the codec."""
        self.folder = folder
        self.manifest = read_manifest(folder)
        self.words = WordTable(self.manifest.config.words)
        self._database = Database(folder, self.words, self._replaced)
        self._latest: Snapshot | None = None
        with self.reading() as (snapshot, connection):  # a missing or short file shows now, not at the first search
            self.manifest = snapshot.manifest
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
        maker: CodeMaker | None = None,
        *,
        replacing: Iterable[str] = (),
        within: Collection[str] | None = None,
        progress: bool = False,
        bordered: Callable[[Row], Row] = with_units,
    ) -> Added:
        """Add or replace passages: all of them, or on any error none.

        Args:
            passages: Read once, as `encode` asks for texts.
            encode: Turns texts into token blocks, in order. It does not see texts that are stored already.
            maker: Does so with evidence codes, and is used where the index keeps these codes.
            replacing: Ids of passages to delete, unless they are among `passages`.
            within: Names of the sources whose passages may be replaced; see `Intake`.
            progress: Show bars on stderr while segments are encoded and merged.
            bordered: Gives the row of the latest passage with the units of its text.

        Returns:
            How many passages were added, updated and left as they were.
        """
        with self._changing(progress) as (connection, growth):
            listed, manifest = rows_of_segments(connection), growth.manifest
            first = listed.stop
            if coded := maker is not None and maker.fits(manifest):
                encode = maker.encode
            intake = Intake(self.folder, connection, bordered if manifest.units else None, listed, within)
            with growth.writer(evidence=coded) as segments:
                writer = BlockWriter(segments, manifest.dim)
                for block in encode(intake.texts(passages)):
                    with write_errors(self.folder):
                        writer.write(block)
                with write_errors(self.folder):
                    stored = put_segments(connection, segments.finish(), first)
                    intake.drop(replacing)
            if stored != intake.next:
                raise InputError(f"the encoder took {intake.next - first} texts and gave {stored - first} passages")
            if stored > first:
                with write_errors(self.folder):
                    growth.grow()
            return intake.count()

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

    def upgrade(self, maker: CodeMaker | None, *, progress: bool = False) -> bool:
        """Add evidence codes and units where the index lacks them: all of them or, on any error, none.

        Args:
            maker: Makes the codes; None adds units alone.
            progress: Show bars on stderr.

        Returns:
            Whether something was missing.
        """
        code = maker.code if maker is not None else None
        with self.reading() as (snapshot, connection):
            texts = stored_texts(connection)
            if is_complete(snapshot, code) and read_manifest_text(self.folder) not in texts[1:]:
                return False
        with self._changing(progress) as (connection, growth), write_errors(self.folder):
            snapshot = growth.snapshot()
            if is_complete(snapshot, code):
                return False  # another process was faster, or only `manifest.json` was not written yet
            upgrade(self.folder, connection, snapshot, maker, progress)
        return True

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
            if read_manifest_text(self.folder) not in stored_texts(connection):
                raise IndexCorruptError(f"{self.folder / MANIFEST} differs from what was written: restore it")
            calibration.fetch(connection)
            verify_database(self.folder, connection)
            if snapshot.codec_info is not None:
                check_bytes(self.folder / CODECS / snapshot.codec_info.name, snapshot.codec_info.files)
                load_codec(self.folder / CODECS / snapshot.codec_info.name)
            stored = sum(segment.info.tokens for segment in snapshot.segments)
            with tqdm(total=stored, unit=" tokens", desc="segments", disable=not progress) as bar:
                for segment in snapshot.segments:
                    segment.verify()
                    bar.update(segment.info.tokens)
            listed = rows.verify_rows(connection, snapshot.manifest.units, progress)
            if not np.isin(tombstones(connection), snapshot.rows).all():
                raise IndexCorruptError(f"{self.folder / DATABASE} lists deleted rows that no segment has; restore it")
            if not np.array_equal(listed, snapshot.rows[snapshot.alive]):
                raise IndexCorruptError(f"{self.folder / DATABASE}: passages and segments do not match; restore it")
            self.words.verify(connection, progress)

    def close(self) -> None:
        """Close the files; every later call raises InputError."""
        self._database.close()
        self._latest = None

    def _replaced(self) -> None:
        """Forget what was in the folder before another index was put there.

        Raises:
            ModelMismatchError: The other one was built with another model or another config.
        """
        self._latest = None
        found = read_manifest(self.folder)
        if (found.model, found.dim, found.config) != (self.manifest.model, self.manifest.dim, self.manifest.config):
            raise ModelMismatchError(
                f"another index, built with {called(found.model)} and {found.config}, was put into {self.folder} "
                "since it was opened: open it anew"
            )

    def _snapshot(self, connection: sqlite3.Connection) -> Snapshot:
        """Take the snapshot that the connection's transaction sees, from memory if it is the latest."""
        while True:
            generation = _generation(connection)
            latest = self._latest
            if latest is not None and latest.generation == generation:
                return latest
            try:
                loaded = load_snapshot(self.folder, connection, generation, latest)
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
            remove_all_but(self.folder, before)
            try:
                manifest = stored_manifest(connection, self.folder)
                yield connection, Growth(self.folder, manifest, connection, self._latest, progress)
                after = self._named(connection)
            except BaseException:
                remove_all_but(self.folder, before)
                raise
            remove_all_but(self.folder, before | after)
        remove(before - after)

    def _make_roots(self) -> None:
        """Make the folders of segments and codecs, durably, if they are not there.

        Raises:
            IndexCorruptError: Links lie in their place.
        """
        check_own(self.folder)
        for root in (self.folder / SEGMENTS, self.folder / CODECS):
            if not root.exists():
                root.mkdir()
                sync_folder(self.folder)

    def _named(self, connection: sqlite3.Connection) -> set[Path]:
        """List the folders that a transaction names."""
        segments = {self.folder / SEGMENTS / info.name for _, info in fetch_segments(connection)}
        codec = fetch_codec(connection)
        return segments | ({self.folder / CODECS / codec.name} if codec else set())


def _generation(connection: sqlite3.Connection) -> int:
    """Read how many commits there were."""
    found = connection.execute(f"SELECT {columns.number('value')} FROM state WHERE name = 'generation'").fetchone()
    if found is None or not isinstance(found[0], int):
        raise IndexCorruptError(f"{DATABASE} does not count its commits: restore it from a copy")
    return found[0]
