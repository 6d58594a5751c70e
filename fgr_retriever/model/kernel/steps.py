"""Call the compiled steps of a search."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.ctypeslib import ndpointer
from numpy.typing import NDArray

from fgr_retriever.errors import IndexCorruptError
from fgr_retriever.model.kernel.stored import CodedTokens, Lists

_FAULTS = {
    2: "a token has a centroid that does not exist",
    3: "a passage has tokens that do not exist",
    4: "an inverted list does not fit the segment",
    5: "the weights of a head have other sizes",
}
_NO_MEMORY = 1

Ranges = tuple[NDArray[np.int64], NDArray[np.int64]]
"""First token and number of tokens of passages."""

_COUNT = ctypes.c_int64
_INT32, _INT64, _BYTES, _HALVES, _FLOATS, _ADDRESSES = (
    ndpointer(dtype, flags="C_CONTIGUOUS")
    for dtype in (np.uint32, np.int64, np.uint8, np.float16, np.float32, np.uint64)
)
_RANGES = _INT64, _INT64, _COUNT
_CODED = (
    *(_FLOATS, _COUNT, _COUNT, _FLOATS, _COUNT, _FLOATS, _COUNT),
    *(_INT64, _COUNT, _ADDRESSES, _COUNT, _ADDRESSES, *_RANGES, ctypes.c_void_p),
)
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "nearest": (_FLOATS, _COUNT, _COUNT, _FLOATS, _COUNT, _COUNT, _INT64, _FLOATS),
    "gains": (
        *(_ADDRESSES, _COUNT, _ADDRESSES, _INT64, _INT64, _COUNT),
        *(_INT64, _FLOATS, _COUNT, _COUNT, _COUNT, _COUNT, _FLOATS),
    ),
    "decode": (_FLOATS, _COUNT, _COUNT, _FLOATS, _COUNT, _INT32, _BYTES, _COUNT, _COUNT, _FLOATS),
    "maxsim": (*_CODED, ctypes.c_void_p, _FLOATS),
    "sieve": (*_CODED, _FLOATS),
    "evidence": (
        *(_FLOATS, _COUNT, _COUNT, _FLOATS, _COUNT, _INT64, _COUNT, ctypes.c_void_p, _COUNT),
        *(_FLOATS, _COUNT, _COUNT, _COUNT, ctypes.c_double, _FLOATS),
    ),
    "maxsim16": (_FLOATS, _COUNT, _COUNT, _HALVES, _COUNT, *_RANGES, _FLOATS),
}


class Kernel:
    """The compiled steps; safe to use from several threads.

    Args:
        library: What was built from the C files here.
        level: Which versions of the functions to call, one of `levels()`.
    """

    def __init__(self, library: ctypes.CDLL, level: str) -> None:
        self.level = level
        self._nearest, self._gains, self._decode, self._maxsim, self._sieve, self._evidence, self._maxsim16 = (
            _function(library, f"fgr_{name}_{level}", *types) for name, types in _SIGNATURES.items()
        )

    def nearest(
        self, query: NDArray[np.float32], centroids: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the centroids with the highest scores for each token, the highest first.

        Args:
            query: (q, d).
            centroids: (k, d).
            count: How many to find, from 1 to k.

        Returns:
            Their numbers, (q, count) int64, and scores, (q, count) float32; among equals, the lower number comes first.
        """
        shape = len(query), count
        numbers, scores = np.empty(shape, np.int64), np.empty(shape, np.float32)
        _call(self._nearest, query, *query.shape, centroids, len(centroids), count, numbers, scores)
        return numbers, scores

    def gains(
        self, lists: Lists, probed: NDArray[np.int64], gains: NDArray[np.float32], passages: slice
    ) -> NDArray[np.float32]:
        """Sum up what the tokens of a query gain in each of some passages.

        Args:
            lists: Of all segments.
            probed: What each token probes, by ascending gain, (q, n).
            gains: What it gains there, (q, n).
            passages: Which of the passages of all segments, without a step.

        Returns:
            (passages,) float32; 0 in segments without lists.

        Raises:
            IndexCorruptError: The lists name what does not exist.
        """
        first, last, _ = passages.indices(int(lists.firsts[-1]))
        totals = np.empty(last - first, np.float32)
        where = lists.bounds, lists.centroids, lists.slots, lists.entries, lists.firsts, len(lists)
        _call(self._gains, *where, probed, gains, *probed.shape, first, last, totals)
        return totals

    def decode(
        self,
        centroids: NDArray[np.float32],
        table: NDArray[np.float32],
        codes: NDArray[np.uint32],
        residuals: NDArray[np.uint8],
        normalised: bool,
    ) -> NDArray[np.float32]:
        """Decode vectors, (t, d), of codes, (t,), and residuals, (t, places); see `maxsim`."""
        vectors = np.empty((len(codes), centroids.shape[1]), np.float32)
        tables = *centroids.shape, table, table.shape[1]
        _call(self._decode, centroids, *tables, codes, residuals, len(codes), int(normalised), vectors)
        return vectors

    def maxsim(
        self,
        query: NDArray[np.float32],
        centroids: NDArray[np.float32],
        table: NDArray[np.float32],
        coded: CodedTokens,
        ranges: Ranges,
    ) -> NDArray[np.float32]:
        """Score passages by MaxSim of the vectors that a codec decodes.

        Args:
            query: (q, d).
            centroids: Of the codec, (k, d).
            table: The residuals that each byte stands for at each place, (places * 256, d / places).
            coded: Codes and residuals of all segments.
            ranges: First token and number of tokens of each passage, (n,) each, by ascending first token.

        Returns:
            (n,) float32; -inf for a passage without tokens.

        Raises:
            IndexCorruptError: Codes or ranges do not fit.
        """
        rest = None if coded.rest is None else coded.rest.ctypes.data
        return self._scored(self._maxsim, query, (centroids, table), coded, ranges, None, rest)

    def near(
        self,
        query: NDArray[np.float32],
        centroids: NDArray[np.float32],
        table: NDArray[np.float32],
        coded: CodedTokens,
        ranges: Ranges,
        near: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """Score passages like `maxsim` by the tokens of some centroids, (k,), with vectors that are not normalised.

        Only the first layer of residuals is read. A passage without such a token has -inf.
        """
        if table.shape[1] == 1:  # halves of bytes have no sums at 8 bits
            return self._scored(self._maxsim, query, (centroids, table), coded, ranges, near.ctypes.data, None)
        return self._scored(self._sieve, query, (centroids, table), coded, ranges, near.ctypes.data)

    @staticmethod
    def _scored(
        step: Any,
        query: NDArray[np.float32],
        tables: tuple[NDArray[np.float32], NDArray[np.float32]],
        coded: CodedTokens,
        ranges: Ranges,
        *more: int | None,
    ) -> NDArray[np.float32]:
        (centroids, table), (starts, lengths) = tables, ranges
        scores = np.empty(len(starts), np.float32)
        codec = centroids, len(centroids), table, table.shape[1]
        where = coded.bounds, len(coded), coded.codes, coded.code_bytes, coded.residuals
        _call(step, query, *query.shape, *codec, *where, starts, lengths, len(starts), *more, scores)
        return scores

    def maxsim16(
        self,
        query: NDArray[np.float32],
        vectors: NDArray[np.float16],
        ranges: Ranges,
    ) -> NDArray[np.float32]:
        """Score passages by MaxSim of float16 vectors, (t, d); see `maxsim`."""
        starts, lengths = ranges
        scores = np.empty(len(starts), np.float32)
        _call(self._maxsim16, query, *query.shape, vectors, len(vectors), starts, lengths, len(starts), scores)
        return scores

    def evidence(
        self,
        query: NDArray[np.float32],
        vectors: NDArray[np.float32],
        lengths: NDArray[np.int64],
        codes: NDArray[np.uint8] | None,
        weights: NDArray[np.float32],
        sizes: tuple[int, int, int, float],
    ) -> NDArray[np.float32]:
        """Read passages with a light head.

        Args:
            query: (q, d).
            vectors: (t, d).
            lengths: Tokens of each passage, (n,), at least 1 each.
            codes: Evidence codes, (t, bytes); None if there are none.
            weights: All of `LightHead.weights`, one after the other.
            sizes: Numbers of a code, width, layers, and the temperature.

        Returns:
            The evidence probability of each token, (t,) float32.

        Raises:
            IndexCorruptError: The lengths do not sum to the tokens, or the weights have other sizes.
        """
        (code, width, layers, temperature), probabilities = sizes, np.empty(len(vectors), np.float32)
        passages = vectors, len(vectors), lengths, len(lengths), None if codes is None else codes.ctypes.data, code
        head = weights, len(weights), width, layers, temperature
        _call(self._evidence, query, *query.shape, *passages, *head, probabilities)
        return probabilities


def _function(library: ctypes.CDLL, name: str, *types: Any) -> Any:
    """Look a function up and say what it takes; arrays of another type, or with gaps, are refused at each call."""
    found = getattr(library, name)
    found.argtypes, found.restype = types, ctypes.c_int
    return found


def _call(function: Any, *arguments: Any) -> None:
    """Call a function of the library, and turn what it returns into errors."""
    status = function(*arguments)
    if status == _NO_MEMORY:
        raise MemoryError("a search found no memory for its tables")
    if status:
        raise IndexCorruptError(f"{_FAULTS[status]}: `fgr verify` names the segment, restore it from a copy")
