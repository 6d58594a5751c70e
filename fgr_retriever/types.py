"""The values that all packages share: passages, spans and the evidence of their tokens.

Values that only one package makes are defined there: `Match` in `index`, `Hit` in `evidence`, `Context` in `trim`.
All values are immutable. Character offsets are half-open ranges of Python string positions in the
passage's own text, so ``passage.text[span.start:span.end]`` is always what the user sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Metadata: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Passage:
    """A text that is indexed and returned.

    Args:
        id: A stable, non-empty name; adding the same id again replaces the passage.
        text: The full text, stored and returned character for character.
        metadata: JSON-safe values with string keys; returned with every hit.
    """

    id: str
    text: str
    metadata: Metadata = field(default_factory=dict)


class Added(int):
    """What a write did with the passages it was given; the number itself is how many they were.

    Attributes:
        added: Passages whose id was not stored.
        updated: Passages whose id was stored with another text or other metadata. Only another text is
            encoded.
        unchanged: Passages that were stored exactly so.
        deleted: Stored passages that had to go; they do not count in the number.
    """

    added: int
    updated: int
    unchanged: int
    deleted: int

    def __new__(cls, added: int, updated: int, unchanged: int, deleted: int = 0) -> Self:
        """Add up the passages."""
        self = super().__new__(cls, added + updated + unchanged)
        self.added, self.updated, self.unchanged, self.deleted = added, updated, unchanged, deleted
        return self

    def __getnewargs__(self) -> tuple[int, int, int, int]:  # type: ignore[override]  # int has one argument
        """Say how to make it again, for copies and pickles."""
        return self.added, self.updated, self.unchanged, self.deleted

    def __repr__(self) -> str:
        """Name the numbers."""
        numbers = zip(("added", "updated", "unchanged", "deleted"), self.__getnewargs__(), strict=True)
        return f"Added({', '.join(f'{name}={number}' for name, number in numbers)})"

    __str__ = int.__repr__


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open character range of a passage's text, with its evidence probability.

    Args:
        start: Position of the first character.
        end: Position after the last character.
        score: Evidence probability in [0, 1].
    """

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class TokenEvidence:
    """For each kept token of one passage, the probability that it is evidence for the query.

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
        """Average the probabilities of the tokens that end in a character range; 0 without tokens."""
        inside = (self.offsets[:, 1] > start) & (self.offsets[:, 1] <= end)
        return float(self.probabilities[inside].mean()) if inside.any() else 0.0
