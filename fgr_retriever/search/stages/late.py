"""Late interaction: MaxSim of the token vectors in the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from fgr_retriever.search.stages import Candidate, Request, Stage, best_first


@dataclass(frozen=True, slots=True, kw_only=True)
class Late(Stage):
    """Finds passages by MaxSim, or ranks the candidates of the previous stage by it (ColBERT, arXiv 2004.12832).

    As the first stage it searches with the engine's `SearchConfig`; after another stage it scores every
    candidate exactly. Candidates that the index does not have, or that have no tokens, are left out.

    Args:
        count: How many candidates the stage passes on.
    """

    kind: ClassVar[str] = "late"

    def run(self, request: Request, candidates: Sequence[Candidate] | None) -> list[Candidate]:
        """Search, or score the candidates; see `Stage.run`."""
        if candidates is None:
            wanted = request.at_least_k(self.count)
            found = request.index.rank(request.vectors, wanted, request.filter, request.search)
            return [Candidate(id, score, {self.label: score}) for id, score in found]
        scores = request.index.maxsim(request.vectors, [one.id for one in candidates])
        return best_first([one.scored(self.label, scores[one.id]) for one in candidates if one.id in scores])
