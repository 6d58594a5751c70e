"""What a training run does; read from a YAML or JSON file by `fgr train`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from fgr_retriever.errors import ConfigError, InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """One training run.

    Args:
        base: Folder or hub id of the sentence-transformers bi-encoder to start from, or
            `package:NAME` for a model that an installed Python package carries in `model/`.
        spans: Files of training examples, relative to the data folder: JSON lines with `query`,
            `passage` and `spans`.
        held_out: Share of the examples kept aside to fit the threshold, in (0, 1).
        dim: Width of a token embedding.
        head_width: Width of the evidence head's projection.
        reader_layers: Depth of the head's reader; 0 for the paper's head alone.
        reader_width: Width of the head's reader.
        query_maxlen: Most tokens of a query.
        doc_maxlen: Most tokens of a window over a passage.
        epochs: Passes over the training examples.
        batch_size: Query-passage pairs a step.
        learning_rate: Peak rate of the encoder.
        head_learning_rate: Peak rate of the evidence head.
        evidence_weight: Weight of the evidence loss on each query's own passage.
        irrelevant_weight: Weight of the evidence loss on another query's passage (nothing there
            is evidence).
        hold_weight: Weight that holds token vectors near the untrained ones.
        ranking_weight: Weight that holds in-batch MaxSim rankings near the untrained ones.
        seed: Of everything random.
    """

    base: str
    spans: tuple[str, ...]
    held_out: float = 0.04
    dim: int = 128
    head_width: int = 128
    reader_layers: int = 2
    reader_width: int = 128
    query_maxlen: int = 256
    doc_maxlen: int = 256
    epochs: float = 2.5
    batch_size: int = 32
    learning_rate: float = 2e-4
    head_learning_rate: float = 1e-3
    evidence_weight: float = 1.0
    irrelevant_weight: float = 0.1
    hold_weight: float = 2.0
    ranking_weight: float = 1.0
    seed: int = 1

    def __post_init__(self) -> None:
        """Check what would otherwise fail late in a long run."""
        if not self.spans or isinstance(self.spans, str):
            raise ConfigError(f"spans={self.spans!r}: must be a list of at least one file")
        if not 0 < self.held_out < 1:
            raise ConfigError(f"held_out={self.held_out!r}: must lie between 0 and 1")
        for name in ("dim", "head_width", "query_maxlen", "doc_maxlen", "epochs", "batch_size", "learning_rate"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or value <= 0:
                raise ConfigError(f"{name}={value!r}: must be a number above 0")

    @classmethod
    def read(cls, path: Path) -> TrainingConfig:
        """Read a YAML (or JSON) file.

        Raises:
            InputError: The file cannot be read.
            ConfigError: It is no mapping, or a key is unknown, or a value is invalid.
        """
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"cannot read the training configuration {path}: {error}") from error
        except yaml.YAMLError as error:
            raise ConfigError(f"{path} is not valid YAML: {error}") from error
        if not isinstance(values, dict):
            raise ConfigError(f"{path} must hold a mapping of settings")
        known = {item.name for item in fields(cls)}
        if unknown := sorted(map(str, values.keys() - known)):
            raise ConfigError(f"{path} has unknown settings {unknown}; known are {sorted(known)}")
        if missing := sorted({"base", "spans"} - values.keys()):
            raise ConfigError(f"{path} lacks the settings {missing}")
        return cls(**{**values, "spans": tuple(values["spans"]) if isinstance(values["spans"], list) else ()})
