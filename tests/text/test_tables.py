import pytest

from fgr_retriever.text.atoms import is_table_row
from fgr_retriever.text.parts import Parts
from fgr_retriever.text.tables import tables
from tests.text.marked_cuts import marked_texts

TEXTS = {f"{one.kind}/{one.name}": one.text for one in marked_texts()}


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("table/clouds", "| Provider | Region | Remark |"),
        ("table/grid", "| Dish     | Contains       |"),
        ("table/loose", "Team | Coach | Ground"),
        ("csv/fahrzeuge", "Kennzeichen;Modell;Kilometer;Bemerkung"),
        ("csv/orders", '"order","customer","item","price"'),
        ("csv/plants", "plant, light, water, remark"),
        ("csv/notes", "id,title,body,owner"),
    ],
)
def test_the_header_of_a_table_is_its_first_row(name, header):
    text = TEXTS[name]
    (table,) = tables(text)
    assert text[table.start : table.end] == header
    assert table.end < table.body < table.close == len(text.rstrip())


def test_only_tables_have_a_header():
    found = {name.split("/")[0] for name, text in TEXTS.items() if tables(text)}
    assert found == {"csv", "table"}


@pytest.mark.parametrize("name", ["table/clouds", "csv/fahrzeuge", "csv/orders", "csv/plants"])
def test_a_text_that_begins_within_a_table_has_no_header(name):
    text = TEXTS[name]
    (table,) = tables(text)
    assert tables(text[table.body :]) == []


def test_two_tables_and_the_prose_around_them():
    text = (
        "Costs of May.\n\n| Item | Cost |\n|:--|--:|\n| Tea | 3 |\n\nAnd of June.\n\n# June\nitem,cost\ntea,4\nmilk,1\n"
    )
    assert [(text[one.start : one.end], text[one.body : one.close]) for one in tables(text)] == [
        ("| Item | Cost |", "| Tea | 3 |"),
        ("item,cost", "tea,4\nmilk,1"),
    ]


def test_tabs_and_a_column_of_row_numbers_without_a_name():
    text = "\ttrip\tfrom\n0\tMalmö, by bus\tOslo\n1\tBergen, by train\tTrondheim"
    (table,) = tables(text)
    assert text[table.start : table.end] == "trip\tfrom"


def test_rows_with_bars_need_no_rule_below_their_header():
    rows = "Aro - Brema | 06:40 | daily | EUR 31\nBrema - Cales | 09:05 | daily | EUR 38"
    (table,) = tables(f"Timetable of summer\n\nRoute | Departs | Days | Car fare\n{rows}\n\nBook early.")
    assert (table.start, table.end) == (21, 54)
    assert tables(rows) == []
    assert tables("Home | News | Contact\nImprint | Terms | Privacy") == []
    assert tables(f"Route | Departs | Days\n{rows}") == []


def test_a_rule_in_prose_makes_no_table():
    assert tables("Costs | fees\n---\nWe pay.") == []
    assert tables("a|b\n|---|---|") == []


@pytest.mark.parametrize("row", ["a\tb", "mill\t1931\tclosed", "| a | b |", "a | b | c", "x\t" + "long " * 40 + "\ty"])
def test_rows(row):
    assert is_table_row(row)


@pytest.mark.parametrize(
    "prose",
    [
        "Ticket 101:\tThe customer writes that the pump whistles since Monday, and that it got louder on Tuesday.",
        "The pump whistles.\tIt got louder.",
        "\tThe pump whistles.",
        "plain",
    ],
)
def test_one_tab_in_prose_makes_no_row(prose):
    assert not is_table_row(prose)


def test_an_amount_and_a_pair_are_not_parted():
    text = "Pump 3 loses 12 litres a day, level=high."
    found = [text[start:end] for start, end in Parts.of(text, 0, len(text)).words]
    assert "12 litres" in found
    assert "level=high" in found[-1]
