"""The result of a search: a passage with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from typing_extensions import Self

from fgr_retriever.errors import InputError
from fgr_retriever.evidence.support import Support
from fgr_retriever.text.html import article, escaped, fragment
from fgr_retriever.text.json_values import from_json, to_json
from fgr_retriever.types import Json, Passage, Span, TokenEvidence

HitT = TypeVar("HitT", bound="Hit")


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

    def to_dict(self) -> dict[str, Json]:
        """Write the hit in plain JSON.

        Raises:
            InputError: The metadata of the passage is not JSON-safe.
        """
        return to_json(self)

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Read what `to_dict` wrote.

        Args:
            values: The object. It is not changed.

        Raises:
            InputError: A key is missing or unknown, a value has another type, or texts and ranges contradict one
                another; the message names what is wrong.
        """
        return checked(from_json(cls, values), cls.__name__)

    def to_html(self) -> str:
        """Write the passage with its evidence marked, as an HTML fragment; everything is escaped."""
        return fragment(self.article(self.spans, score_text(self)))

    def article(self, spans: Sequence[Span], facts: str) -> str:
        """Write the passage with some spans marked, for use inside a fragment or a page."""
        return article(f"{self.rank}. <bdi>{escaped(self.passage.id)}</bdi>", facts, self.passage.text, spans)

    def _repr_html_(self) -> str:
        """Show the hit in a notebook."""
        return self.to_html()


def checked(hit: HitT, where: str) -> HitT:
    """Give a hit back, or raise InputError, which names its place, unless its parts fit one another."""
    text, tokens, support = hit.passage.text, hit.token_scores, hit.support
    check_spans(hit.spans, text, f"{where}.spans")
    rows = len(tokens.offsets)
    if len(tokens.probabilities) != rows or support.similarities.shape != (rows, len(support.owners)):
        raise InputError(f"{where}: token_scores and support must have a row for each of the {rows} tokens")
    if rows and not 0 <= tokens.offsets.min() <= tokens.offsets.max() <= len(text):
        raise InputError(f"{where}.token_scores.offsets: must lie in the {len(text)} characters of the passage")
    if len(support.owners) and not 0 <= support.owners.min() <= support.owners.max() < len(support.words):
        raise InputError(f"{where}.support.owners: must be numbers of its {len(support.words)} words")
    return hit


def check_spans(spans: Sequence[Span], text: str, where: str) -> None:
    """Raise InputError unless spans are ranges of a text, ascending and disjoint."""
    edges = [0, *(edge for span in spans for edge in (span.start, span.end)), len(text)]
    if edges != sorted(edges):
        raise InputError(f"{where}: must be ascending ranges of the {len(text)} characters of the passage")


def score_text(hit: Hit) -> str:
    """Write the score of a hit and, if several stages scored it, the score of each stage."""
    each = ", ".join(f"{kind} {_number(score)}" for kind, score in hit.scores.items())
    return f"score {_number(hit.score)}" + (f" ({each})" if len(hit.scores) > 1 else "")


def _number(score: float) -> str:
    """Write a score so that those of reciprocal ranks and of cross-encoders can be told apart."""
    return f"{score:.2f}" if abs(score) >= 1 else f"{score:.4f}"
