# ruff: noqa: RUF001, SIM905 (the typographic apostrophe is meant, and a word list reads best as text)
"""Words that say little by themselves: function words of English and words that ask."""

from __future__ import annotations

STOP_WORDS = frozenset(
    """
    a an the this that these those each every some any no such same other another all both either neither
    i me my mine myself you your yours yourself he him his she her hers it its we us our ours they them their
    theirs one ones there here
    who whom whose what which when where why how
    am is are was were be been being do does did doing done have has had having can ca could may might must shall
    should will wo would ought let
    and or but nor so yet if than then as because since while whereas although though unless until whether
    of in on at by for from to with without within into onto out off over under above below up down about
    against between among through during before after around along across behind beside besides beyond near
    per via upon toward towards
    not only just also too very much many more most less least few several quite rather even still already
    again ever never always often sometimes now please tell give explain describe get gets got use used using mean means
    """.split()
)


def is_content(word: str) -> bool:
    """Say whether a word has a meaning of its own, and not only a place in a sentence.

    Args:
        word: One word. Of other languages than English every word counts.
    """
    bare = word.casefold().replace("’", "'").removesuffix("'s")
    bare = bare.removesuffix("n't")
    return bare not in STOP_WORDS and (len(bare) > 1 or not bare.isascii() or bare.isdigit())
