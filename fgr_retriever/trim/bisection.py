"""Find by bisection how much fits: each trial counts the tokens of a whole context, so few are made."""

from __future__ import annotations

from collections.abc import Callable


def most(limit: int, fits: Callable[[int], bool]) -> int:
    """Find the largest number up to a limit that fits, if all smaller ones do; 0 if not even 1 does."""
    fitting, too_many = 0, limit + 1
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        if fits(middle):
            fitting = middle
        else:
            too_many = middle
    return fitting
