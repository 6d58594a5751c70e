"""What a training run does; read from a YAML or JSON file by `fgr train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import yaml

from fgr_retriever.errors import ConfigError, InputError

RETRIEVAL_LOSSES = ("contrastive", "pairwise", "kl", "margin_mse")
_POSITIVE = (
    "coarse_odds", "longest", "labeller_coarse_epochs", "labeller_epochs", "labeller_learning_rate", "dim",
    "head_width", "query_maxlen", "doc_maxlen", "epochs", "head_epochs", "batch_size", "learning_rate",
    "head_learning_rate", "head_alone_learning_rate", "positive_weight", "light_layers", "code_size", "light_epochs",
    "light_learning_rate", "branch_learning_rate",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """One training run.

    Args:
        base: Folder or hub id of the sentence-transformers bi-encoder to start from, or
            `package:NAME` for a model that an installed Python package carries in `model/`.
        spans: Files of examples whose labels are what the model shall learn, relative to the data
            folder: JSON lines with `query`, `passage` and `spans`.
        lists: Files of result lists whose labels are what the model shall learn, relative to the data folder: JSON
            lines with `query` and graded `passages` (see `fgr_retriever.evaluation.lists`).
        coarse: Files of examples with coarser labels, say whole sentences, and the share in (0, 1]
            to take of each. The labeller learns from them first, and then relabels them.
        coarse_odds: By how much a coarse label multiplies the labeller's odds of evidence inside it, and
            divides them outside; 1 leaves them alone.
        pairs: BEIR folders, and the share to take of the judged pairs in each, for the labeller to label.
        aside: Files of examples whose passages must not be trained on: development sets.
        held_out: Share of the passages of `spans` kept aside to fit the threshold, in (0, 1).
        longest: Longest passage to take from `coarse` and `pairs`, in characters.
        repeat: How often in a pass the examples of a file or folder are seen; 1 for those not named.
        mismatched: Share of passages that the labeller also sees with a foreign question.
        labeller_coarse_epochs: Passes of the labeller over `coarse`.
        labeller_epochs: Passes of the labeller over `spans`, after that.
        labeller_learning_rate: Its peak rate.
        dim: Width of a token embedding.
        head_width: Width of the evidence head's projection.
        reader_layers: Depth of the head's reader; 0 for the paper's head alone.
        reader_width: Width of the head's reader.
        light_width: Width of the light head that learns from head and reader, and takes their place in the model; 0
            to keep these.
        light_layers: Its blocks.
        light_branch: Last layers of the encoder, a BERT, that it has to itself, as a copy to start from; 0 for none.
        code_size: Numbers in the evidence code of a token, even.
        teacher_weight: Share of what the reader says in the labels of the light head, from 0 to 1.
        light_epochs: Passes of the light head over all examples.
        light_learning_rate: Its peak rate.
        light_average_from: Share of that stage, in [0, 1], from which its weights are averaged, without regard to
            `patience`; 1 averages none.
        branch_learning_rate: The peak rate of the layers that it has to itself.
        query_maxlen: Most tokens of a query.
        doc_maxlen: Most tokens of a window over a passage.
        frozen_layers: Lowest layers of the encoder that are not trained, with the embeddings; 0 trains all.
        epochs: Passes of encoder and head together over all examples.
        head_epochs: Passes of the head alone, after that, over vectors as they are stored.
        patience: Looks at held-out examples (ten in each of these two stages) without a lower evidence
            loss, after which the stage ends early and keeps its best weights; 0 to train to the end.
        batch_size: Query-passage pairs a step.
        learning_rate: Peak rate of the encoder.
        head_learning_rate: Peak rate of the evidence head, together with the encoder.
        head_alone_learning_rate: Peak rate of the evidence head after that.
        evidence_weight: Weight of the evidence loss on each query's own passage.
        irrelevant_weight: Weight of the evidence loss on another query's passage, the most similar
            one of the batch that is clearly no answer.
        hold_weight: Weight that holds token vectors near the untrained ones.
        ranking_weight: Weight that holds in-batch MaxSim rankings near the untrained ones.
        positive_weight: Weight of evidence against no evidence in the evidence losses.
        noise_bits: The head sees half of the passages as a residual codec of 1, 2 or 4 bits would
            give them back; 0 for none.
        tuples: Files of queries with ranked passages (`fgr_retriever.training.tuples`), relative to
            the data folder, and the share of each in what is drawn, in (0, 1]; scaled to sum to 1.
        retrieval_loss: What the joint stage learns from tuples: `contrastive` (the positive before
            all passages of the step), `pairwise` (before each of its own negatives), `kl` (the
            teacher's ranking) or `margin_mse` (the teacher's margins).
        retrieval_weight: Weight of that loss; 0 leaves tuples out.
        tuples_per_step: Queries with ranked passages in a step of the joint stage.
        ways: Passages of each: the positive and `ways` - 1 negatives.
        seed: Of everything random.
    """

    base: str
    spans: tuple[str, ...]
    lists: tuple[str, ...] = ()
    coarse: Mapping[str, float] = field(default_factory=dict)
    coarse_odds: float = 1.0
    pairs: Mapping[str, float] = field(default_factory=dict)
    aside: tuple[str, ...] = ()
    held_out: float = 0.04
    longest: int = 900
    repeat: Mapping[str, int] = field(default_factory=dict)
    mismatched: float = 0.1
    labeller_coarse_epochs: float = 1.0
    labeller_epochs: float = 2.5
    labeller_learning_rate: float = 1.5e-4
    dim: int = 128
    head_width: int = 128
    reader_layers: int = 2
    reader_width: int = 128
    light_width: int = 0
    light_layers: int = 2
    light_branch: int = 0
    code_size: int = 16
    teacher_weight: float = 0.5
    light_epochs: float = 4.0
    light_learning_rate: float = 3e-3
    light_average_from: float = 1.0
    branch_learning_rate: float = 1e-4
    query_maxlen: int = 256
    doc_maxlen: int = 256
    frozen_layers: int = 0
    epochs: float = 1.0
    head_epochs: float = 3.0
    patience: int = 0
    batch_size: int = 32
    learning_rate: float = 2e-4
    head_learning_rate: float = 1e-3
    head_alone_learning_rate: float = 3e-4
    evidence_weight: float = 1.0
    irrelevant_weight: float = 0.1
    hold_weight: float = 1.5
    ranking_weight: float = 1.0
    positive_weight: float = 1.0
    noise_bits: int = 0
    tuples: Mapping[str, float] = field(default_factory=dict)
    retrieval_loss: str = "kl"
    retrieval_weight: float = 0.0
    tuples_per_step: int = 4
    ways: int = 4
    seed: int = 1

    def __post_init__(self) -> None:
        """Check what would otherwise fail late in a long run."""
        if not self.spans:
            raise ConfigError(f"spans={self.spans!r}: must be a list of at least one file")
        for name in ("coarse", "pairs", "tuples"):
            shares = getattr(self, name)
            if not isinstance(shares, Mapping) or not all(_is_number(one) and 0 < one <= 1 for one in shares.values()):
                raise ConfigError(f"{name}={shares!r}: must give each name a share above 0 and at most 1")
        if not _is_number(self.held_out) or not 0 < self.held_out < 1:
            raise ConfigError(f"held_out={self.held_out!r}: must lie between 0 and 1")
        sources = {*self.spans, *self.lists, *self.coarse, *self.pairs}
        if not isinstance(self.repeat, Mapping) or not all(
            type(one) is int and one > 0 for one in self.repeat.values()
        ):
            raise ConfigError(f"repeat={self.repeat!r}: must give each name a whole number of at least 1")
        if unknown := sorted(self.repeat.keys() - sources):
            raise ConfigError(f"repeat names {unknown}, which the recipe does not train on: it has {sorted(sources)}")
        for name in _POSITIVE:
            value = getattr(self, name)
            if not _is_number(value) or value <= 0:
                raise ConfigError(f"{name}={value!r}: must be a number above 0")
        if type(self.patience) is not int or self.patience < 0:
            raise ConfigError(f"patience={self.patience!r}: must be a whole number, 0 or more")
        self._check_light()
        self._check_retrieval()

    def _check_light(self) -> None:
        for name in ("light_width", "light_branch"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise ConfigError(f"{name}={value!r}: must be a whole number, 0 or more")
        if type(self.code_size) is not int or self.code_size % 2:
            raise ConfigError(f"code_size={self.code_size!r}: must be an even number, two to a byte")
        for name in ("teacher_weight", "light_average_from"):
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value <= 1:
                raise ConfigError(f"{name}={value!r}: must lie between 0 and 1")

    def _check_retrieval(self) -> None:
        if self.noise_bits not in (0, 1, 2, 4):
            raise ConfigError(f"noise_bits={self.noise_bits!r}: must be 1, 2 or 4, or 0 for none")
        if self.retrieval_loss not in RETRIEVAL_LOSSES:
            raise ConfigError(f"retrieval_loss={self.retrieval_loss!r}: must be one of {list(RETRIEVAL_LOSSES)}")
        if not _is_number(self.retrieval_weight) or self.retrieval_weight < 0:
            raise ConfigError(f"retrieval_weight={self.retrieval_weight!r}: must be a number of at least 0")
        if self.retrieval_weight and not self.tuples:
            raise ConfigError(f"retrieval_weight={self.retrieval_weight!r}: needs at least one file in tuples")
        for name, least in (("tuples_per_step", 1), ("ways", 2)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ConfigError(f"{name}={value!r}: must be a whole number of at least {least}")

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
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        if not isinstance(values["spans"], list) or not isinstance(values.get("aside", []), list):
            raise ConfigError(f"{path}: 'spans' and 'aside' must be lists of at least one file")
        return cls(**{**values, **lists})


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
