"""What was committed at one moment, memory-mapped."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fgr_retriever.errors import IndexCorruptError
from fgr_retriever.index.codec.codec_files import load_codec
from fgr_retriever.index.codec.residual_codec import Codec
from fgr_retriever.index.storage.catalog import CodecInfo, fetch_codec, fetch_segments, tombstones
from fgr_retriever.index.storage.files import check_sizes
from fgr_retriever.index.storage.folders import CODECS, SEGMENTS
from fgr_retriever.index.storage.manifest import Manifest, stored_manifest
from fgr_retriever.index.storage.offsets import decode_offsets
from fgr_retriever.index.storage.segments import Segment
from fgr_retriever.index.storage.sides import EVIDENCE, Side, sides_of
from fgr_retriever.index.storage.token_reader import TokenReader
from fgr_retriever.model.kernel.threads import converted
from fgr_retriever.model.tokens import StoredTokens


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What was committed at one moment; never changes, whatever is written later.

    Args:
        generation: Counts the commits.
        segments: All segments, by ascending rows.
        rows: Row number of every stored passage, segment after segment, (n,) int64, ascending.
        alive: False where the passage was deleted or replaced, (n,) bool.
        codec: That of the coded segments, if there is one.
        codec_info: What the database keeps of it.
        manifest: What the index is.
    """

    generation: int
    segments: tuple[Segment, ...]
    rows: NDArray[np.int64]
    alive: NDArray[np.bool_]
    codec: Codec | None
    codec_info: CodecInfo | None
    manifest: Manifest

    @cached_property
    def sides(self) -> tuple[Side, ...]:
        """What all segments keep of each token, besides vectors and offsets."""
        infos = [segment.info for segment in self.segments]
        return tuple(side for side in sides_of(self.manifest) if all(info.keeps(side) for info in infos))

    @property
    def evidence(self) -> str:
        """Fingerprint of what made the evidence codes that all segments have; empty if a segment has none."""
        return self.manifest.evidence if any(side.name == EVIDENCE for side in self.sides) else ""

    def parts(self) -> Iterator[tuple[Segment, slice]]:
        """Go through the segments, each with its range of `rows` and `alive`."""
        start = 0
        for segment in self.segments:
            end = start + segment.info.passages
            yield segment, slice(start, end)
            start = end

    def positions_of(self, numbers: Sequence[int]) -> NDArray[np.int64]:
        """Find the places of rows in `rows`, (n,), in the order asked for.

        Raises:
            IndexCorruptError: No segment has such a row.
        """
        wanted = np.array(numbers, dtype=np.int64)
        if not np.isin(wanted, self.rows).all():
            raise IndexCorruptError("the database has passages that no segment has: run `fgr repair`")
        return np.searchsorted(self.rows, wanted)

    @cached_property
    def reader(self) -> TokenReader:
        """Read the tokens of any passages.

        Raises:
            IndexCorruptError: The lengths of a segment are damaged.
        """
        return TokenReader(self.segments, self.codec)

    def tokens_at(self, positions: NDArray[np.int64], evidence: str = "") -> list[StoredTokens]:
        """Look up the tokens of passages; vectors that were encoded are decoded.

        Args:
            positions: Of the passages.
            evidence: Fingerprint of what makes the evidence codes that are wanted; other codes are left out.

        Raises:
            IndexCorruptError: A vector holds what is no number.
        """
        order = positions.argsort()
        tokens = self.reader.tokens_of(positions[order])
        cuts = np.cumsum(self.reader.lengths[positions[order]])[:-1]
        decoded = self.reader.decode(tokens)
        if not np.isfinite(decoded.numpy().sum()):  # any NaN or infinity does; cheaper than to look at each
            raise IndexCorruptError(
                "the vectors of a passage that was found are no numbers: `fgr verify` names it; restore it from a copy"
            )
        vectors = np.split(converted(decoded, torch.float16).numpy(), cuts)  # torch is faster at it than numpy
        wanted = [side for side in self.sides if side.name != EVIDENCE or self.manifest.evidence == evidence]
        sides = {side.name: np.split(self.reader.side(side, tokens), cuts) for side in wanted}
        read = self.reader.segments_of(positions[order])
        offsets = decode_offsets([(segment.offsets, *ranges) for segment, _, ranges in read])
        return [
            StoredTokens(vectors[place], offsets[place], **{name: arrays[place] for name, arrays in sides.items()})
            for place in order.argsort().tolist()
        ]

    @property
    def tokens(self) -> int:
        """Count the tokens of the live passages."""
        return sum(live_tokens(segment, self.alive[part]) for segment, part in self.parts())


def live_tokens(segment: Segment, alive: NDArray[np.bool_]) -> int:
    """Count the tokens of the live passages of a segment."""
    return int(segment.lengths[alive].sum(dtype=np.int64))


def load_snapshot(folder: Path, connection: sqlite3.Connection, generation: int, known: Snapshot | None) -> Snapshot:
    """Read the lists of segments and tombstones that a transaction sees.

    Args:
        folder: The folder of the index.
        connection: In a transaction.
        generation: Of the commits.
        known: An earlier snapshot; what it has mapped stays so.

    Raises:
        FileNotFoundError: A file is missing.
        IndexCorruptError: A file is damaged or has the wrong size.
    """
    manifest = stored_manifest(connection, folder)
    sides = sides_of(manifest)
    info = fetch_codec(connection)
    codec = _codec(folder / CODECS, info, known)
    if codec is not None and codec.dim != manifest.dim:
        raise IndexCorruptError(f"{folder / CODECS} has a codec of width {codec.dim}, not {manifest.dim}: restore it")
    mapped = {segment.info.name: segment for segment in known.segments} if known else {}
    segments, runs = [], [np.zeros(0, np.int64)]
    for first, entry in fetch_segments(connection):
        segments.append(mapped.get(entry.name) or Segment(folder / SEGMENTS, entry, manifest.dim, codec, sides))
        runs.append(np.arange(first, first + entry.passages, dtype=np.int64))
    numbers = np.concatenate(runs)
    alive = ~np.isin(numbers, tombstones(connection))
    return Snapshot(generation, tuple(segments), numbers, alive, codec, info, manifest)


def _codec(root: Path, info: CodecInfo | None, known: Snapshot | None) -> Codec | None:
    """Load the codec, unless an earlier snapshot has it."""
    if info is None:
        return None
    if known is not None and known.codec_info is not None and known.codec_info.name == info.name:
        return known.codec
    check_sizes(root / info.name, info.files)
    return load_codec(root / info.name)
