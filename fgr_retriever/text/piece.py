"""A piece of a text: what no sentence crosses, and whether it may be cut."""

from __future__ import annotations

from typing import NamedTuple

LONGEST_RECORD = 1_000
"""Characters of a record beyond which it is prose with a label: its sentences are units."""


class Piece(NamedTuple):
    """A range of a text that no unit crosses.

    Args:
        start: Its first character.
        end: One past its last.
        kind: `prose` is cut into sentences and phrases, `whole` is one unit, `head` belongs to what follows,
            `silent` is never evidence.
    """

    start: int
    end: int
    kind: str


def whole(start: int, end: int) -> Piece:
    """Make a record of a range; what is too long for one is prose."""
    return Piece(start, end, "whole" if end - start <= LONGEST_RECORD else "prose")
