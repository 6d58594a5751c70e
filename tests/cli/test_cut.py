"""Where a passage ends: before a heading, and never behind a line that belongs to what follows it."""

import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.cli.reading.cut import Cutter
from fgr_retriever.cli.reading.files import Reading, read_passages
from fgr_retriever.cli.reading.sources import find_sources

WORDS = "The operator checks the valve and writes the value into the log book before the shift ends. "
HEADINGS = {
    "a.md": ("## Pump {}", "Pump {}\n------", "**Rates for pump {}:**", "__Pump {}__", "## Pump {} ##"),
    "a.html": ("<h2>Pump {}</h2>", "<p><b>Rates for pump {}:</b></p>"),
    "a.rst": (
        "Pump {}\n-------",
        "pump {}\n-------",
        "========\n Pump {}\n========",
        ".. _pump-{}:\n\nPump {}\n^^^^^^^",
    ),
    "a.tex": (r"\section{Pump {}}", "\\subsection[P]{Pump {}}\n\\label{sec:{}}"),
    "a.org": ("** Pump {}", "* Pump {}"),
    "a.txt": (
        "== Pump {}",
        "==Pump {}==",
        "4.{} Fees",
        "{}. Fees",
        "{}.",
        "§ {} Fees",
        "Article {}. Fees",
        "Article {}.",
        "Article {}\nNotice",
        "Section {}",
        "IV. FEES {}",
        "Pump {}",
        "# Pump {}",
        "Q: What does pump {} do?",
        "What does pump {} do?",
        "The rates for pump {} are:",
    ),
}


def read(path, passage_chars=1500):
    return list(read_passages(find_sources([str(path)]).files, Reading(passage_chars=passage_chars)))


def section(text, name):
    """Write a section below a heading as its format has it."""
    return (
        f"{text}\n\n<p>{WORDS * 3}</p>\n<p>{WORDS}</p>"
        if name.endswith("html")
        else f"{text}\n\n{WORDS * 3}\n\n{WORDS}"
    )


