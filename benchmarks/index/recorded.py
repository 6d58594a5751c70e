"""The embedded model with its passages' vectors played back, so that the index alone is timed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.index.corpus import Corpus
from fgr_retriever.config import Calibration
from fgr_retriever.model.tokens import TokenBlock, TokenEncoder

if TYPE_CHECKING:
    from fgr_retriever import Encoder


class Recorded:
    """A `TokenEncoder` that gives the passages of a corpus in order, whatever their texts.

    Args:
        corpus: What is played back; None where no passage is encoded.
    """

    def __init__(self, corpus: Corpus | None) -> None:
        self._corpus, self._next = corpus, 0

    @cached_property
    def model(self) -> Encoder:
        """The model, loaded when it is needed."""
        from fgr_retriever import Encoder

        return Encoder.default()

    @property
    def dim(self) -> int:
        """Width of a token embedding."""
        return 128

    @property
    def fingerprint(self) -> str:
        """One name for all."""
        return "recorded"

    @property
    def head_fingerprint(self) -> str:
        """That of the model."""
        return self.model.head_fingerprint

    @property
    def calibration(self) -> Calibration:
        """That of the model."""
        return self.model.calibration

    def calibrated(self, calibration: Calibration) -> TokenEncoder:
        """Refuse: nothing is calibrated here."""
        raise NotImplementedError(str(calibration))

    def encode_queries(self, texts: Sequence[str]) -> list[Tensor]:
        """Encode queries with the model."""
        return self.model.encode_queries(texts)

    def query_offsets(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Give the character ranges of the tokens of queries, as the model does."""
        return self.model.query_offsets(texts)

    def encode_passages(self, texts: Iterable[str], *, show_progress: bool = False) -> Iterator[TokenBlock]:
        """Play back as many passages as there are texts."""
        assert self._corpus is not None
        for place, _ in enumerate(texts):
            row, self._next = self._next, self._next + 1
            start = self._corpus.starts[row]
            tokens = slice(start, start + self._corpus.lengths[row])
            first = self._corpus.offsets[start, 0] if self._corpus.lengths[row] else 0
            offsets = self._corpus.offsets[tokens] - first  # a window begins at 0, as a passage does
            yield TokenBlock(place, self._corpus.vectors[tokens], offsets, last=True)

    def evidence(self, query: Tensor, vectors: Tensor, lengths: Sequence[int]) -> Tensor:
        """Give the model's evidence probabilities."""
        return self.model.evidence(query, vectors, lengths)
