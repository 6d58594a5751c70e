"""Token offsets in 2 bytes a token: how far a token begins from the end of the one before, and its width.

Neighbouring tokens mostly touch or have a space between them, so that both numbers are small. What
does not fit stands in a side table. Every passage begins at 0, so passages can be copied one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.index.storage.inverted_lists import ranges

_WIDE_GAP = -128  # the token stands in the side table


@dataclass(frozen=True, eq=False)
class CompactOffsets:
    """The character ranges of tokens, passage after passage.

    Args:
        gaps: Start of each token minus the end of the one before, or minus 0 for the first of its
            passage, (t,) int8; -128 where the token is in `wide`.
        widths: End minus start of each token, (t,) uint8; 0 where the token is in `wide`.
        wide: Number, start and end of each token that does not fit, (n, 3) int32, ascending.
    """

    gaps: NDArray[np.int8]
    widths: NDArray[np.uint8]
    wide: NDArray[np.int32]

    def decode(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[NDArray[np.int32]]:
        """Give back the ranges of all tokens of some passages; see `decode_offsets`."""
        return decode_offsets([(self, starts, lengths)])

    def wide_in(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Give the part of `wide` of those passages that have one, numbered from their first token."""
        if len(self.wide):
            first, last = self._wide_tokens.searchsorted(np.stack([starts, starts + lengths]))
            for place in np.flatnonzero(first < last).tolist():
                yield place, self.wide[first[place] : last[place]] - np.array([starts[place], 0, 0])

    def take(self, tokens: NDArray[np.int64]) -> CompactOffsets:
        """Copy the tokens of some passages; those in `wide` are numbered from 0 in the copy.

        Args:
            tokens: Their numbers, ascending: of each passage all or none.
        """
        places = np.searchsorted(tokens, self._wide_tokens)
        found = np.flatnonzero(places < len(tokens))
        found = found[tokens[places[found]] == self._wide_tokens[found]]
        wide = np.column_stack([places[found], self.wide[found, 1:]]).astype(np.int32)
        return CompactOffsets(self.gaps[tokens], self.widths[tokens], wide)

    def fits(self) -> bool:
        """Say whether the side table holds exactly the tokens that refer to it."""
        return bool(np.array_equal(np.flatnonzero(self.gaps == _WIDE_GAP), self._wide_tokens))

    @cached_property
    def _wide_tokens(self) -> NDArray[np.int64]:
        """The tokens in the side table, in one piece for bisection."""
        return self.wide[:, 0].astype(np.int64)


def decode_offsets(
    parts: Sequence[tuple[CompactOffsets, NDArray[np.int64], NDArray[np.int64]]],
) -> list[NDArray[np.int32]]:
    """Give back the ranges of all tokens of some passages, which lie in several segments, all at once.

    Args:
        parts: Of each segment its offsets, the first token of each passage there, (n,), and their numbers, (n,).

    Returns:
        (t, 2) int32 for each passage.
    """
    if not sum(len(starts) for _, starts, _ in parts):
        return []
    tokens = [ranges(starts, lengths) for _, starts, lengths in parts]
    lengths = np.concatenate([one for *_, one in parts])
    cuts = np.cumsum(lengths)
    widths = np.concatenate([one.widths[at] for (one, *_), at in zip(parts, tokens, strict=True)]).astype(np.int64)
    ends = np.concatenate([one.gaps[at] for (one, *_), at in zip(parts, tokens, strict=True)]) + widths
    np.cumsum(ends, out=ends)
    before = np.concatenate([np.zeros(1, np.int64), ends])[cuts - lengths]  # where the passage before ended
    ends -= np.repeat(before, lengths)
    found = np.split(np.stack([ends - widths, ends], axis=1).astype(np.int32), cuts[:-1])
    first = 0
    for one, starts, counts in parts:
        for place, wide in one.wide_in(starts, counts):
            found[first + place] = _with_wide(found[first + place], wide)
        first += len(starts)
    return found


def _with_wide(pairs: NDArray[np.int32], wide: NDArray[np.int64]) -> NDArray[np.int32]:
    """Put wide tokens, (n, 3) like `CompactOffsets.wide`, into the ranges of a passage that knows nothing of them."""
    widths, ends = (pairs[:, 1] - pairs[:, 0]).astype(np.int64), pairs[:, 1].astype(np.int64)
    places, start, end = wide.T
    # From a wide token on, all ends are off by the same amount, until the next wide one.
    shifts = np.concatenate([np.zeros(1, np.int64), end - ends[places]])
    ends += np.repeat(shifts, np.diff(places, prepend=0, append=len(ends)))
    starts = ends - widths
    starts[places] = start
    return np.stack([starts, ends], axis=1).astype(np.int32)


def compact_offsets(offsets: NDArray[np.int32], previous_end: int = 0) -> CompactOffsets:
    """Encode the offsets of consecutive tokens of one passage, exactly.

    Args:
        offsets: (t, 2) integers; any that fit 32 bits.
        previous_end: End of the token before these, 0 when the passage begins with them.
    """
    starts, ends = offsets.astype(np.int64).T
    gaps, widths = starts - np.concatenate([[previous_end], ends[:-1]])[: len(ends)], ends - starts
    wide = (gaps <= _WIDE_GAP) | (gaps > 127) | (widths < 0) | (widths > 255)
    table = np.column_stack([np.flatnonzero(wide), starts[wide], ends[wide]]).astype(np.int32)
    gaps, widths = np.where(wide, _WIDE_GAP, gaps), np.where(wide, 0, widths)
    return CompactOffsets(gaps.astype(np.int8), widths.astype(np.uint8), table)
