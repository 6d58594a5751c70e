"""What every evidence head has: a config with its calibration, weights in a folder, and probabilities of tokens."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import save
from torch import Tensor, nn
from typing_extensions import Self

from fgr_retriever.config import Calibration, Cut
from fgr_retriever.model.evidence_code import EvidenceCoder

SUBFOLDER = "evidence"
READ_TOKENS = 512  # a passage is read in pieces of this length: few in training are longer, and time grows linearly
CONFIG, WEIGHTS = "config.json", "model.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadConfig:
    """What `evidence/config.json` holds for every head.

    Args:
        dim: Width of the token embeddings.
        threshold: Lowest probability with which a token counts as evidence, fitted on development
            data.
        temperature: Divides the logits; fitted on development data, 1 for none.
        cut: Whether the threshold is fixed or only the lowest probability that counts; see
            `Calibration`.

    Raises:
        ConfigError: Threshold, temperature or cut is out of range.
    """

    dim: int
    threshold: float = 0.5
    temperature: float = 1.0
    cut: Cut = "expected_f1"

    def __post_init__(self) -> None:
        """Check the calibration."""
        self.calibration  # noqa: B018 - building it checks it

    @property
    def calibration(self) -> Calibration:
        """The calibration of the model: which evidence probabilities count."""
        return Calibration(threshold=self.threshold, temperature=self.temperature, cut=self.cut)


class Head(nn.Module, ABC):
    """Computes how likely each passage token is evidence, from what an index stores."""

    config: HeadConfig
    """The sizes and the calibration."""

    KIND: ClassVar[str]
    """The name of this kind of head in `evidence/config.json`."""

    coder: EvidenceCoder | None
    """What makes the evidence codes that this head reads; None if it reads none."""

    @property
    def branch(self) -> int:
        """Number of the encoder's last layers that come after the states of which codes are made."""
        return len(self.coder.branch) if self.coder else 0

    @abstractmethod
    def probabilities(
        self, query: Tensor, vectors: Tensor, lengths: Sequence[int], codes: Tensor | None = None
    ) -> Tensor:
        """Give the evidence probability of each token of consecutive passages.

        Args:
            query: (q, d) float32, L2-normalised, q >= 1.
            vectors: (sum(lengths), d) float16 or float32, L2-normalised.
            lengths: Number of tokens of each passage; 0 is allowed.
            codes: Evidence codes of the same tokens, (sum(lengths), nbytes) uint8; None if there are none.

        Returns:
            (sum(lengths),) float32 in [0, 1].
        """

    def in_precision(self, dtype: torch.dtype) -> Self:
        """Give a copy that computes in another precision where that pays. Never save this copy."""
        return self

    def calibrated(self, calibration: Calibration) -> Self:
        """Give the same head with another calibration; it shares all weights with this one."""
        other = copy(self)
        other.config = replace(self.config, **asdict(calibration))
        return other

    def fingerprint(self) -> str:
        """Hash everything that changes an evidence logit: only the weights, not the calibration."""
        digest = hashlib.sha256()
        hash_weights(digest.update, self.state_dict())
        return digest.hexdigest()

    def save(self, checkpoint: Path) -> None:
        """Write the head into the `evidence/` subfolder of a checkpoint folder.

        Raises:
            OSError: The disk refused the write.
        """
        folder = checkpoint / SUBFOLDER
        folder.mkdir(parents=True, exist_ok=True)
        settings = {"kind": self.KIND, **asdict(self.config)}
        (folder / CONFIG).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        weights = save({name: _stored(name, value.detach()) for name, value in self.state_dict().items()})
        (folder / WEIGHTS).write_bytes(weights)  # where `save_file` would raise an error of its own on a full disk


def _stored(name: str, value: Tensor) -> Tensor:
    """Give a weight as it is stored: those of a branch, which are millions, in half the bytes."""
    return value.to(torch.bfloat16 if name.startswith("coder.branch.") else torch.float32).contiguous()


def hash_weights(update: Callable[[bytes], object], weights: Mapping[str, Tensor]) -> None:
    """Feed names, shapes and float32 values to a hash."""
    for key, value in sorted(weights.items()):
        update(f"{key} {tuple(value.shape)}".encode())
        update(value.detach().cpu().float().contiguous().numpy().tobytes())
