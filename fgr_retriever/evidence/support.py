"""Which words of a question each token of a passage matches.

The similarities are those of late interaction (Khattab & Zaharia 2020, ColBERT, arXiv 2004.12832):
the cosine of two vectors says how well a query word supports a passage token. This costs one small
matrix product with vectors that are in memory anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.text.query_words import QueryWord

LEAST_MATCH = 0.55
"""Cosine from which the kept text supports a word of the question.

Measured with the embedded model on the demonstration passages, best five trimmed, with their ten
questions, ten foreign ones and five that they answer in part. A word that stands in the kept text
never came out below 0.73. Of the content words that do not stand there, 29 of 34 of the unanswerable
questions lie below this level ("Westphalia" 0.26, "Bluetooth" 0.54), and 6 of 12 of the answerable
ones; those above it are other forms and words for the same ("blinking" 0.84, "football" 0.66).
Synonyms and strangers overlap from 0.5 to 0.6 ("vacation" for a holiday 0.52): a word that is called
uncovered is surely not there literally, but its meaning may be. All ten foreign questions had
uncovered words, four of the five in part, and five of the ten with an answer.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Support:
    """How well each kept token of one passage matches each token of the question.

    Args:
        words: The words of the question that have a token, in the order of the question.
        owners: Number of the word that each query token belongs to, (q,) int64, ascending.
        similarities: Cosine of passage token and query token, (t, q) float16, in [-1, 1]. Special
            tokens and query expansion are left out on both sides.
    """

    words: tuple[QueryWord, ...]
    owners: NDArray[np.int64]
    similarities: NDArray[np.float16]

    def best(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the word of the question that each passage token matches best.

        Returns:
            Positions in `words`, (t,) int64, -1 if the question has no words; and the cosines,
            (t,) float32.
        """
        if not len(self.owners):
            return np.full(len(self.similarities), -1), np.zeros(len(self.similarities), np.float32)
        nearest = self.similarities.argmax(axis=1)
        cosines = np.take_along_axis(self.similarities, nearest[:, None], axis=1)[:, 0]
        return self.owners[nearest], cosines.astype(np.float32)

    def matches(self, tokens: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Give the best match of each query token among passage tokens.

        Args:
            tokens: Which passage tokens count, (t,) bool; None counts all.

        Returns:
            Cosines, (q,) float32; -1 where no token counts.
        """
        counted = self.similarities if tokens is None else self.similarities[tokens]
        found: NDArray[np.float32] = counted.astype(np.float32).max(axis=0, initial=-1.0)
        return found


def coverage(supports: Sequence[Support], tokens: Iterable[NDArray[np.bool_]]) -> dict[QueryWord, float]:
    """Give the best match of each word of a question over tokens of several passages.

    Args:
        supports: The support of each passage, all for one question; without passages there are no words.
        tokens: Which tokens of each passage count, (t,) bool each.

    Returns:
        For each word, the mean over its tokens of their best cosines, in [-1, 1].
    """
    if not supports:
        return {}
    best = np.max([one.matches(counted) for one, counted in zip(supports, tokens, strict=True)], axis=0)
    words, owners = supports[0].words, supports[0].owners
    means = np.bincount(owners, best, len(words)) / np.maximum(np.bincount(owners, minlength=len(words)), 1)
    return dict(zip(words, means.tolist(), strict=True))
