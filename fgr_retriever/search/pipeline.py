"""A pipeline: the stages that a search goes through, as a value that can be saved as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from typing_extensions import Self

from fgr_retriever.errors import ConfigError
from fgr_retriever.evidence.hit import Hit
from fgr_retriever.evidence.token_evidence import Question, read_hits
from fgr_retriever.search.stages import Candidate, Request, Stage, read_stage, run_stage
from fgr_retriever.types import Json


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Stages in the order in which they run: the first proposes candidates, each later one ranks them again.

    Args:
        stages: At least one stage.

    Raises:
        ConfigError: There is no stage, or `stages` contains something else.
    """

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        """Check the stages."""
        if not isinstance(self.stages, tuple) or not all(isinstance(one, Stage) for one in self.stages):
            raise ConfigError(f"stages={self.stages!r:.200}: must be a tuple of stages")
        if not self.stages:
            raise ConfigError("stages=(): a pipeline has at least one stage, such as Late()")

    def run(self, request: Request) -> list[Candidate]:
        """Find and rank candidates.

        Args:
            request: The question; the time of each stage is added to `request.watch`, by its label.

        Returns:
            At most `request.k` candidates, best first.
        """
        candidates: list[Candidate] | None = None
        for stage in self.stages:
            candidates = run_stage(stage, request, candidates, stage.label)
        return (candidates or [])[: request.k]

    def rank(self, request: Request) -> list[tuple[str, float]]:
        """Find ids and scores of the hits that `search` gives, without reading the passages.

        Candidates that the index does not have, or that have no tokens, are left out.
        """
        candidates = self.run(request)
        known = request.index.maxsim(request.vectors, [one.id for one in candidates])
        return [(one.id, one.score) for one in candidates if one.id in known]

    def search(self, request: Request, question: Question) -> list[Hit]:
        """Find and rank candidates, and find the evidence in the best of them.

        Args:
            request: The question and what the stages need to answer it.
            question: The same question, with its words.

        Returns:
            At most `request.k` hits, best first, with the score from each stage in `scores`. Candidates
            that the index does not have, or that have no tokens, are left out.
        """
        candidates = {one.id: one for one in self.run(request)}
        with request.watch("evidence"):
            matches = request.index.score(request.vectors, candidates)
            hits = read_hits(request.encoder, question, matches, request.trim)
        return [_with_scores(hit, candidates[hit.passage.id]) for hit in hits]

    def describe(self) -> str:
        """Describe the stages in text: one line for each, with its settings, inner stages indented."""
        return "\n".join(_lines(self.stages, ""))

    def to_dict(self) -> dict[str, Json]:
        """Write all stages in JSON-safe values."""
        return {"stages": [stage.to_dict() for stage in self.stages]}

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Read what `to_dict` wrote; settings that are left out have their defaults.

        Raises:
            ConfigError: A key, a kind or a setting is unknown, or a value is invalid.
        """
        if not isinstance(values, Mapping) or set(values) != {"stages"} or not isinstance(values["stages"], list):
            raise ConfigError(f"pipeline {values!r:.200}: must be an object with the one key `stages`, a list")
        return cls(tuple(map(read_stage, values["stages"])))

    def to_json(self) -> str:
        """Write all stages as a JSON object."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ConfigError: The text is not valid JSON; for other reasons see `from_dict`.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"the pipeline is not valid JSON: {error}") from error
        return cls.from_dict(values)


def _with_scores(hit: Hit, candidate: Candidate) -> Hit:
    """Rank a hit by what the last stage gave it; MaxSim, which the evidence took, is beside it."""
    return replace(hit, score=candidate.score, scores={**candidate.scores, **hit.scores})


def _lines(stages: Sequence[Stage], indent: str) -> Iterator[str]:
    """Describe stages, one a line."""
    for number, stage in enumerate(stages, start=1):
        settings = {name: value for name, value in stage.to_dict().items() if name not in ("kind", "name", "stages")}
        told = ", ".join(f"{name}={value}" for name, value in settings.items())
        named = f" {stage.name!r}" if stage.name else ""
        yield f"{indent}{number}. {stage.kind}{named}: {told}"
        yield from _lines(getattr(stage, "stages", ()), indent + "   ")
