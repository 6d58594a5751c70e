# ruff: noqa: SIM905 (word lists read best as text)
"""Numbers of a text with their units, so that "five seconds" equals "5 s" and "half" equals "50 %".

Each quantity has its value in the base unit of what it measures. Only English number words are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import regex

from fgr_retriever.agents.amounts import CLOCK, CLOCK_TO_THE_SECOND, Quantity
from fgr_retriever.agents.dates import Date, dates
from fgr_retriever.agents.digits import NUMBER, numbers
from fgr_retriever.agents.units import UNIT_OF

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
_WORDS = {word: float(value) for value, word in enumerate(f"{_SMALL} eighteen nineteen".split())}
_WORDS |= {word: 10.0 * n for n, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
_POWERS = {"hundred": 100.0, "thousand": 1e3, "million": 1e6, "billion": 1e9}
_DAYS = {word: float(day) for day, word in enumerate("first second third fourth fifth sixth".split(), 1)}
_TIMES = {"once": 1.0, "twice": 2.0, "thrice": 3.0}
_FRACTIONS = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
# "a third-order lens" and "a third lens", not "a third of the ships", "by a third in May" or "a third died"
_PART = (
    "of|in|by|to|and|or|than|more|less|fewer|as|at|from|for|on|with|during|since|after|before|between|per|the|a|an|his|her|"
    r"its|their|this|that|is|are|was|were|has|have|had|will|would|can|could|may|did|do|does|not|live|die|\p{L}+ed"
)
_ORDINAL = (
    r"(?<=\b[Aa]n?[ \t]{1,3})(?P<ordinal>third|fifth|sixth|eighth|tenth)"
    rf"(?=[-\u2011]\p{{L}}|[ \t]+(?!(?:{_PART})\b)\p{{L}})"
)
_TOKEN = regex.compile(
    r"(?P<sign>(?<![\p{L}\d])[-\N{MINUS SIGN}](?=\d))|(?<![\d:])\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?![\d:])"
    rf"|(?P<number>{NUMBER})|{_ORDINAL}|°[CcFf]?|[%‰€$£]"
    r"|\p{L}\.\p{L}\.|\p{L}++(?:['\N{RIGHT SINGLE QUOTATION MARK}]\p{L}++)?|[-|\N{EN DASH}]"
    r"|(?P<line>[\r\n])(?=[ \t]*\p{L}[\p{L}\p{N}_ ]{0,40}[:=\N{FULLWIDTH COLON}])"  # before a key
)
_HALF_OF_DAY = {"a.m.": 0.0, "am": 0.0, "p.m.": 12.0, "pm": 12.0}
_ONE = frozenset("a an each every per".split())
_LEADS_TO_ONE = frozenset("within after for in than about least most last lasts take takes".split())
_SIGNS = frozenset("€$£")
_BESIDE_ONCE = frozenset("a per each every only just than least most or daily weekly monthly yearly".split())
_BORDER = "|"  # of a cell, or of a line with a key: no unit of another one stands behind it
_RANGE = frozenset("to and or - \N{EN DASH}".split())


class _Token(NamedTuple):
    """A word, a number or a sign; of a number what it is, and what else it may be."""

    word: str
    start: int
    end: int
    value: float = 0.0
    others: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class _Read:
    """A quantity, and the tokens that it was read from: the first, and one past the last."""

    found: Quantity
    first: int
    last: int


def quantities(text: str) -> list[Quantity]:
    """Find the numbers of a text, with their units.

    Args:
        text: Any text.

    Returns:
        The quantities in the order of the text. "4 to 6 weeks" are two with the same unit; "2 hours and 20 minutes"
        is one. A date in digits gives its day, its month and its year.
    """
    known = [one for one in dates(text) if one.numbers]
    tokens = list(_tokens(text, known))
    words = [token.word for token in tokens]
    found: list[_Read] = []
    for one in _scan(words):
        start, end = tokens[one.first].start, tokens[one.last - 1].end
        others = tuple(
            other * (one.found.written / token.value if token.value else 1.0)  # what "million" makes of it
            for token in tokens[one.first : one.last]
            for other in token.others
        )
        found.append(replace(one, found=replace(one.found, start=start, end=end, others=others)))
        _join(words, found)
    in_dates = [number for one in known for number in one.numbers]
    return sorted([*(one.found for one in found), *in_dates], key=lambda one: one.start)


def _tokens(text: str, dates: Sequence[Date]) -> Iterator[_Token]:
    """Cut a text; a date in digits is one sign, which parts what stands around it."""
    inside = {place: one for one in dates for place in range(one.start, one.end)}
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        if match["line"] or start in inside:
            if match["line"] or start == inside[start].start:
                yield _Token(_BORDER, start, end)
        elif match["number"]:
            for one in numbers(text, start, end):
                yield _Token(f"{one.value!r}", *one)
        elif match["ordinal"]:
            yield _Token(f"{match.group()}-", start, end)  # no part of a fraction
        else:
            yield _Token("minus" if match["sign"] else _plain(match.group()), start, end)


def _plain(word: str) -> str:
    return word.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def _scan(words: list[str]) -> Iterator[_Read]:
    place = behind = 0
    while place < len(words):
        read = _quantity(words, place, behind)
        if read is None:
            place += 1
        else:
            yield read
            place = behind = read.last


def _quantity(words: list[str], first: int, behind: int) -> _Read | None:
    """Read the quantity that begins at a word, if one does; words before `behind` belong to another one."""
    if words[first] in _TIMES and not _is_conjunction(words, first):
        return _read(first, first + 1, _TIMES[words[first]], ("times", 1.0))
    if ":" in words[first]:
        return _time(words, first)
    if words[first] in _DAYS and words[first + 1 : first + 2] == ["of"] and words[first + 2 : first + 3] != ["the"]:
        return _read(first, first + 1, _DAYS[words[first]], None)  # the first of June
    fraction = _fraction(words, first)
    number = fraction or _number(words, first)
    if number is None:
        return _one(words, first)
    value, place = number
    following = words[place] if place < len(words) else ""
    if following in _HALF_OF_DAY or following == "o'clock":
        return _read(first, place + 1, _of_day(value, following), (CLOCK, 1.0))
    unit, end = _unit(words, place)
    if fraction and following == "of" and words[place + 1 : place + 2] in (["a"], ["an"]):  # a quarter of an hour
        unit, end = _unit(words, place + 2)
    if unit is None and fraction:
        return _read(first, place, value, ("share", 1.0))
    if unit is None and first > behind and UNIT_OF.get(words[first - 1], ("",))[0] in ("euros", "dollars", "pounds"):
        unit, first = UNIT_OF[words[first - 1]], first - 1  # "EUR 50"
    value, end = _and_a_half(words, value, end)
    read = _read(first, end, value, unit)
    pronoun = unit is None and words[first:end] == ["one"]  # as in "one of them"
    return replace(read, found=replace(read.found, implied=pronoun))


def _time(words: list[str], place: int) -> _Read:
    """Read a time such as "14:22", "2:22 p.m." or "14:22:31,123", of which the fraction is left out."""
    hour, minute, *second = words[place].replace(",", ".").split(":")
    value = int(hour) + int(minute) / 60 + (int(float(second[0])) / 3600 if second else 0)
    half = words[place + 1] if place + 1 < len(words) and words[place + 1] in _HALF_OF_DAY else ""
    measured = CLOCK_TO_THE_SECOND if second else CLOCK
    return _read(place, place + 1 + bool(half), _of_day(value, half), (measured, 1.0))


def _of_day(hour: float, half: str) -> float:
    """Give the hour of the day in [0, 24)."""
    return hour % 12 + _HALF_OF_DAY[half] if half in _HALF_OF_DAY else hour


def _read(first: int, last: int, written: float, unit: tuple[str, float] | None) -> _Read:
    measured, size = unit or ("", 1.0)
    return _Read(Quantity(0, 0, written * size, measured, written), first, last)


def _is_conjunction(words: list[str], place: int) -> bool:
    """Tell "once it has ended" and "at once" from "once a week" and "only once"."""
    before, after = words[max(place - 1, 0) : place], words[place + 1 : place + 2]
    if words[place] != "once" or words[place + 1 : place + 3] == ["in", "a"]:
        return False
    return before == ["at"] or (bool(after) and not {*before, *after} & _BESIDE_ONCE)


def _one(words: list[str], first: int) -> _Read | None:
    """Read "within an hour" as one hour, and "an hour" or "each hour" as what may be one."""
    unit, end = _unit(words, first + 1) if words[first] in _ONE else (None, 0)
    if unit is None or unit[0] == "times":
        return None
    value, end = _and_a_half(words, 1.0, end)
    told = value > 1 or (words[first] in ("a", "an") and first > 0 and words[first - 1] in _LEADS_TO_ONE)
    read = _read(first, end, value, unit)
    return replace(read, found=replace(read.found, implied=not told))


def _number(words: list[str], place: int) -> tuple[float, int] | None:
    """Read a number in digits or words; give its value and the place behind it."""
    sign = -1.0 if words[place] == "minus" else 1.0
    place += sign < 0
    if place < len(words) and words[place][0].isdigit():
        value, place = float(words[place]), place + 1
        while place < len(words) and words[place] in _POWERS:
            value, place = value * _POWERS[words[place]], place + 1
        return sign * value, place
    read = _spelled(words, place)
    if read is None:
        return None
    value, place = read
    if words[place : place + 2] == ["and", "a"] and words[place + 2 : place + 3] == ["half"]:
        return sign * (value + 0.5), place + 3
    return sign * value, place


def _spelled(words: list[str], place: int) -> tuple[float, int] | None:
    """Read a number in words, such as "two hundred and fifty" or "twenty-eight"."""
    total, group, first = 0.0, 0.0, place
    if words[place : place + 1] in (["a"], ["an"]) and words[place + 1 : place + 2] and words[place + 1] in _POWERS:
        group, place, first = 1.0, place + 1, place + 1
    while place < len(words):
        word = words[place]
        if word in _WORDS and (place == first or _goes_on(words, place)):
            group += _WORDS[word]
        elif word == "hundred" and group:
            group *= 100
        elif word in _POWERS and group:
            total, group = total + group * _POWERS[word], 0.0
        elif not (word in ("-", "and") and place > first and _goes_on(words, place + 1)):
            break
        place += 1
    return (total + group, place) if place > first else None


def _goes_on(words: list[str], place: int) -> bool:
    """Say whether a word continues the number before it: "twenty-eight", "hundred and five", not "four, six"."""
    if place >= len(words) or words[place] not in _WORDS:
        return False
    before = words[place - 1]
    if before == "-":
        return place >= 2 and words[place - 2] in _WORDS and _WORDS[words[place - 2]] >= 20
    return before in _POWERS or (before == "and" and place >= 2 and words[place - 2] in _POWERS) or _is_ten(before)


def _is_ten(word: str) -> bool:
    return word in _WORDS and _WORDS[word] >= 20


def _fraction(words: list[str], place: int) -> tuple[float, int] | None:
    """Read "half", "a third" or "two thirds"; "half an hour" is read up to its unit."""
    word = words[place]
    if word == "half":
        after = words[place + 1 : place + 2]
        return 0.5, place + 1 + (after in (["a"], ["an"]) and _unit(words, place + 2)[0] is not None)
    count = 1.0 if word in ("a", "an") else _WORDS.get(word)
    part = words[place + 1].removesuffix("s") if place + 1 < len(words) else ""
    if count is None or part not in _FRACTIONS:
        return None
    return count / _FRACTIONS[part], place + 2


def _unit(words: list[str], place: int) -> tuple[tuple[str, float] | None, int]:
    """Read a unit; give it and the place behind it."""
    at = place + (words[place : place + 1] == ["-"])
    word = words[at] if at < len(words) else ""
    if word == "per" and words[at + 1 : at + 2] == ["cent"]:
        return UNIT_OF["percent"], at + 2
    unit = UNIT_OF.get(word) or UNIT_OF.get(word.removesuffix("'").removesuffix("s"))
    before_its_number = word in _SIGNS and at + 1 < len(words) and words[at + 1][0].isdigit()  # "$5"
    if unit is None or before_its_number:
        return None, place
    return unit, at + 1 + (words[at + 1 : at + 2] == ["celsius"])


def _and_a_half(words: list[str], value: float, place: int) -> tuple[float, int]:
    """Read "an hour and a half"."""
    if words[place : place + 3] == ["and", "a", "half"]:
        return value + 0.5, place + 3
    return value, place


def _join(words: list[str], found: list[_Read]) -> None:
    """Join the last two quantities if they are one, or give the first of a range the unit of the second."""
    if len(found) < 2:
        return
    before, last = found[-2:]
    between = words[before.last : last.first]
    one, two = before.found, last.found
    if len(between) == 1 and between[0] in _RANGE and not one.measured and two.measured:
        value = one.written * two.value / two.written if two.written else one.value
        found[-2] = replace(before, found=replace(one, value=value, measured=two.measured))
    elif between in ([], ["and"]) and one.measured == two.measured in ("time", "months") and _is_part(two, one):
        found[-2:] = [_Read(replace(one, end=two.end, value=one.value + two.value), before.first, last.last)]


def _is_part(minutes: Quantity, hours: Quantity) -> bool:
    """Say whether a quantity is less than one unit of the one before it."""
    return hours.written > 0 and minutes.value < hours.value / hours.written
