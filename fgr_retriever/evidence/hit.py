"""The result of a search: a passage with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fgr_retriever.evidence.support import Support
from fgr_retriever.text.html import article, escaped, fragment
from fgr_retriever.types import Passage, Span, TokenEvidence


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """One result of a search: a passage with its evidence.

    Args:
        passage: The whole passage as it was stored.
        score: The score that ranks it: MaxSim of query and passage, in [-q, q] for q query tokens, or
            the score from the last stage of a pipeline.
        rank: Position in the results, best first, from 1.
        spans: Evidence spans in text order, disjoint; empty if no token reaches the threshold.
        token_scores: The evidence probability of every kept token.
        support: Which words of the question each kept token matches.
        scores: The score from each stage, by the stage's name or kind. MaxSim is always included, as
            `late`.
    """

    passage: Passage
    score: float
    rank: int
    spans: tuple[Span, ...]
    token_scores: TokenEvidence = field(repr=False)
    support: Support = field(repr=False)
    scores: Mapping[str, float]

    def to_html(self) -> str:
        """Write the passage with its evidence marked, as an HTML fragment; everything is escaped."""
        return fragment(self.article(self.spans, score_text(self)))

    def article(self, spans: Sequence[Span], facts: str) -> str:
        """Write the passage with some spans marked, for use inside a fragment or a page."""
        return article(f"{self.rank}. <bdi>{escaped(self.passage.id)}</bdi>", facts, self.passage.text, spans)

    def _repr_html_(self) -> str:
        """Show the hit in a notebook."""
        return self.to_html()


def score_text(hit: Hit) -> str:
    """Write the score of a hit and, if several stages scored it, the score of each stage."""
    each = ", ".join(f"{kind} {_number(score)}" for kind, score in hit.scores.items())
    return f"score {_number(hit.score)}" + (f" ({each})" if len(hit.scores) > 1 else "")


def _number(score: float) -> str:
    """Write a score so that those of reciprocal ranks and of cross-encoders can be told apart."""
    return f"{score:.2f}" if abs(score) >= 1 else f"{score:.4f}"