class TestHeadings:
    @pytest.mark.parametrize("size", [200, 400, 700, 1500])
    @pytest.mark.parametrize(("name", "heading"), [(name, one) for name, all in HEADINGS.items() for one in all])
    def test_a_heading_stays_with_its_section(self, tmp_path, name, heading, size):
        path = tmp_path / name
        numbered = (heading.replace("{}", str(number)) for number in range(2, 12))
        path.write_text("\n\n".join(section(one, name) for one in numbered))
        passages = read(path, size)
        assert len(passages) >= 3
        for passage in passages:
            assert passage.text.endswith(WORDS.strip())
        starts = [one.text for one in passages if not one.text.startswith(WORDS.strip())]
        for before, after in itertools.pairwise(starts):
            assert len(before) + len(after) > size / 4
        assert sum(one.text.startswith(WORDS * 2) for one in passages) == 0

    def test_the_supplier_is_named_where_its_terms_are(self, tmp_path):
        path = tmp_path / "suppliers.md"
        names = ["Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Ginkgo", "Hazel", "Ivy", "Juniper"]
        path.write_text("# Suppliers\n\n" + "".join(f"## {name}\n\n{WORDS * 5}\n\n" for name in names))
        for size in (100, 450, 1500):
            assert [one.text.removeprefix("# Suppliers\n\n").split("\n")[0] for one in read(path, size)] == [
                f"## {name}" for name in names
            ]

    def test_small_sections_stand_together_and_the_highest_heading_begins_a_passage(self):
        text = "# A\n\n{w}\n\n## A1\n\n{w}\n\n## A2\n\nend\n\n# B\n\n{w}\n".replace("{w}", "word " * 20)
        assert [one.text.split()[1] for one in Cutter("f.md", 250, markdown=True).cut(io.StringIO(text))] == [
            "A",
            "A1",
            "B",
        ]

    @pytest.mark.parametrize(
        "lead",
        [
            "Fees in euros:",
            "**Fees**:",
            "Table 3: Fees by zone",
            "Table 3. Fees by zone, without tax",
            "*Fees by zone.*",
        ],
    )
    @pytest.mark.parametrize(
        "table", ["| zone | fee |\n| --- | --- |\n{rows}", "+------+-----+\n{rows}\n+------+-----+"]
    )
    def test_a_caption_stays_with_its_table(self, lead, table):
        rows = "\n".join(f"| zone {n} | {n} EUR |" for n in range(30))
        text = f"{WORDS * 3}\n\n{lead}\n\n" + table.replace("{rows}", rows)
        first, second = Cutter("f.txt", 400).cut(io.StringIO(text))
        assert (first.text, second.text.split("\n")[0]) == ((WORDS * 3).strip(), lead)

    def test_a_heading_stays_with_a_table_that_is_longer_than_a_passage(self):
        text = "# Prices\n\n" + "".join(f"| bolt {n} | {n} EUR |\n" for n in range(40))
        (passage,) = Cutter("f.md", 300, markdown=True).cut(io.StringIO(text))
        assert passage.text == text.strip()

    def test_headings_without_blank_lines_around_them(self):
        text = "".join(f"## Pump {n}\n{WORDS}\n" for n in range(12))
        found = [one.text for one in Cutter("f.md", 400, markdown=True).cut(io.StringIO(text))]
        assert all(one.startswith("## Pump") and one.endswith("ends.") for one in found)
        assert len(found) > 3

    def test_a_long_paragraph_is_not_cut_behind_the_number_of_a_clause(self):
        text = "".join(f"4.{n} Fees\n{WORDS}\n" for n in range(99))
        assert all("Fees" not in one.text.splitlines()[-1] for one in Cutter("f.txt", 100).cut(io.StringIO(text)))

    def test_a_comment_in_code_is_no_place_to_end(self):
        text = f"# A\n\n```\n{WORDS * 2}\n\n# not one\n\n{WORDS}\n```\n"
        assert [one.text[:5] for one in Cutter("f.md", 400, markdown=True).cut(io.StringIO(text))] == ["# A\n\n"]

    def test_prose_fills_its_passages(self):
        text = "\n\n".join([WORDS.strip()] * 40)
        found = [one.text for one in Cutter("f.md", 1500, markdown=True).cut(io.StringIO(text))]
        assert [one.count("operator") for one in found] == [16, 16, 8]

    def test_lines_that_could_all_be_headings_are_none(self):
        text = "\n\n".join(f"Apple {n}" for n in range(400))
        found = [one.text for one in Cutter("f.txt", 500).cut(io.StringIO(text))]
        assert all(len(one) < 600 for one in found)
        assert len(found) < 12

    def test_nested_items_are_no_headings(self):
        text = "".join(f"* item {n}\n** one below it\n** and one more\n" for n in range(20)) + f"\n{WORDS * 3}\n"
        first, *_ = Cutter("f.adoc", 900).cut(io.StringIO(text))
        assert first.text == text[: text.index(WORDS)].strip()

    def test_a_line_in_brackets_begins_a_section_of_settings_only(self):
        settings = "".join(f"[part{n}]\nkey = {WORDS}\nother = {WORDS}\n" for n in range(4))
        assert [one.text[:7] for one in Cutter("f.ini", 500).cut(io.StringIO(settings))] == [
            f"[part{n}]"[:7] for n in range(4)
        ]
        told = "\n\n".join(f"[Music]\n\n{WORDS * 3}" for _ in range(2))
        assert len(list(Cutter("f.txt", 900).cut(io.StringIO(told)))) == 1

    def test_an_item_of_a_list_is_no_heading(self):
        text = "\n\n".join(f"{n}. Apples" for n in range(9))
        assert next(Cutter("f.txt", 40).cut(io.StringIO(text))).text == "0. Apples\n\n1. Apples\n\n2. Apples"

    @given(
        st.lists(
            st.sampled_from(["# A", "## B", "C", "d e. ", "f:", "| g |", "```", "---", "* h", "", " ", "4.1 I", "=="]),
            max_size=60,
        ),
        st.integers(1, 40),
    )
    def test_cut_passages_are_the_text(self, lines, size):
        text = "\n".join(lines)
        end = 0
        for passage in Cutter("f", size, markdown=True).cut(io.StringIO(text)):
            start = passage.metadata["start_index"]
            assert not text[end:start].strip()
            end = start + len(passage.text)
            assert text[start:end] == passage.text
            assert passage.metadata["line"] == text.count("\n", 0, start) + 1
        assert not text[end:].strip()


class TestTitles:
    @pytest.mark.parametrize(
        ("text", "title"),
        [
            ("# Plans\n\n## Gold\n\nwords", "Plans > Gold"),
            ("Plans\n=====\n\nGold\n----\n\nwords", "Plans > Gold"),
            ("=====\nPlans\n=====\n\nGold\n====\n\nwords", "Plans > Gold"),
            ("\\chapter{Plans}\n\n\\section[G]{Gold}\n\nwords", "Plans > Gold"),
            ("= Plans\n\n== Gold\n\nwords", "Plans > Gold"),
            ("** Plans\n*** Gold\nwords", "Plans > Gold"),
            ("# In C#\n\nwords", "In C#"),
            ("---\ntitle: Plans\n---\n\nwords", ""),
        ],
    )
    def test_a_title_has_the_headings_of_all_formats(self, text, title):
        (passage,) = Cutter("f", 500, markdown=True).cut(io.StringIO(text))
        assert passage.metadata["title"] == " > ".join(filter(None, ("f", title)))


def test_the_title_is_true_for_all_of_a_passage():
    """Of several sections, only what is above all of them."""
    text = (
        "# Handbook\n\n## Rest\n\nEleven hours.\n\n## Accidents\n\nCall 112.\n\n"
        "# Prices\n\n## Fees\n\n### Late\n\nTen euros.\n"
    )
    titles = [one.metadata["title"] for one in Cutter("a.md", 150, markdown=True).cut(text.splitlines(keepends=True))]
    assert titles == ["a.md > Handbook", "a.md > Prices > Fees > Late"]
    (whole,) = Cutter("a.md", 2000, markdown=True).cut(text.splitlines(keepends=True))
    assert whole.metadata["title"] == "a.md"
    (one,) = Cutter("a.md", 2000, markdown=True).cut(
        "# Handbook\n\nAll.\n\n## Rest\n\nEleven hours.\n".splitlines(True)
    )
    assert one.metadata["title"] == "a.md > Handbook"
