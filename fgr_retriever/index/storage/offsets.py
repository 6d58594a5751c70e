"""Token offsets in 2 bytes a token: how far a token begins from the end of the one before, and its width.

Neighbouring tokens mostly touch or have a space between them, so that both numbers are small. What
does not fit stands in a side table. Every passage begins at 0, so passages can be copied one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

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

    def decode(self, tokens: slice) -> NDArray[np.int32]:
        """Give back the ranges of all tokens of one passage.

        Args:
            tokens: Their numbers, with start and stop.

        Returns:
            (t, 2) int32.
        """
        widths = self.widths[tokens].astype(np.int64)
        ends = np.cumsum(self.gaps[tokens] + widths)
        first, last = self._wide_tokens.searchsorted((tokens.start, tokens.stop))
        if first == last:
            return np.stack([ends - widths, ends], axis=1).astype(np.int32)
        number, start, end = self.wide[first:last].T.astype(np.int64)
        places = number - tokens.start
        # From a wide token on, all ends are off by the same amount, until the next wide one.
        shifts = np.concatenate([np.zeros(1, np.int64), end - ends[places]])
        ends += np.repeat(shifts, np.diff(places, prepend=0, append=len(ends)))
        starts = ends - widths
        starts[places] = start
        return np.stack([starts, ends], axis=1).astype(np.int32)

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
