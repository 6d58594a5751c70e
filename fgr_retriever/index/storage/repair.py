"""Save what can be saved of a damaged index. Needs no model.

A passage is saved when its row and its segment are intact. Where only its vectors are lost, its text
goes to `lost.jsonl` in the folder of the index, from where it can be indexed again.
"""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TextIO

import numpy as np
from tqdm.auto import tqdm

from fgr_retriever.errors import FgrError, IndexCorruptError, IndexLockedError, IndexNotFoundError
from fgr_retriever.index.codec.residual_codec import Codec
from fgr_retriever.index.storage import calibration, rows
from fgr_retriever.index.storage.catalog import CodecInfo, fetch_codec, fetch_segment, put_codec, put_segments
from fgr_retriever.index.storage.database import DATABASE, create_database, read_errors, write_errors
from fgr_retriever.index.storage.files import check_bytes
from fgr_retriever.index.storage.inverted_lists import MOST_PASSAGES
from fgr_retriever.index.storage.manifest import (
    MANIFEST,
    Manifest,
    parse_manifest,
    read_manifest_text,
    write_manifest_text,
)
from fgr_retriever.index.storage.segments import Segment, SegmentInfo
from fgr_retriever.index.storage.snapshot import CODECS, SEGMENTS
from fgr_retriever.index.storage.store import Store
from fgr_retriever.index.storage.word_table import WordTable
from fgr_retriever.index.storage.writing import SegmentsWriter

LOST = "lost.jsonl"


@dataclass(frozen=True, slots=True)
class LostPassage:
    """A passage that the repaired index does not have.

    Args:
        row: Its number.
        id: Its id; None where that cannot be read.
        reason: What was damaged.
        kept: Whether its text and metadata are in `lost.jsonl`.
    """

    row: int
    id: str | None
    reason: str
    kept: bool


