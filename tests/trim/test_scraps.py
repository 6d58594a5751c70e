"""Under a tiny budget no piece goes out that tells a reader of the question nothing."""

import pytest

from fgr_retriever.config import TrimConfig
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.text.parts import words_in
from fgr_retriever.trim.budget import token_counter
from fgr_retriever.trim.choice import trim
from fgr_retriever.trim.layout import Scored
from fgr_retriever.trim.trimmer import Trimmer
from fgr_retriever.types import Passage
from tests.evidence.test_spans import evidence_for
from tests.trim.prose_answers import marked_prose, scrap


def kept(query: str, text: str, likely: tuple[str, ...], limit: int, **settings) -> list[str]:
    (passage,) = trim(
        [Scored(text, evidence_for(text, *likely), 1.0)],
        TrimConfig(max_tokens=limit, **settings),
        0.5,
        lambda text: len(text.split()),
        query,
    ).trimmed
    return [text[span.start : span.end] for span in passage.spans]


@pytest.mark.parametrize("mark", ["2.", "(2)", "b)"])
def test_no_mark_of_a_list_item_tells_anything(mark):
    text = f"{mark} To the left of it is the knob\n{mark} and to the right of it the lid"
    assert kept("Where is the knob and where is the lid?", text, ("2", "b"), 1) in ([], ["left"], ["right"])


def test_words_of_the_question_alone_are_no_part():
    text = "The deepest point of the lake, as far as anybody has measured it with a lead, lies at 187 metres."
    query = "How deep is the deepest point of the lake?"
    assert kept(query, text, ("deepest", "point", "lake"), 5, unit="sentence")
    assert all(
        "187" in one or "lead" in one or "measured" in one for one in kept(query, text, ("deepest", "point", "lake"), 5)
    )


def test_nothing_is_kept_where_nothing_that_tells_something_fits():
    text = "Is the lid of the case shut? Is the knob of the case turned?"
    found = trim(
        [Scored(text, evidence_for(text, "lid", "shut", "knob"), 1.0)],
        TrimConfig(max_tokens=8),
        0.5,
        lambda text: len(text.split()),
        "Is the lid shut and the knob of the case turned?",
    )
    assert found.assembly.text == ""
    assert found.trimmed[0].reason == "a budget of 8 tokens is too small for the shortest piece of evidence (needs 14)"


def test_a_sentence_that_affirms_the_question_is_kept():
    text = "The lid is shut. Nobody has looked at the knob since the morning."
    assert kept("Is the lid shut?", text, ("lid", "shut", "knob"), 4) == ["The lid is shut."]


def test_names_and_quantities_stay_whole():
    text = "The tower was built by Ada Mary Corrin within 12 months"
    words = [text[start:end] for start, end in words_in(text, 0, len(text))]
    assert words == ["The", "tower", "was", "built", "by", "Ada Mary Corrin", "within", "12 months"]
    for limit in range(1, 12):
        for one in kept("Who?", text, ("Ada", "12"), limit):
            assert ("Ada" in one) == ("Corrin" in one)
            assert ("12" in one) == ("months" in one)


def test_a_title_in_capitals_is_no_name():
    text = "The Long Way Home From The Sea"
    assert len(list(words_in(text, 0, len(text)))) == 7


@pytest.fixture(scope="module")
def trimmer():
    return Trimmer(Encoder.default(), count_tokens=token_counter("o200k_base"))


@pytest.mark.parametrize("budget", [5, 8, 12])
def test_no_part_of_marked_prose_is_empty_or_torn(trimmer, budget):
    found = []
    for one in marked_prose():
        spans = trimmer.trim(one.question, [one.text], max_tokens=budget)[0].spans
        found += [one.text[span.start : span.end] for span in spans if scrap(one, span) in ("empty", "torn")]
    assert found == []


def test_the_report_says_that_nothing_fits(trimmer):
    question = "On what condition did Colonel Venn surrender the fort?"
    text = next(one.text for one in marked_prose() if one.question == question)
    context = trimmer.context(question, [Passage("help", text)], max_tokens=5)
    assert context.text == ""
    assert any("no room for any evidence" in note for note in context.report.notes)
