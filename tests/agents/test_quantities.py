# ruff: noqa: SIM905 (word lists read best as text)
"""Numbers with their units: spelled, written, converted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.agents.amounts import Amounts
from fgr_retriever.agents.quantities import quantities

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()
_ONES += "seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def spelled(number):
    """Write a whole number below a million in words."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10 - 2] + (f"-{_ONES[number % 10]}" if number % 10 else "")
    size, name = (100, "hundred") if number < 1000 else (1000, "thousand")
    rest = f" and {spelled(number % size)}" if number % size else ""
    return f"{spelled(number // size)} {name}{rest}"


@given(st.integers(2, 999_999))
def test_number_words_equal_digits(number):
    (words,), (digits,), (grouped,) = (quantities(text) for text in (spelled(number), str(number), f"{number:,}"))
    assert words.value == digits.value == grouped.value == number


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("five seconds", "5 seconds"),
        ("five seconds", "5 s"),
        ("a five-second delay", "5 s"),
        ("sixty minutes", "one hour"),
        ("within an hour", "one hour"),
        ("an hour and a half", "90 minutes"),
        ("three and a half hours", "3.5 h"),
        ("half an hour", "30 minutes"),
        ("a quarter of an hour", "15 minutes"),
        ("two hours and twenty minutes", "140 minutes"),
        ("a fortnight", "14 days"),
        ("two years", "24 months"),
        ("20 percent", "20 %"),
        ("20 per cent", "20%"),
        ("half of them", "50 %"),
        ("a fifth", "20 %"),
        ("two tenths", "a fifth"),
        ("three quarters", "75 %"),
        ("1,282 pages", "1282 pages"),
        ("0.5 kg", "500 g"),
        ("8 megabytes", "8 MB"),
        ("minus ten degrees", "-10 °C"),
        ("\N{MINUS SIGN}10 °C", "-10 degrees Celsius"),
        ("EUR 50,000", "50,000 euros"),
        ("$5", "five dollars"),
        ("4.3 billion euros", "4,300 million euros"),
        ("2 a.m.", "02:00"),
        ("3 pm", "15:00"),
        ("eight o'clock", "8:00"),
        ("twice a week", "two times a week"),
        ("the first of June", "1 June"),
        ("412 adults", "412"),
        ("5.190,50 EUR", "5190.5 euros"),
        ("5.190 EUR", "5190 euros"),
        ("5,190 kg", "5.19 kg"),
        ("3:40 p.m.", "15:40"),
        ("14:22:31,123", "2:22:31 pm"),
    ],
)
def test_the_same_amount(one, other):
    (first, *_), (second, *_) = quantities(one), quantities(other)
    assert first in Amounts([second])
    assert second in Amounts([first])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("five seconds", "five minutes"),
        ("five seconds", "six seconds"),
        ("twenty-eight", "twenty"),
        ("5 %", "5 euros"),
        ("10 degrees", "-10 degrees"),
        ("two thirds", "a third"),
        ("1,482", "1,282"),
        ("2 a.m.", "2 p.m."),
        ("4.2", "4.2.1"),
        ("3:40 p.m.", "3:40"),
        ("14:22:31", "14:22:32"),
    ],
)
def test_another_amount(one, other):
    (first,), (second,) = quantities(one), quantities(other)
    assert first not in Amounts([second])
    assert second not in Amounts([first])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("for 4-6 weeks", [("4", "time"), ("6 weeks", "time")]),
        ("four to six weeks", [("four", "time"), ("six weeks", "time")]),
        ("between ten and three", [("ten", ""), ("three", "")]),
        ("EUR 50,000, then $5", [("EUR 50,000", "euros"), ("$5", "dollars")]),
        ("once it has ended, at once", []),
        ("once a week", [("once", "times"), ("a week", "time")]),
        ("no number here", []),
        ("", []),
    ],
)
def test_which_numbers_a_text_has(text, found):
    assert [(text[one.start : one.end], one.measured) for one in quantities(text)] == found


def test_a_key_in_the_next_line_is_no_unit():
    assert [one.measured for one in quantities("day: 85\nweek: 420\nmonth = 1400\r\nhour: 9")] == [""] * 4
    (wrapped,) = quantities("It takes 85\ndays at most.")
    assert wrapped.measured == "time"


@pytest.mark.parametrize("text", ["5 EUR 20", "5€-20"])
def test_a_unit_belongs_to_one_number(text):
    first, second = quantities(text)
    assert (first.measured, second.measured) == ("euros", "")
    assert first.end <= second.start


@pytest.mark.parametrize(
    ("row", "number", "known"),
    [
        ("Alder Cargo E,5190,10", "5190", True),
        ("Alder Cargo E,5190,10", "10", True),
        ("Alder Cargo E,5190,10", "190", False),
        ("Alder Cargo E,5,190", "5190", True),  # a thousand, or two cells
        ("Alder Cargo E,5,190", "190", True),
        ("Inner tube 28 inch,P-1001,7.90,240", "7.90", True),
        ("Inner tube 28 inch,P-1001,7.90,240", "1001", True),
        ("part,price\n5190,10\n5290,12", "5290", True),
        ("[5190,10]", "10", True),
        ("1,2,3", "2", True),
        ("5190,10,14:02", "10", True),
        ("5190,10,2026-11-06", "10", True),
        ('"5,190",red', "190", False),
        ("It costs 5,190.", "190", False),
        ("It costs 3,5 euros.", "5", False),
        ("14:22:31", "14:22", True),
        ("14:22:31", "14:00", False),
        ("14:22", "14:22:31", False),
        ("14:00:10", "14", True),
    ],
)
def test_the_numbers_that_a_record_has(row, number, known):
    (one,) = quantities(number)
    assert (one in Amounts(quantities(row))) is known


def test_what_may_be_no_number_is_marked():
    assert [one.implied for one in quantities("twice a week, one of them, within a week")] == [False, True, True, False]


@pytest.mark.parametrize("row", ["a,0,5", "name,0,250,x", "0,5\n1,5"])
def test_a_cell_with_zero_may_be_the_beginning_of_a_number(row):
    zero = next(one for one in quantities(row) if one.value == 0)
    assert zero.others == (0.25 if "250" in row else 0.5,)


@given(st.text(st.sampled_from("0159.,:-%$ aehlnotuwvrs'\n€°"), max_size=80))
def test_any_text_gives_places_in_order(text):
    found = quantities(text)
    edges = [edge for one in found for edge in (one.start, one.end)]
    assert edges == sorted(edges)
    assert all(0 <= one.start < one.end <= len(text) for one in found)


@pytest.mark.parametrize(
    "text", ["9" * 5000, "1." * 5000, "one hundred " * 2000, "twenty-" * 2000, "a half of an " * 2000]
)
def test_odd_texts_are_read(text):
    assert isinstance(quantities(text), list)


@pytest.mark.parametrize(
    "text", ["A third-order lens", "a third lens", "An eighth-grade pupil", "a third\u2011order lens"]
)
def test_an_ordinal_is_no_fraction(text):
    assert quantities(text) == []


@pytest.mark.parametrize(
    "text", ["a third of the ships", "fell by a third. Prices rose", "a third in May", "a third died", "a third"]
)
def test_a_part_is_a_fraction(text):
    assert [(one.value, one.measured) for one in quantities(text)] == [(1 / 3, "share")]
