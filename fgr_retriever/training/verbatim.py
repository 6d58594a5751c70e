# ruff: noqa: RUF001 (the look-alike characters are meant)
"""Find what a model quoted in the text that it quoted from.

Language models copy almost verbatim: they straighten quotation marks, fold white space, spell out
ligatures. Such changes are undone; words that the text does not hold are not found.
"""

from __future__ import annotations

import unicodedata

_LOOK_ALIKES = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′`´", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        "…": "...",
    }
)
_INVISIBLE = frozenset("\u00ad\u200b\u200c\u200d\u2060\ufeff")
_MARGIN = " .,;:'\"-"  # what models put round a quotation, or leave out


def locate(quote: str, text: str) -> tuple[int, int] | None:
    """Find a quotation.

    Args:
        quote: What should stand in the text.
        text: Where it should stand.

    Returns:
        The character range of its first occurrence: of the exact quotation if there is one, else of
        the same words with other quotation marks, dashes, spaces or Unicode forms. None when the
        text does not hold them, or the quotation holds no word.
    """
    bare = quote.strip()
    if not any(map(str.isalnum, bare)):
        return None
    start = text.find(bare)
    if start >= 0:
        return start, start + len(bare)
    plain, folded = _text(_folded(bare)), _folded(text)
    for wanted in (plain, plain.strip(_MARGIN)):
        start = _text(folded).find(wanted)
        if start >= 0:
            return folded[start][1], folded[start + len(wanted) - 1][1] + 1
    return None


def _text(letters: list[tuple[str, int]]) -> str:
    return "".join(letter for letter, _ in letters)


def _folded(text: str) -> list[tuple[str, int]]:
    """Give every character in its plainest form with its place: one space for many, none invisible."""
    found: list[tuple[str, int]] = []
    for place, letter in enumerate(text):
        if letter in _INVISIBLE:
            continue
        for plain in unicodedata.normalize("NFKC", letter.translate(_LOOK_ALIKES)):
            if plain.isspace():
                if found and found[-1][0] == " ":
                    continue
                plain = " "
            found.append((plain, place))
    return found
