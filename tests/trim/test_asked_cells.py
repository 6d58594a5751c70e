"""Where a budget cuts a row, the cell that the question asks for is kept, with the name of its row."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.config import TrimConfig
from fgr_retriever.text.parts import Parts
from fgr_retriever.text.query_words import content_stems
from fgr_retriever.text.tables import tables
from fgr_retriever.trim.asked_cells import asked_cells
from fgr_retriever.trim.choice import trim
from fgr_retriever.trim.layout import Scored
from tests.evidence.test_spans import evidence_for
from tests.trim.test_choice import characters

HEAD = ("Name", "Task", "Office", "Salary", "Start date")
OMAR = ("Omar Reyes", "front desk and guests", "Hall 4", "2150", "2021-03-01")
LENA = ("Lena Fischer", "kitchen", "Hall 2", "2300", "2019-11-15")
PIPED = "\n".join(f"| {' | '.join(row)} |" for row in (HEAD, ["---"] * 5, OMAR, LENA))
COMMAS = "\n".join(",".join(row) for row in (HEAD, OMAR, LENA))
LINES = "\n".join(json.dumps(dict(zip(HEAD, row, strict=True))) for row in (OMAR, LENA))
SALARY = "What is the salary of Omar Reyes?"


def kept(text, question, budget, *likely):
    passage = Scored(text, evidence_for(text, *likely), 1.0)
    (found,) = trim([passage], TrimConfig(max_tokens=budget), 0.5, characters, question).trimmed
    assert [text[span.start : span.end] for span in found.spans] == (found.text.split(" … ") if found.text else [])
    return found


@pytest.mark.parametrize("text", [PIPED, COMMAS])
def test_the_cell_of_the_column_is_kept_with_the_name_of_its_row(text):
    """Though all the model finds is the task beside the name."""
    likely = dict.fromkeys(("Omar", "Reyes", "front", "desk", "guests"), 0.9)
    assert kept(text, SALARY, 17, likely).text == "Omar Reyes … 2150"
    assert kept(text, SALARY, 16, likely).text.startswith("2150")
    assert kept(text, "When did Omar Reyes start?", 26, likely).text == "Omar Reyes … 2021-03-01"
    nothing = kept(text, SALARY, 3, likely)
    assert nothing.text == ""
    assert "needs 4" in nothing.reason


def test_the_key_of_a_pair_says_what_is_asked_for():
    likely = dict.fromkeys(("Omar", "Reyes", "front", "desk", "guests"), 0.9)
    assert kept(LINES, SALARY, 41, likely).text == '"Name": "Omar Reyes" … "Salary": "2150"'
    assert kept(LINES, SALARY, 20, likely).text == '"Salary": "2150"'


def test_a_cell_that_is_asked_for_is_of_use_though_it_has_function_words_alone():
    text = PIPED.replace("2150", "not yet")
    assert kept(text, SALARY, 20, {"Omar": 0.9, "front": 0.9}).text == "Omar Reyes … not yet"


def test_a_long_cell_that_is_asked_for_is_cut_itself():
    text = PIPED.replace(
        "Hall 4", "upstairs in the old mill behind the station, where the second door leads to the stairs"
    )
    found = kept(text, "Where is the office of Omar Reyes?", 45, {"Omar": 0.9, "front": 0.9, "mill": 0.6})
    assert "mill" in found.text
    assert "front" not in found.text


def test_cells_beside_it_come_along_as_far_as_they_fit():
    found = kept(PIPED, SALARY, 35, {"Omar": 0.9, "front": 0.9, "4": 0.3})
    assert found.text == "Omar Reyes … 2150 | 2021-03-01"


@pytest.mark.parametrize("head", ["fuel_surcharge_pct", "fuelSurchargePct", "fuel surcharge pct", "Fuel-Surcharge"])
def test_names_of_columns_as_programs_write_them(head):
    text = f"lane,eur,{head},days\nOslo,1320,19.5,11\nRome,1180,17.5,13"
    found = kept(text, "What is the fuel surcharge of Rome?", 11, "Rome", "1180")
    assert found.text == "Rome … 17.5"


@pytest.mark.parametrize("budget", range(10, 80, 5))
def test_no_key_of_one_object_stands_with_a_value_of_another(budget):
    text = '[{"code":"HAM","docks":24,"phone":"118"},{"code":"RTM","docks":40,"phone":"177"},{"code":"LYS","docks":16}]'
    found = kept(text, "How many docks does RTM have?", budget, {"RTM": 0.9, "40": 0.9})
    assert 'HAM" …' not in found.text
    assert all(text[span.start : span.end] in text for span in found.spans)
    assert len(found.spans) < 2


def test_a_list_of_yaml_is_not_named_by_its_key():
    text = "depots:\n- code: HAM\n  docks: 24\n- code: RTM\n  docks: 40\n"
    assert "depots: …" not in kept(text, "How many docks does RTM have?", 20, {"RTM": 0.9, "40": 0.9}).text


def test_where_no_column_is_asked_for_evidence_decides():
    assert kept(PIPED, "Where is Omar Reyes?", 19, {"Omar": 0.9, "4": 0.9, "Hall": 0.9}).text == "Omar Reyes … Hall 4"


def test_a_word_of_a_value_asks_for_no_cell():
    text = PIPED.replace("front desk and guests", "salary clerk")
    assert "2150" in kept(text, SALARY, 17, {"Omar": 0.9, "clerk": 0.9}).text


def test_a_header_of_another_width_tells_nothing():
    wide = PIPED.replace("| 2021-03-01 |", "| 2021-03-01 | new |")
    start = wide.index("| Omar")
    parts = Parts.of(wide, start, wide.index("\n", start))
    assert not asked_cells(wide, parts, tables(wide), content_stems(SALARY)).any()


@given(
    st.lists(
        st.sampled_from(["oak", "2 m", "", "a|b", "name: x", '"k": 1', "long words go on and on"]),
        min_size=2,
        max_size=4,
    ),
    st.sampled_from([" | ", ",", "\t"]),
    st.integers(1, 60),
)
def test_what_is_kept_of_any_row_fits_and_is_verbatim(cells, mark, budget):
    text = "\n".join(mark.join(row) for row in (["name", "height", "key", "words"][: len(cells)], cells, cells[::-1]))
    found = kept(text, "What is the height, and what is the key of oak?", budget, *text.split())
    assert len(found.text) <= budget
