"""Add to an index what it lacks: the evidence codes of a model, and the units of its texts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from fgr_retriever.errors import IndexCorruptError, InputError
from fgr_retriever.index.storage import rows
from fgr_retriever.index.storage.growth import Growth
from fgr_retriever.index.storage.manifest import FORMAT_VERSION, Manifest, replace_manifest
from fgr_retriever.index.storage.passage_row import with_units
from fgr_retriever.index.storage.schema import add_units
from fgr_retriever.index.storage.segments import SegmentInfo
from fgr_retriever.index.storage.sides import evidence_side
from fgr_retriever.index.storage.snapshot import Snapshot
from fgr_retriever.index.storage.writing import side_of
from fgr_retriever.model.tokens import EvidenceCode, TokenBlock


@dataclass(frozen=True, slots=True)
class CodeMaker:
    """The evidence codes of a model.

    Args:
        code: What they are.
        encode: Turns texts into token blocks with codes, in order.
    """

    code: EvidenceCode
    encode: Callable[[Iterable[str]], Iterable[TokenBlock]]

    def fits(self, manifest: Manifest) -> bool:
        """Say whether an index keeps these codes."""
        return manifest.evidence == self.code.fingerprint


def is_complete(snapshot: Snapshot, code: EvidenceCode | None) -> bool:
    """Say whether an index has all that a model with these codes can use; None: a model without codes."""
    return snapshot.manifest.units and (code is None or snapshot.evidence == code.fingerprint)


def upgrade(
    folder: Path, connection: sqlite3.Connection, snapshot: Snapshot, maker: CodeMaker | None, progress: bool
) -> None:
    """Add what is missing. Vectors stay as they are stored; the tokens of deleted passages are dropped.

    Args:
        folder: The folder of the index.
        connection: In the write transaction.
        snapshot: What it sees.
        maker: Makes the codes; None adds units alone.
        progress: Show bars on stderr.

    Raises:
        IndexCorruptError: A row or a segment is damaged, or a passage has not as many tokens as the model
            gives its text.
        InputError: The model gives no codes, or not for every text.
    """
    before = snapshot.manifest
    after = replace(before, format_version=FORMAT_VERSION)
    if maker is not None:
        after = replace(after, evidence=maker.code.fingerprint, evidence_bytes=maker.code.nbytes)
        _put_codes(folder, connection, snapshot, after, maker, progress)
    if not before.units:
        _put_units(connection, progress)
    if after != before:
        replace_manifest(connection, after)


def _put_codes(
    folder: Path,
    connection: sqlite3.Connection,
    snapshot: Snapshot,
    manifest: Manifest,
    maker: CodeMaker,
    progress: bool,
) -> None:
    """Write the segments that lack codes once more, with codes."""

    def lacks(info: SegmentInfo) -> bool:
        return not (maker.fits(snapshot.manifest) and info.keeps(evidence_side(manifest)))

    lacking = [(segment, part) for segment, part in snapshot.parts() if lacks(segment.info)]
    live = [snapshot.rows[part][snapshot.alive[part]] for _, part in lacking]
    tokens = sum(segment.info.tokens for segment, _ in lacking)
    growth = Growth(folder, manifest, connection, None, progress=False)
    with tqdm(total=tokens, unit=" tokens", desc="evidence codes", disable=not progress) as bar:
        codes = _FreshCodes(connection, np.concatenate([np.zeros(0, np.int64), *live]), maker, manifest)
        for segment, part in lacking:
            growth.replace([(segment, snapshot.alive[part])], segment.codec, codes)
            bar.update(segment.info.tokens)


class _FreshCodes:
    """Encodes stored texts once more, lazily, and gives the codes of one passage after the other.

    Args:
        connection: In the write transaction.
        numbers: Rows of the passages, in order.
        maker: The model.
        manifest: Of the index that is to keep the codes.
    """

    def __init__(
        self, connection: sqlite3.Connection, numbers: NDArray[np.int64], maker: CodeMaker, manifest: Manifest
    ) -> None:
        self._connection, self._numbers, self._side = connection, numbers, evidence_side(manifest)
        self._blocks = iter(maker.encode(self._texts()))
        self._done = 0

    def __call__(self, lengths: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Give the codes of the next passages, (sum(lengths), bytes).

        Raises:
            IndexCorruptError: A passage has another number of tokens.
            InputError: The model gives no codes, or fewer passages than texts.
        """
        found = [np.zeros((0, *self._side.shape), np.uint8)]
        return np.concatenate(found + [one for length in lengths.tolist() for one in self._passage(length)])

    def _passage(self, length: int) -> list[NDArray[np.uint8]]:
        found: list[NDArray[np.uint8]] = []
        for block in self._blocks:
            found.append(side_of(block, self._side))
            if block.last:
                break
        else:
            raise InputError(f"the encoder took {len(self._numbers)} texts and gave {self._done} passages")
        if (now := sum(map(len, found))) != length:
            id = rows.fetch_id(self._connection, int(self._numbers[self._done]))
            raise IndexCorruptError(
                f"passage {id!r} has {length} tokens in the index, but the model gives its text {now}: "
                "build the index anew, or delete this passage and add it again"
            )
        self._done += 1
        return found

    def _texts(self) -> Iterator[str]:
        for number in self._numbers:
            yield rows.fetch_number(self._connection, int(number)).text


def _put_units(connection: sqlite3.Connection, progress: bool) -> None:
    """Work out the units of all texts."""
    add_units(connection)
    (total,) = connection.execute("SELECT count(*) FROM passages").fetchone()
    for number in tqdm(rows.numbers(connection), total=total, unit=" passages", desc="units", disable=not progress):
        rows.put_units(connection, number, with_units(rows.intact_row(connection, number, units=False)))
