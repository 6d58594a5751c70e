"""The calibration of an index: a row of `state`, written and read in the database's transactions."""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
from dataclasses import asdict, dataclass

from fgr_retriever.config import Calibration
from fgr_retriever.errors import IndexCorruptError
from fgr_retriever.index.storage import columns
from fgr_retriever.model.tokens import TokenEncoder

logger = logging.getLogger(__name__)

_NAME = "calibration"


@dataclass(frozen=True, slots=True)
class StoredCalibration:
    """A calibration and what it was fitted with.

    Args:
        calibration: Which evidence probabilities count.
        head: Fingerprint of the evidence head; that of the token vectors is in the manifest.
    """

    calibration: Calibration
    head: str


def with_calibration(encoder: TokenEncoder, kept: StoredCalibration | None, where: str) -> TokenEncoder:
    """Give a model with the calibration that an index keeps, or else with its own.

    A calibration that was fitted with another evidence head is not used; a warning says so.
    """
    if kept is None:
        return encoder
    if kept.head != encoder.head_fingerprint:
        logger.warning(
            "%s was calibrated with another evidence head than the model has now: the model's own calibration "
            "is used. Run `fgr calibrate` again.",
            where,
        )
        return encoder
    return encoder.calibrated(kept.calibration)


def put(connection: sqlite3.Connection, stored: StoredCalibration | None) -> None:
    """Store a calibration in place of the one that is there; None removes it."""
    connection.execute("DELETE FROM state WHERE name = ?", (_NAME,))
    if stored is not None:
        text = json.dumps(asdict(stored))
        record = json.dumps({"stored": text, "checksum": _checksum(text)})
        connection.execute("INSERT INTO state VALUES (?, ?)", (_NAME, record))


def fetch(connection: sqlite3.Connection) -> StoredCalibration | None:
    """Read the calibration; None when there is none.

    Raises:
        IndexCorruptError: The row is not what `put` made.
    """
    row = connection.execute(
        f"SELECT {columns.text('value', columns.MOST_FACTS)} FROM state WHERE name = ?", (_NAME,)
    ).fetchone()
    if row is None:
        return None
    try:
        record = json.loads(row[0])
        if _checksum(record["stored"]) != record["checksum"]:
            raise ValueError("its checksum is wrong")
        values = json.loads(record["stored"])
        return StoredCalibration(Calibration.from_json(json.dumps(values["calibration"])), str(values["head"]))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise IndexCorruptError(
            f"the calibration of the index is damaged ({error}): restore the index from a copy"
        ) from error


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
