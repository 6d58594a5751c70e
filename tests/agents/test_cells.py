"""Numbers of a claim in the rows and columns of its sources."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.agents.cells import misplaced, rates
from fgr_retriever.agents.statement import Statement

CALLS = """| Service | Price EUR | Remarks |
|---|---|---|
| Annual check | 149.00 | includes seals |
| Emergency call, weekday | 220.00 | within 8 hours |
| Emergency call, weekend | 340.00 | within 12 hours |"""
RENTAL = """# Rental

| Model | Half day | Day | Week | Deposit |
|---|---|---|---|---|
| Alder City | 12 | 18 | 75 | 100 |
| Alder Cargo E | 35 | 55 | 240 | 500 |

All prices in euros, 9 more for insurance."""
BIKES = """model,article,price_eur,delivery_weeks
Alder Cargo,AG-300,2780,8
Alder Cargo E,AG-350,5190,10
Alder Race,AR-400,3980,12"""
LOG = """2026-11-23 14:00:10 INFO deploy: catalogue to stage
2026-11-23 14:22:31 INFO deploy: catalogue to production"""
LIST = "- Small inspection: 59 euros\n- Large inspection: 129 euros"
VAN = "item: Van\nday: 85\nweek: 420\nmonth: 1400"
SHEET = "model: Cargo E\nprice: 5190\nweeks: 10\n\nmodel: City\nprice: 890\nweeks: 2"


def told(claim, *sources):
    """Give the rows and columns that have the numbers of a claim, and whether that is sure."""
    return [(one.told, one.is_sure) for one in misplaced(Statement(claim), sources)]


@pytest.mark.parametrize(
    ("source", "claim"),
    [
        (CALLS, "A weekend emergency call costs 340 euros"),
        (CALLS, "An emergency call costs 220 euros"),
        (CALLS, "A call on a weekday comes within 8 hours"),
        (CALLS, "Whoever rings on a Sunday pays 340 euros"),
        (RENTAL, "The Alder Cargo E is rented for 240 per week"),
        (RENTAL, "A day with the Alder Cargo E costs 55"),
        (RENTAL, "Half a day with the Alder Cargo E costs 35"),
        (RENTAL, "The insurance of the Alder City costs 9"),
        (BIKES, "The price of the Alder Cargo E is 5190, and its delivery takes 10 weeks"),
        (BIKES, "The Alder Cargo E costs 5190 and comes in 10 weeks, the Alder Race costs 3980"),
        (BIKES, "The Alder Cargo costs 2780"),
        (LOG, "The catalogue was deployed to production at 14:22"),
        (LIST, "A small inspection costs 59 euros and a large one 129 euros"),
        (SHEET, "The City costs 890"),
        (VAN, "A van costs 420 per week and 85 per day"),
        (VAN.replace("\n", "\n\n"), "A van costs 420 per week"),
        ("name: Ada\n\nThe desk costs 420 per week.\n\nday: 85\nweek: 400", "A desk costs 420 per week"),
        ("Calls cost 220 euros.\n\nAt the weekend, calls cost 340 euros.", "A weekend call costs 220 euros"),
        (CALLS, "It costs nothing"),
    ],
)
def test_a_number_in_the_row_that_the_claim_names(source, claim):
    assert told(claim, source) == []


@pytest.mark.parametrize(
    ("source", "claim", "found"),
    [
        (CALLS, "A weekend emergency call costs 220 euros", ("Emergency call, weekday", True)),
        (CALLS, "The annual check costs 340 euros", ("Emergency call, weekend", False)),
        (RENTAL, "The Alder Cargo E is rented for 75 per week", ("Alder City", True)),
        (RENTAL, "A day with the Alder Cargo E costs 35", ("Half day", False)),
        (RENTAL, "The deposit for the Alder Cargo E is 240", ("Week", False)),
        (BIKES, "The Alder Cargo E costs 2780", ("Alder Cargo", True)),
        (BIKES, "The Alder Cargo costs 5190", ("Alder Cargo E", False)),
        (BIKES, "The Alder Race is delivered in 8 weeks", ("Alder Cargo", True)),
        (LOG, "The catalogue was deployed to production at 14:00", (LOG.splitlines()[0], True)),
        (LIST, "A large inspection costs 59 euros", ("Small inspection: 59 euros", True)),
        (SHEET, "The City costs 5190", ("Cargo E", False)),
        (VAN, "A van costs 420 per day", ("week", False)),
        (VAN.title(), "A van costs 420 per day", ("Week", False)),
        (VAN.replace(":", " ="), "A van costs 420 per day", ("week", False)),
        (VAN.replace("\n", "\n\n"), "A van costs 420 per day", ("week", False)),
        (f"# Vans\n{VAN}".replace("day", "price_per_day"), "A van costs 420 per day", ("week", False)),
        (VAN.replace(": ", ":\t"), "A van costs 1400 per week", ("month", False)),
    ],
)
def test_a_number_in_another_row_or_column(source, claim, found):
    assert told(claim, source) == [found]


def test_a_header_and_a_row_may_be_two_spans():
    spans = "\n\n".join(CALLS.splitlines()[one] for one in (0, 3, 4))
    assert told("A weekend emergency call costs 220 euros", spans) == [("Emergency call, weekday", True)]


def test_another_source_may_have_the_number():
    assert told("A weekend emergency call costs 220 euros", CALLS, "On Sundays 220 euros are enough.") == []


def test_the_columns_name_what_a_number_is_for():
    assert rates([RENTAL]) == "per day per week"
    assert rates([VAN]) == "per day per week per month"
    assert rates([CALLS, "A week.", "day: Monday\nprice: 420"]) == ""


@given(st.text(st.sampled_from("ab1 2,;|\t-:\n."), max_size=80), st.text(st.sampled_from("ab 12."), max_size=20))
def test_any_text_is_read(source, claim):
    assert {one.number for one in misplaced(Statement(claim), [source])} <= set(Statement(claim).quantities)
