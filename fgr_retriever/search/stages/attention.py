"""ColBERT-Att: MaxSim that takes into account how important the tokens of query and passage are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgr_retriever.arguments import check, is_number
from fgr_retriever.errors import ConfigError
from fgr_retriever.index.match import Match
from fgr_retriever.model.importance import dequantise
from fgr_retriever.model.maxsim import attention_maxsim
from fgr_retriever.model.tokens import ImportanceEncoder, StoredTokens
from fgr_retriever.search.stages import Candidate, Request, Stage, best_first

_WIDER = 2  # times `count` that the first stage takes from the index: what MaxSim ranks lower may rise


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention(Stage):
    """Ranks by MaxSim modulated by the importance of query and passage tokens (ColBERT-Att, arXiv 2603.25248).

    `maxsim.attention_maxsim` has the formula, and the module `importance` says what importance is. The
    stage takes one more pass of the query through the model. By default only the importance of query
    tokens counts, and any index will do. The importance of passage tokens did not help the embedded model
    (`docs/colbert-att.md`), and it needs an index that keeps it (`IndexConfig(importance=True)`).

    As the first stage it ranks the passages with the best MaxSim, twice as many as it passes on. After
    another stage it ranks the candidates of that stage. Candidates that the index does not have, or that
    have no tokens, are left out.

    Args:
        count: How many candidates the stage passes on.
        query_weight: How much the importance of a query token counts; 0 means not at all.
        passage_weight: How much the importance of a passage token counts; from 0.1 on it does harm.

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
            ConfigError: The index does not keep an importance that counts, or the model cannot compute it.
        """
        if candidates is None:
            wanted = _WIDER * request.at_least_k(self.count)
            found = request.index.rank(request.vectors, wanted, request.filter, request.search)
            candidates = [Candidate(id, score) for id, score in found]
        matches = request.index.score(request.vectors, [one.id for one in candidates])
        scores = dict(zip((one.passage.id for one in matches), self._scores(request, matches), strict=True))
        return best_first([one.scored(self.label, scores[one.id]) for one in candidates if one.id in scores])

    def _scores(self, request: Request, matches: Sequence[Match]) -> list[float]:
        """Score passages, in their order."""
        if not matches:
            return []
        tokens = [one.tokens for one in matches]
        found = attention_maxsim(
            request.vectors,
            _query_importance(request),
            torch.from_numpy(np.concatenate([one.vectors for one in tokens])),
            torch.from_numpy(np.concatenate([self._importance(one) for one in tokens])),
            torch.tensor([len(one.vectors) for one in tokens]),
            query_weight=self.query_weight,
            passage_weight=self.passage_weight,
        )
        return [round(score, 5) for score in found.tolist()]  # as MaxSim has it: equals come out equal

    def _importance(self, tokens: StoredTokens) -> NDArray[np.float32]:
        """Give the importance of stored tokens, (t,), if it counts."""
        if not self.passage_weight:
            return np.zeros(len(tokens.vectors), np.float32)
        if tokens.importance is None:
            raise ConfigError(
                f"stage 'attention': passage_weight={self.passage_weight}, but the index keeps no importance of "
                "tokens: build it anew with IndexConfig(importance=True), or set passage_weight=0"
            )
        return dequantise(tokens.importance)


def _query_importance(request: Request) -> Tensor:
    """Tell how important the tokens of the query are, (q,)."""
    if not isinstance(request.encoder, ImportanceEncoder):
        raise ConfigError(f"stage 'attention': {type(request.encoder).__name__} cannot tell how important tokens are")
    return request.encoder.query_importance([request.query])[0]
