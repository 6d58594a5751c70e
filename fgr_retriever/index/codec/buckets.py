"""Scalar quantisation: the buckets of numbers with the least squared error, and bucket numbers in bytes."""

from __future__ import annotations

import torch
from torch import Tensor

_STEPS = 100  # of Lloyd's algorithm; 20 do for up to 4 bits


def lloyd_max(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Find the buckets with the least squared error, by Lloyd's algorithm from quantiles.

    Lloyd 1982, Least squares quantization in PCM; Max 1960, Quantizing for minimum distortion. A
    bucket is a range of the sorted values, whose mean running sums give: a step costs next to nothing.

    Args:
        values: What is to be quantised, (n,) float32, n >= 1.
        count: How many buckets to find.

    Returns:
        The cutoffs, (count - 1,) float32 ascending, each half way between two weights; and the
        weights, (count,) float32 ascending: the mean of each bucket.
    """
    ordered = values.sort().values
    sums = torch.cat([torch.zeros(1, dtype=torch.float64), ordered.double().cumsum(0)])
    weights = ordered[(torch.arange(0.5, count) * len(ordered) / count).long()]
    for _ in range(_STEPS):
        inner = torch.searchsorted(ordered, (weights[1:] + weights[:-1]) / 2, right=True)
        bounds = torch.cat([torch.zeros(1, dtype=torch.int64), inner, torch.tensor([len(ordered)])])
        sizes = bounds.diff()
        means = (sums[bounds].diff() / sizes.clamp(min=1)).float()
        weights = torch.where(sizes > 0, means, weights).sort().values  # rounding could swap equal ones
    return (weights[1:] + weights[:-1]) / 2, weights


def pack(buckets: Tensor, nbits: int) -> Tensor:
    """Pack bucket numbers into bytes, (n, d) to (n, d * nbits / 8), both uint8, the first one highest."""
    groups = torch.unflatten(buckets, 1, (-1, 8 // nbits))
    packed = groups[..., 0]
    for place in range(1, 8 // nbits):
        packed = packed << nbits | groups[..., place]
    return packed


def unpack(packed: Tensor, nbits: int) -> Tensor:
    """Invert `pack`: (n, d * nbits / 8) uint8 to (n, d) uint8."""
    shifts = torch.arange(8 - nbits, -1, -nbits, dtype=torch.uint8, device=packed.device)
    return torch.flatten(packed[..., None] >> shifts & (1 << nbits) - 1, 1)


def buckets_of(residuals: Tensor, cutoffs: Tensor) -> Tensor:
    """Find the bucket of every residual: how many cutoffs lie below it, as uint8."""
    if len(cutoffs) > 15:
        return torch.bucketize(residuals, cutoffs, out_int32=True).to(torch.uint8)
    found = torch.zeros(residuals.shape, dtype=torch.uint8, device=residuals.device)
    for cutoff in cutoffs:  # 4 to 18 times as fast as bucketize
        found += residuals > cutoff
    return found
