"""Fusion: several stages rank the same passages, and their rankings are joined into one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from fgr_retriever.arguments import check, is_number
from fgr_retriever.errors import ConfigError
from fgr_retriever.search.stages import Candidate, Request, Stage, run_stage

Method = Literal["rrf", "weighted"]

_RANK_CONSTANT = 60  # as measured by Cormack et al. 2009


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuse(Stage):
    """Runs several stages on the same input and joins the candidates that they find.

    - `rrf`: reciprocal rank fusion, the sum over the stages of w / (60 + rank) (Cormack, Clarke and
      Büttcher 2009, "Reciprocal rank fusion outperforms Condorcet"). The scores of the stages need not
      be comparable.
    - `weighted`: the sum over the stages of w times the score. The scores are first scaled to [0, 1] for
      each stage and question: the best candidate has 1, the worst 0; if all are equal, all have 1.

    A candidate that a stage does not pass on gets nothing from that stage. Among equal scores the smaller
    id comes first, so the order of the stages does not matter. The time of each stage is reported as
    `fuse.<label>`, next to the time of all stages, `fuse`.

    Args:
        stages: At least two stages. All run as first stages if `Fuse` is the first stage; otherwise all
            rank the candidates of the previous stage. Stages of the same kind need different names.
        method: How to join.
        weights: One weight w for each stage, at least 0 and not all 0; empty means equal weights.
        count: How many candidates the stage passes on.
    """

    kind: ClassVar[str] = "fuse"
    stages: tuple[Stage, ...]
    method: Method = "rrf"
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check the settings."""
        Stage.__post_init__(self)
        several = isinstance(self.stages, tuple) and len(self.stages) > 1
        if not several or not all(isinstance(one, Stage) for one in self.stages):
            raise ConfigError(f"stages={self.stages!r:.200}: must be a tuple of at least two stages")
        labels = [one.label for one in self.stages]
        if len(set(labels)) < len(labels):
            raise ConfigError(f"stages {labels}: give stages of the same kind different names, such as name='large'")
        check("method", self.method, self.method in get_args(Method), f"one of {get_args(Method)}")
        fitting = isinstance(self.weights, tuple) and len(self.weights) in (0, len(self.stages))
        good = fitting and all(is_number(one) and 0 <= one < math.inf for one in self.weights)
        allowed = f"empty or {len(self.stages)} finite numbers of at least 0, not all 0"
        check("weights", self.weights, good and (not self.weights or any(self.weights)), allowed)

    def run(self, request: Request, candidates: Sequence[Candidate] | None) -> list[Candidate]:
        """Run all stages on the same candidates and join what they pass on; see `Stage.run`."""
        parts = [run_stage(one, request, candidates, f"{self.label}.{one.label}") for one in self.stages]
        gains = [_reciprocal_ranks(part) if self.method == "rrf" else _scaled(part) for part in parts]
        weights = self.weights or (1.0,) * len(parts)
        fused: list[Candidate] = []
        for id, one in _joined(parts).items():
            terms = (weight * gain.get(id, 0.0) for weight, gain in zip(weights, gains, strict=True))
            fused.append(one.scored(self.label, math.fsum(terms)))
        return sorted(fused, key=lambda one: (-one.score, one.id))


def _joined(parts: Iterable[Sequence[Candidate]]) -> dict[str, Candidate]:
    """Give each candidate once, by id, with the scores of all stages that passed it on."""
    found: dict[str, Candidate] = {}
    for one in (one for part in parts for one in part):
        known = found[one.id].scores if one.id in found else {}
        found[one.id] = Candidate(one.id, one.score, {**known, **one.scores})
    return found


def _reciprocal_ranks(ranked: Sequence[Candidate]) -> Mapping[str, float]:
    return {one.id: 1 / (_RANK_CONSTANT + rank) for rank, one in enumerate(ranked, start=1)}


def _scaled(ranked: Sequence[Candidate]) -> Mapping[str, float]:
    """Scale scores linearly to [0, 1]."""
    scores = [one.score for one in ranked]
    least, most = min(scores, default=0.0), max(scores, default=0.0)
    spread = most - least
    return {one.id: (one.score - least) / spread if spread else 1.0 for one in ranked}
