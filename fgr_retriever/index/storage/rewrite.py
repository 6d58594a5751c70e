"""Segments from segments: copied, encoded, merged; always whole runs of passages, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from fgr_retriever.errors import IndexCorruptError, InputError
from fgr_retriever.index.codec.residual_codec import Codec
from fgr_retriever.index.storage.inverted_lists import MOST_PASSAGES
from fgr_retriever.index.storage.segments import Segment, SegmentInfo
from fgr_retriever.index.storage.sides import EVIDENCE
from fgr_retriever.index.storage.snapshot import live_tokens
from fgr_retriever.index.storage.writing import SegmentsWriter

Part: TypeAlias = tuple[Segment, NDArray[np.bool_]]  # a segment and which of its passages live
FreshCodes: TypeAlias = Callable[[NDArray[np.int32]], NDArray[np.uint8]]
"""Makes the evidence codes of the next live passages, (n, bytes), given the number of tokens of each."""

_BLOCK_TOKENS = 1 << 15  # read, decoded, encoded and written at once
_MERGE_RATIO = 2  # a segment that is smaller than this many times all after it merges with them


@dataclass(slots=True)
class Encoded:
    """What a codec made of vectors.

    Args:
        tokens: How many it encoded.
        squared_error: The sum of their squared distances from what is decoded of them.
    """

    tokens: int = 0
    squared_error: float = 0.0

    @property
    def error(self) -> float:
        """The mean squared distance; 0 without tokens."""
        return self.squared_error / self.tokens if self.tokens else 0.0


def copy_passages(
    parts: Sequence[Part],
    writer: SegmentsWriter,
    *,
    renumber: bool = False,
    progress: bool = False,
    fresh: FreshCodes | None = None,
) -> Encoded:
    """Write the live passages of segments to new segments, encoding what the writer's codec did not encode yet.

    Args:
        parts: Segments in order, all raw if the writer has no codec.
        writer: Where they go.
        renumber: Leave out passages that do not live; else they stay, with 0 tokens.
        progress: Show a bar on stderr.
        fresh: Makes the evidence codes that are written; None copies those of the segments.

    Returns:
        What was encoded newly.

    Raises:
        IndexCorruptError: A segment holds what was never written to it.
    """
    encoded = Encoded()
    total = sum(live_tokens(*part) for part in parts)
    with tqdm(total=total, desc="segments", unit=" tokens", disable=not progress) as bar:
        for segment, alive in parts:
            lengths = np.where(alive, segment.lengths, 0)
            for run, tokens in _runs(segment, alive, lengths, writer):
                made = {} if fresh is None else {EVIDENCE: fresh(lengths[run][alive[run]])}
                for start in range(0, len(tokens), _BLOCK_TOKENS):
                    piece = slice(start, start + _BLOCK_TOKENS)
                    block = tokens[piece]
                    arrays = _vectors(segment, block, writer.codec, encoded)
                    arrays += [
                        made[side.name][piece] if side.name in made else segment.side(side, block)
                        for side in writer.sides
                    ]
                    writer.write(arrays, segment.offsets.take(block))
                    bar.update(len(block))
                writer.end_passages(lengths[run][alive[run]] if renumber else lengths[run])
    return encoded


def _runs(
    segment: Segment, alive: NDArray[np.bool_], lengths: NDArray[np.int32], writer: SegmentsWriter
) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """Cut a segment into runs of passages that fit a block, with their live tokens.

    A run ends with the passage that fills the segment which is being written, or the block.
    """
    ends = np.cumsum(lengths, dtype=np.int64)  # counting live tokens only
    live = np.flatnonzero(np.repeat(alive, segment.lengths))
    start = done = 0
    while start < len(lengths):
        tokens, passages = writer.room
        full = int(np.searchsorted(ends, done + min(tokens, _BLOCK_TOKENS)))
        stop = min(full + 1, start + passages, len(lengths))
        yield slice(start, stop), live[done : ends[stop - 1]]
        start, done = stop, int(ends[stop - 1])


def _vectors(segment: Segment, tokens: NDArray[np.int64], codec: Codec | None, encoded: Encoded) -> list[NDArray[Any]]:
    """Read tokens as they are to be written."""
    if codec is None:
        return [segment.vectors[tokens]]
    if segment.codec is codec:
        return [segment.codes[tokens], *(layer[tokens] for layer in segment.layers)]
    vectors = segment.decode(tokens)
    try:
        arrays = codec.encode_layers(vectors)
    except InputError as error:
        raise IndexCorruptError(f"{segment.folder} is damaged ({error}): restore it from a copy") from error
    encoded.tokens += len(tokens)
    encoded.squared_error += float((vectors - codec.decode_layers(*arrays)).square().sum())
    return [one.numpy() for one in arrays]


def sample_vectors(parts: Sequence[Part], count: int, dim: int) -> Tensor:
    """Draw token vectors of live passages, evenly over all segments; the same ones every time.

    Args:
        parts: Segments and their live passages.
        count: How many to draw, at most all.
        dim: Width of a vector.

    Returns:
        (count, dim) float16.
    """
    random, total = np.random.default_rng(0), sum(live_tokens(*part) for part in parts)
    sample = torch.empty((count, dim), dtype=torch.float16)
    seen = drawn = 0
    for segment, alive in parts:
        live = np.flatnonzero(np.repeat(alive, segment.lengths))
        seen += len(live)
        share = count * seen // total - drawn
        chosen = np.sort(random.choice(live, share, replace=False)) if share else live[:0]
        for block in np.split(chosen, range(_BLOCK_TOKENS, share, _BLOCK_TOKENS)):
            sample[drawn : drawn + len(block)] = segment.decode(block)
            drawn += len(block)
    return sample


def mergeable(segments: Sequence[SegmentInfo], segment_tokens: int) -> int:
    """Count the last segments that are to become one; at most 1 means that all stay.

    Each segment that stays is at least twice as large as all small ones after it, so their number
    grows with the logarithm of the tokens, and a token is copied about as often.

    Args:
        segments: All of them, in order.
        segment_tokens: Of full segments, which do not grow.
    """
    count = tokens = passages = 0
    for info in reversed(segments):
        if count and info.coded != segments[-1].coded:
            break
        if count and _size(info.tokens, info.passages) >= _MERGE_RATIO * _size(tokens, passages):
            break
        tokens, passages = tokens + info.tokens, passages + info.passages
        if tokens >= segment_tokens or passages > MOST_PASSAGES:
            break
        count += 1
    return count


def _size(tokens: int, passages: int) -> int:
    return tokens + passages
