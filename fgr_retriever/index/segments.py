"""Immutable segments: the token vectors, offsets and lengths of consecutive passages.

A segment is a folder of raw little-endian arrays. It is written once, in one pass and in bounded
memory, is never changed, and is read by memory-mapping.

================  ===============  ===============================================================
`vectors.f16`     (tokens, dim)    L2-normalised token embeddings, float16
`offsets.i32`     (tokens, 2)      character range of each token in its passage's text
`lengths.i32`     (passages,)      tokens of each passage; may be 0
================  ===============  ===============================================================
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import uuid
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from fgr_retriever.codec import Codec
from fgr_retriever.errors import IndexCorruptError, InputError
from fgr_retriever.index.manifest import sync_folder
from fgr_retriever.types import TokenBlock

VECTORS, OFFSETS, LENGTHS = "vectors.f16", "offsets.i32", "lengths.i32"
_DTYPES: dict[str, np.dtype[Any]] = {VECTORS: np.dtype("<f2"), OFFSETS: np.dtype("<i4"), LENGTHS: np.dtype("<i4")}


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """What the database keeps of one segment.

    Args:
        name: Its folder.
        passages: How many passages it holds, deleted ones included.
        tokens: How many token vectors it holds.
        checksums: SHA-256 of each file, in hex.
    """

    name: str
    passages: int
    tokens: int
    checksums: Mapping[str, str]


class Segment:
    """One segment, memory-mapped for reading.

    Args:
        root: The folder of all segments.
        info: What the database says of this one.
        dim: Width of a token embedding.

    Raises:
        FileNotFoundError: A file is missing.
        IndexCorruptError: A file has the wrong size.
    """

    def __init__(self, root: Path, info: SegmentInfo, dim: int) -> None:
        """Map the files."""
        self.info = info
        self.codec: Codec | None = None
        self.folder = root / info.name
        self.vectors: NDArray[np.float16] = self._map(VECTORS, (info.tokens, dim))
        self.offsets: NDArray[np.int32] = self._map(OFFSETS, (info.tokens, 2))
        self.lengths: NDArray[np.int32] = self._map(LENGTHS, (info.passages,))

    def _map(self, file: str, shape: tuple[int, ...]) -> NDArray[Any]:
        path, dtype = self.folder / file, _DTYPES[file]
        expected, found = math.prod(shape) * dtype.itemsize, path.stat().st_size
        if found != expected:
            raise IndexCorruptError(f"{path} has {found} bytes instead of {expected}: restore it from a copy")
        if not expected:
            return np.zeros(shape, dtype)  # an empty file cannot be mapped
        # Copy-on-write: never written to, but torch warns about arrays that it could not write to.
        return np.memmap(path, dtype, "c", shape=shape)

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """One past the last token of each passage, (passages,)."""
        return np.cumsum(self.lengths, dtype=np.int64)

    @property
    def nbytes(self) -> int:
        """Size of the files."""
        return self.vectors.nbytes + self.offsets.nbytes + self.lengths.nbytes

    def tokens_of(self, slot: int) -> slice:
        """Find the tokens of the passage in one slot."""
        end = int(self.ends[slot])
        return slice(end - int(self.lengths[slot]), end)

    def decode(self, tokens: slice | NDArray[np.int64]) -> Tensor:
        """Give the vectors of any tokens, (n, dim) float32, in the order asked for."""
        return torch.from_numpy(self.vectors[tokens]).float()

    def offsets_of(self, slot: int) -> NDArray[np.int32]:
        """Give the character range of each token of the passage in one slot, (t, 2)."""
        return self.offsets[self.tokens_of(slot)]

    def verify(self) -> None:
        """Check every byte against the checksums, and the lengths against the tokens.

        Raises:
            IndexCorruptError: A file differs from what was written.
        """
        for file, expected in self.info.checksums.items():
            path = self.folder / file
            with path.open("rb") as stream:
                digest = hashlib.sha256()
                while piece := stream.read(1 << 20):
                    digest.update(piece)
            if digest.hexdigest() != expected:
                raise IndexCorruptError(f"{path} differs from what was written: restore it from a copy")
        if (self.lengths < 0).any() or int(self.lengths.sum(dtype=np.int64)) != self.info.tokens:
            raise IndexCorruptError(f"{self.folder / LENGTHS} does not sum to {self.info.tokens} tokens")


class _HashedFile:
    """A file that is hashed while it is written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._digest = hashlib.sha256()

    def write(self, array: NDArray[Any]) -> None:
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        self._digest.update(data)
        self._file.write(data)

    def finish(self) -> str:
        """Make the file durable and return its SHA-256."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()
        return self._digest.hexdigest()

    def close(self) -> None:
        self._file.close()


class SegmentWriter:
    """Writes one new segment; nothing refers to it before the database does.

    Args:
        root: The folder of all segments.
        dim: Width of a token embedding.
    """

    def __init__(self, root: Path, dim: int) -> None:
        """Create the folder and its files."""
        self.passages = self.tokens = 0
        self._unfinished = 0  # tokens of the passage that is being written
        self._dim = dim
        self._folder = root / uuid.uuid4().hex
        self._folder.mkdir(parents=True)
        self._files: dict[str, _HashedFile] = {}
        with ExitStack() as undo:
            undo.callback(self.discard)
            for file in _DTYPES:
                self._files[file] = _HashedFile(self._folder / file)
            undo.pop_all()

    def write(self, block: TokenBlock) -> None:
        """Append some tokens of the passage that is being written.

        Raises:
            InputError: The block has the wrong shape or holds a value that is not finite.
        """
        tokens = len(block.vectors)
        if block.vectors.shape != (tokens, self._dim) or block.offsets.shape != (tokens, 2):
            shapes = f"vectors {block.vectors.shape} and offsets {block.offsets.shape}"
            raise InputError(f"the encoder gave {shapes}: must be (t, {self._dim}) and (t, 2)")
        if not np.isfinite(block.vectors).all():
            raise InputError(f"the encoder gave vectors that are not finite for passage {block.passage}")
        self._files[VECTORS].write(block.vectors.astype(_DTYPES[VECTORS], copy=False))
        self._files[OFFSETS].write(block.offsets.astype(_DTYPES[OFFSETS], copy=False))
        self.tokens += tokens
        self._unfinished += tokens
        if block.last:
            self._files[LENGTHS].write(np.array([self._unfinished], _DTYPES[LENGTHS]))
            self.passages += 1
            self._unfinished = 0

    def finish(self) -> SegmentInfo:
        """Make the segment durable."""
        checksums = {name: file.finish() for name, file in self._files.items()}
        sync_folder(self._folder)
        sync_folder(self._folder.parent)
        return SegmentInfo(self._folder.name, self.passages, self.tokens, checksums)

    def discard(self) -> None:
        """Remove what was written. What cannot be removed now is removed by the next writer."""
        for file in self._files.values():
            with suppress(OSError):  # closing writes what is buffered, which a full disk refuses again
                file.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class SegmentsWriter:
    """Writes passages to as many new segments as they need; removes them all on an error.

    Args:
        root: The folder of all segments.
        dim: Width of a token embedding.
        segment_tokens: Tokens after which a segment is closed, at the end of a passage.
    """

    def __init__(self, root: Path, dim: int, segment_tokens: int) -> None:
        """Create nothing yet."""
        self._root, self._dim, self._segment_tokens = root, dim, segment_tokens
        self._current: SegmentWriter | None = None
        self._finished: list[SegmentInfo] = []

    def write(self, block: TokenBlock) -> None:
        """Append some tokens of the passage that is being written."""
        if self._current is None:
            self._current = SegmentWriter(self._root, self._dim)
        self._current.write(block)
        if block.last and self._current.tokens >= self._segment_tokens:
            self.finish()

    def finish(self) -> list[SegmentInfo]:
        """Make everything durable and list the new segments in order."""
        if self._current is not None:
            self._finished.append(self._current.finish())
            self._current = None
        return self._finished

    def __enter__(self) -> Self:
        """Begin to write."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Remove the new segments after an error."""
        if error is None:
            return
        if self._current is not None:
            self._current.discard()
        for segment in self._finished:
            shutil.rmtree(self._root / segment.name, ignore_errors=True)
