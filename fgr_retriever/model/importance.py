"""Importance of tokens: how much attention the tokens of a text pay to each of them (ColBERT-Att).

ColBERT-Att (arXiv:2603.25248) takes from the paper that the attention weights of the encoder, of query
and of passage tokens, modulate late interaction exponentially (see `maxsim.attention_maxsim`). The
rest is ours, chosen for training-free use and for one byte a token:

- The attention that a token receives is the mean over the heads of the last layer and all real tokens of
  its input, itself and special tokens included. Earlier layers look at positions and neighbours: with
  them the ranking is worse (`docs/colbert-att.md`).
- Its logarithm is standardised over the stored text tokens of the same input of the model (a query, or
  one window of a passage), so that texts of any length compare. The paper has a regulariser for the
  length of passages instead. Special tokens draw most of the attention and say nothing; they, the marker
  and query expansion are left out and have the importance 0, that of an average token.
- It is kept in one byte, with 1/32 of a standard deviation a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder

_STEPS = 32  # in a standard deviation
_ZERO = 128  # the byte of an average token
_LEAST = 1e-9  # attention below it counts as much


class Attending:
    """A model that tells how much attention each token receives; shares all weights with the one it is made of.

    Attention is computed in full (`eager`) and kept until the pass is over, which takes
    layers x heads x tokens^2 numbers for each input: use small batches. Safe to use from several threads.

    Args:
        model: A late-interaction model; stays as it is.
        branch: Number of the last layers that come after the states in `hidden`.
    """

    def __init__(self, model: MultiVectorEncoder, branch: int = 0) -> None:
        self._branch = branch
        first, *self._following = model.children()
        transformer: Any = first
        shared = {id(one): one for one in (*transformer.parameters(), *transformer.buffers())}
        self._transformer = deepcopy(transformer.model, shared)  # its attention is switched, not the model's own
        self._transformer.set_attn_implementation("eager")
        self._inputs = model.tokenizer.model_input_names
        self._output = transformer.module_output_name

    def __call__(self, features: Mapping[str, Any], task: str) -> tuple[dict[str, Any], Tensor]:
        """Run the model.

        Args:
            features: As for the model.
            task: `query` or `document`.

        Returns:
            What the model gives, and the attention that each token receives, (b, t) float32.
        """
        inputs = {name: features[name] for name in self._inputs if name in features}
        output = self._transformer(**inputs, output_attentions=True)
        last = output.last_hidden_state
        hidden = output.hidden_states[-1 - self._branch] if self._branch else last
        found = {**features, self._output: last, "hidden": hidden}
        for module in self._following:
            found = module(found, **({"task": task} if "task" in getattr(module, "forward_kwargs", ()) else {}))
        return found, received_attention(output.attentions[-1], features["attention_mask"].bool())


def received_attention(attention: Tensor, mask: Tensor) -> Tensor:
    """Average the attention that each token receives, over heads and the real tokens that pay it.

    Args:
        attention: How much a token (row) attends to each token (column), (b, heads, t, t).
        mask: True where a token is real, (b, t) bool.

    Returns:
        (b, t) float32, summing to 1 over the tokens of each text.
    """
    paying = mask.float()[:, None, :, None] / mask.sum(dim=1).clamp(min=1)[:, None, None, None]
    return (attention.float() * paying).sum(dim=2).mean(dim=1)


def standardise(received: NDArray[np.float32], text: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Turn the attention that tokens of one input receive into their importance.

    Args:
        received: Attention, (t,) float32, at least 0.
        text: True for tokens of the text, False for special ones, (t,) bool.

    Returns:
        Importance, (t,) float32: the logarithm of the attention, with mean 0 and deviation 1 over the
        tokens of the text; 0 for all others, and where all are equal.
    """
    logs = np.log(np.maximum(received.astype(np.float64), _LEAST))
    inside = logs[text]
    if not len(inside) or (deviation := inside.std()) < _LEAST:
        return np.zeros(len(received), np.float32)
    return np.where(text, (logs - inside.mean()) / deviation, 0).astype(np.float32)


def quantise(importance: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round importance to bytes, 1/32 a step: 0 is -4, 128 is 0 and 255 is 3.97; what lies beyond is cut."""
    return (np.rint(importance * _STEPS) + _ZERO).clip(0, 255).astype(np.uint8)


def dequantise(stored: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Invert `quantise`, to within 1/64 for what lies in [-4, 3.97]."""
    steps: NDArray[np.float32] = stored.astype(np.float32) - np.float32(_ZERO)
    return (steps / _STEPS).astype(np.float32)
