"""Dates of a text: "2026-11-23", "23/11/2026", "23.11.2026", and the month of "Nov 23, 2026".

A date in digits has the numbers of its day and its year, and a month. "06/11/2026" may be in June or in November;
with full stops, the day stands first. The names of months are English.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import regex

from fgr_retriever.agents.amounts import DATE, Quantity

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
"""The English names of the months, in order."""

_YEAR = r"(?:1[5-9]|20)\d\d"
_DIGITS = regex.compile(
    r"(?<![\p{L}\p{N}]|\p{N}[./-])(?:"
    rf"(?P<year>{_YEAR})(?P<mark>[-/.])(?P<month>\d{{1,2}})(?P=mark)(?P<day>\d{{1,2}})"
    rf"|(?P<first>\d{{1,2}})(?P<sign>[-/.])(?P<second>\d{{1,2}})(?P=sign)(?P<last>{_YEAR})"
    r"|(?P<first>\d\d)(?P<sign>[/.])(?P<second>\d\d)(?P=sign)(?P<last>\d\d)"
    r")(?!\p{N}|[-./]\p{N})"
)
_NAMED = regex.compile(
    r"(?:(?<!\p{N})\d{1,2}(?:st|nd|rd|th)?[ \t./-]{0,2}(?:of[ ])?(?P<name>\p{L}{3,9})"
    r"|(?<!\p{L})(?P<name>\p{L}{3,9})\.?[ /-]\d{1,4})(?!\p{L})"
)
_BY_NAME = {name.casefold(): name for name in MONTHS} | {name[:3].casefold(): name for name in MONTHS}
_BY_NAME["sept"] = "September"


@dataclass(frozen=True, slots=True)
class Date:
    """A date, or the part of one that names its month.

    Args:
        start: Its first character.
        end: One past the last one.
        months: The names of the months that it may be in, at least one.
        numbers: Its day, its month and its year, if it is written in digits; otherwise none.
    """

    start: int
    end: int
    months: tuple[str, ...]
    numbers: tuple[Quantity, ...] = ()


def dates(text: str) -> list[Date]:
    """Find the dates of a text.

    Args:
        text: Any text.

    Returns:
        The dates, ascending and disjoint.
    """
    in_digits = [found for match in _DIGITS.finditer(text) if (found := _in_digits(match))]
    inside = {place for one in in_digits for place in range(one.start, one.end)}
    named = {one.start: one for one in _named(text) if one.start not in inside}
    return sorted([*in_digits, *named.values()], key=lambda one: one.start)


def _in_digits(match: regex.Match[str]) -> Date | None:
    """Read a date in digits; None if there is no such day."""
    if match["year"]:
        day, month, year, ordered = "day", "month", "year", True
    else:
        day, month, year, ordered = "first", "second", "last", match["sign"] == "."
    if not ordered and int(match[day]) <= 12 < int(match[month]):  # "11/23/2026"
        day, month = month, day
    one, two = int(match[day]), int(match[month])
    if not (1 <= one <= 31 and 1 <= two <= 12):
        return None
    unclear = not ordered and one <= 12 and one != two
    months = (MONTHS[two - 1], MONTHS[one - 1]) if unclear else (MONTHS[two - 1],)
    written = float(match[year])
    numbers = (
        Quantity(*match.span(day), one, DATE if unclear else "", one),
        Quantity(*match.span(month), two, DATE, two, implied=not unclear),
        Quantity(
            *match.span(year), written, "", written, others=(1900 + written, 2000 + written) if written < 100 else ()
        ),
    )
    return Date(*match.span(), months, numbers)


def _named(text: str) -> Iterator[Date]:
    """Find months beside a number; the number is one of the text."""
    for match in _NAMED.finditer(text, overlapped=True):
        name = _BY_NAME.get(match["name"].casefold())
        if name and match["name"][0].isupper():
            yield Date(*match.span("name"), (name,))
