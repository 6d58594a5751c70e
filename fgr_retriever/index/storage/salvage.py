"""What is left of a damaged index: the rows of passages that are intact, and the texts of those that are lost."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from tqdm.auto import tqdm

from fgr_retriever.errors import IndexCorruptError
from fgr_retriever.index.codec.residual_codec import Codec
from fgr_retriever.index.storage import rows
from fgr_retriever.index.storage.catalog import CodecInfo
from fgr_retriever.index.storage.database import write_errors
from fgr_retriever.index.storage.manifest import Manifest
from fgr_retriever.index.storage.passage_row import (
    Row,
    to_passage,
    verify_passage,
    verify_row,
    with_units,
    without_units,
)
from fgr_retriever.index.storage.segments import SegmentInfo

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
class Salvage:
    """What is intact, and why the rest is not.

    Args:
        manifest: What the index is.
        codec: Of the coded segments, if it is intact.
        codec_info: What the database keeps of it.
        segments: Those that are intact, each with its first row.
        blanks: Segments without tokens in the place of lost ones.
        damaged: Rows of lost segments, with the reason.
    """

    manifest: Manifest
    codec: Codec | None = None
    codec_info: CodecInfo | None = None
    segments: list[tuple[int, SegmentInfo]] = field(default_factory=list)
    blanks: list[tuple[int, SegmentInfo]] = field(default_factory=list)
    damaged: list[tuple[range, str]] = field(default_factory=list)


def copy_rows(
    folder: Path,
    damaged: sqlite3.Connection,
    repaired: sqlite3.Connection,
    salvage: Salvage,
    report: RepairReport,
    progress: bool,
) -> None:
    """Copy the rows that have vectors; write the others that can be read to `lost.jsonl`."""
    dead = set(keys(damaged, "SELECT row FROM tombstones"))
    intact = [range(first, first + info.passages) for first, info in salvage.segments]
    blank = [range(first, first + info.passages) for first, info in salvage.blanks]
    listed = {row for rows_of in (*intact, *blank, *(rows_of for rows_of, _ in salvage.damaged)) for row in rows_of}
    numbers = sorted(listed | set(keys(damaged, "SELECT row FROM passages")))
    with _lost_file(folder) as lost:
        for number in tqdm(numbers, desc="repair", unit=" passages", disable=not progress):
            within = any(number in rows_of for rows_of in intact)
            row, unreadable = _read(damaged, number, salvage.manifest.units, report)
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
                passage = to_passage(row)
                lost.write(json.dumps({**passage.metadata, "id": passage.id, "text": passage.text}) + "\n")


def _read(damaged: sqlite3.Connection, number: int, units: bool, report: RepairReport) -> tuple[Row | None, str]:
    """Read a row, and say why it cannot be trusted if it cannot; damaged units are worked out anew."""
    try:
        row = rows.fetch_row(damaged, number, units)
    except sqlite3.DatabaseError as error:
        return None, f"its row cannot be read: {error}"
    if row is None:
        return None, "its row is missing"
    try:
        verify_passage(row)
    except (IndexCorruptError, TypeError, ValueError) as error:
        return row, str(error)
    try:
        verify_row(row, units)
    except IndexCorruptError:
        report.notes.append(f"the units of passage {row.id!r} were worked out anew")
        return (with_units(row) if units else without_units(row)), ""
    return row, ""


def _why_lost(number: int, within: bool, dead: bool, salvage: Salvage) -> str:
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


def keys(damaged: sqlite3.Connection, query: str) -> Iterator[int]:
    """List whole numbers of a damaged database as far as they can be read."""
    with suppress(sqlite3.DatabaseError):
        for (key,) in damaged.execute(query):
            if isinstance(key, int):
                yield key
