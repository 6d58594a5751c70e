"""Noise as a residual codec leaves it, so that the head learns to read what a compressed index gives back."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

# Mean cosine between a token vector and what our codec gives back of it, by bits a dimension. Measured with the token
# vectors of the embedded model, 128 wide, on 8,900 that the codec (1,024 centroids of 80,000 others) had not seen. Of
# what the codec was trained on: 0.864, 0.955 and 0.996.
COSINES = {1: 0.857, 2: 0.953, 4: 0.996}
_SHARE = 0.5


class CodecNoise(nn.Module):
    """Moves the vectors of half of the passages as a codec would; like dropout, in training only.

    The other half stays as it is, since an index may be uncompressed. The noise is normal, and as
    long as gives `COSINES`; which passages have it is drawn anew with every batch, from torch's generator.

    Args:
        bits: Bits a dimension of the codec, 1, 2 or 4; 0 for no noise.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self._length = (COSINES[bits] ** -2 - 1) ** 0.5 if bits else 0.0  # of noise at a right angle to a unit vector

    def forward(self, vectors: Tensor) -> Tensor:
        """Give unit vectors of which some are noisy.

        Args:
            vectors: L2-normalised, (b, t, d).

        Returns:
            L2-normalised, (b, t, d); `vectors` itself without noise.
        """
        if not self.training or not self._length:
            return vectors
        noise = torch.randn_like(vectors) * (self._length * vectors.shape[-1] ** -0.5)
        noisy = torch.rand(len(vectors), 1, 1, device=vectors.device) < _SHARE
        return torch.where(noisy, normalize(vectors + noise, dim=-1), vectors)
