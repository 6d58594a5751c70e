"""The tokens of all segments of a snapshot, numbered through, so that a few of many passages are read at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgr_retriever.errors import IndexCorruptError, InputError
from fgr_retriever.index.codec.residual_codec import Codec
from fgr_retriever.index.storage.inverted_lists import ranges
from fgr_retriever.index.storage.segments import Segment
from fgr_retriever.index.storage.sides import Side
from fgr_retriever.model.kernel.steps import Ranges
from fgr_retriever.model.kernel.stored import CodedTokens, Lists

Tokens = slice | NDArray[np.int64]  # numbers of tokens, ascending


class TokenReader:
    """Reads tokens of any passages.

    Args:
        segments: The segments of a snapshot.
        codec: That of the coded ones.

    Attributes:
        lengths: Tokens of each passage, segment after segment, (n,) int64.
        ends: One past the last token of each passage, (n,) int64.
        filled: Whether a passage has tokens, (n,) bool.
        raw: Whether a passage is stored as float16, (n,) bool.
        some_raw: Whether any is.
        segments: As given.
        codec: As given.

    Raises:
        IndexCorruptError: The lengths of a segment are damaged.
    """

    def __init__(self, segments: Sequence[Segment], codec: Codec | None) -> None:
        self.segments, self.codec = segments, codec
        sizes = [segment.info.tokens for segment in segments]
        self._bounds = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        shifted = [segment.ends + start for segment, start in zip(segments, self._bounds.tolist(), strict=False)]
        self.ends = np.concatenate([np.zeros(0, np.int64), *shifted])
        self.lengths = np.diff(self.ends, prepend=0)
        self.filled = self.lengths > 0
        raw, passages = [segment.codec is None for segment in segments], [one.info.passages for one in segments]
        self.raw, self.some_raw = np.repeat(np.array(raw, np.bool_), passages), any(raw)
        self._places = np.concatenate([[0], np.cumsum(passages, dtype=np.int64)])

    def tokens_of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number the tokens of passages, one passage after the other."""
        return ranges(*self.ranges_of(positions))

    def ranges_of(self, positions: NDArray[np.int64]) -> Ranges:
        """Find the first token and the number of tokens of passages."""
        lengths = self.lengths[positions]
        return self.ends[positions] - lengths, lengths

    def segments_of(self, positions: NDArray[np.int64]) -> Iterator[tuple[Segment, slice, Ranges]]:
        """Go through the segments that have some passages, given by ascending positions.

        Returns:
            The segment, which of the positions lie in it, and the first token there and the number of tokens of each.
        """
        starts, lengths = self.ranges_of(positions)
        edges = positions.searchsorted(self._places)
        for number in np.flatnonzero(np.diff(edges)).tolist():
            part = slice(int(edges[number]), int(edges[number + 1]))
            yield self.segments[number], part, (starts[part] - self._bounds[number], lengths[part])

    @cached_property
    def coded(self) -> CodedTokens:
        """Where the coded tokens lie, for the compiled steps of a search."""
        arrays = [() if one.codec is None else (one.codes, *one.layers) for one in self.segments]
        return CodedTokens(arrays, [one.info.tokens for one in self.segments])

    @cached_property
    def lists(self) -> Lists:
        """Where the inverted lists lie, for the compiled steps of a search."""
        arrays = [() if one.codec is None else (one.lists.bounds, one.lists.slots) for one in self.segments]
        return Lists(arrays, [one.info.passages for one in self.segments])

    def codes(self, tokens: Tokens) -> NDArray[np.int64]:
        """Give the centroids of tokens of coded passages, (t,)."""
        return np.concatenate([np.zeros(0, np.int64), *(one.codes[part] for one, part in self._split(tokens))])

    def decode(self, tokens: Tokens) -> Tensor:
        """Give the vectors of tokens, (t, dim) float32.

        Raises:
            IndexCorruptError: There is no codec for coded ones, or a token has a centroid that does not exist.
        """
        parts = list(self._split(tokens))
        if any(segment.codec is None for segment, _ in parts) or len(parts) < 2:
            found = [segment.decode(part) for segment, part in parts]
            return torch.cat(found) if len(found) != 1 else found[0]
        return self._decoded(Codec.decode_layers, [segment.encoded(part) for segment, part in parts])

    def decode_first_layer(self, tokens: Tokens) -> Tensor:
        """Give the vectors of tokens of coded passages, (t, dim) float32, by one layer and not quite of length 1.

        Raises:
            IndexCorruptError: As for `decode`.
        """
        decode = partial(Codec.decode, normalised=False)
        return self._decoded(decode, [segment.encoded(part, layers=1) for segment, part in self._split(tokens)])

    def _decoded(self, decode: Callable[..., Tensor], parts: Sequence[Sequence[NDArray[Any]]]) -> Tensor:
        """Decode tokens of several segments at once."""
        if self.codec is None:
            raise IndexCorruptError("a segment is coded, but the index has no codec: restore it from a copy")
        try:
            return decode(self.codec, *(torch.from_numpy(np.concatenate(one)) for one in zip(*parts, strict=True)))
        except InputError as error:
            raise IndexCorruptError(
                f"a segment does not fit its codec ({error}): `fgr verify` names it, restore it from a copy"
            ) from error

    def side(self, side: Side, tokens: Tokens) -> NDArray[np.uint8]:
        """Give a side of tokens, (t, *side.shape).

        Raises:
            IndexCorruptError: A segment does not have it.
        """
        none = np.zeros((0, *side.shape), np.uint8)
        return np.concatenate([none, *(one.side(side, part) for one, part in self._split(tokens))])

    def _split(self, tokens: Tokens) -> Iterator[tuple[Segment, Tokens]]:
        """Go through the segments that have some of the tokens, with their numbers there."""
        if isinstance(tokens, slice):
            first, last = self._bounds.searchsorted([tokens.start, max(tokens.stop - 1, tokens.start)], "right") - 1
            for number in range(int(first), int(last) + 1):
                start, stop = int(self._bounds[number]), int(self._bounds[number + 1])
                yield self.segments[number], slice(max(tokens.start, start) - start, min(tokens.stop, stop) - start)
            return
        edges = tokens.searchsorted(self._bounds)
        for number in np.flatnonzero(np.diff(edges)).tolist() or [0]:  # no tokens are none of the first segment
            yield self.segments[number], tokens[edges[number] : edges[number + 1]] - self._bounds[number]
