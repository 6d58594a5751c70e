"""Texts with structure are cut where their records, headings, statements and sentences end: see `marked_cuts`."""

import numpy as np
import pytest

from fgr_retriever import TrimConfig
from fgr_retriever.evidence.spans import best_span, find_spans
from fgr_retriever.text.sentences import phrases, segments, sentences
from fgr_retriever.text.units import Units
from fgr_retriever.types import TokenEvidence
from tests.text.marked_cuts import is_met, marked_texts

TEXTS = list(marked_texts())


@pytest.mark.parametrize("one", TEXTS, ids=[f"{one.kind}/{one.name}" for one in TEXTS])
def test_every_marked_cut_is_met(one):
    units = Units.of(one.text)
    for ranges in (units.phrases.tolist(), units.sentences.tolist()):
        assert [question.ask for question in one.questions if not is_met(one.text, question, ranges)] == []


def test_the_corpus_is_large_and_each_text_has_three_questions():
    assert len(TEXTS) >= 60
    assert {len(one.questions) for one in TEXTS} == {3}
    assert all(question.whole in one.text for one in TEXTS for question in one.questions)


def test_the_judge_sees_cuts_and_neighbours():
    one = next(one for one in TEXTS if one.name == "staff")
    question = one.questions[0]
    start = one.text.index(question.whole)
    row = [start, start + len(question.whole)]
    assert is_met(one.text, question, [row])
    assert not is_met(one.text, question, [[row[0], row[0] + 12], [row[0] + 12, row[1]]])
    assert not is_met(one.text, question, [[0, len(one.text)]])


def evidence(text, *likely):
    """Give every word a token; those of the likely parts are evidence."""
    offsets, chances = [], []
    position = 0
    for word in text.split():
        start = text.index(word, position)
        position = start + len(word)
        offsets.append((start, position))
        chances.append(
            0.9 if any(low <= start < low + len(part) for part in likely for low in places(text, part)) else 0.02
        )
    return TokenEvidence(np.array(offsets, dtype=np.int32).reshape(-1, 2), np.array(chances, dtype=np.float32))


def places(text, part):
    found, start = [], text.find(part)
    while start >= 0:
        found.append(start)
        start = text.find(part, start + 1)
    return found


def kept(text, *likely, unit="phrase"):
    found = find_spans(text, evidence(text, *likely), TrimConfig(unit=unit), 0.5)
    return [text[span.start : span.end] for span in found]


MATTER = "---\ntitle: Bread in linen bags\n---\n\nKeep bread in linen. It stays fresh.\n"


@pytest.mark.parametrize("unit", ["token", "phrase", "sentence"])
def test_front_matter_is_never_evidence(unit):
    assert kept(MATTER, "title: Bread in linen bags", unit=unit) == []
    assert kept(MATTER, "title: Bread in linen bags", "fresh", unit=unit) == (
        ["fresh."] if unit == "token" else ["It stays fresh."]
    )
    best = best_span(MATTER, evidence(MATTER, "title: Bread in linen bags"), TrimConfig(unit=unit))
    assert best is not None
    assert best.start >= MATTER.index("Keep")


def test_a_text_that_is_nothing_else_keeps_its_front_matter():
    text = "---\ntitle: Bread\n---\n"
    assert kept(text, "title: Bread") == ["title: Bread"]


def test_a_heading_is_neither_kept_alone_nor_last():
    text = "Intro is here.\n\n# Return of goods\n\nThirty days.\n\n# Costs\n"
    assert kept(text, "Return of goods") == ["# Return of goods\n\nThirty days."]
    assert kept(text, "Costs") == []
    assert kept(text, "Thirty days.", "Costs") == ["# Return of goods\n\nThirty days."]


def test_many_short_lines_are_a_list_and_no_headings():
    text = "Apples\n\nPears\n\nPlums\n\nCherries\n\nQuinces\n\nThese grow here."
    assert [text[slice(*one)] for one in sentences(text)] == text.split("\n\n")


def test_the_title_of_a_passage_is_left_to_keep_title():
    text = "Opening hours\n\nThe library opens at nine."
    assert kept(text, "Opening hours", "nine.") == ["The library opens at nine."]


def test_a_sentence_that_is_repeated_is_kept_once():
    said = "The bridge is closed until May."
    text = f"{said} Buses take the old road. {said} Walkers may use the ferry, which is free."
    assert kept(text, said) == [said]
    assert kept(text, said, "Buses take the old road.") == [f"{said} Buses take the old road."]
    assert kept("Yes. Is it open? No. Is it far? Yes.", "Yes.") == ["Yes.", "Yes."]


def test_the_same_words_in_other_sentences_are_kept():
    text = "In May, the bridge was closed for a week. In May, the ferry was free for all."
    assert kept(text, "In May,") == ["In May", "In May"]


def test_a_record_that_is_too_long_is_cut_like_prose():
    text = '{"title": "Bees", "text": "' + "Bees fly far in spring. They rest in winter. " * 30 + '"}'
    assert len(segments(text)) > 10


def test_phrases_of_a_range_without_a_body_are_those_of_prose():
    text = "# Costs, fees\n\nWe pay, you do not."
    ((start, end, body, _),) = segments(text)
    assert [text[slice(*one)] for one in phrases(text, start, end, body)] == ["# Costs, fees\n\nWe pay,", "you do not."]
