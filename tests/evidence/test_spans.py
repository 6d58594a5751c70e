import time
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import pytest
import regex
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fgr_retriever.config import TrimConfig
from fgr_retriever.evidence.axis import Axis
from fgr_retriever.evidence.spans import best_span, find_spans, find_spans_of
from fgr_retriever.evidence.sums import TokenAxis
from fgr_retriever.evidence.unit_choice import Choice
from fgr_retriever.text.atoms import snap_to_atoms
from fgr_retriever.text.units import Units
from fgr_retriever.types import TokenEvidence
from tests.text.marked_cuts import marked_texts
from tests.text.test_sentences import texts

TEXT = (
    "Marie Curie, born in Warsaw in 1867, won the Nobel Prize in Physics and later discovered radium. "
    "She wasn't rich.\n\nPierre (her husband) died in 1906 on a street, they say."
)
TOKEN = regex.compile(r"\p{Han}|\w+|\p{S}")
configs = st.builds(
    TrimConfig,
    threshold=st.none() | st.just(0.5),  # fixed or not is what find_spans reads of it
    unit=st.sampled_from(["token", "phrase", "sentence"]),
    merge_gap=st.integers(0, 30),
    min_length=st.integers(0, 6),
    context_sentences=st.integers(0, 2),
)


def evidence_for(text: str, *likely: str | dict[str, float], high: float = 0.9, low: float = 0.1) -> TokenEvidence:
    """Give some tokens a high probability, or each its own."""
    known: dict[str, float] = {}
    for one in likely:
        known |= one if isinstance(one, dict) else {one: high}
    tokens = list(TOKEN.finditer(text))
    offsets = np.array([token.span() for token in tokens], dtype=np.int32).reshape(-1, 2)
    return TokenEvidence(offsets, np.array([known.get(t.group(), low) for t in tokens], dtype=np.float32))


@st.composite
def passages(draw):
    text = draw(texts)
    tokens = [token.span() for token in TOKEN.finditer(text)]
    chances = draw(st.lists(st.floats(0, 1, width=32), min_size=len(tokens), max_size=len(tokens)))
    offsets = np.array(tokens, dtype=np.int32).reshape(-1, 2)
    return text, TokenEvidence(offsets, np.array(chances, dtype=np.float32))


def is_heard(text: str, token) -> bool:
    """Say whether a token lies in a unit: page numbers and the like lie in none."""
    return any(first < token[1] and token[0] < last for first, last in Units.of(text).sentences.tolist())


def kept(text: str, *likely: str, threshold: float = 0.5, **settings) -> list[str]:
    config = TrimConfig(threshold=threshold, **settings)
    found = find_spans(text, evidence_for(text, *likely), config, threshold)
    return [text[span.start : span.end] for span in found]


def check(text: str, evidence: TokenEvidence, spans) -> None:
    position = 0
    for span in spans:
        assert position <= span.start < span.end <= len(text)
        assert text[span.start : span.end] == text[span.start : span.end].strip()
        assert snap_to_atoms(text, span.start, span.end) == (span.start, span.end)
        # A token belongs where its last character is: one that begins with an accent of the text before is cut there.
        inside = (evidence.offsets[:, 1] > span.start) & (evidence.offsets[:, 1] <= span.end)
        assert span.score == pytest.approx(evidence.probabilities[inside].mean(), abs=1e-5)
        position = span.end


LINE_BEFORE_A_DASH = "word \u2028 - word", TokenEvidence(np.array([[0, 4], [9, 13]], np.int32), np.zeros(2, np.float32))
TITLE_OF_NOTHING = "Dr.word\n\n\u061f", TokenEvidence(np.array([[0, 2], [3, 7]], np.int32), np.zeros(2, np.float32))
SEPARATOR_AFTER_A_URL = "https://a.b/c?x=2.\x1f", TokenEvidence(np.array([[0, 5]], np.int32), np.zeros(1, np.float32))
ACCENT_OF_A_STOP = "。\u0301word", TokenEvidence(np.array([[1, 6]], np.int32), np.array([0.5], np.float32))


