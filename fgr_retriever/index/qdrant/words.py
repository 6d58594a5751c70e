"""BM25 in a collection: words as a sparse vector, and the server knows how rare each is.

A word is a dimension: 32 bits of its hash. A passage has there what BM25 makes of its number in the text, saturated and
by the length of the text; the server multiplies it with the word's inverse document frequency. Words are prepared as
in a folder (`fgr_retriever.index.storage.lexicon`).

The mean length of a passage is in every weight, and so it is kept: first that of the passages that were written first,
from `LEARNED_FROM` passages on that of a sample of all, for good.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from qdrant_client import models

from fgr_retriever.errors import ConfigError
from fgr_retriever.index.qdrant.centroids import LEARNED_FROM
from fgr_retriever.index.qdrant.facts import read_words, write_words
from fgr_retriever.index.qdrant.layout import PASSAGE, WORDS, damaged, passage_of
from fgr_retriever.index.qdrant.reading import all_passages, batches, scroll
from fgr_retriever.index.qdrant.server import Server
from fgr_retriever.index.storage.lexicon import KeptWords, Lexicon, check_language, fingerprint

logger = logging.getLogger(__name__)

K1, B = 1.2, 0.75
"""As in a folder, where FTS5 has them."""
_SAMPLED = 10_000  # passages
_TOLD = 256  # passages of one request


class Words:
    """The words of a collection.

    Args:
        server: The collection.
    """

    def __init__(self, server: Server) -> None:
        self._server, self._kept, self._warned = server, read_words(server), False

    def refresh(self) -> None:
        """Read again how words are kept, in case another process has settled the mean length since."""
        if self._kept and self._kept.passages < LEARNED_FROM:
            self._kept = read_words(self._server)

    @property
    def language(self) -> str:
        """The language, as in `IndexConfig.words`; empty where no words are kept."""
        return self._kept.language if self._kept else ""

    def query(self, text: str) -> models.SparseVector | None:
        """Give the words of a question, each as often as it comes; None if none counts.

        Raises:
            ConfigError: The collection keeps no words.
            MissingExtraError: The stemmer is not installed.
        """
        if not self.language:
            raise ConfigError(
                f"{self._server.place.location} keeps no words for BM25: `fgr copy` it into a new collection with "
                "--words english, or another language; a new one takes IndexConfig(words='english')"
            )
        counts = Counter(map(_dimension, self._lexicon().words(text)))
        return _sparse({word: float(count) for word, count in counts.items()})

    def vectors(self, texts: Sequence[str]) -> list[models.SparseVector | None]:
        """Make the vectors of texts; None for one without words, and for all where no words are kept.

        The first texts that are ever given settle the mean length.

        Raises:
            MissingExtraError: The stemmer is not installed.
        """
        if self._kept is None:
            return [None] * len(texts)
        lexicon = self._lexicon()
        words = [lexicon.words(text) for text in texts]
        if not self._kept.passages and any(words):
            self._kept = replace(self._kept, mean_length=_mean(words), passages=len(words))
            write_words(self._server, self._kept)
        return [_weighted(one, self._kept.mean_length) for one in words]

    def are_due(self, passages: int) -> bool:
        """Say whether the mean length is still that of a few passages, though there are many now."""
        return self._kept is not None and self._kept.passages < LEARNED_FROM <= passages

    def renew(self) -> None:
        """Settle the mean length by what is stored now, and write all vectors anew; if interrupted, do it again."""
        kept = sampled(self._server, self.language)
        self._kept = replace(kept, passages=1)  # more are known when all vectors are written
        write_words(self._server, self._kept)
        for some in batches(scroll(self._server, PASSAGE), _TOLD):
            made = zip(some, self.vectors([passage_of(one.payload).text for one in some]), strict=True)
            points = [models.PointVectors(id=one.id, vector={WORDS: vector}) for one, vector in made if vector]
            if points:
                self._server("update_vectors", points=points, wait=True)
        self._kept = kept
        write_words(self._server, kept)

    def verify(self) -> None:
        """Compare the stored words with the passages.

        Raises:
            IndexCorruptError: They differ.
            MissingExtraError: The stemmer is not installed.
        """
        if self._kept is None or not self._is_same_lexicon():
            return
        for some in batches(scroll(self._server, PASSAGE, vectors=(WORDS,)), _TOLD):
            made = self.vectors([passage_of(one.payload).text for one in some])
            for one, vector in zip(some, made, strict=True):
                stored = (one.vector or {}).get(WORDS)
                if sorted(stored.indices if stored else ()) != sorted(vector.indices if vector else ()):
                    raise damaged(one.payload, "its words are others")

    def _lexicon(self) -> Lexicon:
        """Prepare words here, and warn once if those of the collection were prepared by something else."""
        if not (self._is_same_lexicon() or self._warned):
            self._warned = True
            logger.warning(
                "the words of %s were prepared by another version (%s; here is %s): a word that they stem differently "
                "is not found. `fgr copy` the collection into a new one with --alias; that prepares all words anew.",
                self._server.place.location,
                self._kept and self._kept.lexicon,
                fingerprint(self.language),
            )
        return Lexicon(self.language)

    def _is_same_lexicon(self) -> bool:
        check_language(self.language)
        return self._kept is None or self._kept.lexicon == fingerprint(self._kept.language)


def sampled(server: Server, language: str) -> KeptWords:
    """Measure the mean length of passages by the first points, whose ids are hashes: that is as good as chance."""
    lexicon = Lexicon(language)
    texts = (passage_of(one.payload).text for one in islice(scroll(server, PASSAGE), _SAMPLED))
    mean = _mean([lexicon.words(text) for text in texts])
    return KeptWords(language, fingerprint(language), mean, all_passages(server))


def found_by(
    server: Server, words: models.SparseVector, k: int, allowed: models.Filter, payload: Sequence[str]
) -> list[Any]:
    """Find the best points by their words, best first as the server has them."""
    asked = models.QueryRequest(query=words, using=WORDS, limit=k, filter=allowed, with_payload=[*payload])
    (answer,) = server("query_batch_points", requests=[asked])
    return list(answer.points)


def _weighted(words: Sequence[str], mean_length: float) -> models.SparseVector | None:
    """Make what a passage has of BM25: all but the words' inverse document frequencies."""
    norm = K1 * (1 - B + B * len(words) / mean_length) if words else 0.0
    counts = Counter(map(_dimension, words))
    return _sparse({word: count * (K1 + 1) / (count + norm) for word, count in counts.items()})


def _sparse(weights: dict[int, float]) -> models.SparseVector | None:
    return models.SparseVector(indices=[*weights], values=[*weights.values()]) if weights else None


def _dimension(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8"), digest_size=4).digest(), "little")


def _mean(words: Iterable[Sequence[str]]) -> float:
    """Mean the lengths of passages; those without words count in a folder, too."""
    lengths = [len(one) for one in words]
    return sum(lengths) / len(lengths) if any(lengths) else 1.0
