"""Call the compiled steps of a search.

The library is plain C without Python's headers, so one build serves all versions of Python, and calls release the GIL.
It has each function once for each level of processor; torch says which level this one has.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.ctypeslib import ndpointer
from numpy.typing import NDArray

from fgr_retriever.errors import ConfigError, IndexCorruptError

VARIABLE = "FGR_KERNEL"
NONE = "none"
LEVELS = "base", "avx2", "avx512"  # a processor of one runs those before it, too
_BY_TORCH = {"AVX2": "avx2", "AVX512": "avx512"}
_FILE = Path(__file__).with_name("_kernel.so")
_FAULTS = {
    2: "a token has a centroid that does not exist",
    3: "a passage has tokens that do not exist",
    4: "an inverted list does not fit the segment",
    5: "the weights of a head have other sizes",
}
_NO_MEMORY = 1
_LANES, _MOST, _MOST_LAYERS = 16, 1000, 8  # of `head.c`

_COUNT = ctypes.c_int64
_INT16, _INT32, _INT64, _BYTES, _HALVES, _FLOATS, _DOUBLES = (
    ndpointer(dtype, flags="C_CONTIGUOUS")
    for dtype in (np.uint16, np.uint32, np.int64, np.uint8, np.float16, np.float32, np.float64)
)
_RANGES = _INT64, _INT64, _COUNT
_CODED = (
    *(_FLOATS, _COUNT, _COUNT, _FLOATS, _COUNT, _FLOATS, _COUNT),
    *(ctypes.c_void_p, _COUNT, _BYTES, _COUNT, *_RANGES, ctypes.c_void_p),
)
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "nearest": (_FLOATS, _COUNT, _COUNT, _FLOATS, _COUNT, _COUNT, _INT64, _FLOATS),
    "gains": (_INT64, _COUNT, _INT16, _COUNT, _COUNT, _INT64, _FLOATS, _COUNT, _COUNT, _DOUBLES),
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
        self,
        bounds: NDArray[np.int64],
        slots: NDArray[np.uint16],
        passages: int,
        probed: NDArray[np.int64],
        gains: NDArray[np.float32],
    ) -> NDArray[np.float64]:
        """Sum up what the tokens of a query gain in each passage of a segment.

        Args:
            bounds: Of the inverted lists, (k + 1,).
            slots: Of the inverted lists, (entries,).
            passages: How many the segment has.
            probed: What each token probes, by ascending gain, (q, n).
            gains: What it gains there, (q, n).

        Returns:
            (passages,) float64.

        Raises:
            IndexCorruptError: The lists name what does not exist.
        """
        totals = np.empty(passages, np.float64)
        _call(self._gains, bounds, len(bounds) - 1, slots, len(slots), passages, probed, gains, *probed.shape, totals)
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
        encoded: Sequence[NDArray[Any]],
        ranges: tuple[NDArray[np.int64], NDArray[np.int64]],
    ) -> NDArray[np.float32]:
        """Score passages by MaxSim of the vectors that a codec decodes.

        Args:
            query: (q, d).
            centroids: Of the codec, (k, d).
            table: The residuals that each byte stands for at each place, (places * 256, d / places).
            encoded: Codes, (t,) uint16 or uint32, and residuals, (t, places) uint8, or both layers of them,
                (t, places / 2) each.
            ranges: First token and number of tokens of each passage, (n,) each.

        Returns:
            (n,) float32; -inf for a passage without tokens.

        Raises:
            IndexCorruptError: Codes or ranges do not fit.
        """
        second = encoded[2].ctypes.data if len(encoded) > 2 else None
        return self._scored(self._maxsim, query, (centroids, table), encoded, ranges, None, second)

    def near(
        self,
        query: NDArray[np.float32],
        centroids: NDArray[np.float32],
        table: NDArray[np.float32],
        encoded: Sequence[NDArray[Any]],
        ranges: tuple[NDArray[np.int64], NDArray[np.int64]],
        near: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """Score passages like `maxsim` by the tokens of some centroids, (k,), with vectors that are not normalised.

        Only the first layer of residuals is read. A passage without such a token has -inf.
        """
        if table.shape[1] == 1:  # halves of bytes have no sums at 8 bits
            return self._scored(self._maxsim, query, (centroids, table), encoded, ranges, near.ctypes.data, None)
        return self._scored(self._sieve, query, (centroids, table), encoded, ranges, near.ctypes.data)

    @staticmethod
    def _scored(
        step: Any,
        query: NDArray[np.float32],
        tables: tuple[NDArray[np.float32], NDArray[np.float32]],
        encoded: Sequence[NDArray[Any]],
        ranges: tuple[NDArray[np.int64], NDArray[np.int64]],
        *more: int | None,
    ) -> NDArray[np.float32]:
        (centroids, table), (codes, residuals), (starts, lengths) = tables, encoded[:2], ranges
        scores = np.empty(len(starts), np.float32)
        codec = centroids, len(centroids), table, table.shape[1]
        vectors = codes.ctypes.data, codes.itemsize, residuals, len(codes)
        _call(step, query, *query.shape, *codec, *vectors, starts, lengths, len(starts), *more, scores)
        return scores

    def maxsim16(
        self,
        query: NDArray[np.float32],
        vectors: NDArray[np.float16],
        ranges: tuple[NDArray[np.int64], NDArray[np.int64]],
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


def kernel() -> Kernel | None:
    """Give the compiled steps for this processor; None if the package was built without.

    The environment variable `FGR_KERNEL` overrules: `none`, or a level that the processor has, of `base`, `avx2` and
    `avx512`.

    Raises:
        ConfigError: The environment variable names something else.
    """
    return _open(os.environ.get(VARIABLE, ""))


def compiles(dim: int, code: int, width: int, layers: int) -> bool:
    """Say whether `Kernel.evidence` reads with a head of these sizes."""
    return width % _LANES == 0 and max(dim, code, 2 * width) <= _MOST and layers <= _MOST_LAYERS


def levels() -> tuple[str, ...]:
    """Name the levels that can run here, the best last; none if the package was built without."""
    if not _FILE.exists():
        return ()
    best = _BY_TORCH.get(torch.backends.cpu.get_cpu_capability(), LEVELS[0])
    library = _library()
    return tuple(one for one in LEVELS[: LEVELS.index(best) + 1] if hasattr(library, f"fgr_maxsim_{one}"))


@cache
def _open(asked: str) -> Kernel | None:
    """Make a level ready once."""
    if asked == NONE:
        return None
    there = levels()
    if asked and asked not in there:
        raise ConfigError(f"{VARIABLE}={asked!r}: must be one of {', '.join((NONE, *there))} here, or not be set")
    return Kernel(_library(), asked or there[-1]) if there else None


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(str(_FILE))


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
