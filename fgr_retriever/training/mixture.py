"""What a run trains on: labelled examples as they are, others with the labeller's labels."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fgr_retriever.evaluation.spans import SpanExample
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.data import (
    Labelled,
    labelled,
    mismatched,
    read_labelled,
    read_pairs,
    read_spans,
    sample,
    split,
    without,
    write_labelled,
)
from fgr_retriever.training.labeller import label, train_labeller
from fgr_retriever.training.stage import Stage
from fgr_retriever.training.start import locate

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mixture:
    """The examples of a run.

    Args:
        exact: With the labels that the model shall learn.
        relabelled: With the labeller's probabilities; empty without a labeller.
        held_out: Neither of them; to fit the threshold on.
    """

    exact: list[Labelled]
    relabelled: list[Labelled]
    held_out: list[SpanExample]


def prepare(config: TrainingConfig, data: Path, out: Path) -> Mixture:
    """Read the examples, train the labeller if there is something to label, and label it.

    Args:
        config: The recipe.
        data: Folder that the recipe's files are relative to.
        out: Folder of the run; the labeller's stages go into `labeller/` in it, and what it wrote
            into `relabelled.jsonl`.

    Raises:
        InputError: A file cannot be read.
        CheckpointError: The base model cannot be found.
    """
    kept, held_out = split(read_spans(data / name for name in config.spans), config.held_out, config.seed)
    secret = [example.passage for example in (*held_out, *read_spans(data / name for name in config.aside))]
    exact = without(labelled(kept), secret)
    coarse = _draw(config.coarse, lambda name: labelled(read_spans([data / name])), config, secret)
    pairs = _draw(config.pairs, lambda name: read_pairs(data / name), config, secret)
    logger.info("%d exact, %d coarse, %d unlabelled examples", len(exact), len(coarse), len(pairs))
    if not coarse and not pairs:
        return Mixture(exact, [], held_out)
    relabelled = out / "relabelled.jsonl"
    if not relabelled.exists():
        labeller = _labeller(config, exact, coarse, out / "labeller")
        write_labelled(label(labeller, coarse + pairs), relabelled)
    return Mixture(exact, read_labelled(relabelled), held_out)


def _draw(
    shares: Mapping[str, float], read: Callable[[str], list[Labelled]], config: TrainingConfig, secret: list[str]
) -> list[Labelled]:
    """Take the wanted share of every source, without what is too long or must not be seen."""
    found: list[Labelled] = []
    for name, share in shares.items():
        short = [example for example in read(name) if len(example.passage) <= config.longest]
        found += sample(without(short, secret), share, config.seed)
    return found


def _labeller(config: TrainingConfig, exact: list[Labelled], coarse: list[Labelled], out: Path) -> Path:
    """Train the labeller: on coarse labels, if there are any, and then on exact ones."""
    folder = locate(config.base)
    steps = [("coarse", coarse, config.labeller_coarse_epochs), ("exact", exact, config.labeller_epochs)]
    for name, examples, epochs in steps:
        if not examples:
            continue
        stage = Stage(
            epochs=epochs,
            learning_rate=config.labeller_learning_rate,
            batch_size=config.batch_size,
            seed=config.seed,
        )
        examples = examples + mismatched(examples, config.mismatched, config.seed)
        folder = str(train_labeller(folder, examples, stage, out / name))
    return Path(folder)
