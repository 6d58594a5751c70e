"""The values that every room knows: passages, spans and the evidence of their tokens.

What one room makes is defined there: `Match` in `index`, `Hit` in `evidence`, `Context` in `trim`. All are
immutable. Character offsets are half-open ranges of Python string positions in the
passage's own text, so ``passage.text[span.start:span.end]`` is always what the user sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Metadata: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Passage:
    """What is indexed and returned.

    Args:
        id: A stable, non-empty name; adding the same id again replaces the passage.
        text: The full text. Stored and returned character for character.
        metadata: JSON-safe values with string keys; returned with every hit.
    """

    id: str
    text: str
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open character range of a passage's text and its evidence probability.

    Args:
        start: First character.
        end: One past the last character.
        score: Evidence probability in [0, 1].
    """

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class TokenEvidence:
    """How likely each kept token of one passage is evidence for the query.

    Args:
        offsets: Character range of each token, (t, 2) int32, ascending.
        probabilities: Evidence probability of each token, (t,) float32 in [0, 1].
    """

    offsets: NDArray[np.int32]
    probabilities: NDArray[np.float32]

    def __len__(self) -> int:
        """Count the tokens."""
        return len(self.probabilities)

    def mean(self, start: int, end: int) -> float:
        """Average the probabilities of the tokens that end in a range of characters, 0 where none does."""
        inside = (self.offsets[:, 1] > start) & (self.offsets[:, 1] <= end)
        return float(self.probabilities[inside].mean()) if inside.any() else 0.0
