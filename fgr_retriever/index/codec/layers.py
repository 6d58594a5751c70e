"""Two layers of residuals: the first finds the best passages, both together score them.

A finer codec has the same centroids, and splits each bucket of a codec into as many: the higher bits of a finer bucket
are the coarser bucket. So its residuals come apart into two files of equal size. Of the second, a search reads only
what belongs to its last few candidates.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fgr_retriever.index.codec.buckets import buckets_of, lloyd_max


def finer_buckets(values: Tensor, cutoffs: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Split each bucket into as many as there are, each with the least squared error within.

    Args:
        values: What is to be quantised, (n,) float32.
        cutoffs: Of the buckets, (m - 1,) float32, ascending.
        weights: Of the buckets, (m,) float32.

    Returns:
        The cutoffs, (m * m - 1,) float32, of which each m-th is one of `cutoffs`; and the weights, (m * m,) float32.
    """
    count, owners = len(weights), buckets_of(values, cutoffs)
    least, most = cutoffs.new_tensor([-torch.inf]), cutoffs.new_tensor([torch.inf])
    lower, upper = torch.cat([least, cutoffs]), torch.cat([cutoffs, most])
    finer_cutoffs, finer_weights = [], []
    for bucket in range(count):
        inside = values[owners == bucket]
        inner, means = lloyd_max(inside if len(inside) else weights[bucket : bucket + 1], count)
        finer_cutoffs += [inner.clamp(lower[bucket], upper[bucket]), cutoffs[bucket : bucket + 1]]
        finer_weights.append(means)
    return torch.cat(finer_cutoffs), torch.cat(finer_weights)


def split(joined: Tensor, nbits: int) -> tuple[Tensor, Tensor]:
    """Take packed residuals of 2 nbits a dimension apart, (n, places) uint8 to two of (n, places / 2).

    The first has the higher half of the bits of each dimension, packed as those of a codec with nbits.
    """
    both = torch.unflatten(joined, 1, (-1, 2)).int()
    both = both[..., 0] << 8 | both[..., 1]
    return _gathered(both >> nbits, nbits), _gathered(both, nbits)


def join(first: Tensor, second: Tensor, nbits: int) -> Tensor:
    """Invert `split`: two layers, (n, places) uint8 each, to (n, 2 places)."""
    both = _spread(first.int(), nbits) << nbits | _spread(second.int(), nbits)
    found = torch.empty((*both.shape, 2), dtype=torch.uint8, device=both.device)
    found[..., 0], found[..., 1] = both >> 8, both & 255
    return found.flatten(1)


def _spread(layer: Tensor, nbits: int) -> Tensor:
    """Leave room for as many bits behind each `nbits` of a byte."""
    for shift, mask in _STEPS:
        if shift >= nbits:
            layer = (layer | layer << shift) & mask
    return layer


def _gathered(spread: Tensor, nbits: int) -> Tensor:
    """Invert `_spread`, whatever stands in the room."""
    spread = spread & _MASKS[nbits]
    for (shift, _), mask in zip(reversed(_STEPS), (0x3333, 0x0F0F, 0x00FF), strict=True):
        if shift >= nbits:
            spread = (spread | spread >> shift) & mask
    return spread.to(torch.uint8)


_STEPS = ((4, 0x0F0F), (2, 0x3333), (1, 0x5555))  # as numbers are interleaved for a Z-order curve
_MASKS = {1: 0x5555, 2: 0x3333, 4: 0x0F0F}
