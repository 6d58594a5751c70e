"""What fits a codec: widths, bits, and vectors of length 1."""

from __future__ import annotations

import torch
from torch import Tensor

from fgr_retriever.errors import ConfigError, InputError

NBITS = (1, 2, 4, 8)
LENGTH_ERROR = 0.01  # of a vector of length 1: more than half precision loses
_CHECKED = 1 << 16  # vectors whose lengths are computed at once


def check_vectors(vectors: Tensor) -> None:
    """Raise InputError unless vectors are (n, d) floating-point numbers, finite and of length 1."""
    if vectors.ndim != 2 or not vectors.is_floating_point():
        raise InputError(f"vectors {vectors.dtype} {tuple(vectors.shape)}: must be (n, d) floating-point numbers")
    lengths = torch.cat([chunk.float().norm(dim=1) for chunk in torch.split(vectors, _CHECKED)])
    fits = (lengths - 1).abs() <= LENGTH_ERROR  # false for what is not a number
    if not fits.all():
        row = int(fits.int().argmin())
        raise InputError(
            f"vector {row} has length {float(lengths[row]):.4g}: token vectors must be finite and L2-normalised; "
            "divide each by its length"
        )


def check_sizes(dim: int, nbits: int, refine: bool = False) -> None:
    """Raise ConfigError unless vectors of `dim` dimensions fill whole bytes at `nbits` bits, 1, 2, 4 or 8, for each.

    With `refine`, there is a second layer with as many bits, and both together have at most 8.
    """
    if type(nbits) is not int or nbits not in NBITS:
        raise ConfigError(f"nbits={nbits!r}: must be one of {NBITS}")
    if refine and 2 * nbits not in NBITS:
        raise ConfigError(f"refine=True with nbits={nbits}: a second layer doubles the bits to at most 8; take nbits=4")
    if not dim or dim % (8 // nbits):
        raise ConfigError(
            f"nbits={nbits} with vectors of width {dim}: the width must be a multiple of {8 // nbits}, to fill whole "
            "bytes; take more bits, or a model of another width"
        )
