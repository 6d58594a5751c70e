# ruff: noqa: SIM905 (word lists read best as text)
"""A text as the rules on contradictions read it: words, numbers, limits, negations."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

from fgr_retriever.agents.amounts import DATE, Amounts, Quantity
from fgr_retriever.agents.dates import MONTHS, Date, dates
from fgr_retriever.agents.labels import labelled
from fgr_retriever.agents.opposites import MONTH, bound, exclusive, is_negation, stem
from fgr_retriever.agents.quantities import quantities
from fgr_retriever.text.query_words import QueryWord, query_words
from fgr_retriever.text.sentences import phrases

_TURNS_TO_ONLY = frozenset("until till before unless".split())  # "not until 1990" says "only from 1990 on"
POSTPONING = frozenset(map(stem, _TURNS_TO_ONLY))
"""The stems of the words that turn a negation to "only from then on"."""
_PASSED_OVER = frozenset(
    "a an the any anything anyone his her its their this that these those it they of to by longer more be been being "
    "have has had do does did is are was were can could may might must shall should will would".split()
)
_LEADING = frozenset("able allowed entitled need needs obliged permitted required supposed".split())  # "not able to go"
_FRONTED = frozenset(  # "at no time", "under no circumstances": what follows is negated
    "account case circumstance circumstances condition conditions event means occasion point reason time way".split()
)
_REACH = 5  # words between a negation and the limit that it turns round: "should not need it more than twice"


@dataclass(frozen=True, slots=True)
class Limit:
    """A number that is a limit, such as "at most five".

    Args:
        quantity: The number.
        words: The words that make it one.
        upper: True for "at most" and "less than", False for "at least" and "more than".
    """

    quantity: Quantity
    words: str
    upper: bool


def clauses(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Cut a sentence into clauses, but not within a quantity such as "two hours and five minutes".

    Args:
        text: Any text.
        start: First character of the sentence.
        end: One past its last character.

    Returns:
        Character ranges, ascending.
    """
    found: list[tuple[int, int]] = []
    numbers = iter(quantities(text[start:end]))
    number = next(numbers, None)
    for first, last in phrases(text, start, end):
        while number is not None and start + number.end <= first:
            number = next(numbers, None)
        if found and number is not None and start + number.start < first:
            first = start + number.end
            found[-1] = found[-1][0], first
        if first < last:
            found.append((first, last))
    return found