@example(ACCENT_OF_A_STOP, TrimConfig(unit="token"), 0.0)
@example(SEPARATOR_AFTER_A_URL, TrimConfig(unit="token"), 0.0)
@given(passages(), configs, st.floats(0, 1))
def test_spans_are_sorted_disjoint_bare_and_whole(passage, config, threshold):
    text, evidence = passage
    before = evidence.offsets.copy(), evidence.probabilities.copy()
    check(text, evidence, find_spans(text, evidence, config, threshold))
    assert np.array_equal(evidence.offsets, before[0])
    assert np.array_equal(evidence.probabilities, before[1])


@example(LINE_BEFORE_A_DASH, TrimConfig(unit="token"))
@example(TITLE_OF_NOTHING, TrimConfig())
@given(passages(), configs)
def test_the_best_span_is_whole_and_there_if_there_are_tokens(passage, config):
    text, evidence = passage
    best = best_span(text, evidence, config)
    assert (best is None) == (len(evidence) == 0)
    check(text, evidence, [best] if best else [])


@given(passages(), configs, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_keeps_a_subset_of_the_words(passage, config, one, other):
    text, evidence = passage
    config = replace(config, unit="token", threshold=0.5)
    strict, loose = (
        {place for span in find_spans(text, evidence, config, level) for place in range(span.start, span.end)}
        for level in (max(one, other), min(one, other))
    )
    assert strict <= loose


@example(("No. 5 \n\n \N{IDEOGRAPHIC FULL STOP}", evidence_for("No. 5 \n\n \N{IDEOGRAPHIC FULL STOP}")), 0.0)
@given(passages(), st.floats(0, 1))
def test_every_passing_token_is_kept_unless_it_is_never_evidence(passage, threshold):
    text, evidence = passage
    spans = find_spans(text, evidence, TrimConfig(threshold=threshold, unit="token", min_length=0), threshold)
    for start, end in evidence.offsets[evidence.probabilities >= threshold].tolist():
        held = any(span.start <= start and end <= span.end for span in spans)
        assert held or not is_heard(text, (start, end))


@given(passages(), configs, st.floats(0, 1))
def test_spans_are_found_exactly_when_a_token_passes(passage, config, threshold):
    text, evidence = passage
    spans = find_spans(text, evidence, replace(config, min_length=0), threshold)
    assert bool(spans) == any(
        map(partial(is_heard, text), evidence.offsets[evidence.probabilities >= threshold].tolist())
    )


@given(passages(), st.floats(0, 1))
def test_no_span_crosses_a_blank_line_but_that_below_a_heading(passage, threshold):
    text, evidence = passage
    units = Units.of(text).sentences.tolist()  # a heading is a part of the one below it
    for span in find_spans(text, evidence, TrimConfig(unit="token", merge_gap=1000), threshold):
        for blank in regex.finditer("\n\n", text[span.start : span.end]):
            place = span.start + blank.start()
            assert any(first < place < last for first, last in units)


@pytest.mark.parametrize(
    ("unit", "likely", "expected"),
    [
        ("token", ["Curie"], ["Curie"]),
        ("token", ["Marie", "1867"], ["Marie", "1867"]),
        ("token", ["wasn"], ["wasn't"]),
        ("token", ["radium"], ["radium."]),
        ("phrase", ["won", "Nobel", "Prize", "Physics"], ["won the Nobel Prize in Physics"]),
        ("phrase", ["Physics"], ["won the Nobel Prize in Physics"]),
        ("phrase", ["born", "Warsaw", "1867"], ["born in Warsaw in 1867"]),
        ("phrase", ["rich", "Pierre"], ["She wasn't rich."]),
        ("sentence", ["1906"], ["Pierre (her husband) died in 1906 on a street, they say."]),
        ("sentence", ["nothing"], []),
    ],
)
def test_units(unit, likely, expected):
    assert kept(TEXT, *likely, unit=unit) == expected


def test_by_default_a_passage_finds_its_own_cut():
    def found(**chances: float) -> list[str]:
        text = "One came. Two came. Three came. Four came."
        evidence = evidence_for(text)
        for place, token in enumerate(TOKEN.findall(text)):
            evidence.probabilities[place] = chances.get(token, 0.01)
        return [text[span.start : span.end] for span in find_spans(text, evidence, TrimConfig(merge_gap=0), 0.05)]

    assert found(One=0.9, Two=0.3) == ["One came."]  # one clear sentence
    assert found(One=0.3, Two=0.28) == ["One came.", "Two came."]  # two doubtful ones
    assert found(One=0.06) == ["One came."]  # little, but above what the model may show
    assert found(One=0.04) == []


@given(passages(), st.sampled_from(["token", "phrase", "sentence"]))
def test_no_other_choice_of_units_has_a_higher_expected_f1(passage, unit):
    text, evidence = passage
    hot = np.arange(len(evidence))[:6]
    assume(len(hot) and evidence.probabilities.sum() > 1e-3)
    tokens = TokenAxis.of([len(text)], [evidence])
    choice = Choice.of(Axis.of([text], tokens, [Units.of(text)]), [evidence], hot, unit)
    masses, counts, total = choice.masses, choice.counts, choice.totals[0]

    def expected(chosen):
        return 2 * masses[chosen].sum() / (counts[chosen].sum() + total)

    choices = (np.array(some, dtype=bool) for some in product([False, True], repeat=len(masses)) if any(some))
    best = max(expected(some) for some in choices)
    assert expected(choice.by_expected_f1()) == pytest.approx(best)


@st.composite
def any_passages(draw):
    """Passages as `passages` makes them, or with tokens in white space, without characters or beyond the text."""
    text, evidence = draw(passages())
    if draw(st.booleans()):
        places = st.integers(0, len(text) + 3)
        offsets = sorted(draw(st.lists(st.tuples(places, places).map(sorted), min_size=1, max_size=8)))
        chances = draw(st.lists(st.floats(0, 1, width=32), min_size=len(offsets), max_size=len(offsets)))
        evidence = TokenEvidence(np.array(offsets, dtype=np.int32), np.array(chances, dtype=np.float32))
    return text, evidence


@example([(" a", TokenEvidence(np.array([[0, 1]], np.int32), np.ones(1, np.float32)))] * 2, TrimConfig(), 0.0)
@example([(" ", TokenEvidence(np.array([[0, 1]], np.int32), np.ones(1, np.float32)))] * 2, TrimConfig(), 0.0)
@example([("a", TokenEvidence(np.array([[0, 9]], np.int32), np.ones(1, np.float32)))] * 2, TrimConfig(), 0.0)
@given(st.lists(any_passages(), max_size=5), configs, st.floats(0, 1))
def test_the_spans_of_many_passages_are_those_of_each(found, config, threshold):
    texts, evidence = [text for text, _ in found], [told for _, told in found]
    alone = [find_spans(text, told, config, threshold) for text, told in found]
    assert find_spans_of(texts, evidence, config, threshold) == alone
    assert find_spans_of(texts, evidence, config, threshold, [Units.of(text) for text in texts]) == alone
    some = [Units.of(text) if place % 2 else None for place, text in enumerate(texts)]
    assert find_spans_of(texts, evidence, config, threshold, some) == alone


@given(passages(), passages(), configs)
def test_nothing_is_joined_across_two_passages(one, other, config):
    texts, evidence = (one[0], other[0]), [one[1], other[1]]
    config = replace(config, merge_gap=1_000_000)
    for (text, told), spans in zip((one, other), find_spans_of(texts, evidence, config, 0.0), strict=True):
        check(text, told, spans)


def test_the_merge_gap_counts_characters():
    assert kept("one two three", "one", "three", unit="token", merge_gap=5) == ["one two three"]
    assert kept("one two three", "one", "three", unit="token", merge_gap=4) == ["one", "three"]


def test_punctuation_alone_never_parts_words_of_one_sentence():
    assert kept("one --- (((  two. Three", "one", "two", unit="token", merge_gap=0) == ["one --- (((  two."]
    assert kept("one. Two", "one", "Two", unit="token", merge_gap=0) == ["one.", "Two"]


def test_a_blank_line_parts_spans_whatever_the_gap():
    assert kept("one\n\ntwo", "one", "two", merge_gap=99) == ["one", "two"]


def test_short_spans_are_left_out():
    assert kept("he is at 42 now", "42", unit="token", min_length=3) == []
    assert kept("he is at 42 now", "42", unit="token", min_length=2) == ["42"]


def test_context_adds_whole_sentences_on_both_sides():
    text = "One is. Two is. Three is. Four is. Five is."
    assert kept(text, "Three", unit="token", context_sentences=1) == ["Two is. Three is. Four is."]
    assert kept(text, "One", unit="token", context_sentences=1) == ["One is. Two is."]


def test_the_best_span_has_the_highest_mean():
    config = TrimConfig()
    best = best_span(TEXT, evidence_for(TEXT, "they", high=0.3), config)
    assert TEXT[best.start : best.end] == "they say."
    sentence = best_span(TEXT, evidence_for(TEXT, "rich", high=0.3), replace(config, unit="sentence"))
    assert TEXT[sentence.start : sentence.end] == "She wasn't rich."


def test_a_token_may_include_the_space_before_it():
    # Byte-level tokenizers count the space before a word to its token.
    text = "so it glows green"
    offsets = np.array([[0, 2], [2, 5], [5, 11], [11, 17]], dtype=np.int32)
    evidence = TokenEvidence(offsets, np.array([0.1, 0.1, 0.9, 0.1], dtype=np.float32))
    (span,) = find_spans(text, evidence, TrimConfig(unit="token"), 0.5)
    assert text[span.start : span.end] == "glows"


def test_nothing_in_nothing_out():
    empty = evidence_for("")
    assert find_spans("", empty, TrimConfig(), 0.0) == ()
    assert find_spans("...", empty, TrimConfig(), 0.0) == ()
    assert best_span("...", empty, TrimConfig()) is None


def test_a_passage_takes_about_a_millisecond():
    text = " ".join([TEXT.replace("\n", " ")] * 5)
    evidence = evidence_for(text, "Marie", "Curie", "won", "radium")
    best = min(_seconds(text, evidence) for _ in range(20))
    assert best < 0.01  # ten times what it takes, for busy machines


def _seconds(text, evidence):
    started = time.process_time()
    find_spans(text, evidence, TrimConfig(), 0.5)
    return time.process_time() - started


@pytest.mark.parametrize("unit", ["phrase", "sentence", "token"])
@pytest.mark.parametrize("one", marked_texts(), ids=lambda one: one.kind)
def test_spans_do_not_depend_on_whether_the_units_are_known(one, unit):
    """Without units, only the sentences around likely tokens are told from their neighbours."""
    text = "\n\n".join(one.text.replace("7", digit) for digit in "123")
    tokens = np.array([token.span() for token in regex.finditer(r"\w+|\W", text)], dtype=np.int32)
    for step, context in product((1, 7, 31, 109), (0, 1)):
        likely = np.where(np.arange(len(tokens)) % step == step // 2, 0.9, 0.05).astype(np.float32)
        config, evidence = TrimConfig(unit=unit, context_sentences=context), TokenEvidence(tokens, likely)
        known = find_spans_of([text], [evidence], config, 0.5, [Units.of(text)])
        assert find_spans_of([text], [evidence], config, 0.5) == known


def test_a_text_of_nothing_but_furniture_is_evidence_wherever_the_likely_token_lies():
    text = "Skip to content\n\nLog in\n\nCookie settings"
    for word in "Skip", "Log", "Cookie":
        evidence = evidence_for(text, word)
        known = find_spans_of([text], [evidence], TrimConfig(), 0.5, [Units.of(text)])
        assert find_spans_of([text], [evidence], TrimConfig(), 0.5) == known
        assert [text[span.start : span.end].split()[0] for span in known[0]] == [word]


def test_a_likely_heading_has_its_sentence():
    text = "# Ferry times\n\nThe ferry leaves at noon. It takes an hour. It has no bar."
    found = find_spans(text, evidence_for(text, "Ferry"), TrimConfig(), 0.5)
    assert [text[span.start : span.end] for span in found] == ["# Ferry times\n\nThe ferry leaves at noon."]


@given(passages(), configs, st.floats(0, 1))
def test_spans_of_any_text_do_not_depend_on_whether_the_units_are_known(passage, config, threshold):
    text, evidence = passage
    known = find_spans_of([text], [evidence], config, threshold, [Units.of(text)])
    assert find_spans_of([text], [evidence], config, threshold) == known
