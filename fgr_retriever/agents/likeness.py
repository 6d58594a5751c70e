"""How alike the single words of a claim and of its sources are, in their context."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.evidence.support import Support
from fgr_retriever.text.query_words import query_words

_NEARLY = 0.1  # a cosine that is lower by so much may still be the best


class Likeness:
    """The cosines between the words of a claim and those of its sources, worked out when they are asked for.

    Args:
        texts: The texts of the sources.
        offsets: Character ranges of the visible tokens of each text, (t, 2), ascending.
        supports: How these tokens match the claim.
    """

    def __init__(self, texts: Sequence[str], offsets: Sequence[NDArray[np.int32]], supports: Sequence[Support]) -> None:
        self._sources = tuple(zip(texts, offsets, supports, strict=True))

    def are_twins(self, said: str, told: str, others_said: Collection[str], others_told: Collection[str]) -> bool:
        """Say whether a word of a claim has the place of a word of a source: none of the others is more like either.

        Args:
            said: The word of the claim.
            told: The word of the source.
            others_said: Words of the claim that may have the place of `told`.
            others_told: Words of the source that may have the place of `said`.

        Returns:
            True also if the model did not read one of the two.
        """
        rivals = [self._cosine(said, other) for other in others_told]
        rivals += [self._cosine(other, told) for other in others_said]
        cosine = self._cosine(said, told)
        return cosine is None or cosine + _NEARLY >= max((one for one in rivals if one is not None), default=-1.0)

    def _cosine(self, said: str, told: str) -> float | None:
        """Give the highest cosine of two words, whatever their capitals; None if the model did not read both."""
        columns = self._columns.get(said.casefold(), [])
        found = [
            float(similarities[first:last, group].max(axis=0).mean())
            for similarities, first, last in self._rows.get(told.casefold(), [])
            for group in columns
        ]
        return max(found, default=None)

    @cached_property
    def _columns(self) -> dict[str, list[NDArray[np.int64]]]:
        """The tokens of each word of the claim, once for each place where it stands."""
        found: dict[str, list[NDArray[np.int64]]] = defaultdict(list)
        for *_, told in self._sources[:1]:
            for number, word in enumerate(told.words):
                found[word.text.casefold()].append(np.flatnonzero(told.owners == number))
        return found

    @cached_property
    def _rows(self) -> dict[str, list[tuple[NDArray[np.float32], int, int]]]:
        """The similarities of each source in which a word stands, and its first and last token, for each place."""
        found: dict[str, list[tuple[NDArray[np.float32], int, int]]] = defaultdict(list)
        for text, places, told in self._sources:
            similarities = told.similarities.astype(np.float32)
            words = query_words(text)
            firsts = places[:, 1].searchsorted([word.start for word in words], "right").tolist()
            lasts = places[:, 0].searchsorted([word.end for word in words], "left").tolist()
            for word, first, last in zip(words, firsts, lasts, strict=True):
                if first < last:
                    found[word.text.casefold()].append((similarities, first, last))
        return found
