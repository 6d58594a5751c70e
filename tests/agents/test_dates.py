"""Dates in digits and in words."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.agents.dates import MONTHS, dates
from fgr_retriever.agents.statement import Statement


@pytest.mark.parametrize(
    ("text", "months"),
    [
        ("2026-11-06", ["November"]),
        ("2026-11-06T14:22:31Z", ["November"]),
        ("2026/11/06", ["November"]),
        ("6.11.2026", ["November"]),
        ("06.11.26", ["November"]),
        ("23/11/2026", ["November"]),
        ("11/23/2026", ["November"]),
        ("06/11/2026", ["November", "June"]),
        ("11/11/2026", ["November"]),
        ("Nov 6, 2026", ["November"]),
        ("6 Sept. 2026", ["September"]),
        ("06-Nov-2026", ["November"]),
        ("6th of November", ["November"]),
        ("run-2026-11-06", ["November"]),
        ("10,2026-11-06,5", ["November"]),
        ("2026-13-06", []),
        ("2026-11-32", []),
        ("10.12.2026.4", []),
        ("1.2.3", []),
        ("may 5 guests", []),
        ("Decade 5", []),
        ("", []),
    ],
)
def test_the_months_of_a_text(text, months):
    assert [month for one in dates(text) for month in one.months] == months


@given(st.dates(datetime.date(1500, 1, 1), datetime.date(2099, 12, 31)))
def test_every_way_to_write_a_day_may_mean_the_same(day):
    year, month, name = day.year, day.month, MONTHS[day.month - 1]
    ways = [f"{year:04}-{month:02}-{day.day:02}", f"{day.day}/{month}/{year}", f"{month:02}/{day.day:02}/{year}"]
    ways += [f"{day.day}.{month}.{year}", f"{day.day} {name} {year}", f"{name[:3]} {day.day}, {year}"]
    if name != "May":  # a stop word
        assert Statement(ways[0]).tokens == Statement(ways[3]).tokens == Statement(ways[4]).tokens
    for said in map(Statement, ways):
        for told in map(Statement, ways):
            assert all(one in told.amounts for one in said.quantities)
            assert all(month in told.possible[kind] for kind, found in said.exclusive.items() for month in found)


@given(st.text(st.sampled_from("0123456789/.-: NovMarayJune,"), max_size=60))
def test_any_text_gives_dates_in_order(text):
    edges = [edge for one in dates(text) for edge in (one.start, one.end)]
    assert edges == sorted(edges)


def test_the_month_of_a_name_is_no_number():
    assert Statement("4 buds").quantities[0] not in Statement("A mulch in April helps.").amounts
