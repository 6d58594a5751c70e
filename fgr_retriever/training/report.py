"""What a finished run did and reached: the content of `report.json`, and all that the model card may say."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from tqdm.auto import tqdm

from fgr_retriever.evaluation.spans import SpanExample, SpanReport, evaluate_spans
from fgr_retriever.model.tokens import TokenEncoder
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.curves import StageLog
from fgr_retriever.training.data import Labelled, read_list_pairs, read_pairs, read_spans
from fgr_retriever.training.mixture import Mixture

HELD_OUT = "held out"
_ASIDE = 500  # examples of each file set aside that are measured

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the recipe and what became of it.

    Args:
        name: Relative to the data folder.
        kind: Its list in the recipe: `spans`, `lists`, `coarse`, `pairs` or `tuples`.
        share: The share that the recipe takes of it, in (0, 1].
        used: Examples of it that were trained on; None for tuples, which are drawn while training.
    """

    name: str
    kind: str
    share: float
    used: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A finished run.

    Args:
        recipe: What it did.
        sources: What it trained on, by file.
        longest: Characters of the longest passage among them.
        without_evidence: Share of the exact examples whose passage holds no evidence, in [0, 1].
        stages: Logs of its stages.
        machine: Where it ended.
        threshold: Evidence probability from which a token counts.
        temperature: Divides the evidence logits.
        f1_by_threshold: Mean word F1 of every threshold that was tried, also on foreign questions.
        scores: The spans of the model beside their floors, on the held-out examples (`HELD_OUT`)
            and on the files set aside, by name.
    """

    recipe: TrainingConfig
    sources: Sequence[Source]
    longest: int
    without_evidence: float
    stages: Sequence[StageLog]
    machine: str
    threshold: float
    temperature: float
    f1_by_threshold: Mapping[float, float]
    scores: Mapping[str, SpanReport]

    def to_json(self) -> dict[str, Any]:
        """Write the report as `report.json` holds it; the lines of the logs are in `curves.json`."""
        return {
            "held_out": self.scores[HELD_OUT].n,
            "threshold": self.threshold,
            "temperature": self.temperature,
            "scores": {name: scores.to_json() for name, scores in self.scores.items()},
            "f1_by_threshold": dict(self.f1_by_threshold),
            "sources": [asdict(source) for source in self.sources],
            "longest_passage": self.longest,
            "without_evidence": self.without_evidence,
            "stages": {
                stage.name: {name: getattr(stage, name) for name in ("steps", "planned_steps", "kept_step", "seconds")}
                for stage in self.stages
            },
            "machine": self.machine,
            "recipe": asdict(self.recipe),
        }


def spread(examples: Sequence[Item], most: int) -> Sequence[Item]:
    """Take at most so many examples, evenly from first to last."""
    return examples[:: max(1, -(-len(examples) // most))]


def measure(
    encoder: TokenEncoder, held_out: Sequence[SpanExample], aside: Sequence[str], data: Path
) -> dict[str, SpanReport]:
    """Score the spans of a model on what it was not trained on.

    Args:
        encoder: The finished model.
        held_out: Examples of its own training files.
        aside: Files of other examples; of each at most 500 are measured.
        data: Folder that they are relative to.

    Returns:
        The scores on the held-out examples (`HELD_OUT`) and on each file that has an example.
    """
    found = {HELD_OUT: evaluate_spans(encoder, held_out)}
    for name in tqdm(aside, desc="Measuring", unit="file"):
        if examples := spread(read_spans([data / name]), _ASIDE):
            found[name] = evaluate_spans(encoder, examples)
    return found


def sources_of(config: TrainingConfig, mixture: Mixture, data: Path) -> list[Source]:
    """Count what was used of every file of a recipe.

    Args:
        config: The recipe.
        mixture: What came of its files.
        data: Folder that they are relative to.
    """
    exact, relabelled = _keys(mixture.exact), _keys(mixture.relabelled)
    return [
        *(Source(name, "spans", 1.0, _count(read_spans([data / name]), exact)) for name in config.spans),
        *(Source(name, "lists", 1.0, _count(read_list_pairs(data / name), exact)) for name in config.lists),
        *(
            Source(name, "coarse", share, _count(read_spans([data / name]), relabelled))
            for name, share in config.coarse.items()
        ),
        *(
            Source(name, "pairs", share, _count(read_pairs(data / name), relabelled))
            for name, share in config.pairs.items()
        ),
        *(Source(name, "tuples", share, None) for name, share in config.tuples.items()),
    ]


def _keys(examples: Sequence[Labelled]) -> frozenset[tuple[str, str]]:
    return frozenset((example.query, example.passage) for example in examples)


def _count(examples: Sequence[SpanExample] | Sequence[Labelled], used: Collection[tuple[str, str]]) -> int:
    return sum((example.query, example.passage) in used for example in examples)
