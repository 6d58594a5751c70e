"""Token vectors with their character ranges, and the interface of the model that the engine needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from fgr_retriever.config import Calibration


@dataclass(frozen=True, slots=True, eq=False)
class TokenBlock:
    """Consecutive kept tokens of one passage; a long passage has several blocks in a row.

    Args:
        passage: Position of the passage in the input, from 0.
        vectors: L2-normalised token embeddings, (t, d) float16; t may be 0.
        offsets: Character range of each token in the original text, (t, 2) int32, ascending.
        last: True on the final block of this passage.
        importance: Importance of each token in one byte, (t,) uint8, if it was asked for (see the
            module `importance`).
    """

    passage: int
    vectors: NDArray[np.float16]
    offsets: NDArray[np.int32]
    last: bool
    importance: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StoredTokens:
    """All kept tokens of one passage, as an index stores them.

    Args:
        vectors: L2-normalised token embeddings, (t, d) float16; t may be 0.
        offsets: Character range of each token in the original text, (t, 2) int32, ascending;
            empty for special tokens.
        importance: Importance of each token in one byte, (t,) uint8, if the index keeps it.
    """

    vectors: NDArray[np.float16]
    offsets: NDArray[np.int32]
    importance: NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, blocks: Sequence[TokenBlock]) -> StoredTokens:
        """Join the blocks of one passage, at least one; either all have importance or none has."""
        weights = [one.importance for one in blocks if one.importance is not None]
        vectors, offsets = (np.concatenate([getattr(one, name) for one in blocks]) for name in ("vectors", "offsets"))
        return cls(vectors, offsets, np.concatenate(weights) if weights else None)


class TokenEncoder(Protocol):
    """The interface of a model that the engine needs; `Encoder` is the real model."""

    @property
    def dim(self) -> int:
        """Width of a token embedding."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of everything that changes a token vector; an index stores it."""
        ...

    @property
    def head_fingerprint(self) -> str:
        """Hash of everything that changes an evidence logit; stored with a calibration in an index."""
        ...

    @property
    def calibration(self) -> Calibration:
        """The calibration of the model: which evidence probabilities count."""
        ...

    def calibrated(self, calibration: Calibration) -> TokenEncoder:
        """Give the same model with another calibration; this one stays as it is."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> list[Tensor]:
        """Encode queries: one (q, d) float32 tensor for each, L2-normalised, on the CPU."""
        ...

    def query_offsets(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Give the character range in the query of each vector of `encode_queries`.

        There is one (q, 2) array for each query. The range is empty for special tokens and query
        expansion.
        """
        ...

    def encode_passages(self, texts: Iterable[str], *, progress: bool = False) -> Iterator[TokenBlock]:
        """Encode passages lazily, in input order, in bounded memory."""
        ...

    def evidence(self, query: Tensor, vectors: Tensor, lengths: Sequence[int]) -> Tensor:
        """Give the evidence probability of each token of consecutive passages.

        Args:
            query: (q, d) float32, q >= 1.
            vectors: (sum(lengths), d) float16 or float32.
            lengths: Number of tokens of each passage; 0 is allowed.

        Returns:
            (sum(lengths),) float32 in [0, 1].
        """
        ...


@runtime_checkable
class ImportanceEncoder(TokenEncoder, Protocol):
    """A model that can also compute the importance of tokens, for ColBERT-Att; `Encoder` is one."""

    def encode_passages(
        self, texts: Iterable[str], *, progress: bool = False, importance: bool = False
    ) -> Iterator[TokenBlock]:
        """Encode passages; with `importance`, each block has the importance of its tokens."""
        ...

    def query_importance(self, texts: Sequence[str]) -> list[Tensor]:
        """Give the importance of each vector of `encode_queries`, (q,) float32 for each query.

        An average token has 0.
        """
        ...
