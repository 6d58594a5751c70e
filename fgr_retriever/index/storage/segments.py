"""Immutable segments: the token vectors, offsets and lengths of consecutive passages.

A segment is a folder of raw little-endian arrays. It is written once, in one pass and in bounded
memory, is never changed, and is read by memory-mapping. A raw segment holds vectors; a coded one
holds them by the residual codec of the index, with inverted lists.

=================  ===================  ==========================================================
`vectors.f16`      (tokens, dim)        raw: L2-normalised token embeddings, float16
`codes.u16`        (tokens,)            coded: centroid of each token; `codes.u32` where 16 bits are few
`residuals.u8`     (tokens, bytes)      coded: packed residuals
`residuals2.u8`    (tokens, bytes)      coded: their second layer, where the index keeps one
`lists.u16`        (entries,)           coded: passages that have a token of each centroid
`bounds.i64`       (centroids + 1,)     coded: where the list of each centroid begins
`importance.u8`    (tokens,)            importance of each token (ColBERT-Att), where the index keeps it
`evidence.u8`      (tokens, n)          evidence code of each token, where the index keeps codes (see `sides`)
`lengths.i32`      (passages,)          tokens of each passage; 0 where it was deleted or has none
`gaps.i8`          (tokens,)            offsets of the tokens in their passages' texts (see `offsets`)
`widths.u8`        (tokens,)
`wide.i32`         (n, 3)
=================  ===================  ==========================================================
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgr_retriever.errors import IndexCorruptError, InputError
from fgr_retriever.index.codec.residual_codec import Codec
from fgr_retriever.index.storage.files import StoredFile, check_bytes, check_sizes
from fgr_retriever.index.storage.inverted_lists import InvertedLists, build_lists
from fgr_retriever.index.storage.offsets import CompactOffsets
from fgr_retriever.index.storage.sides import Side

VECTORS, LISTS, BOUNDS = "vectors.f16", "lists.u16", "bounds.i64"
RESIDUALS, RESIDUALS2 = "residuals.u8", "residuals2.u8"
LENGTHS, GAPS, WIDTHS, WIDE = "lengths.i32", "gaps.i8", "widths.u8", "wide.i32"
_CODES16, _CODES32 = "codes.u16", "codes.u32"
DTYPES: dict[str, np.dtype[Any]] = {
    VECTORS: np.dtype("<f2"),
    _CODES16: np.dtype("<u2"),
    _CODES32: np.dtype("<u4"),
    RESIDUALS: np.dtype("u1"),
    RESIDUALS2: np.dtype("u1"),
    LISTS: np.dtype("<u2"),
    BOUNDS: np.dtype("<i8"),
    LENGTHS: np.dtype("<i4"),
    GAPS: np.dtype("i1"),
    WIDTHS: np.dtype("u1"),
    WIDE: np.dtype("<i4"),
}


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """What the database keeps of one segment.

    Args:
        name: Its folder.
        passages: How many passages it holds, deleted ones included.
        tokens: How many token vectors it holds.
        files: Size and checksum of each file.
    """

    name: str
    passages: int
    tokens: int
    files: Mapping[str, StoredFile]

    @property
    def coded(self) -> bool:
        """Say whether the vectors went through a codec."""
        return VECTORS not in self.files

    def keeps(self, side: Side) -> bool:
        """Say whether it has a side of the tokens."""
        return side.file in self.files

    def without(self, names: Collection[str]) -> SegmentInfo:
        """Give the same segment without some of its files, which stay in the folder."""
        return replace(self, files={name: file for name, file in self.files.items() if name not in names})

    @property
    def nbytes(self) -> int:
        """Size of the files."""
        return sum(file.bytes for file in self.files.values())


def dtype_of(file: str) -> np.dtype[Any]:
    """Tell what the numbers in a file are: bytes, in that of a side."""
    return DTYPES.get(file, np.dtype("u1"))


def vector_files(codec: Codec | None) -> tuple[str, ...]:
    """Name the files that hold vectors: as they are, or as a codec's codes and residuals, one file a layer."""
    if codec is None:
        return (VECTORS,)
    codes = _CODES16 if len(codec.centroids) <= 1 << 16 else _CODES32
    return (codes, RESIDUALS) if codec.fine is None else (codes, RESIDUALS, RESIDUALS2)


