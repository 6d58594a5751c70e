"""Numbers in digits: what they may mean, and where a comma parts the cells of a row.

"5,190" may be 5190 or 5.19, and in a row of separated values 5 and 190: nobody can tell, so each counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import regex

NUMBER = r"\d+(?:[.,]\d++(?!:\d))*"
"""The pattern of a number in digits."""

_GROUPED = {mark: regex.compile(rf"[1-9]\d{{0,2}}(?:\{mark}\d{{3}})+") for mark in ".,"}


class Digits(NamedTuple):
    """A number of a text.

    Args:
        start: Its first character.
        end: One past the last one.
        value: The number.
        others: What else it may be.
    """

    start: int
    end: int
    value: float
    others: tuple[float, ...]


def numbers(text: str, start: int, end: int) -> Iterator[Digits]:
    """Read a range that `NUMBER` matches.

    Args:
        text: Any text.
        start: First character of the range.
        end: One past the last one.

    Yields:
        The number; of cells of a row, each. Each may be the whole, too.
    """
    written = text[start:end]
    known = _readings(written)
    if not _is_row(text, start, end, known):
        known = known or (_version(written),)
        yield Digits(start, end, known[0], known[1:])
        return
    for cell in written.split(","):
        own = _readings(cell) or (_version(cell),)
        yield Digits(start, start + len(cell), own[0], (*own[1:], *known))
        start += len(cell) + 1


def _readings(written: str) -> tuple[float, ...]:
    """Give what a number may be, the likeliest first: none for a version such as 4.2.1 or a list such as 1,2,3."""
    last = "." if written.rfind(".") > written.rfind(",") else ","
    other = ",."[last == ","]
    if other in written:
        head, _, tail = written.rpartition(last)
        return (float(f"{head.replace(other, '')}.{tail}"),) if _GROUPED[other].fullmatch(head) else ()
    decimal = (float(written.replace(last, ".")),) if written.count(last) < 2 else ()
    whole = (float(written.replace(last, "")),) if _GROUPED[last].fullmatch(written) else ()
    return whole + decimal if last == "," else decimal + whole


def _version(written: str) -> float:
    """Read of a version such as 4.2.1 only what tells it apart."""
    head, _, tail = written.replace(",", ".").partition(".")
    return float(f"{head}.{tail.replace('.', '0')}")


def _is_row(text: str, start: int, end: int, known: tuple[float, ...]) -> bool:
    """Say whether the commas of a number may part cells, by what stands around it."""
    if text.find(",", start, end) < 0:
        return False
    before, after = text[max(start - 2, 0) : start], text[end : end + 2]
    if before[-1:] == '"':
        return False
    joined = before[-1:] == "," or (after[:1] == "," and not after[1:].isspace() and len(after) > 1)
    in_name = before[-1:].isalpha() or before[-1:] == "_" or (before[-1:] == "-" and before[:1].isalnum())
    alone = before[-1:] in ("", "\n") and after[:1] in ("", "\r", "\n") and "\n" in before + after
    return not known or joined or in_name or alone or (before[-1:] == "[" and after[:1] == "]")
