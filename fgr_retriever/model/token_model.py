"""What the encoder needs of a model: tokens in, token vectors out; and an opened checkpoint, a model with its head."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from typing_extensions import Self

from fgr_retriever.model.head import Head

Features = dict[str, Any]  # `input_ids` and `attention_mask`, (b, t) int64 each, and what else a model takes


Attend = Callable[[Features, str], tuple[Features, Tensor]]
"""Runs a model on features for a task; also gives the attention that each token receives, (b, t) float32."""


class Tokenizer(Protocol):
    """A fast Hugging Face tokenizer, as far as windows and padding need it."""

    @property
    def backend_tokenizer(self) -> Any:
        """The `tokenizers.Tokenizer` that does the work."""

    @property
    def pad_token_id(self) -> Any:
        """Id of the padding token; None where there is none."""

    @property
    def model_input_names(self) -> Sequence[str]:
        """Names of the features that the model takes."""


class TokenModel(Protocol):
    """A late-interaction model; sentence-transformers' `MultiVectorEncoder` is one."""

    @property
    def tokenizer(self) -> Any:
        """A `Tokenizer`."""

    @property
    def prompts(self) -> Mapping[str, str | None]:
        """What stands before every query and every document."""

    def to(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Move the model, and give it."""

    def preprocess(self, inputs: list[str], prompt: str | None = None, **options: Any) -> Features:
        """Tokenize queries."""

    def __call__(self, features: Features, **options: Any) -> Features:
        """Run the model.

        It adds `token_embeddings`, (b, t, d), lets `attention_mask` say which tokens MaxSim counts, and may add
        `hidden`, the states before the projection, (b, t, h).
        """


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An opened checkpoint.

    Args:
        name: The folder or hub id that it came from.
        model: The token encoder, in evaluation mode, float32, on the CPU.
        head: The evidence head; the calibrated raw MaxSim when the checkpoint has none.
        fingerprint: SHA-256 over everything that changes a token vector.
        document_length: Most tokens of a passage that the model reads at once.
        query_mask: Says which tokens of query features MaxSim counts, (b, t) bool.
        attending: Makes of `model` a call that also tells how much attention each token receives.
    """

    name: str
    model: TokenModel
    head: Head
    fingerprint: str
    document_length: int
    query_mask: Callable[[Features], Tensor]
    attending: Callable[[Any], Attend]
