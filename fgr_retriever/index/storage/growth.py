"""How the segments of an index change: raw ones are encoded and merged, all are rewritten by `compact`.

The index is log-structured. `add` writes raw segments; when their tokens reach `FLUSH_TOKENS`, they
are encoded with the residual codec of the index, which is trained first if there is none. Small
neighbours merge. Rows keep their numbers, except in `compact`.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from fgr_retriever.errors import IndexCorruptError, MissingExtraError
from fgr_retriever.index.codec.codec_files import load_codec, save_codec
from fgr_retriever.index.codec.kmeans import centroid_count
from fgr_retriever.index.codec.residual_codec import Codec
from fgr_retriever.index.storage.catalog import (
    CodecInfo,
    drop_segments,
    fetch_segments,
    put_codec,
    put_segments,
    rows_of_segments,
)
from fgr_retriever.index.storage.files import seal
from fgr_retriever.index.storage.folders import CODECS, SEGMENTS, new_name
from fgr_retriever.index.storage.manifest import Manifest
from fgr_retriever.index.storage.rewrite import Encoded, FreshCodes, Part, copy_passages, mergeable, sample_vectors
from fgr_retriever.index.storage.segments import SegmentInfo
from fgr_retriever.index.storage.sides import EVIDENCE, sides_of
from fgr_retriever.index.storage.snapshot import Snapshot, live_tokens, load_snapshot
from fgr_retriever.index.storage.writing import SegmentsWriter

logger = logging.getLogger(__name__)

FLUSH_TOKENS = 200_000  # below, a codec would be bad, and exact search is fast anyway
_GROWTH = 4  # times the tokens that a codec was trained for: then it has too few centroids
_DRIFT = 1.25  # times the error at training: then the corpus has changed
_SAMPLE_POINTS = 48  # vectors for each centroid: 39 are the least that k-means takes


class Growth:
    """The changes of segments within one write transaction.

    Args:
        folder: The folder of the index.
        manifest: What the index is.
        connection: In the write transaction.
        known: The latest snapshot, to share what it has mapped.
        progress: Show bars on stderr.

    Attributes:
        manifest: What the index is.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, connection: sqlite3.Connection, known: Snapshot | None, progress: bool
    ) -> None:
        """Change nothing yet."""
        self.manifest = manifest
        self._folder, self._dim, self._config = folder, manifest.dim, manifest.config
        self._sides = sides_of(manifest)
        self._connection, self._known, self._progress = connection, known, progress

    def writer(self, codec: Codec | None = None, *, evidence: bool = True) -> SegmentsWriter:
        """Begin to write new segments; `evidence` says whether there are codes to write, if the index keeps them."""
        sides = [side for side in self._sides if evidence or side.name != EVIDENCE]
        return SegmentsWriter(self._folder / SEGMENTS, self._config.segment_tokens, codec, sides)

    def grow(self) -> None:
        """Encode the raw segments if they have enough tokens, and merge small ones.

        Raises:
            IndexCorruptError: A segment to read is damaged.
        """
        self._flush()
        last = [info for _, info in fetch_segments(self._connection)]
        count = mergeable(last, self._config.segment_tokens)
        if count > 1:
            snapshot = self.snapshot()
            self.replace(_parts(snapshot)[-count:], snapshot.codec if last[-1].coded else None)

    def compact(self) -> None:
        """Rewrite what lives into full segments, encoded anew if the codec no longer fits.

        Raises:
            IndexCorruptError: A segment to read is damaged.
        """
        snapshot = self.snapshot()
        codec, info = snapshot.codec, snapshot.codec_info
        if self._outgrown(snapshot) and (trained := self._train(_parts(snapshot))):
            codec, info = trained
        if codec is snapshot.codec and self._is_compact(snapshot):
            return
        first = rows_of_segments(self._connection).stop
        written, encoded = self._write(_parts(snapshot), codec, renumber=True)
        moved = zip(
            range(first, first + int(snapshot.alive.sum())), snapshot.rows[snapshot.alive].tolist(), strict=True
        )
        self._connection.execute("DELETE FROM tombstones")
        drop_segments(self._connection, [segment.info.name for segment in snapshot.segments])
        self._connection.executemany("UPDATE passages SET row = ? WHERE row = ?", moved)
        put_segments(self._connection, written, first)
        kept = _account(info, encoded, fresh=codec is not snapshot.codec) if info and written else None
        put_codec(self._connection, kept)

    def _flush(self) -> None:
        raw_tokens = sum(info.tokens for _, info in fetch_segments(self._connection) if not info.coded)
        if self._config.nbits == 16 or raw_tokens < FLUSH_TOKENS:
            return
        snapshot = self.snapshot()
        raw = [(segment, alive) for segment, alive in _parts(snapshot) if segment.codec is None]
        if sum(live_tokens(*part) for part in raw) < FLUSH_TOKENS:
            return
        codec, info = snapshot.codec, snapshot.codec_info
        if codec is None and (trained := self._train(raw)):
            codec, info = trained
        if codec is not None and info is not None:
            encoded = self.replace(raw, codec)
            put_codec(self._connection, _account(info, encoded, fresh=codec is not snapshot.codec))

    def replace(self, parts: Sequence[Part], codec: Codec | None, fresh: FreshCodes | None = None) -> Encoded:
        """Put new segments into the place of neighbours, under the same rows; see `copy_passages`."""
        names = [segment.info.name for segment, _ in parts]
        first = next(row for row, info in fetch_segments(self._connection) if info.name == names[0])
        written, encoded = self._write(parts, codec, fresh=fresh)
        drop_segments(self._connection, names)
        put_segments(self._connection, written, first)
        return encoded

    def _write(
        self, parts: Sequence[Part], codec: Codec | None, *, renumber: bool = False, fresh: FreshCodes | None = None
    ) -> tuple[list[SegmentInfo], Encoded]:
        """Write segments from segments; they have codes if all of those have, or if fresh ones are made."""
        kept = all(segment.info.keeps(side) for segment, _ in parts for side in self._sides)
        with self.writer(codec, evidence=kept or fresh is not None) as writer:
            encoded = copy_passages(parts, writer, renumber=renumber, progress=self._progress, fresh=fresh)
            return writer.finish(), encoded

    def _outgrown(self, snapshot: Snapshot) -> bool:
        """Say whether the index needs a codec that it does not have."""
        if self._config.nbits == 16:
            return False
        info = snapshot.codec_info
        if info is None:
            return snapshot.tokens >= FLUSH_TOKENS
        return snapshot.tokens > _GROWTH * info.tokens or info.added_error > _DRIFT * info.error

    def _is_compact(self, snapshot: Snapshot) -> bool:
        infos = [segment.info for segment in snapshot.segments]
        as_coded = all(info.coded == (snapshot.codec is not None) for info in infos)
        return bool(snapshot.alive.all()) and as_coded and mergeable(infos, self._config.segment_tokens) <= 1

    def _train(self, parts: Sequence[Part]) -> tuple[Codec, CodecInfo] | None:
        """Train a codec on a sample and store it; None without faiss, where the index stays as it is."""
        if find_spec("faiss") is None:
            missing = MissingExtraError("training a codec", "cpu")
            logger.warning("%s takes more space than it could, and searches are slower: %s", self._folder, missing)
            return None
        tokens = sum(live_tokens(*part) for part in parts)
        sample = sample_vectors(parts, min(tokens, _SAMPLE_POINTS * centroid_count(tokens, tokens)), self._dim)
        config = self._config
        trained = Codec.train(sample, nbits=config.nbits, refine=config.refine, tokens=tokens, progress=self._progress)
        folder = self._folder / CODECS / new_name()
        save_codec(trained, folder)
        info = CodecInfo(folder.name, seal(folder), tokens, error=0.0)
        return load_codec(folder), info  # what is stored counts, should saving round it

    def snapshot(self) -> Snapshot:
        """Map what the transaction sees, its own changes too."""
        try:
            return load_snapshot(self._folder, self._connection, -1, self._known)
        except FileNotFoundError as error:
            raise IndexCorruptError(f"{error.filename} is missing: restore it from a copy") from error


def _parts(snapshot: Snapshot) -> list[Part]:
    return [(segment, snapshot.alive[part]) for segment, part in snapshot.parts()]


def _account(info: CodecInfo, encoded: Encoded, *, fresh: bool) -> CodecInfo:
    """Count in what a codec encoded: what it was trained for, if it is fresh, or what came since."""
    if fresh:
        return replace(info, error=encoded.error)
    tokens = info.added + encoded.tokens
    error = (info.added_error * info.added + encoded.squared_error) / max(1, tokens)
    return replace(info, added=tokens, added_error=error)
