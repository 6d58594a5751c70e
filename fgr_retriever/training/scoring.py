"""Who says how well a passage answers a question: the model that searches, or a cross-encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgr_retriever.errors import InputError
from fgr_retriever.model.maxsim import maxsim_ragged
from fgr_retriever.model.tokens import TokenEncoder
from fgr_retriever.training.questions import Question

_BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """A question with what the index found for it.

    Args:
        question: The question.
        vectors: Its token embeddings, (q, d) float32.
        scores: MaxSim of the passages that were found, best first.
    """

    question: Question
    vectors: Tensor
    scores: Mapping[str, float]


class Teacher(Protocol):
    """Says how well passages answer a question."""

    def score(self, searched: Searched, passages: Sequence[str]) -> NDArray[np.float64]:
        """Score passages, (n,); higher is better."""
        ...

    def ceiling(self, positive: float, share: float) -> float:
        """Give the highest score that a negative may have beside a positive's."""
        ...


class MaxSimTeacher:
    """The model that searches is the teacher; what the index found is scored already.

    Args:
        encoder: The model.
    """

    def __init__(self, encoder: TokenEncoder) -> None:
        self._encoder = encoder

    def score(self, searched: Searched, passages: Sequence[str]) -> NDArray[np.float64]:
        """Give MaxSim, (n,)."""
        others = [passage for passage in passages if passage not in searched.scores]
        scores = {**searched.scores, **dict(zip(others, self._maxsim(searched.vectors, others), strict=True))}
        return np.array([scores[passage] for passage in passages], dtype=np.float64)

    def ceiling(self, positive: float, share: float) -> float:
        """Give `share` of the positive's score; a score below 0 is lowered by as much."""
        return positive - (1 - share) * abs(positive)

    def _maxsim(self, query: Tensor, passages: Sequence[str]) -> list[float]:
        if not passages:
            return []
        blocks = list(self._encoder.encode_passages(passages))
        lengths = torch.zeros(len(passages), dtype=torch.int64)
        for block in blocks:
            lengths[block.passage] += len(block.vectors)
        vectors = torch.from_numpy(np.concatenate([block.vectors for block in blocks]))
        found: list[float] = maxsim_ragged(query, vectors, lengths).tolist()
        return found


class CrossEncoderTeacher:
    """A cross-encoder is the teacher; its scores are logits.

    Args:
        name: Folder or hub id.
        device: Where it runs; None takes the best that the machine has.

    Raises:
        InputError: It cannot be opened, or does not give one score a pair.
    """

    def __init__(self, name: str, device: str | None = None) -> None:
        from sentence_transformers import CrossEncoder

        try:
            self._model = CrossEncoder(name, device=device)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot open the cross-encoder {name!r}: {error}") from error
        if self._model.num_labels != 1:
            raise InputError(f"the cross-encoder {name!r} gives {self._model.num_labels} scores a pair, not one")

    def score(self, searched: Searched, passages: Sequence[str]) -> NDArray[np.float64]:
        """Give logits, (n,)."""
        pairs = [(searched.question.query, passage) for passage in passages]
        found = self._model.predict(
            pairs, batch_size=_BATCH, activation_fn=torch.nn.Identity(), show_progress_bar=False, convert_to_numpy=True
        )
        return np.asarray(found, dtype=np.float64)

    def ceiling(self, positive: float, share: float) -> float:
        """Give the logit of `share` of the positive's probability."""
        # logit(share * sigmoid(x)) = log(share) - log(1 - share + exp(-x)), which overflows nowhere
        rest = np.log1p(-share) if share < 1 else -np.inf
        return float(np.log(share) - np.logaddexp(rest, -positive))