@dataclass(slots=True)
class RepairReport:
    """What a repair did.

    Args:
        saved: Passages that the index has now.
        lost: Those that it had before.
        notes: What else was damaged.
    """

    saved: int = 0
    lost: list[LostPassage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Salvage:
    """What is intact, and why the rest is not."""

    manifest: Manifest
    codec: Codec | None = None
    codec_info: CodecInfo | None = None
    segments: list[tuple[int, SegmentInfo]] = field(default_factory=list)
    blanks: list[tuple[int, SegmentInfo]] = field(default_factory=list)
    damaged: list[tuple[range, str]] = field(default_factory=list)


def repair(folder: Path, *, progress: bool = False) -> RepairReport:
    """Bring a damaged index back into a state that `verify` accepts; an intact one is left alone.

    Args:
        folder: The folder of the index; nobody else may have it open.
        progress: Show a bar on stderr.

    Returns:
        What was saved and what was lost.

    Raises:
        IndexNotFoundError: There is no index.
        IndexFormatError: The index has a format that this version cannot read.
        IndexCorruptError: The database, or every copy of the manifest, cannot be read at all: nothing
            can be saved.
        IndexLockedError: The index is open elsewhere.
        IndexWriteError: The disk refused.
    """
    if not (folder / DATABASE).is_file():
        raise IndexNotFoundError(f"{folder} holds no index: there is no {DATABASE}")
    report = RepairReport()
    with suppress(IndexCorruptError, FileNotFoundError), closing(Store(folder)) as store:
        store.verify(progress=progress)
        with store.reading() as (snapshot, _):
            report.saved = int(snapshot.alive.sum())
        return report
    with read_errors(folder), closing(_lock(folder)) as damaged:
        salvage = _Salvage(_restore_manifest(folder, damaged, report))
        words = WordTable(salvage.manifest.config.words)
        _check_segments(folder, damaged, salvage, report)
        with write_errors(folder):
            _fill_gaps(folder / SEGMENTS, salvage)
            scratch = folder / SEGMENTS / uuid.uuid4().hex  # not named by the database: the next writer removes it
            scratch.mkdir(parents=True)
            create_database(scratch, salvage.manifest.to_json(), words)
        with closing(sqlite3.connect(scratch / DATABASE, isolation_level=None)) as repaired:
            words.define(repaired)
            repaired.execute("BEGIN")
            _copy_state(damaged, repaired, report)
            put_codec(repaired, salvage.codec_info)
            for first, info in salvage.segments + salvage.blanks:
                put_segments(repaired, [info], first)
            _copy_passages(folder, damaged, repaired, salvage, report, progress)
            repaired.execute("COMMIT")
            with write_errors(folder):
                repaired.backup(damaged)  # one transaction
    return report


def _lock(folder: Path) -> sqlite3.Connection:
    """Connect so that nobody else can."""
    path = folder / DATABASE
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", timeout=0.1, isolation_level=None, uri=True)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        connection.close()
        if "locked" in str(error):
            raise IndexLockedError(f"{folder} is open in another process or engine: close it, then retry") from error
        raise IndexCorruptError(f"{path} cannot be read at all ({error}): restore the index from a copy") from error
    return connection


def _restore_manifest(folder: Path, damaged: sqlite3.Connection, report: RepairReport) -> Manifest:
    """Take the manifest of the database, or the file where that copy is damaged."""
    texts = []
    with suppress(sqlite3.DatabaseError, TypeError):
        texts.append(str(damaged.execute("SELECT value FROM state WHERE name = 'manifest'").fetchone()[0]))
    with suppress(IndexCorruptError, FileNotFoundError):
        texts.append(read_manifest_text(folder))
    for text in texts:
        try:
            manifest = parse_manifest(text, folder / MANIFEST)
        except IndexCorruptError:
            continue
        if texts != [text, text]:
            report.notes.append(f"{MANIFEST} was written anew")
            with write_errors(folder):
                write_manifest_text(folder, manifest.to_json())
        return manifest
    raise IndexCorruptError(f"{folder}: neither {MANIFEST} nor its copy can be read: restore the index from a copy")


def _check_segments(folder: Path, damaged: sqlite3.Connection, salvage: _Salvage, report: RepairReport) -> None:
    """Sort the segments into intact and damaged ones."""
    try:
        codec = fetch_codec(damaged)
        if codec is not None:
            check_bytes(folder / CODECS / codec.name, codec.files)
            salvage.codec, salvage.codec_info = Codec.load(folder / CODECS / codec.name), codec
    except (FgrError, sqlite3.DatabaseError) as error:
        report.notes.append(f"the codec is lost: {error}")
    end = 0
    for first in _keys(damaged, "SELECT first_row FROM segments ORDER BY first_row"):
        rows_of = range(end, end)
        try:
            info = fetch_segment(damaged, first)
            rows_of = range(max(first, end), first + min(info.passages, MOST_PASSAGES))
            if first < end or info.passages > MOST_PASSAGES:
                raise IndexCorruptError(f"{DATABASE} lists segment {info.name!r} with wrong rows")
            Segment(folder / SEGMENTS, info, salvage.manifest.dim, salvage.codec).verify()
            salvage.segments.append((first, info))
        except (FgrError, sqlite3.DatabaseError, OSError, TypeError, ValueError) as error:
            salvage.damaged.append((rows_of, str(error)))
        end = max(end, rows_of.stop)


def _fill_gaps(root: Path, salvage: _Salvage) -> None:
    """Put passages without tokens into the place of lost segments: rows of neighbours follow one another."""
    for (before, previous), (first, info) in pairwise(list(salvage.segments)):
        end = before + previous.passages
        codec, importance = salvage.codec if info.coded else None, salvage.manifest.config.importance
        while end < first:
            with SegmentsWriter(root, 1, codec, importance=importance) as writer:
                writer.end_passages(np.zeros(min(first - end, MOST_PASSAGES), np.int64))
                (blank,) = writer.finish()
            salvage.blanks.append((end, blank))
            end += blank.passages


def _copy_state(damaged: sqlite3.Connection, repaired: sqlite3.Connection, report: RepairReport) -> None:
    """Keep the calibration if it is intact, and go on counting commits, so that readers notice."""
    try:
        calibration.put(repaired, calibration.fetch(damaged))
    except (IndexCorruptError, sqlite3.DatabaseError) as error:
        report.notes.append(f"the calibration is lost: {error}")
    generation = 0
    with suppress(sqlite3.DatabaseError, TypeError, ValueError):
        generation = int(damaged.execute("SELECT value FROM state WHERE name = 'generation'").fetchone()[0])
    repaired.execute("UPDATE state SET value = ? WHERE name = 'generation'", (generation + 1,))


def _copy_passages(
    folder: Path,
    damaged: sqlite3.Connection,
    repaired: sqlite3.Connection,
    salvage: _Salvage,
    report: RepairReport,
    progress: bool,
) -> None:
    """Copy the rows that have vectors; write the others that can be read to `lost.jsonl`."""
    dead = set(_keys(damaged, "SELECT row FROM tombstones"))
    intact = [range(first, first + info.passages) for first, info in salvage.segments]
    blank = [range(first, first + info.passages) for first, info in salvage.blanks]
    listed = {row for rows_of in (*intact, *blank, *(rows_of for rows_of, _ in salvage.damaged)) for row in rows_of}
    numbers = sorted(listed | set(_keys(damaged, "SELECT row FROM passages")))
    with _lost_file(folder) as lost:
        for number in tqdm(numbers, desc="repair", unit=" passages", disable=not progress):
            within = any(number in rows_of for rows_of in intact)
            row, unreadable = _read(damaged, number)
            reason = unreadable or _why_lost(number, within, number in dead, salvage)
            if row is not None and not reason:
                rows.put_row(repaired, number, row)
                report.saved += 1
                continue
            if within or any(number in rows_of for rows_of in blank):
                repaired.execute("INSERT INTO tombstones VALUES (?)", (number,))
            if row is None and number in dead:
                continue  # was deleted: nothing is missing
            report.lost.append(LostPassage(number, row.id if row else None, reason, kept=not unreadable))
            if row is not None and not unreadable:
                passage = rows.to_passage(row)
                lost.write(json.dumps({**passage.metadata, "id": passage.id, "text": passage.text}) + "\n")


def _read(damaged: sqlite3.Connection, number: int) -> tuple[rows.Row | None, str]:
    """Read a row, and say why it cannot be trusted if it cannot."""
    try:
        row = rows.fetch_row(damaged, number)
    except sqlite3.DatabaseError as error:
        return None, f"its row cannot be read: {error}"
    if row is None:
        return None, "its row is missing"
    try:
        rows.verify_row(row)
    except (IndexCorruptError, TypeError, ValueError) as error:
        return row, str(error)
    return row, ""


def _why_lost(number: int, within: bool, dead: bool, salvage: _Salvage) -> str:
    """Say why an intact row has no vectors; nothing if it has."""
    if within:
        return "its row is listed as deleted" if dead else ""
    return next((why for rows_of, why in salvage.damaged if number in rows_of), "its segment is not listed")


@contextmanager
def _lost_file(folder: Path) -> Iterator[TextIO]:
    """Append to `lost.jsonl`, durably; no file is left if there is nothing to write."""
    path = folder / LOST
    with write_errors(folder), path.open("a", encoding="utf-8") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    if not path.stat().st_size:
        path.unlink()


def _keys(damaged: sqlite3.Connection, query: str) -> Iterator[int]:
    """List whole numbers as far as they can be read."""
    with suppress(sqlite3.DatabaseError):
        for (key,) in damaged.execute(query):
            if isinstance(key, int):
                yield key
