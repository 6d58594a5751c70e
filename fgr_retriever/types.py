"""The values that flow through the engine: passages in, hits and trimmed passages out.

All are immutable. Character offsets are half-open ranges of Python string positions in the
passage's own text, so ``passage.text[span.start:span.end]`` is always what the user sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from fgr_retriever.config import Calibration

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
class TokenBlock:
    """Consecutive kept tokens of one passage; a long passage is several blocks in a row.

    Args:
        passage: Position of the passage in the input, from 0.
        vectors: L2-normalised token embeddings, (t, d) float16; t may be 0.
        offsets: Character range of each token in the original text, (t, 2) int32, ascending.
        last: True on the final block of this passage.
    """

    passage: int
    vectors: NDArray[np.float16]
    offsets: NDArray[np.int32]
    last: bool


@dataclass(frozen=True, slots=True, eq=False)
class StoredTokens:
    """All kept tokens of one passage, as an index stores them.

    Args:
        vectors: L2-normalised token embeddings, (t, d) float16; t may be 0.
        offsets: Character range of each token in the original text, (t, 2) int32, ascending;
            empty for special tokens.
    """

    vectors: NDArray[np.float16]
    offsets: NDArray[np.int32]

    @classmethod
    def of(cls, blocks: Sequence[TokenBlock]) -> StoredTokens:
        """Join the blocks of one passage, at least one."""
        return cls(np.concatenate([one.vectors for one in blocks]), np.concatenate([one.offsets for one in blocks]))


class TokenEncoder(Protocol):
    """What the engine needs of a model; `Encoder` is the real one."""

    @property
    def dim(self) -> int:
        """Width of a token embedding."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of everything that changes a token vector; an index remembers it."""
        ...

    @property
    def head_fingerprint(self) -> str:
        """Hash of everything that changes an evidence logit; a calibration in an index remembers it."""
        ...

    @property
    def calibration(self) -> Calibration:
        """Which evidence probabilities count."""
        ...

    def calibrated(self, calibration: Calibration) -> TokenEncoder:
        """Give the same model with another calibration; this one stays as it is."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> list[Tensor]:
        """Encode queries: one (q, d) float32 tensor each, L2-normalised, on the CPU."""
        ...

    def encode_passages(self, texts: Iterable[str], *, progress: bool = False) -> Iterator[TokenBlock]:
        """Encode passages lazily, in input order, in bounded memory."""
        ...

    def evidence(self, query: Tensor, vectors: Tensor, lengths: Sequence[int]) -> Tensor:
        """Evidence probability of each token of passages that lie one after the other.

        Args:
            query: (q, d) float32, q >= 1.
            vectors: (sum(lengths), d) float16 or float32.
            lengths: Tokens of each passage; 0 is allowed.

        Returns:
            (sum(lengths),) float32 in [0, 1].
        """
        ...


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


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """One result of a search, best first, with its evidence.

    Args:
        passage: The whole passage as it was stored.
        score: MaxSim of query and passage, in [-q, q] for q query tokens.
        rank: Position in the results, from 1.
        spans: Evidence spans in text order, disjoint; empty when nothing passes the threshold.
        token_scores: The evidence probability of every kept token.
    """

    passage: Passage
    score: float
    rank: int
    spans: tuple[Span, ...]
    token_scores: TokenEvidence


@dataclass(frozen=True, slots=True)
class Trimmed:
    """One passage cut down to its evidence, verbatim.

    Args:
        text: The kept spans of the source text, joined by the configured separator; empty when
            nothing was kept.
        spans: What was kept, as ranges of the source text, ascending and disjoint.
        kept: Kept characters divided by all characters of the source, in [0, 1].
        score: MaxSim of query and passage, in [-q, q] for q query tokens.
        tokens: Tokens of `text` by the budget's tokenizer; None when there was no budget.
        reason: Why nothing was kept, when nothing was; else empty.
    """

    text: str
    spans: tuple[Span, ...]
    kept: float
    score: float
    tokens: int | None = None
    reason: str = ""

    def to_metadata(self, source_start: int | None = None) -> dict[str, Json]:
        """Describe the trim in JSON-safe values, under the same keys in every framework.

        Args:
            source_start: Where the passage begins in the document that it was cut from; adds
                `fgr_source_spans`, the spans in that document's coordinates.

        Returns:
            `fgr_score`, `fgr_kept` and `fgr_spans` (a list of [start, end, score]).
        """
        found: dict[str, Json] = {
            "fgr_score": float(self.score),
            "fgr_kept": round(float(self.kept), 4),
            "fgr_spans": _as_json(self.spans, 0),
        }
        if source_start is not None:
            found["fgr_source_spans"] = _as_json(self.spans, source_start)
        return found


def _as_json(spans: tuple[Span, ...], shift: int) -> list[Json]:
    return [[span.start + shift, span.end + shift, round(float(span.score), 4)] for span in spans]


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What a search found, trimmed to a budget and ready for a prompt.

    Args:
        query: The question as asked.
        hits: The results, best first, whole passages with their evidence.
        trimmed: What was kept of each hit, in the same order.
        text: The kept texts with citations and separators, as the budget counted it.
        tokens_before: Tokens of all hits' full texts; None when nothing counted them.
        tokens_after: Tokens of `text`, never more than the budget; None when nothing counted them.
    """

    query: str
    hits: tuple[Hit, ...]
    trimmed: tuple[Trimmed, ...]
    text: str
    tokens_before: int | None
    tokens_after: int | None
