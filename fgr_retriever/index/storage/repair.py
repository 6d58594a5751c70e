"""Save what can be saved of a damaged index. Needs no model.

A passage is saved when its row and its segment are intact. Where only its vectors are lost, its text
goes to `lost.jsonl` in the folder of the index, from where it can be indexed again.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path

import numpy as np

from fgr_retriever.errors import FgrError, IndexCorruptError, IndexLockedError, IndexNotFoundError
from fgr_retriever.index.codec.codec_files import load_codec
from fgr_retriever.index.storage import calibration, columns
from fgr_retriever.index.storage.catalog import fetch_codec, fetch_segment, put_codec, put_segments
from fgr_retriever.index.storage.connections import read_errors
from fgr_retriever.index.storage.database import create_database, write_errors
from fgr_retriever.index.storage.files import check_bytes
from fgr_retriever.index.storage.folders import CODECS, DATABASE, MANIFEST, SEGMENTS, check_file, check_own, new_name
from fgr_retriever.index.storage.inverted_lists import MOST_PASSAGES
from fgr_retriever.index.storage.manifest import Manifest, parse_manifest, read_manifest_text, write_manifest_text
from fgr_retriever.index.storage.salvage import LOST, RepairReport, Salvage, copy_rows, keys
from fgr_retriever.index.storage.schema import check_schema
from fgr_retriever.index.storage.segments import Segment, SegmentInfo
from fgr_retriever.index.storage.sides import sides_of
from fgr_retriever.index.storage.store import Store
from fgr_retriever.index.storage.word_table import WordTable
from fgr_retriever.index.storage.writing import SegmentsWriter

_LOST_ROWS = 16 * MOST_PASSAGES  # of lost segments, beyond those of passages and tombstones that can be read


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
        IndexCorruptError: Links lie in the place of our files; or the database, or every copy of the
            manifest, cannot be read at all: nothing can be saved.
        IndexLockedError: The index is open elsewhere.
        IndexWriteError: The disk refused.
    """
    if not (folder / DATABASE).is_file():
        raise IndexNotFoundError(f"{folder} holds no index: there is no {DATABASE}")
    check_own(folder)
    check_file(folder / LOST)
    report = RepairReport()
    with suppress(IndexCorruptError, FileNotFoundError), closing(Store(folder)) as store:
        store.verify(progress=progress)
        with store.reading() as (snapshot, _):
            report.saved = int(snapshot.alive.sum())
        return report
    with read_errors(folder), closing(_lock(folder)) as damaged:
        check_schema(folder, damaged)  # a view in the place of a table may never end
        salvage = Salvage(_restore_manifest(folder, damaged, report))
        words = WordTable(salvage.manifest.config.words)
        _check_segments(folder, damaged, salvage, report)
        with write_errors(folder):
            _fill_gaps(folder / SEGMENTS, salvage)
            scratch = folder / SEGMENTS / new_name()  # not named by the database: the next writer removes it
            scratch.mkdir(parents=True)
            create_database(scratch, salvage.manifest.to_json(), words)
        with closing(sqlite3.connect(scratch / DATABASE, isolation_level=None)) as repaired:
            words.define(repaired)
            repaired.execute("BEGIN")
            _copy_state(damaged, repaired, report)
            put_codec(repaired, salvage.codec_info)
            for first, info in salvage.segments + salvage.blanks:
                put_segments(repaired, [info], first)
            copy_rows(folder, damaged, repaired, salvage, report, progress)
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
        select = f"SELECT {columns.text('value', columns.MOST_FACTS)} FROM state WHERE name = 'manifest'"
        texts.append(str(damaged.execute(select).fetchone()[0]))
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


def _check_segments(folder: Path, damaged: sqlite3.Connection, salvage: Salvage, report: RepairReport) -> None:
    """Sort the segments into intact and damaged ones."""
    try:
        codec = fetch_codec(damaged)
        if codec is not None:
            check_bytes(folder / CODECS / codec.name, codec.files)
            salvage.codec, salvage.codec_info = load_codec(folder / CODECS / codec.name), codec
    except (FgrError, sqlite3.DatabaseError) as error:
        report.notes.append(f"the codec is lost: {error}")
    end: int | None = None
    for first in keys(damaged, "SELECT first_row FROM segments ORDER BY first_row"):
        end = first if end is None else end
        rows_of = range(end, end)
        try:
            info = fetch_segment(damaged, first)
            if first < 0 or first - end > _LOST_ROWS + _known_rows(damaged, range(end, first)):
                raise IndexCorruptError(f"{DATABASE} lists segment {info.name!r} with wrong rows")
            rows_of = range(max(first, end), first + info.passages)
            if first < end:
                raise IndexCorruptError(f"{DATABASE} lists segment {info.name!r} with rows of another one")
            salvage.segments.append((first, _intact(folder / SEGMENTS, info, salvage, report)))
        except (FgrError, sqlite3.DatabaseError, OSError, TypeError, ValueError) as error:
            salvage.damaged.append((rows_of, str(error)))
        end = max(end, rows_of.stop)


def _known_rows(damaged: sqlite3.Connection, gap: range) -> int:
    """Count the rows between two segments that passages or tombstones have, as all do of a segment that was lost."""
    where = f"WHERE row >= {gap.start} AND row < {gap.stop}"
    return sum(1 for table in ("passages", "tombstones") for _ in keys(damaged, f"SELECT row FROM {table} {where}"))


def _intact(root: Path, info: SegmentInfo, salvage: Salvage, report: RepairReport) -> SegmentInfo:
    """Check a segment; if all but its evidence codes is intact, it goes on without them.

    Raises:
        FgrError: It is damaged.
        OSError: A file cannot be read.
    """
    sides = sides_of(salvage.manifest)

    def check(info: SegmentInfo) -> SegmentInfo:
        Segment(root, info, salvage.manifest.dim, salvage.codec, sides).verify()
        return info

    try:
        return check(info)
    except (FgrError, OSError) as error:
        bare = info.without([side.file for side in sides if not side.required])
        if bare.files == info.files:
            raise
        found = check(bare)
        report.notes.append(f"evidence codes are lost, run `fgr upgrade`: {error}")
        return found


def _fill_gaps(root: Path, salvage: Salvage) -> None:
    """Put passages without tokens into the place of lost segments: rows of neighbours follow one another."""
    for (before, previous), (first, info) in pairwise(list(salvage.segments)):
        end = before + previous.passages
        codec, sides = salvage.codec if info.coded else None, sides_of(salvage.manifest)
        while end < first:
            with SegmentsWriter(root, 1, codec, sides) as writer:
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
        select = f"SELECT {columns.number('value')} FROM state WHERE name = 'generation'"
        generation = int(damaged.execute(select).fetchone()[0])
    repaired.execute("UPDATE state SET value = ? WHERE name = 'generation'", (generation + 1,))
