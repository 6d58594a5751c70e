"""The same clause in several sources: written once, cited for all, kept where the question asks for it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgr_retriever import Passage, TrimConfig, Trimmer, verify_citations
from fgr_retriever.agents.evidence_search import present
from fgr_retriever.testing import WordEncoder
from fgr_retriever.trim.layout import Scored
from fgr_retriever.trim.repeats import find_words
from fgr_retriever.types import Span, TokenEvidence

CLAUSE = "The notice period is thirty days."
ACME = Passage(
    "1", f"Paper comes white, by reams. {CLAUSE}", {"source": "contracts/acme.pdf", "title": "Acme contract"}
)
GLOBEX = Passage("2", f"{CLAUSE} Ink comes blue, by litres.", {"source": "contracts/globex_2024.pdf"})
QUERY = "What is the notice period in days of the Globex contract?"
CITED = TrimConfig(citation="[{number}]")


def context(query, *passages, trim=CITED, count=None):
    return Trimmer(WordEncoder(), trim, count_tokens=count).context(query, passages)


@pytest.mark.parametrize("passages", [(ACME, GLOBEX), (GLOBEX, ACME)], ids=["Acme first", "Globex first"])
def test_the_source_that_the_question_names_is_kept_and_the_other_one_cited(passages):
    found = context(QUERY, *passages)
    ids = [hit.passage.id for hit in found.hits]
    assert found.text == f"[1][2]{CLAUSE}"
    assert [ids[source.positions[0]] for source in found.sources] == ["2", "1"]
    assert [source.title for source in found.sources] == ["globex_2024.pdf", "Acme contract"]
    assert {ids[place]: one.also_in for place, one in enumerate(found.trimmed)} == {"1": (), "2": ("1",)}
    assert [(one.id, one.kept_in) for one in found.report.repeated] == [("1", "2")]


def test_the_name_of_a_source_supports_the_question():
    assert "Globex" not in context(QUERY, ACME, GLOBEX).report.uncovered
    assert "Globex" in context(QUERY, ACME).report.uncovered
    assert "Globex" in context(QUERY, ACME, Passage("globex", CLAUSE)).report.uncovered  # an id is no name


def test_an_agent_reads_and_cites_both_sources():
    text, evidence = present(context(QUERY, ACME, GLOBEX, trim=TrimConfig(citation="[{number}] {title}\n")))
    assert text.startswith("[1] globex_2024.pdf\n[2] Acme contract\n> The notice")
    acme = evidence["sources"][1]
    assert acme["passages"][0]["id"] == "1"
    (span,) = acme["spans"]
    assert ACME.text[span["start"] : span["end"]] == span["text"] == CLAUSE
    assert json.loads(json.dumps(evidence)) == evidence
    first, second, missing = verify_citations(
        "The notice period is thirty days [1][2][3].", evidence, encoder=WordEncoder()
    )
    assert (first.supported, second.supported, missing.supported) == (True, True, False)


def test_a_source_that_says_only_a_part_is_cited_for_its_part():
    """Globex has the clause, but not the second sentence that is written of Acme."""
    both = Passage("1", f"{CLAUSE} Paper comes white. The notice period begins in May.", ACME.metadata)
    part = Passage("2", CLAUSE, {"source": "globex"})
    found = context("notice period days begins May", both, part)
    first, second = found.text.split("\n\n")
    assert first.startswith("[1]The notice period is thirty days.")
    assert "begins in May" in first
    assert second == f"[2]{CLAUSE}"
    again = context("notice period days begins May", both, replace(part, metadata={}))  # no other source
    assert again.text == first


def test_a_source_that_is_written_itself_keeps_its_one_number():
    more = Passage(
        "2",
        f"{CLAUSE} {'Ink comes blue, by litres, from a shop. ' * 5}The notice period begins in May.",
        {"source": "globex"},
    )
    found = context("notice period days begins May Acme", ACME, more)
    assert found.text.count("[1]") == found.text.count("[2]") == 1
    assert all(not source.repeats for source in found.sources)
    assert found.trimmed[0].also_in == ("2",)


@pytest.mark.parametrize(
    ("text", "passage", "expected"),
    [
        ("The notice period.", "A NOTICE, period of ten days", "NOTICE, period"),
        ("ten days", "ten long days, ten days.", "ten days"),
        ("ten", "often ten", "ten"),
        ("days ten", "ten days", None),
        ("ﬁnal", "The final one", "final"),
    ],
)
def test_words_are_found_in_a_row(text, passage, expected):
    scored = Scored(passage, TokenEvidence(np.zeros((0, 2), np.int32), np.zeros(0, np.float32)), 1.0)
    found = find_words(text, scored, Span(0, 0, 0.0))
    assert (passage[found.start : found.end] if found else None) == expected
    whole = Span(0, len(text), 0.5)
    assert find_words(text, replace(scored, text=f"{text} {passage}"), whole) == whole


def test_copies_within_one_source_and_without_a_name_are_not_cited_again():
    twins = [Passage(str(n), CLAUSE, {"source": "a"}) for n in range(3)]
    assert context("notice period", *twins).text == f"[1]{CLAUSE}"
    nameless = [Passage(str(n), CLAUSE) for n in range(3)]
    assert context("notice period", *nameless).text == f"[1]{CLAUSE}"
    three = [Passage(f"{name} {n}", CLAUSE, {"source": name}) for name in "abc" for n in range(2)]
    assert context("notice period", *three).text == f"[1][2][3]{CLAUSE}"
    assert context("notice period", *three, trim=TrimConfig(citation="[{number}]", merge=False)).text.count("[") == 6


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=5),
    st.integers(1, 30),
    st.sampled_from(["[{number}]", "[{number}] {title}\n"]),
)
def test_marks_of_all_sources_are_within_the_budget(names, budget, citation):
    passages = [Passage(str(n), CLAUSE, {"source": name} if name else {}) for n, name in enumerate(names)]

    def count(text):
        return len(text.split()) + text.count("[")

    found = context("notice period", *passages, trim=TrimConfig(max_tokens=budget, citation=citation), count=count)
    assert count(found.text) <= budget
    assert [source.number for source in found.sources] == list(range(1, len(found.sources) + 1))
    assert len(found.sources) == len({source.title for source in found.sources})
    for source in found.sources:
        assert citation.format(number=source.number, title=source.title) in found.text


def test_metadata_name_the_other_passages(tmp_path):
    langchain = pytest.importorskip("langchain_core.documents")
    from langchain_fgr import FGRCompressor

    documents = [langchain.Document(one.text, id=one.id, metadata=dict(one.metadata)) for one in (ACME, GLOBEX)]
    (kept,) = FGRCompressor(encoder=WordEncoder()).compress_documents(documents, QUERY)
    assert (kept.id, kept.metadata["fgr_also_in"]) == ("2", ["1"])
