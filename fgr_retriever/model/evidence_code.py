"""The evidence code: a few small numbers a token, kept by the index, that say what the token is about.

A token's embedding serves retrieval, and is compressed for it. What decides whether the token *answers* a question
(a name, a date, a reason, the word that a sentence turns on) mostly stands in the encoder's hidden state, of which the
embedding is a projection. The code is a second projection of the same state, to some numbers of 4 bits, for evidence
alone. It may have a branch of the encoder to itself: the last layers once more, with weights of their own, so that what
serves evidence does not disturb retrieval.
"""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import Self

from fgr_retriever.model.bert import BertLayer, seen

_LEVELS = 15  # steps between the 16 values of 4 bits
_GAIN = 0.3  # hidden states come out of a layer normalisation: this keeps the first codes off the ends of the range


class EvidenceCoder(nn.Module):
    """Turns hidden states into codes, and codes into numbers.

    Args:
        hidden: Width of the encoder's hidden states.
        size: Numbers of a code, even.
        branch: Layers of its own. It reads the states that as many layers of the encoder follow.
        heads: Attention heads of these layers.
        inner: Width between their dense layers.
    """

    def __init__(self, hidden: int, size: int, branch: int = 0, heads: int = 1, inner: int = 1) -> None:
        super().__init__()
        self.branch = nn.ModuleList(BertLayer(hidden, heads, inner) for _ in range(branch))
        self.projection = nn.Linear(hidden, size)

    @property
    def nbytes(self) -> int:
        """Bytes of a code: two numbers in each."""
        return self.projection.out_features // 2

    def states(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Run the branch.

        Args:
            hidden: The encoder's states of some inputs, (b, t, hidden).
            mask: True where a token is real, (b, t) bool.

        Returns:
            (b, t, hidden) float32; without a branch the states as they are.
        """
        looked_at = seen(mask) if self.branch else None
        for layer in self.branch:
            hidden = layer(hidden, looked_at)
        return hidden.float()

    def forward(self, states: Tensor) -> Tensor:
        """Give the numbers that a code of states holds, (n, hidden) to (n, size), in [-1, 1].

        They are those of `unpack` of the code; gradients pass the rounding as if it were not there
        (Bengio et al. 2013, arXiv 1308.3432).
        """
        smooth = torch.tanh(_GAIN * self.projection(states))
        return smooth + (_round(smooth) / _LEVELS * 2 - 1 - smooth).detach()

    def pack(self, states: Tensor) -> NDArray[np.uint8]:
        """Give the codes of states, (..., hidden) float32 to (..., nbytes)."""
        levels = _round(torch.tanh(_GAIN * self.projection(states))).to(torch.uint8)
        packed: NDArray[np.uint8] = (levels[..., 0::2] * 16 + levels[..., 1::2]).cpu().numpy()
        return packed

    def ready(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Give a copy on a device whose branch computes in another precision. Never save this copy."""
        other = deepcopy(self).to(device)
        other.branch.to(dtype)
        return other


def unpack(codes: Tensor) -> Tensor:
    """Give the numbers of codes, (n, nbytes) uint8 to (n, 2 nbytes) float32 in [-1, 1]."""
    levels = torch.stack([codes >> 4, codes & 15], dim=2).flatten(1)
    return levels.float() / _LEVELS * 2 - 1


def _round(smooth: Tensor) -> Tensor:
    """Give the nearest of the 16 levels, 0 to 15, of values in [-1, 1]."""
    return ((smooth + 1) / 2 * _LEVELS).round()