class Statement:
    """A sentence, or a part of one.

    Args:
        text: Its text.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def words(self) -> tuple[QueryWord, ...]:
        """Its words."""
        return query_words(self.text)

    @cached_property
    def stems(self) -> list[str]:
        """The stem of each word."""
        return [stem(word.text) for word in self.words]

    @cached_property
    def amounts(self) -> Amounts:
        """Its numbers, those that "a week" may mean among them, and those of its months in dates."""
        months = [float(MONTHS.index(name) + 1) for name in self.possible.get(MONTH, {}) if name in MONTHS]
        return Amounts([*self._found, *(Quantity(0, 0, one, DATE, one, implied=True) for one in months)])

    @cached_property
    def quantities(self) -> list[Quantity]:
        """Its numbers, without those."""
        return [one for one in self._found if not one.implied]

    @cached_property
    def _found(self) -> list[Quantity]:
        return labelled(self.text, quantities(self.text))

    @cached_property
    def exclusive(self) -> dict[int, dict[str, str]]:
        """Its months, weekdays and the like, by kind; of dates in digits, the months that are sure."""
        return self._exclusive(one for one in self._dates if len(one.months) == 1)

    @cached_property
    def possible(self) -> dict[int, dict[str, str]]:
        """The same with the months that a date may be in: "06/11/2026" may be in June or in November."""
        return self._exclusive(self._dates)

    def _exclusive(self, dates: Iterable[Date]) -> dict[int, dict[str, str]]:
        found = exclusive([word.text for word in self.words])
        for one in dates:
            for month in one.months:
                found.setdefault(MONTH, {}).setdefault(month, self.text[one.start : one.end])
        return found

    @cached_property
    def _dates(self) -> list[Date]:
        return dates(self.text)

    def told_months(self, sources: Statement) -> set[int]:
        """Give the first characters of its months beside a number that some dates of its sources may be in."""
        known = sources.possible.get(MONTH, {})
        return {one.start for one in self._dates if not one.numbers and one.months[0] in known}

    @cached_property
    def numeral(self) -> set[int]:
        """The places of the characters of its numbers and of its dates in digits."""
        written = [(one.start, one.end) for one in self.quantities]
        written += [(one.start, one.end) for one in self._dates if one.numbers]
        return {place for start, end in written for place in range(start, end)}

    @cached_property
    def tokens(self) -> list[str]:
        """Its content words by their stems, and its numbers by their values, in order."""
        found = {one.start: f"{one.value:g} {one.measured}" for one in self.quantities}
        for word, short in zip(self.words, self.stems, strict=True):
            if word.is_content and word.start not in self.numeral:
                found[word.start] = short
        for one in (date for date in self._dates if date.numbers):  # in one order, however it is written
            day, _, year = one.numbers
            parts = f"{day.value:g} ", stem(one.months[0]), f"{year.value:g} "
            found |= dict.fromkeys((number.start for number in one.numbers), "") | dict(enumerate(parts, one.start))
        return [found[place] for place in sorted(found) if found[place]]

    @cached_property
    def clauses(self) -> list[Statement]:
        """Its clauses."""
        return [Statement(self.text[start:end]) for start, end in clauses(self.text, 0, len(self.text))]

    @cached_property
    def limited(self) -> tuple[Amounts, Amounts]:
        """The numbers that are lower limits, and those that are upper ones."""
        lower, upper = ([one.quantity for one in self.limits if one.upper is side] for side in (False, True))
        return Amounts(lower), Amounts(upper)

    @property
    def limits(self) -> list[Limit]:
        """Its numbers that are limits."""
        return self._read[0]

    @property
    def free(self) -> list[int]:
        """The places of the words that make no number a limit."""
        return self._read[1]

    @cached_property
    def negations(self) -> list[int]:
        """The places of the words that negate; "less useful" has one, limits and "not until" have none."""
        lower = [word.text.casefold() for word in self.words]
        found = [place for place in self.free if is_negation(lower[place]) and not self._postponed(place)]
        if "neither" in lower:  # with "nor" it is one
            found = [place for place in found if lower[place] != "nor"]
        less = [place for place in self.free if lower[place] == "less" and place + 1 < len(lower)]
        return found + [place for place in less if "than" not in lower[place : place + 4]]

    @cached_property
    def postpones(self) -> bool:
        """Whether it says "not until" or "not before": from then on."""
        return any(is_negation(self.words[place].text) and self._postponed(place) for place in self.free)

    def negates(self, place: int) -> bool:
        """Say whether the word at a place negates: a negation, "fails to" or "lacks"."""
        short, following = self.stems[place], self.stems[place + 1 : place + 2]
        if is_negation(self.words[place].text):
            return True
        return (short == "fail" and following == ["to"]) or (short == "lack" and following not in ([], ["of"]))

    def negates_any(self, place: int, stems: Collection[str]) -> bool:
        """Say whether the negation at a place may negate one of some words, given by their stems.

        Of an adverb, as in "at no time", or of "neither", it negates a whole clause.
        """
        return self._is_fronted(place) or self.stems[place] == "neither" or self.negated(place) in stems

    def negated(self, place: int) -> str:
        """Give the stem of the first word behind a negation that is no auxiliary or article; empty without one."""
        following = [word.text.casefold() for word in self.words[place + 1 + self._is_fronted(place) :]]
        for word, after in zip(following, [*following[1:], ""], strict=False):
            if word not in _PASSED_OVER and not (word in _LEADING and after == "to"):
                return stem(word)
        return ""

    def _is_fronted(self, place: int) -> bool:
        """Say whether a negation is that of an adverb: "at no time"."""
        following = [word.text.casefold() for word in self.words[place : place + 2]]
        return len(following) > 1 and following[0] == "no" and following[1] in _FRONTED

    def _postponed(self, place: int) -> bool:
        """Say whether "until" or the like follows a negation."""
        following = {word.text.casefold() for word in self.words[place + 1 : place + 1 + _REACH]}
        return not following.isdisjoint(_TURNS_TO_ONLY)

    @cached_property
    def _read(self) -> tuple[list[Limit], list[int]]:
        """Find the limits, and the words that do not belong to one."""
        negations = {
            place + self._is_fronted(place): place for place, word in enumerate(self.words) if is_negation(word.text)
        }
        starts = [word.start for word in self.words]
        limits: list[Limit] = []
        taken: set[int] = set()
        for one in self.quantities:
            found = bound(self.text, one.start, one.end)
            if found is None:
                continue
            places = range(bisect_left(starts, found.start), bisect_left(starts, found.end))
            words, upper = self.text[found.start : found.end], found.upper
            taken.update(places)
            turning = [negations[one] for one in range(places.start - _REACH, places.start) if one in negations]
            if turning and found.is_comparison:
                words, upper = self.text[starts[turning[-1]] : found.end], not upper
                taken.add(turning[-1])
            limits.append(Limit(one, words.strip(), upper))
        return limits, [place for place in range(len(self.words)) if place not in taken]
