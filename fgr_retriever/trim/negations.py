# ruff: noqa: RUF001, SIM905 (the typographic apostrophe is meant, and a word list reads best as text)
"""Where a piece of a sentence may end without turning it round: never beside a negation that it cuts off.

Some of the commonest words of German, French and Spanish are told, too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.evidence.spans import Ranges
from fgr_retriever.text.query_words import query_words

_NEGATIONS = frozenset(
    "no not never nor neither without cannot nicht kein keine keinen keinem keiner nie niemals ohne "
    "pas jamais sans nunca jamás sin".split()
)
_EXCEPTIONS = frozenset("but except unless without sondern außer sauf salvo excepto ohne sans sin".split())
_STOPS = ".,;:!?…—–|"
_REACH = 5  # words on each side of a negation that may belong to it


def is_negation(word: str) -> bool:
    """Say whether a word turns a statement round."""
    plain = word.casefold().replace("’", "'")
    return plain in _NEGATIONS or plain.endswith("n't")


def free_edges(text: str, words: Ranges) -> NDArray[np.bool_]:
    """Say where a run of words may begin or end: before each word, and behind the last one.

    A negation keeps what it negates: all up to the first word behind it that has a meaning of its own, and back to the
    last one before it. An exception begins its clause, so a run may end before it.

    Args:
        text: Any text.
        words: Ranges of it, ascending, (n, 2).

    Returns:
        (n + 1,); an edge between words i - 1 and i has the number i.
    """
    found = [text[start:end] for start, end in words.tolist()]
    free = np.ones(len(found) + 1, dtype=np.bool_)
    for place, word in enumerate(found):
        turns, excepts = is_negation(word), word.casefold() in _EXCEPTIONS
        if turns or excepts:
            first = _first(text, words, found, place, excepts)
            free[first + 1 : _last(text, words, found, place) + 1] = False
    return free


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
