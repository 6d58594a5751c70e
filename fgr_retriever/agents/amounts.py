"""Numbers that a text has, and whether it has the same amount as another text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

CLOCK = "clock"
"""What a time of day measures, in hours."""

CLOCK_TO_THE_SECOND = "clock to the second"
"""What a time of day with seconds measures, in hours; it is also the time without them."""

DATE = "date"
"""What a number of a date measures that may be the day or the month."""

NUMBERING = "#"
"""The label of a number of a section, a room or the like."""

LIST = "."
"""The label of the number of a list item."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of a text.

    Args:
        start: Its first character.
        end: One past the last character of it and its unit; `start` if a word implies it.
        value: The number in the base unit of what it measures; a share is from 0 to 1.
        measured: What it measures, such as "time"; empty if no known unit follows.
        written: The number as written, without its unit.
        implied: True for what may be a number or not: "a week", which may say how often, or "one" by itself.
        others: What else the number as written may be: "5,190" is 5190 or 5.19.
        label: What makes it no amount: "b" in "B-12", `NUMBERING` in "section 7", `LIST`; empty if nothing does.
        counted: The stem of the word behind it if it is the number of something without a unit: "12 people".
    """

    start: int
    end: int
    value: float
    measured: str
    written: float
    implied: bool = False
    others: tuple[float, ...] = ()
    label: str = ""
    counted: str = ""

    @property
    def readings(self) -> Iterator[tuple[float, float]]:
        """Its value and the number as written, in each of its meanings."""
        yield self.value, self.written
        size = self.value / self.written if self.written else 1.0
        yield from ((other * size, other) for other in self.others)


class Amounts:
    """The amounts of some quantities, to look others up.

    Args:
        known: The quantities.
    """

    def __init__(self, known: Iterable[Quantity]) -> None:
        self._amounts: dict[str, dict[float, Quantity]] = {}
        self._written: dict[float, Quantity] = {}
        self._labels: dict[float, list[Quantity]] = {}
        self._bare: dict[float, list[Quantity]] = {}
        for one in known:
            if one.implied and not one.measured:
                continue
            self._add(one)
            if one.measured == CLOCK_TO_THE_SECOND:
                minute = int(one.value * 60 + 1e-6) / 60
                self._add(replace(one, value=minute, written=minute, measured=CLOCK))

    def _add(self, one: Quantity) -> None:
        for value, written in one.readings:
            if one.label:
                self._labels.setdefault(_rounded(value), []).append(one)
                continue
            if not one.measured:
                self._bare.setdefault(_rounded(value), []).append(one)
            self._amounts.setdefault(one.measured, {})[_rounded(value)] = one
            if one.start < one.end:  # the month of "April" is written nowhere
                self._written.setdefault(_rounded(written), one)

    def __contains__(self, one: Quantity) -> bool:
        """Say whether one of them may be the same amount; if one has no unit, whether the number may be the same.

        A label is none of the amounts, and the other way round; a number by itself may be either.
        """
        numbers = [_rounded(written) for _, written in one.readings]
        if one.label:
            return any(
                any(_are_alike(one.label, other.label) for other in self._labels.get(number, ()))
                or any(not other.counted for other in self._bare.get(number, ()))
                for number in numbers
            )
        if not one.measured and not one.counted and any(number in self._labels for number in numbers):
            return True
        bare = self._amounts.get("", {}) if one.measured else self._written
        same = self._amounts.get(one.measured, {})
        return any(_rounded(value) in same for value, _ in one.readings) or any(number in bare for number in numbers)

    def has_otherwise(self, one: Quantity) -> bool:
        """Say whether a number that is not among them stands there as a label, or a label as an amount."""
        known = self._written if one.label else self._labels
        return any(_rounded(written) in known for _, written in one.readings)

    def rivals(self, one: Quantity) -> bool:
        """Say whether one of them has the unit of a number, or counts the same, or has the same label."""
        if one.measured:
            return self.rival(one.measured) is not None
        if one.label:
            return any(other.label == one.label for known in self._labels.values() for other in known)
        return any(other.counted == one.counted != "" for known in self._bare.values() for other in known)

    def rival(self, measured: str) -> Quantity | None:
        """Give the first that measures something and is not only implied, None if nothing does."""
        return next((one for one in self._amounts.get(measured, {}).values() if not one.implied), None)


def _are_alike(label: str, other: str) -> bool:
    """Say whether two labels may be of one thing: the letters of identifiers must be the same."""
    return label == other or not {label, other}.isdisjoint((NUMBERING, LIST))


def _rounded(number: float) -> float:
    return float(f"{number:.7g}")
