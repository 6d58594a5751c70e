"""What speaks against a sentence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a sentence may say something else than its source.

    Args:
        reason: What differs.
        certain: False if the rules cannot tell.
    """

    reason: str
    certain: bool = True


def differ(told: str, said: str) -> Doubt:
    """Make the doubt that a source has one word where a sentence has another."""
    return Doubt(f'the source says "{told}" where the sentence says "{said}"')
