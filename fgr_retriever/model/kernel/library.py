"""Find the compiled steps of a search that this processor can run.

The library is plain C without Python's headers, so one build serves all versions of Python, and calls release the GIL.
It has each function once for each level of processor; torch says which level this one has.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

import torch

from fgr_retriever.errors import ConfigError
from fgr_retriever.model.kernel.steps import Kernel

VARIABLE = "FGR_KERNEL"
NONE = "none"
LEVELS = "base", "avx2", "avx512"  # a processor of one runs those before it, too
_BY_TORCH = {"AVX2": "avx2", "AVX512": "avx512"}
_FILE = Path(__file__).with_name("_kernel.so")
_LANES, _MOST, _MOST_LAYERS = 16, 1000, 8  # of `head.c`


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
