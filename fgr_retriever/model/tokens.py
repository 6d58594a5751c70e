"""Token vectors with their character ranges, and the interface of the model that the engine needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.arguments import check, is_count
from fgr_retriever.errors import ConfigError

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
        evidence: Evidence code of each token, (t, n) uint8, if it was asked for (see `EvidenceCode`).
    """

    passage: int
    vectors: NDArray[np.float16]
    offsets: NDArray[np.int32]
    last: bool
    importance: NDArray[np.uint8] | None = None
    evidence: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StoredTokens:
    """All kept tokens of one passage, as an index stores them.

    Args:
        vectors: L2-normalised token embeddings, (t, d) float16; t may be 0.
        offsets: Character range of each token in the original text, (t, 2) int32, ascending;
            empty for special tokens.
        importance: Importance of each token in one byte, (t,) uint8, if the index keeps it.
        evidence: Evidence code of each token, (t, n) uint8, if the index keeps those of the model at hand.
    """

    vectors: NDArray[np.float16]
    offsets: NDArray[np.int32]
    importance: NDArray[np.uint8] | None = None
    evidence: NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, blocks: Sequence[TokenBlock]) -> StoredTokens:
        """Join the blocks of one passage, at least one; what is optional, either all have or none has."""
        return cls(**{one.name: _joined([getattr(block, one.name) for block in blocks]) for one in fields(cls)})


@dataclass(frozen=True, slots=True)
class EvidenceCode:
    """What the evidence codes of a model are: a few bytes for each token, which only its evidence head can read.

    Args:
        fingerprint: Hash of everything that changes a code; an index stores it. Not empty.
        nbytes: Bytes of a token, at least 1.

    Raises:
        ConfigError: The fingerprint is empty, or there are no bytes.
    """

    fingerprint: str
    nbytes: int

    def __post_init__(self) -> None:
        """Check both fields."""
        named = isinstance(self.fingerprint, str) and bool(self.fingerprint)
        check("fingerprint", self.fingerprint, named, "a string that is not empty")
        check("nbytes", self.nbytes, is_count(self.nbytes, 1), "an integer of at least 1")


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

    def encode_passages(self, texts: Iterable[str], *, show_progress: bool = False) -> Iterator[TokenBlock]:
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
        self, texts: Iterable[str], *, show_progress: bool = False, importance: bool = False
    ) -> Iterator[TokenBlock]:
        """Encode passages; with `importance`, each block has the importance of its tokens."""
        ...

    def query_importance(self, texts: Sequence[str]) -> list[Tensor]:
        """Give the importance of each vector of `encode_queries`, (q,) float32 for each query.

        An average token has 0.
        """
        ...


@runtime_checkable
class EvidenceCodeEncoder(TokenEncoder, Protocol):
    """A model that can also make evidence codes, which an index keeps beside the vectors; `Encoder` is one."""

    @property
    def evidence_code(self) -> EvidenceCode | None:
        """What the codes of this model are; None if it makes none."""
        ...

    def encode_passages(
        self, texts: Iterable[str], *, show_progress: bool = False, importance: bool = False, evidence: bool = False
    ) -> Iterator[TokenBlock]:
        """Encode passages; with `evidence`, each block has the evidence codes of its tokens."""
        ...

    def evidence(
        self, query: Tensor, vectors: Tensor, lengths: Sequence[int], codes: NDArray[np.uint8] | None = None
    ) -> Tensor:
        """Give the evidence probability of each token; with its code, (sum(lengths), n) uint8, it is more certain."""
        ...


def makes_codes(encoder: TokenEncoder) -> TypeGuard[EvidenceCodeEncoder]:
    """Say whether a model makes evidence codes; `isinstance` would ask for every attribute of the protocol."""
    return getattr(encoder, "evidence_code", None) is not None


def evidence_code_of(encoder: TokenEncoder) -> EvidenceCode | None:
    """Ask a model what its evidence codes are; None if it makes none."""
    return encoder.evidence_code if makes_codes(encoder) else None


def telling_importance(encoder: TokenEncoder) -> ImportanceEncoder:
    """Take a model that tells the importance of tokens.

    Raises:
        ConfigError: It does not.
    """
    if not isinstance(encoder, ImportanceEncoder):
        raise ConfigError(
            f"importance=True: {type(encoder).__name__} cannot tell how important tokens are (it has no "
            "`query_importance`); use an Encoder, or leave importance out"
        )
    return encoder


def encode_for_evidence(
    encoder: TokenEncoder, texts: Iterable[str], *, show_progress: bool = False
) -> Iterator[TokenBlock]:
    """Encode passages with all that the evidence head of a model reads."""
    if makes_codes(encoder):
        return encoder.encode_passages(texts, show_progress=show_progress, evidence=True)
    return encoder.encode_passages(texts, show_progress=show_progress)


def _joined(arrays: Sequence[NDArray[Any] | None]) -> Any:
    """Put arrays one after the other, or give None if there are none."""
    found = [one for one in arrays if one is not None]
    return np.concatenate(found) if found else None
