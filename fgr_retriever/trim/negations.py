# ruff: noqa: RUF001, SIM905 (the typographic apostrophe is meant, and a word list reads best as text)
"""Where a piece of a sentence may begin and end without turning it round: it never cuts off a negation.

Some of the commonest words of German, French and Spanish are told, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import regex
from numpy.typing import NDArray
from typing_extensions import Self

from fgr_retriever.evidence.spans import Ranges
from fgr_retriever.text.negated import negations
from fgr_retriever.text.query_words import query_words
from fgr_retriever.text.sentences import phrases as phrases_of
from fgr_retriever.text.sentences import sentences_in

_NEGATIONS = frozenset(
    "no not never nor neither nobody none nothing nowhere without cannot hardly scarcely rarely seldom "
    "nicht nichts kein keine keinen keinem keiner keines niemand nie niemals weder keinesfalls keineswegs ohne "
    "pas jamais aucun aucune sans nunca jamás ningún ninguno ninguna nadie tampoco sin "
    "non mai nessun nessuno nessuna né senza não nenhum nenhuma ninguém sem niet geen nooit zonder".split()
)
_EXCEPTIONS = frozenset("but except unless without sondern außer sauf salvo excepto ohne sans sin".split())
_STOPS = ".,;:!?…—–|"
_CLOSING = regex.compile(r"[\p{Po}\p{Pe}\p{Pf}\p{Pd}]")  # behind a word, without white space
_REACH = 5  # words on each side of a negation that may belong to it


def is_negation(word: str) -> bool:
    """Say whether a word turns a statement round."""
    plain = word.casefold().replace("’", "'")
    return plain in _NEGATIONS or plain.endswith("n't")


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Where a run of n words may begin and end; the edge between words i - 1 and i has the number i.

    Args:
        begin: Before which words it may begin, (n + 1,).
        end: Behind which words it may end, (n + 1,).
    """

    begin: NDArray[np.bool_]
    end: NDArray[np.bool_]

    @classmethod
    def of(cls, text: str, words: Ranges, phrases: Ranges | None = None) -> Self:
        """Find them.

        A negation keeps what it negates: all up to the first word behind it that has a meaning of its own, and back to
        the last one before it. An exception begins its clause, so a run may end before it. No run begins between a
        negation and the end of its phrase: the rest of the phrase alone would say the opposite. Nor does one begin
        with a mark that belongs to the word before it, such as a comma.

        Args:
            text: Any text.
            words: Ranges of it, ascending, (n, 2).
            phrases: The phrases that hold them, ascending, (m, 2); by default they are worked out.
        """
        found = [text[start:end] for start, end in words.tolist()]
        end = np.ones(len(found) + 1, dtype=np.bool_)
        for place, word in enumerate(found):
            turns, excepts = is_negation(word), word.casefold() in _EXCEPTIONS
            if turns or excepts:
                first = _first(text, words, found, place, excepts)
                end[first + 1 : _last(text, words, found, place) + 1] = False
        begin = end.copy()
        for place in range(1, len(found)):
            begin[place] &= words[place - 1, 1] < words[place, 0] or _CLOSING.match(found[place]) is None
        for low, high in _phrases(text, words) if phrases is None else phrases.tolist():
            if denied := negations(text, low, high):
                first, last = words[:, 0].searchsorted([denied[0][0], high], "right").tolist()
                begin[first:last] = False
        return cls(begin, end)


def _phrases(text: str, words: Ranges) -> Iterator[tuple[int, int]]:
    """Yield the phrases of words of records, as far as these have a negation."""
    apart = [place for place in range(1, len(words)) if not _touch(text, words, place)]
    for first, last in pairwise([0, *apart, len(words)]):
        if first < last and negations(text, int(words[first, 0]), int(words[last - 1, 1])):
            for sentence in sentences_in(text, int(words[first, 0]), int(words[last - 1, 1])):
                yield from phrases_of(text, *sentence)


def _last(text: str, words: Ranges, found: list[str], place: int) -> int:
    """Find the last word that a negation needs behind it."""
    for one in range(place + 1, min(place + _REACH + 1, len(found))):
        if not _touch(text, words, one) or found[one][0] in _STOPS:
            return one - 1
        if _is_content(found[one]):
            return one
    return min(place + _REACH, len(found) - 1)


def _first(text: str, words: Ranges, found: list[str], place: int, excepts: bool) -> int:
    """Find the first word that a negation needs before it, with the function words around that one."""
    contents = 1 if excepts else 0
    for one in range(place - 1, max(place - _REACH, 0) - 1, -1):
        if not _touch(text, words, one + 1) or found[one][-1] in _STOPS:
            return one + 1
        contents += _is_content(found[one])
        if contents > 1:
            return one + 1
    return max(place - _REACH, 0)


def _touch(text: str, words: Ranges, place: int) -> bool:
    """Say whether only a space, or a line break in a sentence, is between a word and the one before it."""
    gap = text[words[place - 1, 1] : words[place, 0]]
    if gap.strip() or "\t" in gap:
        return False
    return "\n" not in gap or (gap.count("\n") == 1 and text[words[place, 0]].islower())


def _is_content(word: str) -> bool:
    return any(part.is_content and not is_negation(part.text) for part in query_words(word))
