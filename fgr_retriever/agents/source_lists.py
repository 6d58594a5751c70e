"""Lists of things with one amount each, such as "Key card, lost: 25 EUR": what stands before the colon names a row."""

from __future__ import annotations

from collections.abc import Sequence

import regex

from fgr_retriever.agents.statement import Statement
from fgr_retriever.agents.units import UNIT_OF

_LEAST = 2  # lines
_LINE = regex.compile(r"[ \t]*(?P<name>\p{L}[^:|\r\n]{0,60}):[ \t]+(?P<value>\S.*)")


def listed_pairs(lines: Sequence[str]) -> list[tuple[str, str]]:
    """Read lines as names with their values.

    Args:
        lines: Any lines.

    Returns:
        The pairs; none if a line is no pair, or if the values are not those of things: one amount of a kind in each.
    """
    found = [_LINE.fullmatch(line.rstrip()) for line in lines]
    pairs = [(match["name"].strip(), match["value"]) for match in found if match]
    return pairs if len(pairs) == len(lines) and are_things(pairs) else []


def are_things(pairs: Sequence[tuple[str, str]]) -> bool:
    """Say whether names with values are things with one amount each, of one kind, and not columns such as "week"."""
    kinds = {_kind(value) for _, value in pairs}
    named_by_unit = any(UNIT_OF.get(name.casefold()) for name, _ in pairs)
    return len(pairs) >= _LEAST and len(kinds) == 1 and "" not in kinds and not named_by_unit


def _kind(value: str) -> str:
    """Say what a value measures; empty if that is unknown or it has several numbers."""
    numbers = Statement(value).quantities
    return numbers[0].measured if len(numbers) == 1 else ""
