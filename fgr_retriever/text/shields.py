"""What is one to the sentence around it: the brackets of a call, a formula, a short quotation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import regex

from fgr_retriever.text.atoms import outside_atoms

# What is never cut inside: the brackets of a call, a formula, a short quotation. Bounded, for stray marks.
_SHIELD = regex.compile(
    r"(?<=[\w\\])(?:\((?:[^()\r\n]|\([^()\r\n]{0,100}\)){0,300}\)|\[[^\[\]\r\n]{0,200}\])"
    r"|\{[^{}\r\n]{0,200}\}|(?<=\s)\([^()\r\n]{1,60}\)"
    r"|(?<![\w$])\$(?![\s$])[^$\r\n]{1,200}(?<![\s$\\])\$(?![\w$])"
    r"|(?<!\w)\"(?=\S)[^\"\r\n]{1,80}(?<=\S)\"(?!\w)|“[^“”\r\n]{1,80}”|«[^«»\r\n]{1,80}»|„[^„“”\r\n]{1,80}[“”]"
)
_SHIELD_MARK = regex.compile(r"[({\[$\"“«„]")


Border: TypeAlias = tuple[int, regex.Match[str]]
"""A place in a text, with the match that found it."""


def outside_shields(text: str, start: int, end: int, borders: Iterable[Border]) -> Iterator[Border]:
    """Yield the matches that lie in no inline code, link, call, formula or quotation.

    Args:
        text: Any text.
        start: First character of the sentence.
        end: One past its last character.
        borders: A place and a match for each, ascending.
    """
    free = outside_atoms(text, start, end, borders)
    if _SHIELD_MARK.search(text, start, end) is None:
        yield from free
        return
    shields = (shield.span() for shield in _SHIELD.finditer(text, start, end))
    shield = next(shields, (end, end))
    for border, match in free:
        while shield[1] < border:
            shield = next(shields, (end, end))
        if not shield[0] < border < shield[1]:
            yield border, match
