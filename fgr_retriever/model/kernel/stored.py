"""Where the segments of an index lie in memory, for the compiled steps of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.errors import InputError

Array = NDArray[Any]


class CodedTokens:
    """The tokens of some segments, numbered through, as the residual codec keeps them.

    Args:
        segments: Of each segment the codes, (t,) uint16 or uint32, and the residuals, (t, places) uint8, or both layers
            of them, (t, places / 2) each; nothing of a segment that is not coded. All have the same widths.
        sizes: Tokens of each segment, (n,).

    Raises:
        InputError: The arrays of a segment do not have as many tokens.
    """

    def __init__(self, segments: Sequence[Sequence[Array]], sizes: Sequence[int]) -> None:
        """Note the addresses; the arrays are kept as long as they are needed."""
        for arrays, size in zip(segments, sizes, strict=True):
            if any(len(array) != size for array in arrays):
                found = [len(array) for array in arrays]
                raise InputError(f"a segment of {size} tokens has codes and residuals of {found}: must be as many")
        self._segments = [[np.ascontiguousarray(array) for array in arrays] for arrays in segments]
        codes, residuals, *rest = (_addresses(self._segments, place) for place in range(self.layers + 1))
        self.codes, self.residuals, self.rest = codes, residuals, rest[0] if rest else None
        self.code_bytes = max((arrays[0].itemsize for arrays in self._segments if arrays), default=2)
        self.bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    @property
    def layers(self) -> int:
        """How many layers of residuals there are."""
        return max((len(arrays) - 1 for arrays in self._segments if arrays), default=1)

    def __len__(self) -> int:
        """Count the segments."""
        return len(self._segments)


class Lists:
    """The inverted lists of some segments.

    Args:
        segments: Of each segment where the list of each centroid begins, (centroids + 1,) int64, and the slots,
            (entries,) uint16; nothing of a segment without lists.
        sizes: Passages of each segment, (n,).
    """

    def __init__(self, segments: Sequence[Sequence[Array]], sizes: Sequence[int]) -> None:
        """Note the addresses; the arrays are kept as long as they are needed."""
        dtypes = np.int64, np.uint16
        self._segments = [list(map(np.ascontiguousarray, arrays, dtypes)) for arrays in segments]
        self.bounds, self.slots = _addresses(self._segments, 0), _addresses(self._segments, 1)
        self.entries = np.array([len(arrays[1]) if arrays else 0 for arrays in self._segments], np.int64)
        self.centroids = min((len(arrays[0]) - 1 for arrays in self._segments if arrays), default=0)
        self.firsts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def __len__(self) -> int:
        """Count the segments."""
        return len(self._segments)


def _addresses(segments: Sequence[Sequence[Array]], place: int) -> NDArray[np.uint64]:
    """Give the address of one array of each segment; 0 where a segment has none."""
    return np.array([arrays[place].ctypes.data if arrays else 0 for arrays in segments], np.uint64)
