"""Rows of a table are kept with its header row, once for each table, within the budget."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.config import TrimConfig
from fgr_retriever.text.headers import headers
from fgr_retriever.text.query_words import content_stems
from fgr_retriever.text.tables import tables
from fgr_retriever.trim.choice import trim
from fgr_retriever.trim.layout import Scored
from fgr_retriever.trim.origin import Origin
from fgr_retriever.trim.ranking import Ranking
from tests.evidence.test_spans import evidence_for
from tests.trim.test_choice import characters, counters, words

HEAD = "| Provider | Region |"
ROWS = "| Amber | Oslo |\n| Birch | Turin |\n| Cedar | Porto |"
CLOUDS = f"Where data lie.\n\n{HEAD}\n|---|---|\n{ROWS}\n\nAsk us for more.\n"
STAFF = "name,age,task\nAnn,41,baking\nBo,33,garden\nCy,28,front desk\n"


def kept(text, *likely, **settings):
    passage = Scored(text, evidence_for(text, *likely), 1.0)
    found = trim([passage], TrimConfig(**settings), 0.5, settings.get("max_tokens") and characters)
    (one,) = found.trimmed
    assert [text[span.start : span.end] for span in one.spans] == one.text.split(" … ")
    return one.text


def test_a_row_comes_with_its_header():
    assert kept(CLOUDS, "Cedar", "Porto") == f"{HEAD} … | Cedar | Porto |"
    assert kept(STAFF, "Cy", "front desk") == "name,age,task … Cy,28,front desk"


def test_a_row_right_below_makes_one_span_with_it():
    assert kept(CLOUDS, "Amber", "Oslo") == f"{HEAD}\n|---|---|\n| Amber | Oslo |"


@pytest.mark.parametrize("budget", range(49, 60, 2))
def test_the_header_comes_before_a_second_row(budget):
    text = kept(CLOUDS, "Amber", "Oslo", "Birch", "Turin", max_tokens=budget)
    assert text.startswith(HEAD)
    assert "| Amber | Oslo |" in text or "| Birch | Turin |" in text


@pytest.mark.parametrize("budget", range(95, 135, 5))
def test_of_likely_rows_the_named_one_comes_with_its_header(budget):
    head = "| Department | Q1 | Q2 | Q3 | Q4 |"
    rows = ("| Marketing | 120,000 | 95,000 | 80,000 | 140,000 |", "| IT | 210,000 | 205,000 | 260,000 | 190,000 |")
    text = "\n".join(("# Budget 2026\n", head, "|---|---:|---:|---:|---:|", *rows))
    likely = ("120", "95", "80", "140", "210", "260", "000")
    passage = Scored(text, evidence_for(text, "Marketing", *likely), 1.0)
    config = TrimConfig(max_tokens=budget)
    (found,) = trim([passage], config, 0.5, characters, "What is IT's budget in Q3?").trimmed
    assert found.text == f"{head} … {rows[1]}"


def test_the_header_comes_once_for_several_rows():
    assert kept(STAFF, "Ann", "baking", "Cy", "front desk").count("name,age") == 1
    assert kept(CLOUDS, "Cedar", "Porto", "Provider", "Region").count(HEAD) == 1


def test_what_is_no_row_has_no_header():
    assert kept(CLOUDS, "Ask", "more") == "Ask us for more."


def test_the_header_counts_and_gives_way_to_the_row():
    whole = f"{HEAD} … | Cedar | Porto |"
    assert kept(CLOUDS, "Cedar", "Porto", max_tokens=len(whole)) == whole
    assert kept(CLOUDS, "Cedar", "Porto", max_tokens=len(whole) - 1) == "| Cedar | Porto |"


def test_rows_that_fill_a_budget_have_a_header_too():
    found = kept(STAFF, "Bo", "garden", max_tokens=len(STAFF), fill=True)
    assert found.startswith("name,age,task")
    assert found.count("name,age") == 1


def test_a_chunk_that_begins_within_a_table_has_none():
    text = STAFF.partition("\n")[2]
    assert kept(text, "Cy", "front desk") == "Cy,28,front desk"


def test_overlapping_chunks_of_a_table_have_one_header():
    first, second = STAFF[:28], STAFF
    context = [
        Scored(text, evidence_for(text, word), 1.0, Origin("", "staff", ("staff.csv",), 0))
        for text, word in ((first, "Ann"), (second, "Cy"))
    ]
    text = trim(context, TrimConfig(), 0.5, None).assembly.text
    assert text.count("name,age,task") == 1


CELLS = st.text("abc ,1x", min_size=1, max_size=6)


@st.composite
def documents(draw):
    """Make a text of prose and tables in Markdown and CSV."""
    parts = []
    for number in range(draw(st.integers(1, 3))):
        rows = draw(st.lists(st.tuples(CELLS, st.integers(0, 99)), min_size=1, max_size=4))
        if draw(st.booleans()):
            parts.append("\n".join([f"| Name{number} | Age |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]))
        else:
            parts.append("\n".join([f"name{number},age", *(f'"{a}",{b}' for a, b in rows)]))
        parts.append(draw(st.sampled_from(["Bees fly far, and rest.", "Tea is hot.", "x"])))
    return "\n\n".join(parts)


@given(documents(), st.data(), counters | st.just(words))
@pytest.mark.parametrize("fill", [False, True])
def test_headers_are_verbatim_once_a_table_in_order_and_never_over_budget(fill, text, data, count):
    likely = data.draw(st.lists(st.sampled_from(text.split()), max_size=5))
    config = TrimConfig(max_tokens=data.draw(st.integers(0, 80)), fill=fill)
    found = trim([Scored(text, evidence_for(text, *likely), 1.0)], config, 0.5, count)
    (one,) = found.trimmed
    edges = [edge for span in one.spans for edge in (span.start, span.end)]
    assert edges == sorted(edges)
    assert one.text == config.separator.join(text[span.start : span.end] for span in one.spans)
    assert count(found.assembly.text) <= config.max_tokens
    if count(text) * 2 < config.max_tokens:
        for table in tables(text):
            rows = [span for span in one.spans if span.start < table.close and table.body < span.end]
            held = [span for span in one.spans if span.start <= table.start and table.end <= span.end]
            assert len(held) == 1 if rows else len(held) <= 1


def test_the_words_of_the_header_count_for_its_rows():
    text = "cloud,place of processing,zones\nAmber,Oslo,1\nBirch,Turin,2\n\nWe like tea."
    passage = Scored(text, evidence_for(text), 1.0)
    shares = Ranking.of(passage, content_stems("Where is the place of processing of Birch?")).shares
    assert shares[2] > shares[1] > 0 == shares[3]


class TestSections:
    TEXT = (
        "# Plans\n\n## Gold\n\nFor sites with much work. It costs 85 euros.\n\n"
        "## Silver\n\nFor others. It costs 45 euros."
    )

    def kept(self, question, *likely, **settings):
        passage = Scored(self.TEXT, evidence_for(self.TEXT, *likely), 1.0)
        (found,) = trim([passage], TrimConfig(**settings), 0.5, characters, question).trimmed
        return found.text

    def test_what_is_kept_of_a_section_comes_with_the_heading_that_is_asked_for(self):
        assert self.kept("What does Silver cost?", "45") == "## Silver … It costs 45 euros."
        assert self.kept("What does Silver cost?", "others", "45") == "## Silver\n\nFor others. It costs 45 euros."
        assert self.kept("What does it cost?", "45") == "It costs 45 euros."
        assert (
            self.kept("What does Silver cost?", "85", "45")
            == "## Gold … It costs 85 euros. … ## Silver … It costs 45 euros."
        )
        assert self.kept("What do Gold and Silver cost?", "85", "45").count("##") == 2

    def test_the_heading_gives_way_to_the_value(self):
        assert self.kept("What does Silver cost?", "45", max_tokens=20) == "It costs 45 euros."

    def test_a_table_in_a_section_has_its_own_header(self):
        text = f"## Clouds\n\nWhere data lie.\n\n{HEAD}\n|---|---|\n{ROWS}"
        assert headers(text, content_stems("Which clouds are there?")) == tables(text)


VAN = "item: Van\nday: 85\nweek: 420\nmonth: 1400"
PEOPLE = "id: 7\nname: Ann Lee\nroom: 12\n\nid: 8\nname: Bo Dee\nroom: 31"


class TestRecords:
    def test_a_value_comes_with_what_names_its_record(self):
        assert kept(VAN, "week", "420") == "item: Van … week: 420"
        assert kept(f"# Hire\n\n{VAN}", "week", "420").endswith("item: Van … week: 420")
        assert kept(PEOPLE, "31") == "id: 8\nname: Bo Dee\nroom: 31"

    def test_a_heading_above_it_names_a_record_where_there_are_several(self):
        text = "## Van\n\n- Day: 85\n- Week: 420\n\n## Bus\n\n- Day: 95\n- Week: 510\n"
        assert kept(text, "510") == "## Bus … - Week: 510"

    def test_the_name_gives_way_to_the_value(self):
        assert kept(VAN, "week", "420", max_tokens=len("week: 420")) == "week: 420"

    @pytest.mark.parametrize(
        "text",
        [
            "replicas: 3\ntimeout: 30",  # settings without a name
            "Ann: Hello.\nBo: Yes.\nAnn: No.",  # turns of a talk
            "Note: this goes on\nand on here.",
            f"host: alpha\nport: 8\n\nSome prose.\n\n{VAN}",  # two records of different kinds
            f"item: {'long ' * 40}\nday: 3",
        ],
    )
    def test_what_has_no_name(self, text):
        assert headers(text) == []

    def test_tables_are_among_them(self):
        assert headers(CLOUDS) == tables(CLOUDS)
        assert headers(f"{PEOPLE}\n\n{STAFF}") == [*headers(PEOPLE), *tables(f"{PEOPLE}\n\n{STAFF}")]

    @given(st.lists(st.sampled_from([VAN, PEOPLE, STAFF, CLOUDS, "a: b", "Prose, and more.", ":", "\n"]), max_size=5))
    def test_they_ascend_and_never_meet(self, parts):
        found = headers("\n\n".join(parts))
        assert all(one.start < one.end <= one.body < one.close for one in found)
        assert all(one.close <= other.start for one, other in pairwise(found))
