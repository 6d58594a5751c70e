"""What a run trains on: labelled examples as they are, others with the labeller's labels."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fgr_retriever.evaluation.spans import SpanExample
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.data import (
    Labelled,
    labelled,
    mismatched,
    normalised,
    read_labelled,
    read_list_pairs,
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
from fgr_retriever.training.tuples import TupleFile, TupleMixture

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mixture:
    """The examples of a run.

    Args:
        exact: With the labels that the model shall learn.
        relabelled: With the labeller's probabilities; empty without a labeller.
        held_out: Neither of them; to fit the threshold on.
        tuples: Queries with ranked passages; None without retrieval training.
    """

    exact: list[Labelled]
    relabelled: list[Labelled]
    held_out: list[SpanExample]
    tuples: TupleMixture | None = None


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
    _, held_out = split(read_spans(data / name for name in config.spans), config.held_out, config.seed)
    held_out = [one for one in held_out if normalised(one.passage)]
    secret = [example.passage for example in (*held_out, *read_spans(data / name for name in config.aside))]

    def read(name: str) -> list[Labelled]:
        return labelled(read_spans([data / name]))

    exact = [one for name in config.spans for one in _seen(without(read(name), secret), name, config)]
    for name in config.lists:
        exact += _seen(without(read_list_pairs(data / name), secret), name, config)
    coarse = _draw(config.coarse, read, config, secret)
    pairs = _draw(config.pairs, lambda name: read_pairs(data / name), config, secret)
    tuples = _tuples(config, data, secret)
    logger.info("%d exact, %d coarse, %d unlabelled examples", len(exact), len(coarse), len(pairs))
    if not coarse and not pairs:
        return Mixture(exact, [], held_out, tuples)
    relabelled = out / "relabelled.jsonl"
    if not relabelled.exists():
        labeller = _labeller(config, exact, coarse, out / "labeller")
        write_labelled(label(labeller, coarse + pairs), relabelled)
    found = zip(read_labelled(relabelled), coarse + pairs, strict=True)
    return Mixture(exact, [_agreed(one, given, config.coarse_odds) for one, given in found], held_out, tuples)


def _tuples(config: TrainingConfig, data: Path, secret: list[str]) -> TupleMixture | None:
    """Open the tuples of a recipe that learns from them."""
    if not config.retrieval_weight:
        return None
    unseen = frozenset(map(normalised, secret))
    files = [TupleFile(data / name, unseen) for name in config.tuples]
    return TupleMixture(files, list(config.tuples.values()), config.seed)


def _agreed(found: Labelled, given: Labelled, odds: float) -> Labelled:
    """Multiply the labeller's odds of evidence inside the given coarse label, and divide them outside.

    The labeller knows how far evidence reaches, the coarse label knows where it stands. A label
    that says that there is none is believed as it is: it teaches abstention.
    """
    found = replace(found, times=given.times)
    if given.ranges is None:
        return found
    if not given.ranges:
        return given
    table, label = (np.array(one.ranges or ()).reshape(-1, 3) for one in (found, given))
    inside = ((table[:, :1] < label[:, 1]) & (table[:, 1:2] > label[:, 0])).any(axis=1)
    weight = np.where(inside, odds, 1 / odds)
    chances = table[:, 2] * weight / (table[:, 2] * weight + 1 - table[:, 2])
    ranges = [
        (start, end, chance) for (start, end, _), chance in zip(found.ranges or (), chances.tolist(), strict=True)
    ]
    return replace(found, ranges=tuple(ranges))


def _draw(
    shares: Mapping[str, float], read: Callable[[str], list[Labelled]], config: TrainingConfig, secret: list[str]
) -> list[Labelled]:
    """Take the wanted share of every source, without what is too long or must not be seen."""
    found: list[Labelled] = []
    for name, share in shares.items():
        short = [example for example in read(name) if len(example.passage) <= config.longest]
        found += _seen(sample(without(short, secret), share, config.seed), name, config)
    return found


def _seen(examples: list[Labelled], name: str, config: TrainingConfig) -> list[Labelled]:
    """Note how often the examples of a file are seen."""
    return [replace(example, times=config.repeat.get(name, 1)) for example in examples]


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
