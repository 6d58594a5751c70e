"""Run a model on batches of tokens, and on windows of passages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from fgr_retriever.errors import ConfigError
from fgr_retriever.model.evidence_code import EvidenceCoder
from fgr_retriever.model.importance import quantise, standardise
from fgr_retriever.model.token_model import Attend, Features, TokenModel
from fgr_retriever.model.windows import Window, batches, model_input

# Padded tokens in one forward pass: enough to fill the processor, small enough to stay in its caches.
_BATCH_TOKENS = {"cpu": 2_048, "mps": 16_384, "cuda": 65_536}
_ATTENTION_TOKENS = {"cpu": 1_024, "mps": 4_096, "cuda": 16_384}  # where the attention of all layers is kept


class Output(NamedTuple):
    """What a model makes of a batch.

    Args:
        vectors: Token embeddings, (b, t, d) float32, L2-normalised.
        kept: True for the tokens that are stored or compared, (b, t) bool.
        hidden: The encoder's states from which evidence branches off, (b, t, h); None if the model does not show them.
        real: True for all tokens but padding, (b, t) bool.
        attention: How much attention each token receives, (b, t) float32; None if nobody asked.
    """

    vectors: Tensor
    kept: Tensor
    hidden: Tensor | None
    real: Tensor
    attention: Tensor | None


class Encoded(NamedTuple):
    """What is kept of one window: t tokens."""

    vectors: NDArray[np.float16]
    offsets: NDArray[np.int32]
    importance: NDArray[np.uint8] | None
    evidence: NDArray[np.uint8] | None


class Whole(NamedTuple):
    """A window as training needs it: all n tokens of it, and the t that are kept.

    Args:
        vectors: Of the kept tokens, (t, d).
        offsets: Of the kept tokens, (t, 2).
        hidden: The states from which evidence branches off, of all tokens, (n, h).
        kept: Which tokens are kept, (n,).
    """

    vectors: NDArray[np.float16]
    offsets: NDArray[np.int32]
    hidden: NDArray[np.float16]
    kept: NDArray[np.bool_]


Found = TypeVar("Found")
Take: TypeAlias = Callable[[Sequence[Window], Output], list[Found]]
"""Takes what is wanted of a batch of windows: one thing for each."""


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
        real = moved["attention_mask"].bool()
        return Output(vectors, found["attention_mask"].bool(), found.get("hidden"), real, received)

    def windows(self, windows: Sequence[Window], take: Take[Found], attend: bool = False) -> list[Found]:
        """Run the model on windows of passages, on those of similar length together, and take what is wanted of each.

        Args:
            windows: Any windows.
            take: See `Take`.
            attend: Also find out how much attention each token receives.
        """
        found: dict[int, Found] = {}
        lengths = np.array([len(window.ids) for window in windows])
        batch_tokens = (_ATTENTION_TOKENS if attend else _BATCH_TOKENS)[self._device.type]
        for batch in batches(lengths, batch_tokens):
            chosen = [windows[i] for i in batch]
            output = self(model_input(chosen, self._model.tokenizer), "document", attend)
            found |= zip(batch, take(chosen, output), strict=True)
        return [found[i] for i in range(len(windows))]

    @cached_property
    def _attending(self) -> Attend:
        return self._make_attending(self._model)


def stored(windows: Sequence[Window], output: Output, coder: EvidenceCoder | None) -> list[Encoded]:
    """Take what is stored of a batch, with the codes that `coder` makes, if any."""
    vectors = output.vectors.to(torch.float16).cpu().numpy()
    attention = None if output.attention is None else output.attention.cpu().numpy()
    codes = None
    if coder is not None and output.hidden is not None:
        codes = coder.pack(coder.states(output.hidden, output.real))
    found = []
    for row, (window, keep) in enumerate(zip(windows, _kept(windows, output), strict=True)):
        size = len(keep)
        weights = own = None
        if attention is not None:
            visible = (window.offsets[:, 1] > window.offsets[:, 0])[keep]
            weights = quantise(standardise(attention[row, :size][keep], visible))
        if codes is not None:
            own = codes[row, :size][keep]
        found.append(Encoded(vectors[row, :size][keep], window.offsets[keep], weights, own))
    return found


def whole(windows: Sequence[Window], output: Output) -> list[Whole]:
    """Take what training needs of a batch.

    Raises:
        ConfigError: The model does not show its hidden states.
    """
    if output.hidden is None:
        raise ConfigError("the model does not show its hidden states, so no evidence codes can be learned for it")
    vectors, hidden = (one.to(torch.float16).cpu().numpy() for one in (output.vectors, output.hidden))
    return [
        Whole(vectors[row, : len(keep)][keep], window.offsets[keep], hidden[row, : len(keep)], keep)
        for row, (window, keep) in enumerate(zip(windows, _kept(windows, output), strict=True))
    ]


def _kept(windows: Sequence[Window], output: Output) -> Iterator[NDArray[np.bool_]]:
    """Say which tokens of each window are kept, (n,)."""
    for window, kept in zip(windows, output.kept.cpu().numpy(), strict=True):
        keep = kept[: len(window.ids)] & window.owned
        visible = window.offsets[:, 1] > window.offsets[:, 0]
        if window.first and window.last and not (keep & visible).any():
            keep[:] = False  # a text without a single token must never be found
        yield keep
