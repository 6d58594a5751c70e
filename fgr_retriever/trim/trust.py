"""The trust report of a trimmed context: what was kept, what was dropped, what is not supported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import Self

from fgr_retriever.text.json_values import from_json, to_json
from fgr_retriever.types import Json, Span


@dataclass(frozen=True, slots=True)
class Dropped:
    """Evidence that is not in the context.

    Args:
        id: Id of the passage.
        span: The stretch of the passage.
    """

    id: str
    span: Span


@dataclass(frozen=True, slots=True)
class Repeated:
    """Evidence that is not written again, because another passage says the same.

    Args:
        id: Id of the passage.
        span: The stretch of the passage.
        kept_in: Id of the passage whose text is written.
    """

    id: str
    span: Span
    kept_in: str


@dataclass(frozen=True, slots=True)
class TrustReport:
    """How far you can trust a trimmed context.

    Args:
        tokens_before: Tokens of all passages; None if they were not counted.
        tokens_after: Tokens of the context; None if they were not counted.
        mass_kept: Share of all evidence probability that lies in the kept text, in [0, 1]; 1 if there
            is none at all. Text that is written once for several passages counts for each of them.
        mass_dropped: The rest: `mass_kept` and `mass_dropped` sum to 1.
        largest_dropped: The stretch with the most probability among the evidence that the budget left
            out; None when all evidence is kept.
        repeated: Evidence that is kept in another passage's words.
        uncovered: Content words of the question that no kept text matches, in the order of the
            question.
        weak: True if no passage has evidence above its threshold: a sign to search again.
        times_ms: Milliseconds by stage (encode, search, evidence, trim), never below 0.
        notes: Messages about what did not go as asked, such as a reranker that did not answer.
        beyond_budget: Those of `uncovered` that evidence matches which the budget left out: a larger budget shows
            it, or a question about this alone.
        needed: The least budget that shows a part of the best evidence, if that of this call has no room for any
            part of it; else None.
        reworded: Those of `uncovered` that the kept text may say in other words: no names, no numbers, and no
            strangers to the kept text.
    """

    tokens_before: int | None
    tokens_after: int | None
    mass_kept: float
    mass_dropped: float
    largest_dropped: Dropped | None
    repeated: tuple[Repeated, ...]
    uncovered: tuple[str, ...]
    weak: bool
    times_ms: Mapping[str, float]
    notes: tuple[str, ...] = ()
    beyond_budget: tuple[str, ...] = ()
    needed: int | None = None
    reworded: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Json]:
        """Write the report in plain JSON; a span is [start, end, score]."""
        return to_json(self)

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Read what `to_dict` wrote.

        Args:
            values: The object. It is not changed.

        Raises:
            InputError: A key is missing or unknown, or a value has another type; the message names it.
        """
        return from_json(cls, values)
