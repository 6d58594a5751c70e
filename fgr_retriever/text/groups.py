"""Numbers that are written in groups: of phones, accounts and cards. They lose their meaning when they are cut.

The form decides, not a list of formats. A plus sign, a zero in front, or letters in the first group say that the groups
are one number. Without these it takes three groups with as many digits as a phone number has. Numbers that count up
and years are a list.
"""

from __future__ import annotations

from itertools import pairwise

import regex

_SPACE = r"[ \u00a0\u202f]"
# A group may have hyphens and slashes in it, but is no date, amount, decimal number or range of years.
_DATE = r"(?:19|20)\d\d[/\-–]\d|\d{1,2}[/\-–]\d{1,2}[/\-–](?:\d\d|\d{4})(?![\d/\-–])"  # noqa: RUF001
_GROUP = (
    rf"(?!{_DATE})\(?[A-Z\d]++(?:\)[A-Z\d]*+)?(?:[/\-–][A-Z\d]++)*+"  # noqa: RUF001
    rf"(?![\p{{L}}\p{{N}}_@]|[.,:/\-–]\p{{N}}|{_SPACE}?[%‰°\p{{Sc}}])"  # noqa: RUF001
)
_BETWEEN = rf"(?:{_SPACE}[/\-–]{_SPACE}|{_SPACE})"  # noqa: RUF001
_RUN = regex.compile(
    rf"(?V1)(?<![\p{{L}}\p{{N}}\p{{Sc}}\p{{Pc}}.,:/@#+\-–])(?:\(?\+(?=\d))?(?:[A-Z]{{2}}{_SPACE}(?=\d))?"  # noqa: RUF001
    rf"(?=[A-Z]*+\(?\d){_GROUP}(?:{_BETWEEN}(?=[A-Z]*+\(?\d|[A-Z]{{4}}{_SPACE}\d){_GROUP})++"
)
_LOOK = regex.compile(r"[A-Z\d]\)?[ \u00a0\u202f](?:[/\-–][ \u00a0\u202f])?+[(A-Z]{0,4}+ ?\d")  # noqa: RUF001
_PARTS = regex.compile(r"[A-Z\d]+")
_LEAST_ZEROED, _LEAST, _MOST = 6, 7, 20  # digits: of a number with a zero in front, of one without, of the longest
_GROUP_OF_DIGITS, _GROUP_OF_LETTERS = 4, 4  # characters of a group: at most, and exactly


def number_groups(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Find the numbers in groups with spaces between them.

    Args:
        text: Any text.
        start: First character to look at.
        end: One past the last character to look at.

    Returns:
        Their ranges, ascending and disjoint; none crosses a line break.
    """
    if _LOOK.search(text, start, end) is None:  # most prose
        return []
    return [match.span() for match in _RUN.finditer(text, start, end) if _is_one(match.group())]


def _is_one(run: str) -> bool:
    """Say whether groups are one number, and no list of numbers."""
    groups = _PARTS.findall(run)
    if groups[0].isalpha():
        groups = groups[1:]
    if not all(map(str.isdigit, groups)):
        # As in an IBAN: groups of four, only the last may be shorter.
        of_four = all(len(one) == _GROUP_OF_LETTERS for one in groups[:-1]) and len(groups[-1]) <= _GROUP_OF_LETTERS
        return of_four and len(groups) > 2 and not groups[0].isdigit() and len(groups) <= _MOST // 2
    digits = sum(map(len, groups))
    if digits > _MOST or len(groups) < 2:
        return False
    if "+" in run[:2]:
        return digits >= _LEAST
    if any(len(one) > 1 and one[0] == "0" for one in groups):
        return digits >= _LEAST_ZEROED
    short = len(groups) > 2 and max(map(len, groups)) <= _GROUP_OF_DIGITS
    return short and digits >= _LEAST and not _is_list([int(one) for one in groups])


def _is_list(numbers: list[int]) -> bool:
    """Say whether numbers are years, or count up or down in equal steps of one or of a multiple of five."""
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    counts = len(steps) == 1 and (abs(next(iter(steps))) == 1 or next(iter(steps)) % 5 == 0)
    return counts or all(1900 <= one < 2100 for one in numbers)
