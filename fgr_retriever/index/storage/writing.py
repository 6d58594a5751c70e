"""New segments: written in one pass, in bounded memory, durable before anything refers to them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from fgr_retriever.errors import InputError
from fgr_retriever.index.codec.residual_codec import Codec
from fgr_retriever.index.storage.files import HashedFile, StoredFile
from fgr_retriever.index.storage.folders import new_name
from fgr_retriever.index.storage.inverted_lists import MOST_PASSAGES, build_lists
from fgr_retriever.index.storage.manifest import sync_folder
from fgr_retriever.index.storage.offsets import CompactOffsets, compact_offsets
from fgr_retriever.index.storage.segments import (
    BOUNDS,
    GAPS,
    LENGTHS,
    LISTS,
    WIDE,
    WIDTHS,
    SegmentInfo,
    dtype_of,
    vector_files,
)
from fgr_retriever.index.storage.sides import Side
from fgr_retriever.model.tokens import TokenBlock

_LENGTH_ERROR = 0.01  # as the codec has it: more than half precision loses


class _SegmentWriter:
    """Writes one new segment.

    Args:
        root: The folder of all segments.
        codec: Whose codes and residuals are written; None: vectors.
        sides: What else is written of each token.
    """

    def __init__(self, root: Path, codec: Codec | None, sides: Sequence[Side]) -> None:
        self.passages = self.tokens = 0
        self._codec = codec
        self._token_files = (*vector_files(codec), *(side.file for side in sides))
        self._folder = root / new_name()
        self._folder.mkdir(parents=True)
        self._files: dict[str, HashedFile] = {}
        for file in (*self._token_files, LENGTHS, GAPS, WIDTHS, WIDE):
            self._open(file)

    def write(self, tokens: Sequence[NDArray[Any]], offsets: CompactOffsets) -> None:
        for file, array in zip(self._token_files, tokens, strict=True):
            self._write(file, array)
        self._write(GAPS, offsets.gaps)
        self._write(WIDTHS, offsets.widths)
        self._write(WIDE, offsets.wide + np.array([self.tokens, 0, 0], np.int32))
        self.tokens += len(offsets.gaps)

    def end_passages(self, lengths: NDArray[np.integer]) -> None:
        self._write(LENGTHS, lengths)
        self.passages += len(lengths)

    def finish(self) -> SegmentInfo:
        """Make the segment durable."""
        files = self._finish_files()
        if self._codec is not None:
            codes, lengths = (
                np.fromfile(self._folder / file, dtype_of(file)) for file in (self._token_files[0], LENGTHS)
            )
            lists = build_lists(codes, lengths, len(self._codec.centroids))
            for file, array in ((LISTS, lists.slots), (BOUNDS, lists.bounds)):
                self._open(file)
                self._write(file, array)
            files |= self._finish_files()
        sync_folder(self._folder)
        sync_folder(self._folder.parent)
        return SegmentInfo(self._folder.name, self.passages, self.tokens, files)

    def close(self) -> None:
        """Give up what is unfinished. The folder is removed by who holds the transaction."""
        for file in self._files.values():
            with suppress(OSError):  # closing writes what is buffered, which a full disk refuses again
                file.close()

    def _open(self, file: str) -> None:
        self._files[file] = HashedFile(self._folder / file)

    def _write(self, file: str, array: NDArray[Any]) -> None:
        self._files[file].write(array.astype(dtype_of(file), copy=False))

    def _finish_files(self) -> dict[str, StoredFile]:
        finished = {name: file.finish() for name, file in self._files.items()}
        self._files.clear()
        return finished


class SegmentsWriter:
    """Writes passages to as many new segments as they need.

    Args:
        root: The folder of all segments.
        segment_tokens: Tokens after which a segment is closed, at the end of a passage.
        codec: Whose codes and residuals are written; None: vectors.
        sides: What else is written of each token.
    """

    def __init__(self, root: Path, segment_tokens: int, codec: Codec | None = None, sides: Sequence[Side] = ()) -> None:
        """Create nothing yet."""
        self.codec, self.sides = codec, tuple(sides)
        self._root, self._segment_tokens = root, segment_tokens
        self._current: _SegmentWriter | None = None
        self._finished: list[SegmentInfo] = []

    @property
    def room(self) -> tuple[int, int]:
        """Tokens and passages after which the present segment is closed."""
        tokens, passages = (self._current.tokens, self._current.passages) if self._current else (0, 0)
        return self._segment_tokens - tokens, MOST_PASSAGES - passages

    def write(self, tokens: Sequence[NDArray[Any]], offsets: CompactOffsets) -> None:
        """Append tokens of passages.

        Args:
            tokens: Vectors (n, dim), or codes (n,) and each layer of residuals (n, bytes); then each side
                (n, *side.shape).
            offsets: Of the same n tokens.
        """
        if len(offsets.gaps):
            self._open().write(tokens, offsets)

    def end_passages(self, lengths: NDArray[np.integer]) -> None:
        """End passages whose tokens were appended; no more of them than there is room for."""
        if not len(lengths):
            return  # a segment without passages would have no row of its own
        self._open().end_passages(lengths)
        if min(self.room) <= 0:
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

    def __exit__(self, *error: object) -> None:
        """Close the files of an unfinished segment."""
        if self._current is not None:
            self._current.close()

    def _open(self) -> _SegmentWriter:
        if self._current is None:
            self._current = _SegmentWriter(self._root, self.codec, self.sides)
        return self._current


class BlockWriter:
    """Writes passages as an encoder gives them: in blocks of tokens.

    Args:
        segments: Where they go, as vectors.
        dim: Width of a token embedding.
    """

    def __init__(self, segments: SegmentsWriter, dim: int) -> None:
        """Begin with the first passage."""
        self._segments, self._dim = segments, dim
        self._length = self._end = 0  # of the passage that is being written

    def write(self, block: TokenBlock) -> None:
        """Append some tokens of the passage that is being written.

        Raises:
            InputError: The block has the wrong shape, a vector is not L2-normalised, or a side is missing.
        """
        check_block(block, self._dim)
        tokens = len(block.vectors)
        sides = [side_of(block, side) for side in self._segments.sides]
        self._segments.write([block.vectors, *sides], compact_offsets(block.offsets, self._end))
        self._length += tokens
        self._end = int(block.offsets[-1, 1]) if tokens else self._end
        if block.last:
            self._segments.end_passages(np.array([self._length]))
            self._length = self._end = 0


def check_block(block: TokenBlock, dim: int) -> None:
    """Check the vectors and offsets of a block.

    Raises:
        InputError: The block has the wrong shape, or a vector is not L2-normalised.
    """
    tokens = len(block.vectors)
    if block.vectors.shape != (tokens, dim) or block.offsets.shape != (tokens, 2):
        shapes = f"vectors {block.vectors.shape} and offsets {block.offsets.shape}"
        raise InputError(f"the encoder gave {shapes}: must be (t, {dim}) and (t, 2)")
    lengths = np.linalg.norm(block.vectors.astype(np.float32), axis=1)
    if not (np.abs(lengths - 1) <= _LENGTH_ERROR).all():  # also what is not finite
        raise InputError(f"the encoder gave vectors that are not L2-normalised for passage {block.passage}")


def side_of(block: TokenBlock, side: Side) -> NDArray[np.uint8]:
    """Take a side of the tokens of a block.

    Raises:
        InputError: The block has none, or one of another shape.
    """
    found: NDArray[np.uint8] | None = getattr(block, side.name)
    shape = (len(block.vectors), *side.shape)
    if found is None or found.shape != shape or found.dtype != np.uint8:
        given = None if found is None else f"{found.shape} {found.dtype}"
        raise InputError(f"the encoder gave {side.name} {given}: must be {shape} uint8")
    return found
