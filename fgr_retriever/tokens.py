"""What a model makes of texts: token vectors with their characters, and the model as the engine sees it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from fgr_retriever.config import Calibration


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

    def query_offsets(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Give the character range in the query of each vector of `encode_queries`, (q, 2) each.

        The range is empty for special tokens and query expansion.
        """
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
