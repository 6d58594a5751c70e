"""Dense layers whose weights lie in memory as oneDNN multiplies them.

torch brings the weights of a layer into oneDNN's order at each call, or leaves float32 to MKL. For the few tokens of a
question the first takes as long as the product itself, and on processors of AMD MKL takes twice as long as oneDNN.
Here the order is made once. The calls are those that torch's own compiler uses for frozen weights.
"""

from __future__ import annotations

import platform
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from typing_extensions import Self

_MOST_WEIGHTS = 250_000_000  # packed weights are there a second time: 1 GB of float32
_MACHINES = ("x86_64", "AMD64")  # on others nobody has measured it


class Linear(nn.Linear):
    """A dense layer that is fast on a processor while nothing is learned.

    It gives what `torch.nn.Linear` gives, with rounding of its own in float32. Where gradients are needed, on other
    devices and with a torch that has no oneDNN, it goes torch's usual way.
    """

    _packed: tuple[tuple[int, int], Tensor | None] | None = None  # of which weights, and their packed form

    @classmethod
    def of(cls, layer: nn.Linear) -> Self:
        """Take over the weights of a layer; they are shared."""
        with torch.device("meta"):  # what is taken at once needs no first values
            made = cls(layer.in_features, layer.out_features, layer.bias is not None)
        made.weight, made.bias = layer.weight, layer.bias
        return made.train(layer.training)

    def forward(self, values: Tensor) -> Tensor:
        """Give the product with the weights, plus the bias: (..., inputs) to (..., outputs)."""
        packed = self._ready(values)
        if packed is None:
            return linear(values, self.weight, self.bias)
        found: Tensor = torch.ops.mkldnn._linear_pointwise(values, packed, self.bias, "none", [], "")
        return found

    def _ready(self, values: Tensor) -> Tensor | None:
        """Give the packed weights, or None where they cannot be used."""
        weight = self.weight
        learns = torch.is_grad_enabled() and (weight.requires_grad or values.requires_grad)
        if learns or values.dtype is not weight.dtype or not _is_cpu(weight):
            return None
        # The version counts what was written into the weights; what is made in inference mode has none, and stays.
        state = weight.data_ptr(), 0 if weight.is_inference() else weight._version
        if self._packed is None or self._packed[0] != state:
            self._packed = state, _pack(weight)
        return self._packed[1]

    def _apply(self, *args: Any, **kwargs: Any) -> Self:
        """Forget the packed weights when they move to another device or precision."""
        self._packed = None
        super()._apply(*args, **kwargs)  # type: ignore[no-untyped-call]
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave the packed weights out of copies: they are made again."""
        return {**self.__dict__, "_packed": None}


def use_packed(model: nn.Module) -> None:
    """Let all dense layers of a model, which stays as it is otherwise, be of this kind, if it is not too large."""
    if sum(weights.numel() for weights in model.parameters()) > _MOST_WEIGHTS:
        return
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Linear:
                setattr(parent, name, Linear.of(child))


def _is_cpu(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def _pack(weight: Tensor) -> Tensor | None:
    """Bring weights into the order of oneDNN; None where this torch or this processor does not know it."""
    if not _has_packing() or weight.dtype not in (torch.float32, torch.bfloat16):
        return None
    try:
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight)
        torch.ops.mkldnn._linear_pointwise(weight.new_zeros(1, weight.shape[1]), packed, None, "none", [], "")
    except RuntimeError:  # this processor has no units for this precision: torch emulates them in its usual way
        return None
    return packed


@cache
def _has_packing() -> bool:
    if platform.machine() not in _MACHINES:
        return False
    return all(hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise"))
