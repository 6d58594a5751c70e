"""Cross-encoder: a model that reads question and passage together, slow but exact."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.arguments import check, is_count
from fgr_retriever.errors import CheckpointError
from fgr_retriever.model.precision import best_dtype
from fgr_retriever.search.stages import Candidate, Request, Stage, best_first
from fgr_retriever.search.stages._reranked_text import Text, check_text, with_texts

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder as Model

_LOCK = threading.Lock()  # of loading, and of a tokenizer that is not made for several threads


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossEncoder(Stage):
    """Ranks candidates by a sentence-transformers `CrossEncoder`, such as `BAAI/bge-reranker-v2-m3`.

    The score is the output of the model's own activation function (mostly a sigmoid: 0 to 1). The model
    is loaded at first use and kept. It runs in the precision in which the processor is fastest.

    Args:
        model: Its folder, or its id on the Hugging Face hub.
        count: How many of the best candidates the stage reads and passes on.
        text: What it reads of a passage: `full` is the whole text, `trimmed` is the evidence that the
            engine would keep, which is shorter and so faster.
        batch_size: Number of pairs in one forward pass; pairs are first sorted by length.
    """

    kind: ClassVar[str] = "cross_encoder"

    model: str
    count: int = 20
    text: Text = "full"
    batch_size: int = 32

    def __post_init__(self) -> None:
        """Check every field."""
        Stage.__post_init__(self)
        check("model", self.model, isinstance(self.model, str) and bool(self.model), "a folder or a hub id")
        check_text(self.text)
        check("batch_size", self.batch_size, is_count(self.batch_size, 1), "an integer of at least 1")

    def run(self, request: Request, candidates: Sequence[Candidate] | None) -> list[Candidate]:
        """Rank the best candidates; see `Stage.run`.

        Raises:
            ConfigError: It is the first stage.
            CheckpointError: The model cannot be opened, or gives no score.
        """
        read = with_texts(request, candidates, self.text, self.count, self.kind)
        if not read:
            return []
        scores = self._scores([(request.query, text) for _, text in read])
        return best_first(
            [one.scored(self.label, score) for (one, _), score in zip(read, scores.tolist(), strict=True)]
        )

    def _scores(self, pairs: list[tuple[str, str]]) -> NDArray[np.float32]:
        """Score pairs of question and passage, (n,)."""
        with _LOCK:
            scores = np.asarray(
                _open(self.model).predict(pairs, batch_size=self.batch_size, show_progress_bar=False), np.float32
            )
        if not np.isfinite(scores).all():
            raise CheckpointError(f"the cross-encoder {self.model!r} gave scores that are not finite")
        return scores


@functools.cache
def _open(name: str) -> Model:
    """Load a model, once a process.

    Raises:
        CheckpointError: Nothing there, damaged files, or a model without a trained score.
    """
    from sentence_transformers import CrossEncoder as Model  # only where it is used

    from fgr_retriever.model.hub import locate_model
    from fgr_retriever.model.loading import loading

    place = locate_model(name)
    _refuse_untrained(name, place)
    with loading(f"the cross-encoder {name!r}", place):
        model: Model = Model(place)
    if model.num_labels != 1:
        raise CheckpointError(f"the cross-encoder {name!r} gives {model.num_labels} scores for a pair, not one")
    model.to(best_dtype(model.device)).eval()
    return model


def _refuse_untrained(name: str, place: str) -> None:
    """Refuse a model that sentence-transformers would give a random last layer."""
    from fgr_retriever.model.checkpoint import read_model_json  # imports sentence-transformers

    settings = read_model_json(place, "config_sentence_transformers.json") or {}
    config = read_model_json(place, "config.json") or {}
    kinds = [str(one) for one in config.get("architectures") or ()]
    if settings.get("model_type") == "CrossEncoder" or any(one.endswith("ForSequenceClassification") for one in kinds):
        return
    found = settings.get("model_type") or ", ".join(kinds) or "no model"
    raise CheckpointError(
        f"{name!r} is no cross-encoder ({found}): its scores would be noise. Use one such as 'BAAI/bge-reranker-v2-m3'"
    )
