"""Token vectors to measure on: mapped from disk, enlarged without copying. Needs numpy alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

VECTORS, OFFSETS, LENGTHS, WORDS = "vectors.f16", "offsets.i32", "lengths.i32", "words.i64"
WINDOW = 32, 128  # tokens of the shortest and the longest window


@dataclass(frozen=True)
class Corpus:
    """Passages as runs of one array of token vectors.

    Args:
        vectors: L2-normalised, (tokens, d) float16, mapped from disk.
        offsets: Character range of each token in its passage, (tokens, 2) int32, mapped from disk.
        starts: First token of each passage, (n,) int64.
        lengths: Tokens of each passage, (n,) int64.
        words: Which word each token is, a number for each different piece of text, (tokens,) int64, mapped from disk;
            empty if nobody wrote it down.
    """

    vectors: NDArray[np.float16]
    offsets: NDArray[np.int32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    words: NDArray[np.int64]

    def __len__(self) -> int:
        """Count the passages."""
        return len(self.starts)

    @property
    def tokens(self) -> int:
        """Count the tokens of all passages."""
        return int(self.lengths.sum())

    def __getitem__(self, row: int) -> NDArray[np.float16]:
        """Read the vectors of one passage."""
        return self.vectors[self.starts[row] : self.starts[row] + self.lengths[row]]

    def part(self, rows: slice) -> Corpus:
        """Take only some passages."""
        return Corpus(self.vectors, self.offsets, self.starts[rows], self.lengths[rows], self.words)

    def chunks(self, tokens: int = 1 << 17) -> Iterator[tuple[range, NDArray[np.float16]]]:
        """Read runs of whole passages, of about so many tokens: which they are, and their vectors."""
        ends = np.cumsum(self.lengths)
        first, before = 0, 0
        while first < len(self):
            last = max(first + 1, int(np.searchsorted(ends, before + tokens)))
            rows = range(first, last)
            yield rows, np.concatenate([self[row] for row in rows])
            first, before = last, int(ends[last - 1])

    def windows(self, count: int, seed: int = 0) -> Corpus:
        """Draw windows of 32 to 128 tokens at random places, each within one passage, as passages of their own."""
        random = np.random.default_rng(seed)
        wanted = random.integers(WINDOW[0], WINDOW[1] + 1, count)
        long = np.flatnonzero(self.lengths >= WINDOW[0])
        drawn = random.choice(long, count, p=self.lengths[long] / self.lengths[long].sum())
        lengths = np.minimum(wanted, self.lengths[drawn])
        shifts = (random.random(count) * (self.lengths[drawn] - lengths + 1)).astype(np.int64)
        return Corpus(self.vectors, self.offsets, self.starts[drawn] + shifts, lengths, self.words)


def open_corpus(work: Path, dim: int) -> Corpus:
    """Map what `benchmarks.index.encoding` left."""
    lengths = np.fromfile(work / LENGTHS, "<i4").astype(np.int64)
    vectors = np.memmap(work / VECTORS, "<f2", "r").reshape(-1, dim)
    offsets = np.memmap(work / OFFSETS, "<i4", "r").reshape(-1, 2)
    words = np.memmap(work / WORDS, "<i8", "r") if (work / WORDS).exists() else np.zeros(0, np.int64)
    return Corpus(vectors, offsets, np.cumsum(lengths) - lengths, lengths, words)