class Segment:
    """One segment, memory-mapped for reading.

    A raw one has `vectors` (tokens, dim) float16; a coded one has `codes` (tokens,) uint16 or
    uint32, `layers` of residuals, one or two (tokens, dim * nbits / 8) uint8, and `lists`.

    Args:
        root: The folder of all segments.
        info: What the database says of this one.
        dim: Width of a token embedding.
        codec: That of the index; a raw segment does without.
        sides: What the index keeps of each token besides.

    Raises:
        FileNotFoundError: A file is missing.
        IndexCorruptError: A file has the wrong size.
    """

    def __init__(
        self, root: Path, info: SegmentInfo, dim: int, codec: Codec | None, sides: Sequence[Side] = ()
    ) -> None:
        """Map the files."""
        self.info = info
        self.folder = root / info.name
        self.codec = codec if info.coded else None
        if info.coded and codec is None:
            raise IndexCorruptError(f"{self.folder} is coded, but the index has no codec: restore it from a copy")
        check_sizes(self.folder, info.files)
        if self.codec is None:
            self.vectors: NDArray[np.float16] = self._map(VECTORS, info.tokens, dim)
        else:
            codes, *layers = vector_files(self.codec)
            self.codes: NDArray[np.uint16] | NDArray[np.uint32] = self._map(codes, info.tokens)
            width = dim * self.codec.nbits // 8
            self.layers: list[NDArray[np.uint8]] = [self._map(layer, info.tokens, width) for layer in layers]
            self.lists = InvertedLists(self._map(BOUNDS, len(self.codec.centroids) + 1), self._map(LISTS, -1))
        kept = (side for side in sides if side.required or info.keeps(side))
        self._sides = {side.name: self._map(side.file, info.tokens, *side.shape) for side in kept}
        self._lengths: NDArray[np.int32] = self._map(LENGTHS, info.passages)
        gaps, widths = self._map(GAPS, info.tokens), self._map(WIDTHS, info.tokens)
        self.offsets = CompactOffsets(gaps, widths, self._map(WIDE, -1, 3))

    def _map(self, file: str, *shape: int) -> NDArray[Any]:
        path, dtype = self.folder / file, dtype_of(file)
        if file not in self.info.files:
            raise IndexCorruptError(f"{path} is not among the files of its segment: restore the index from a copy")
        size = self.info.files[file].bytes
        width = abs(math.prod(shape)) * dtype.itemsize
        if size % width if shape[0] < 0 else size != width:
            raise IndexCorruptError(f"{path} has {size} bytes, which does not fit {shape}: restore it from a copy")
        if not size:
            return np.zeros([max(count, 0) for count in shape], dtype)  # an empty file cannot be mapped
        # Copy-on-write: never written to, but torch warns about arrays that it could not write to.
        return np.memmap(path, dtype, "c").reshape(shape).view(np.ndarray)  # a memmap is slower to index

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """Tokens of each passage, (passages,).

        Raises:
            IndexCorruptError: They are damaged.
        """
        if (self._lengths < 0).any() or int(self._lengths.sum(dtype=np.int64)) != self.info.tokens:
            raise IndexCorruptError(f"{self.folder / LENGTHS} does not sum to {self.info.tokens} tokens")
        return self._lengths

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """One past the last token of each passage, (passages,).

        Raises:
            IndexCorruptError: The lengths are damaged.
        """
        return np.cumsum(self.lengths, dtype=np.int64)

    def decode(self, tokens: slice | NDArray[np.int64]) -> Tensor:
        """Give the vectors of any tokens, (n, dim) float32, in the order asked for.

        Raises:
            IndexCorruptError: A token has a centroid that does not exist.
        """
        if self.codec is None:
            return torch.from_numpy(self.vectors[tokens]).float()
        try:
            return self.codec.decode_layers(*map(torch.from_numpy, self.encoded(tokens)))
        except InputError as error:
            raise IndexCorruptError(
                f"{self.folder} does not fit its codec ({error}): restore it from a copy"
            ) from error

    def encoded(self, tokens: slice | NDArray[np.int64], layers: int = 2) -> list[NDArray[Any]]:
        """Give the codes, (n,) int32, and the first layers of residuals, (n, bytes) uint8, of tokens that are coded."""
        return [self.codes[tokens].astype(np.int32), *(layer[tokens] for layer in self.layers[:layers])]

    def side(self, side: Side, tokens: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Give a side of any tokens, (n, *side.shape), in the order asked for.

        Raises:
            IndexCorruptError: The segment does not have it.
        """
        if side.name not in self._sides:
            raise IndexCorruptError(f"{self.folder} has no {side.file}: restore it from a copy")
        return self._sides[side.name][tokens]

    def verify(self) -> None:
        """Check every byte against the checksums, and that the arrays fit each other.

        Raises:
            IndexCorruptError: A file differs from what was written.
        """
        check_bytes(self.folder, self.info.files)
        self.lengths  # noqa: B018 - reading them checks them
        if not self.offsets.fits():
            raise IndexCorruptError(f"{self.folder / WIDE} does not hold the tokens that {GAPS} refers to")
        if self.codec is None:
            return
        try:
            lists = build_lists(self.codes, self.lengths, len(self.codec.centroids))
        except InputError as error:
            raise IndexCorruptError(
                f"{self.folder} does not fit its codec ({error}): restore it from a copy"
            ) from error
        for file, found, expected in (
            (BOUNDS, self.lists.bounds, lists.bounds),
            (LISTS, self.lists.slots, lists.slots),
        ):
            if not np.array_equal(found, expected):
                raise IndexCorruptError(f"{self.folder / file} does not fit the codes of the segment")
