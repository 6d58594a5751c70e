"""All that an index holds, to be written into another one without encoding anything again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

from fgr_retriever.index.storage.calibration import StoredCalibration
from fgr_retriever.index.storage.lexicon import KeptWords
from fgr_retriever.model.tokens import StoredTokens, TokenBlock
from fgr_retriever.types import Passage

_REMEMBERED = 1024  # passages: more than a write takes before it asks for the tokens of the first


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """What an index is, and its passages with their tokens.

    Args:
        model: Fingerprint of the model whose vectors are stored.
        dim: Width of a token vector.
        evidence: Fingerprint of what makes the evidence codes; empty for none.
        evidence_bytes: Bytes of a token's code; 0 for none.
        importance: Whether the tokens have importance.
        calibration: What the index keeps, if anything.
        centroids: Those that search probes, (k, dim) float32; None where there are none.
        words: Those that the index keeps for BM25; None where it keeps none.
        passages: In the order in which they were added; can be read once.
    """

    model: str
    dim: int
    evidence: str
    evidence_bytes: int
    importance: bool
    calibration: StoredCalibration | None
    centroids: Tensor | None
    words: KeptWords | None
    passages: Iterator[tuple[Passage, StoredTokens]]


class Playback:
    """Plays passages of an index to a write, and their tokens in the place of an encoder.

    The same text has the same tokens, so that these are found by the text.

    Args:
        contents: Whose passages are played.
    """

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._recent: dict[str, StoredTokens] = {}

    def passages(self) -> Iterator[Passage]:
        """Give the passages, and remember the tokens of the last of them."""
        for passage, tokens in self._contents.passages:
            self._recent[passage.text] = tokens
            if len(self._recent) > _REMEMBERED:
                del self._recent[next(iter(self._recent))]
            yield passage

    def encode(self, texts: Iterable[str]) -> Iterator[TokenBlock]:
        """Give the tokens of texts among the last passages, as an encoder would."""
        for number, text in enumerate(texts):
            found = self._recent[text]
            yield TokenBlock(number, found.vectors, found.offsets, True, found.importance, found.evidence)
