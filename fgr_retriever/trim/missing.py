"""Which words of a question the kept text does not support, and which of them it may say in other words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import regex
from numpy.typing import NDArray

from fgr_retriever.evidence.hit import Hit
from fgr_retriever.evidence.spans import EvidenceSums, Ranges
from fgr_retriever.evidence.support import LEAST_MATCH, coverage
from fgr_retriever.text.query_words import QueryWord, query_words, stems
from fgr_retriever.trim.context import Source
from fgr_retriever.trim.layout import Scored

LEAST_LIKENESS = 1 / 3
"""Cosine below which an uncovered word is a stranger to the kept text."""
_LARGEST_WORD = 12  # a number up to this one is often written as a word, or is a month
_PART = regex.compile(r"[\p{L}\p{M}\p{N}]+")
_BETWEEN_GROUPS = regex.compile(r"(?<=\d)[,.'’\s](?=\d{3}(?!\d))")  # noqa: RUF001


def missing_words(
    query: str, hits: Sequence[Hit], passages: Sequence[Scored], kept: Sequence[Ranges], sources: Sequence[Source]
) -> dict[QueryWord, float]:
    """Find the content words of a question that neither a kept token nor the name of a cited source matches.

    A word that the model did not read, because the question is too long, counts as not matched. A number, or a word
    with a digit in it, is matched by itself only: to the model, "E44" is much like "E21".

    Args:
        query: The question.
        hits: The passages with their support for it.
        passages: The same passages.
        kept: The ranges of each that count.
        sources: The sources that are cited.

    Returns:
        For each of them, in the order of the question, the cosine of what is most like it, in [-1, 1].
    """
    tokens = [_kept_tokens(passage, ranges) for passage, ranges in zip(passages, kept, strict=True)]
    matches = coverage([hit.support for hit in hits], tokens)
    origins = [passages[i].origin for source in sources for i in source.positions]
    words = [word for word in query_words(query) if word.is_content]
    said = ""
    if any(_literal_parts(word) for word in words):
        texts = [one.text[start:end] for one, ranges in zip(passages, kept, strict=True) for start, end in ranges]
        said = _flattened([*texts, *(" ".join((one.title, *(one.source or ()))) for one in origins)])

    def is_matched(word: QueryWord) -> bool:
        if parts := _literal_parts(word):
            return all(_stands_in(part, said) for part in parts)
        return matches.get(word, -1.0) >= LEAST_MATCH or any(one.names(set(stems(word.text))) for one in origins)

    return {word: matches.get(word, -1.0) for word in words if not is_matched(word)}


def reworded(query: str, missing: Mapping[QueryWord, float]) -> tuple[str, ...]:
    """List the missing words that the kept text may say in other words: no names, no numbers, and not far from it.

    A name is a word with a capital, unless it is the first of the question or all words have one.
    """
    is_cased = any(word.text.islower() for word in query_words(query) if word.is_content)
    return tuple(
        word.text
        for word, likeness in missing.items()
        if likeness >= LEAST_LIKENESS
        and not any(map(str.isdigit, word.text))
        and word.text.casefold() != word.text.upper()  # of a script without cases
        and not any(map(str.isupper, word.text[1:]))
        and not (is_cased and word.start and word.text[0].isupper())
    )


def _literal_parts(word: QueryWord) -> list[str]:
    """Give the parts of a word that stand in a text as they are or not at all."""
    parts = [part for part in _PART.findall(word.text.casefold()) if any(map(str.isdecimal, part))]
    return [part for part in parts if not part.isdecimal() or int(part) > _LARGEST_WORD]


def _flattened(texts: Iterable[str]) -> str:
    """Write texts without case, and numbers without marks between their groups."""
    return _BETWEEN_GROUPS.sub("", "\n".join(texts).casefold())


def _stands_in(part: str, said: str) -> bool:
    """Say whether a number or a word with a digit stands in flattened text, "E21" also as "E-21" or "E 21"."""
    if part.isdecimal():
        return regex.search(rf"(?<!\d){part}(?!\d)", said) is not None
    signs = r"[\s_./-]?".join(regex.findall(r"\p{N}+|[^\p{N}]+", part))
    return regex.search(rf"(?<![^\W_]){signs}(?![^\W_])", said) is not None


def _kept_tokens(passage: Scored, kept: Ranges) -> NDArray[np.bool_]:
    """Say which tokens of a passage lie in the kept ranges, (t,) bool."""
    anchors = EvidenceSums.of(passage.evidence).anchors
    place = kept[:, 0].searchsorted(anchors, "right") - 1
    inside: NDArray[np.bool_] = (place >= 0) & (anchors < np.append(kept[:, 1], 0)[place])
    return inside
