"""Numbers of a claim in the rows and columns of its sources."""

import json

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
TOOLS = "| Tool | Approver |\n|---|---|\n| AutoCAD | Line manager |\n| SAP | Finance controller |"
ROPES = (
    "sku: RP-024\ndescription: Nylon mooring rope 24 mm per 100 m\nunit_price_eur: 402\nlead_time_days: 10",
    "sku: RP-016\ndescription: Nylon mooring rope 16 mm per 100 m\nunit_price_eur: 189\nlead_time_days: 7",
)
TICKETS = ("name: Day ticket\nprice_eur: 12\nvalid_hours: 24", "name: Week pass\nprice_eur: 55\nvalid_hours: 168")
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


def as_csv(*records):
    """The same records, each with the header."""
    rows = [[line.split(": ") for line in one.splitlines()] for one in records]
    return [",".join(key for key, _ in row) + "\n" + ",".join(value for _, value in row) for row in rows]


def as_json(*records):
    """The same records, each a JSON object on a line."""
    rows = [dict(line.split(": ") for line in one.splitlines()) for one in records]
    return [json.dumps({key: int(value) if value.isdigit() else value for key, value in row.items()}) for row in rows]


def as_list(*records):
    """The same records, each below its name."""
    rows = [dict(line.split(": ") for line in one.splitlines()) for one in records]
    return [
        f"## {row.pop('name', None) or row.pop('description')}\n" + "\n".join(f"- **{k}:** {v}" for k, v in row.items())
        for row in rows
    ]


@pytest.mark.parametrize("written", [lambda *some: some, as_csv, as_json, as_list, lambda *some: ["\n\n".join(some)]])
@pytest.mark.parametrize(
    ("records", "claim", "found"),
    [
        (ROPES, "The 24 mm rope costs 402 euros", None),
        (ROPES, "The 16 mm rope costs 402 euros", "RP-024"),
        (ROPES, "The 16 mm nylon mooring rope costs 402 euros per 100 m", "RP-024"),
        (ROPES, "RP-016 costs 402 euros", "RP-024"),
        (ROPES, "RP-016 costs 189 euros and RP-024 costs 402 euros", None),
        (ROPES, "The ropes cost 189 to 402 euros", None),
        (ROPES, "The 16 mm rope has a lead time of 10 days", "RP-024"),  # and "RP-016" is no 16 mm
        (ROPES, "The 16 mm rope has a lead time of one week", None),
        (ROPES, "The 16 mm rope has the shorter lead time", None),
        (ROPES, "The 16 mm rope does not cost 402 euros", None),
        (TICKETS, "The day ticket costs 12 euros", None),
        (TICKETS, "The week pass costs 12 euros", "Day ticket"),
        (TICKETS, "The week pass is valid for 24 hours", "Day ticket"),
        (TICKETS, "The day ticket costs 12 euros and the week pass 55 euros", None),
        (TICKETS, "Prices go from 12 euros for the day ticket to 55 euros for the week pass", None),
    ],
)
def test_name_and_value_stand_in_one_record_which_may_be_a_source(written, records, claim, found):
    names = {"RP-024": "Nylon mooring rope 24 mm per 100 m"} if written is as_list else {}
    assert [one for one, _ in told(claim, *written(*records))] == ([] if found is None else [names.get(found, found)])


@pytest.mark.parametrize(
    ("claim", "found"),
    [
        ("AutoCAD is approved by the line manager", None),
        ("AutoCAD is approved by the finance controller", "SAP"),
        ("The approver of SAP is the line manager", "AutoCAD"),
        ("SAP is not approved by the line manager", None),
        ("The line manager approves AutoCAD, the finance controller SAP", None),
        ("Either the line manager or the finance controller approves SAP", None),
        ("Line managers approve some tools", None),
    ],
)
def test_words_of_a_cell_stand_in_the_row_that_the_claim_names(claim, found):
    assert [one for one, _ in told(claim, TOOLS)] == ([] if found is None else [found])
    first, second = (f"{TOOLS[: TOOLS.index('| AutoCAD')]}{row}" for row in TOOLS.splitlines()[2:])
    assert [one for one, _ in told(claim, first, second)] == ([] if found is None else [found])


def test_prose_may_say_of_the_one_what_a_row_says_of_the_other():
    assert told("SAP is approved by the line manager", TOOLS, "In May, the line manager may approve SAP.") == []


def test_records_may_lack_keys_and_rows_cells():
    assert rates(["item: Van\nday: 85\nweek: 420\n\nitem: Car\nday: 60", "| Item | Day |\n|---|---|\n| Bus |"]) == (
        "per day per week"
    )
    first, second = (one.split("\n", 1)[1] for one in ROPES)  # without the first key
    assert [one for one, _ in told("The 16 mm rope costs 402 euros", f"sku: RP-024\n{first}", second)] == ["RP-024"]


@pytest.mark.parametrize(
    ("claim", "found"),
    [
        ("RP-016 costs 189 euros", None),
        ("RP-016 costs 402 euros", "RP-024"),
        ("rp-016 costs 402 euros", "RP-024"),
        ("RP-016 costs 402 euros less than RP-024", None),
        ("RP-016 costs 5 euros", None),  # that nothing has it is found elsewhere
        ("RP-099 costs 402 euros", None),
        ("Q3 has RP-016 for 402 euros", "RP-024"),
    ],
)
def test_a_number_of_a_source_about_another_identifier(claim, found):
    texts = ("The thin rope (RP-016) costs 189 euros.", "The thick rope (RP-024) costs 402 euros.")
    assert [one for one, _ in told(claim, *texts)] == ([] if found is None else [found])
    assert told(claim, " ".join(texts)) == []


def test_what_looks_like_an_object_is_prose():
    for line in (
        "{",
        "{}",
        "{a: 402}",
        '{"a": 402',
        "{[[[}",
        '{"a": [402, {"b": true}], "c": null}',
        "{" + "[" * 9999 + "}",
    ):
        assert told("The rope costs 402 euros", line, TICKETS[0]) == []


def test_a_column_is_called_one():
    (one,) = misplaced(Statement("A day with the Alder Cargo E costs 35"), [RENTAL])
    assert (one.said, one.told, one.is_column) == ("35", "Half day", True)


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
    assert all(one.said in claim + source for one in misplaced(Statement(claim), [source]))
