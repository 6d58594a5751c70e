"""What a budget keeps first: the answer beside the question's words, and on a page the sentence that has them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.config import TrimConfig
from fgr_retriever.text.query_words import content_stems, stems
from fgr_retriever.trim.choice import trim
from fgr_retriever.trim.layout import Layout, Scored
from fgr_retriever.trim.ranking import Ranking
from fgr_retriever.trim.trimmer import Trimmer
from tests.trim.test_choice import check, configs, contexts, counters, scored, words

BANDOW = "Doug Bandow once sharply criticized many Republicans in The American Conservative of that year."
WHO = "Who criticized Republicans in The American Conservative?"
ASKED = ["criticized", "Republicans", "in", "The", "American", "Conservative"]

MENU = [f"Radium topic {number}." for number in range(79)]
SHED = "In that old shed Curie held much of the pitchblende from Joachimsthal."
PAGE = " ".join([*MENU[:40], SHED, *MENU[40:]])
WHERE = "Where did Curie hold the pitchblende?"


def kept(context, query, **settings):
    config = TrimConfig(threshold=0.5, unit="sentence", merge_gap=0, **settings)
    return [one.text for one in trim(context, config, 0.5, words, query).trimmed]


def page(likely: float) -> Scored:
    """Give the page with one likely word, `Radium`, in each short line, and 0.1 for every other word."""
    found = scored(PAGE, "Radium", "pitchblende")
    probabilities = np.where(found.evidence.probabilities > 0.5, likely, 0.1).astype(np.float32)
    return replace(found, evidence=replace(found.evidence, probabilities=probabilities))


def test_the_answer_is_kept_and_not_what_repeats_the_question():
    context = [scored(BANDOW, "Doug", "Bandow", *ASKED)]
    # Five words fit. "Republicans in The American Conservative" has 5 * 0.9 = 4.5, "Doug Bandow once sharply
    # criticized" 3 * 0.9 + 2 * 0.1 = 2.9. Words of the question and function words count half: 2.25 and 2.45.
    assert kept(context, WHO, max_tokens=5) == ["Doug Bandow once sharply criticized"]
    # Without the question, "in" and "The" alone count half: 3.6 and 2.9.
    assert kept(context, "", max_tokens=5) == ["Republicans in The American Conservative"]


@pytest.mark.parametrize(
    ("negation", "expected"), [("not", "and sheds are not warm"), ("also", "Old Radium glows blue")]
)
def test_a_negation_counts_in_full(negation, expected):
    # Five words fit. 0.6 for "Radium"; 0.9 for the other, or half of that for a function word; 0.1 for all others.
    context = [scored(f"Old Radium glows blue and sheds are {negation} warm", negation)]
    probabilities = context[0].evidence.probabilities.copy()
    probabilities[1] = 0.6
    context = [replace(context[0], evidence=replace(context[0].evidence, probabilities=probabilities))]
    assert kept(context, "", max_tokens=5) == [expected]


def test_the_words_of_the_question_weigh_on_a_page():
    ranking = Ranking.of(page(0.6), content_stems(WHERE))
    # Of 80 sentences with 79 * 3 + 12 = 249 words one has all words of the question that the page has.
    weight = 1 / (1 + (60 / 80) ** 2)
    share = weight / (0.5 + 0.5 * 12 / (249 / 80))
    assert np.flatnonzero(ranking.shares).tolist() == [40]
    assert ranking.shares[40] == pytest.approx(share)
    # The best sentence is worth what the evidence of the best line is: a page competes by its evidence.
    mean = (0.6 + 11 * 0.1) / 12
    assert ranking.scale == pytest.approx((0.6 + 0.1 + 0.1) / 3 / (mean + share))
    worths = dict((span.start, worth) for worth, span in ranking.others("sentence", ()))
    assert max(worths.values()) == worths[PAGE.index(SHED)] == pytest.approx((0.6 + 0.1 + 0.1) / 3)


def test_in_a_passage_the_words_of_the_question_hardly_weigh():
    text = f"Radium topic 1. {SHED} Radium topic 2."
    shares = Ranking.of(scored(text, "Radium"), content_stems(WHERE)).shares
    assert 0 < shares[1] == shares.max() < 0.01
    assert not Ranking.of(scored(text, "Radium"), frozenset()).shares.any()


def test_a_page_keeps_its_long_sentence_about_the_question_before_its_short_lines():
    # Evidence: each line of the menu (0.6 + 0.2) / 3 = 0.27, the long sentence 1.7 / 12 = 0.14; with the words of the
    # question that one has 0.14 + 0.26.
    settings = {"max_tokens": 12}
    assert kept([page(0.6)], WHERE, **settings) == [SHED]
    assert SHED not in kept([page(0.6)], "", **settings)[0]
    # The same for what fills a budget, where only one line is evidence by itself.
    weak = page(0.3)
    probabilities = weak.evidence.probabilities.copy()
    probabilities[0] = 0.9
    weak = replace(weak, evidence=replace(weak.evidence, probabilities=probabilities))
    filled = {query: kept([weak], query, max_tokens=16, fill=True)[0] for query in (WHERE, "")}
    assert filled[WHERE] == f"Radium topic 0. \N{HORIZONTAL ELLIPSIS} {SHED}"
    assert SHED not in filled[""]


def test_a_page_does_not_crowd_out_passages_with_more_evidence():
    # Without the scale, the sentence of the page would be worth 0.40 and that of the passage 0.37.
    short = scored("Curie held radium.", "radium")
    texts = kept([page(0.6), scored("Gold.", "Gold", score=9.0), short], WHERE, max_tokens=4 + 3)
    assert texts[1:] == ["Gold.", "Curie held radium."]


def test_trimming_knows_the_question(word_encoder):
    text = PAGE.replace("Radium", "Curie")
    config = TrimConfig(threshold=0.5, unit="sentence", merge_gap=0, max_tokens=12)
    (found,) = Trimmer(word_encoder, config, count_tokens=words).trim("Curie pitchblende", [text])
    # A line of the menu has 1 of its 3 words, the sentence 2 of its 12; only that has the rare word.
    assert found.text == SHED


@given(
    contexts, configs, counters, st.floats(0, 1), st.sampled_from(["", WHERE, "word a 1 \N{COMBINING ACUTE ACCENT}"])
)
def test_with_a_question_the_context_is_verbatim_within_the_budget_and_the_same_again(
    context, config, count, threshold, query
):
    found = trim(context, config, threshold, count, query)
    check(context, config, found.trimmed)
    assert count(found.assembly.text) <= config.max_tokens
    assert Layout.of(context, config).write([one.spans for one in found.trimmed]).text == found.assembly.text
    assert trim(context, config, threshold, count, query).trimmed == found.trimmed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Recommended recommends", ["recom", "recom"]),
        ("In 1234567, x-ray's", ["in", "1234567", "x", "ray", "s"]),
        ("STRASSE straße", ["stras", "stras"]),
        ("", []),
    ],
)
def test_stems(text, expected):
    assert stems(text) == expected
    assert content_stems("What is the radius, and who found radium?") == {"radiu", "found"}
