"""BM25 over the words of the passages, which the index keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from fgr_retriever.search.stages import Candidate, Request, Stage, best_first


@dataclass(frozen=True, slots=True, kw_only=True)
class Words(Stage):
    """Finds passages by BM25, or ranks the candidates of the previous stage by it.

    The index has to keep words: `IndexConfig(words="english")`. As the first stage it finds passages that
    have at least one word of the question. After another stage, candidates without such a word get 0.

    Args:
        count: How many candidates the stage passes on.
    """

    kind: ClassVar[str] = "words"

    def run(self, request: Request, candidates: Sequence[Candidate] | None) -> list[Candidate]:
        """Search, or score the candidates; see `Stage.run`.

        Raises:
            ConfigError: The index keeps no words.
            MissingExtraError: The stemmer is not installed.
        """
        if candidates is None:
            found = request.index.words(request.query, request.at_least_k(self.count), request.filter)
            return [Candidate(id, score, {self.label: score}) for id, score in found]
        if not candidates:
            return []
        scores = dict(request.index.words(request.query, len(candidates), ids=[one.id for one in candidates]))
        return best_first([one.scored(self.label, scores.get(one.id, 0.0)) for one in candidates])
