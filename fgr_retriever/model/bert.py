"""A layer of BERT (Devlin et al. 2019, arXiv 1810.04805): the embedded model has six, and evidence may have its own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, scaled_dot_product_attention
from typing_extensions import Self

from fgr_retriever.model.linear import Linear

_EPSILON = 1e-12
_NAMES = {  # ours, and those in checkpoints
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "read": "attention.output.dense",
    "read_norm": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "norm": "output.LayerNorm",
}


class BertLayer(nn.Module):
    """Self-attention and two dense layers, each followed by a normalisation. There is no dropout.

    Args:
        width: Width of the states.
        heads: Number of attention heads.
        inner: Width between the two dense layers.
        epsilon: Of the normalisations.
    """

    def __init__(self, width: int, heads: int, inner: int, epsilon: float = _EPSILON) -> None:
        super().__init__()
        self._heads, self._epsilon = heads, epsilon
        self.query, self.key, self.value, self.read = (Linear(width, width) for _ in range(4))
        self.inner, self.outer = Linear(width, inner), Linear(inner, width)
        self.read_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)

    @classmethod
    def of(cls, weights: Mapping[str, Tensor], number: int, heads: int, epsilon: float = _EPSILON) -> Self:
        """Build a layer with weights of a checkpoint.

        Args:
            weights: By their names in the checkpoint, `encoder.layer.0.attention.self.query.weight` and so on.
            number: Which layer, from 0.
            heads: Number of attention heads.
            epsilon: Of the normalisations.

        Raises:
            KeyError: There is no such layer.
        """
        found = {
            f"{ours}.{kind}": weights[f"encoder.layer.{number}.{theirs}.{kind}"].float()
            for ours, theirs in _NAMES.items()
            for kind in ("weight", "bias")
        }
        with torch.device("meta"):  # what is taken at once needs no first values
            layer = cls(found["query.weight"].shape[0], heads, found["inner.weight"].shape[0], epsilon)
        layer.load_state_dict(found, assign=True)
        return layer

    def forward(self, states: Tensor, seen: Tensor | None) -> Tensor:
        """Run the layer.

        Args:
            states: (b, t, width).
            seen: Which tokens are attended to, as `seen` gives it.
        """
        return self.finish(states, scaled_dot_product_attention(*self.heads_of(states), attn_mask=seen))

    def heads_of(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give queries, keys and values, (b, heads, t, width of a head) each."""
        # Layers are asked for `forward`: what calling a module costs besides is what one question notices.
        query, key, value = (
            part.forward(states).view(*states.shape[:2], self._heads, -1).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        return query, key, value

    def finish(self, states: Tensor, read: Tensor) -> Tensor:
        """Run what follows the attention on the states and on what the heads read, (b, heads, t, ...)."""
        states = self._normed(self.read_norm, states + self.read.forward(read.transpose(1, 2).flatten(2)))
        return self._normed(self.norm, states + self.outer.forward(gelu(self.inner.forward(states))))

    def _normed(self, norm: nn.LayerNorm, values: Tensor) -> Tensor:
        return layer_norm(values, values.shape[-1:], norm.weight, norm.bias, self._epsilon)


def seen(mask: Tensor) -> Tensor | None:
    """Say which tokens are attended to: None for all, which is faster, else (b, 1, 1, t) bool of a mask (b, t)."""
    return None if bool(mask.all()) else mask[:, None, None, :]
