"""Run a model on batches of tokens, and on windows of passages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from fgr_retriever.model.evidence_code import Coder
from fgr_retriever.model.importance import quantise, standardise
from fgr_retriever.model.token_model import Attend, Features, TokenModel
from fgr_retriever.model.windows import Window, batches, model_input

# Padded tokens in one forward pass: enough to fill the processor, small enough to stay in its caches.
_BATCH_TOKENS = {"cpu": 4_096, "mps": 16_384, "cuda": 65_536}
_ATTENTION_COST = 4  # times fewer tokens where the attention of all layers is kept


class Output(NamedTuple):
    """What a model makes of a batch.

    Args:
        vectors: Token embeddings, (b, t, d) float32, L2-normalised.
        kept: True for the tokens that are stored or compared, (b, t) bool.
        hidden: The encoder's states before the projection, (b, t, h); None if the model does not show them.
        attention: How much attention each token receives, (b, t) float32; None if nobody asked.
    """

    vectors: Tensor
    kept: Tensor
    hidden: Tensor | None
    attention: Tensor | None


class Encoded(NamedTuple):
    """What is kept of one window: t tokens."""

    vectors: NDArray[np.float16]
    offsets: NDArray[np.int32]
    importance: NDArray[np.uint8] | None
    evidence: NDArray[np.uint8] | None


class Forward:
    """A model on a device.

    Args:
        model: The model, on the device.
        device: Where it computes.
        make_attending: Makes of `model` a call that also tells attention.
    """

    def __init__(self, model: TokenModel, device: torch.device, make_attending: Callable[[Any], Attend]) -> None:
        self._model, self._device, self._make_attending = model, device, make_attending

    def __call__(self, features: Features, task: str, attend: bool = False) -> Output:
        """Run the model on features, for the task `query` or `document`."""
        moved = {key: value.to(self._device) if isinstance(value, Tensor) else value for key, value in features.items()}
        found, received = self._attending(moved, task) if attend else (self._model(moved, task=task), None)
        vectors = normalize(found["token_embeddings"].float(), dim=-1)
        return Output(vectors, found["attention_mask"].bool(), found.get("hidden"), received)

    def windows(self, windows: Sequence[Window], importance: bool, coder: Coder | None) -> list[Encoded]:
        """Encode windows of passages, those of similar length together.

        Args:
            windows: Any windows.
            importance: Also compute the importance of each token.
            coder: What makes evidence codes, on the device; None for none.
        """
        found: dict[int, Encoded] = {}
        lengths = np.array([len(window.ids) for window in windows])
        batch_tokens = _BATCH_TOKENS[self._device.type] // (_ATTENTION_COST if importance else 1)
        for batch in batches(lengths, batch_tokens):
            chosen = [windows[i] for i in batch]
            output = self(model_input(chosen, self._model.tokenizer), "document", importance)
            found |= zip(batch, _kept(chosen, output, coder), strict=True)
        return [found[i] for i in range(len(windows))]

    @cached_property
    def _attending(self) -> Attend:
        return self._make_attending(self._model)


def _kept(windows: Sequence[Window], output: Output, coder: Coder | None) -> list[Encoded]:
    """Take what is stored of a batch."""
    kept, vectors = output.kept.cpu().numpy(), output.vectors.to(torch.float16).cpu().numpy()
    attention = None if output.attention is None else output.attention.cpu().numpy()
    codes = None if coder is None or output.hidden is None else coder.pack(output.hidden)
    found = []
    for row, window in enumerate(windows):
        size = len(window.ids)
        keep = kept[row, :size] & window.owned
        visible = window.offsets[:, 1] > window.offsets[:, 0]
        if window.first and window.last and not (keep & visible).any():
            keep[:] = False  # a text without a single token must never be found
        weights = None if attention is None else quantise(standardise(attention[row, :size][keep], visible[keep]))
        own = None if codes is None else codes[row, :size][keep]
        found.append(Encoded(vectors[row, :size][keep], window.offsets[keep], weights, own))
    return found
