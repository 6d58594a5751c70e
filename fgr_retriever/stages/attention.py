"""ColBERT-Att: MaxSim that is modulated by how important the tokens of query and passage are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from fgr_retriever.config import check, is_number
from fgr_retriever.errors import ConfigError
from fgr_retriever.importance import dequantise
from fgr_retriever.maxsim import attention_maxsim
from fgr_retriever.stages import Candidate, Request, Stage, best_first
from fgr_retriever.types import ImportanceEncoder, Match

_WIDER = 2  # times `count` that the first stage takes from the index: what MaxSim ranks lower may rise


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention(Stage):
    """Ranks by MaxSim that the attention of both sides' tokens modulates (ColBERT-Att, arXiv 2603.25248).

    The formula is that of `maxsim.attention_maxsim`, what importance is stands in `importance`. It
    takes one more pass of the query through the model, and an index that keeps importance
    (`IndexConfig(importance=True)`). As the first stage it ranks twice as many passages as it passes
    on, those with the best MaxSim; after another stage, its candidates. Candidates that the index does
    not have, or that have no tokens, are left out.

    Args:
        count: How many candidates it passes on.
        query_weight: How much the importance of a query token counts; 0 is not at all.
        passage_weight: How much that of a passage token counts.

    Raises:
        ConfigError: A weight is not a number of at least 0.
    """

    kind: ClassVar[str] = "attention"
    query_weight: float = 0.2
    passage_weight: float = 0.0

    def __post_init__(self) -> None:
        """Check every field."""
        Stage.__post_init__(self)
        for name in ("query_weight", "passage_weight"):
            value = getattr(self, name)
            check(name, value, is_number(value) and 0 <= value < math.inf, "a number of at least 0")

    def run(self, request: Request, candidates: Sequence[Candidate] | None) -> list[Candidate]:
        """Search, or take the candidates, and rank them; see `Stage.run`.

        Raises:
            ConfigError: The index keeps no importance, or the model cannot tell it.
        """
        if not request.index.config.importance:
            raise ConfigError(
                f"stage 'attention': {request.index.folder} keeps no importance of tokens: "
                "build the index anew with IndexConfig(importance=True)"
            )
        if candidates is None:
            wanted = _WIDER * request.at_least_k(self.count)
            found = request.index.rank(request.vectors, wanted, request.filter, request.search)
            candidates = [Candidate(id, score) for id, score in found]
        matches = request.index.score(request.vectors, [one.id for one in candidates])
        scores = dict(zip((one.passage.id for one in matches), self._scores(request, matches), strict=True))
        return best_first([one.scored(self.kind, scores[one.id]) for one in candidates if one.id in scores])

    def _scores(self, request: Request, matches: Sequence[Match]) -> list[float]:
        """Score passages, in their order."""
        if not matches:
            return []
        tokens = [one.tokens for one in matches]
        stored = [one.importance for one in tokens if one.importance is not None]
        found = attention_maxsim(
            request.vectors,
            _query_importance(request),
            torch.from_numpy(np.concatenate([one.vectors for one in tokens])),
            torch.from_numpy(dequantise(np.concatenate(stored))),
            torch.tensor([len(one.vectors) for one in tokens]),
            query_weight=self.query_weight,
            passage_weight=self.passage_weight,
        )
        return [round(score, 5) for score in found.tolist()]  # as MaxSim has it: equals come out equal


def _query_importance(request: Request) -> Tensor:
    """Tell how important the tokens of the query are, (q,)."""
    if not isinstance(request.encoder, ImportanceEncoder):
        raise ConfigError(f"stage 'attention': {type(request.encoder).__name__} cannot tell how important tokens are")
    return request.encoder.query_importance([request.query])[0]
