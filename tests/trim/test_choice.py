from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.config import TrimConfig
from fgr_retriever.errors import ConfigError
from fgr_retriever.trim.budget import token_counter
from fgr_retriever.trim.choice import trim as trim_all
from fgr_retriever.trim.layout import Layout, Scored
from tests.evidence.test_spans import evidence_for, passages

CURIE = "Marie Curie\n\nMarie Curie found radium in 1898, in a shed in Paris. She never patented it. The shed was cold."
NOBEL = "Nobel held patents. He invented dynamite in 1867 and left his money for prizes."
BREAD = "Bread is made of flour."


def characters(text: str) -> int:
    return len(text)


def words(text: str) -> int:
    return len(text.split())


def nasty(text: str) -> int:
    """Not additive, not monotone: every tenth length costs 7 more."""
    return len(text) // 3 + 7 * (len(text) % 10 == 0) if text else 0


def tiktokens(text: str) -> int:
    return token_counter("o200k_base")(text)


counters = st.sampled_from([characters, words, nasty, tiktokens])
contexts = st.lists(st.builds(lambda one, score: Scored(*one, score), passages(), st.floats(-5, 5)), max_size=4)
configs = st.builds(
    TrimConfig,
    unit=st.sampled_from(["token", "phrase", "sentence"]),
    merge_gap=st.integers(0, 5),
    min_length=st.integers(0, 3),
    max_tokens=st.integers(0, 60),
    separator=st.sampled_from([" … ", "", "\n"]),
    passage_separator=st.sampled_from(["\n\n", "", " --- "]),
    citation=st.sampled_from(["", "[{number}] "]),
    on_empty=st.sampled_from(["best_span", "keep", "drop"]),
    keep_title=st.booleans(),
    order=st.sampled_from(["best", "edges", "source"]),
    merge=st.booleans(),
    fill=st.booleans(),
)


def scored(text: str, *likely: str, score: float = 1.0) -> Scored:
    return Scored(text, evidence_for(text, *likely), score)


def trim(context, config, threshold, count):
    return list(trim_all(context, config, threshold, count).trimmed)


def text_of(context, results, config) -> str:
    return Layout.of(context, config).write([one.spans for one in results]).text


def check(context, config, results) -> None:
    assert len(results) == len(context)
    for passage, result in zip(context, results, strict=True):
        pieces = [passage.text[span.start : span.end] for span in result.spans]
        assert result.text == config.separator.join(pieces)
        assert list(result.spans) == sorted(result.spans)
        assert all(one.end <= other.start for one, other in zip(result.spans, result.spans[1:], strict=False))
        assert result.kept == pytest.approx(sum(map(len, pieces)) / max(len(passage.text), 1))
        assert bool(result.reason) == (not result.text)
        assert result.score == passage.score


@given(contexts, configs, counters, st.floats(0, 1))
def test_the_context_is_verbatim_in_order_and_never_over_budget(context, config, count, threshold):
    results = trim(context, config, threshold, count)
    check(context, config, results)
    assert count(text_of(context, results, config)) <= config.max_tokens
    # Adapters return the passages in input order, and callers join them.
    assert count(config.passage_separator.join(one.text for one in results if one.text)) <= config.max_tokens
    assert all(result.tokens == (count(result.text) if result.text else 0) for result in results)


@given(contexts, configs, st.floats(0, 1))
def test_without_a_budget_nothing_is_dropped(context, config, threshold):
    config = replace(config, max_tokens=None, merge=False)
    results = trim(context, config, threshold, None)
    check(context, config, results)
    assert all(result.tokens is None for result in results)
    for passage, result in zip(context, results, strict=True):
        if config.on_empty == "keep":
            assert bool(result.text) == bool(passage.text)
        if config.on_empty == "best_span" and config.min_length == 0:
            assert bool(result.text) == bool(len(passage.evidence))


@given(contexts, configs, counters, st.floats(0, 1))
def test_a_budget_that_holds_everything_drops_nothing(context, config, count, threshold):
    config = replace(config, fill=False)
    everything = trim(context, replace(config, max_tokens=None), threshold, count)
    size = max(map(count, Layout.of(context, config).joined([one.spans for one in everything])))
    assert trim(context, replace(config, max_tokens=size), threshold, count) == everything


@given(contexts, configs, st.floats(0, 1), st.integers(0, 60), st.integers(0, 60))
def test_a_larger_budget_keeps_no_less_evidence(context, config, threshold, one, other):
    # True where tokens are additive and the best span fits both budgets.
    config = replace(config, citation="", separator="", passage_separator="", keep_title=False)
    small, large = (
        trim(context, replace(config, max_tokens=limit), threshold, characters) for limit in sorted((one, other))
    )
    spans = {(place, span) for place, result in enumerate(small) for span in result.spans}
    whole = trim(context, replace(config, max_tokens=None), threshold, None)
    offered = {(place, span) for place, result in enumerate(whole) for span in result.spans}
    best = max(sorted(offered), key=lambda one: (context[one[0]].score, one[1].score), default=None)
    if best in spans <= offered:
        assert mass(context, small) <= mass(context, large) + 1e-5


def test_what_cannot_be_cut_leaves_a_small_budget_to_other_passages():
    context = [scored("https://a.b/c_d", "https", score=2.0), scored("radium", "radium", score=1.0)]
    config = TrimConfig(unit="token", passage_separator="")
    texts = [
        [one.text for one in trim(context, replace(config, max_tokens=limit), 0.5, characters)]
        for limit in (5, 6, 14, 15, 21)
    ]
    assert texts == [["", ""], ["", "radium"], ["", "radium"], ["https://a.b/c_d", ""], ["https://a.b/c_d", "radium"]]


@given(contexts, configs, counters, st.floats(0, 1))
def test_filling_only_adds(context, config, count, threshold):
    config = replace(config, merge=False)
    bare, filled = (trim(context, replace(config, fill=fill), threshold, count) for fill in (False, True))
    for one, other in zip(bare, filled, strict=True):
        holders = [
            [span for span in other.spans if span.start <= kept.start and kept.end <= span.end] for kept in one.spans
        ]
        assert all(len(found) == 1 for found in holders)


def test_what_the_budget_leaves_goes_to_the_next_best_sentences():
    text = "It rained. Radium was found in 1898. The shed was cold. Nobody knew. A patent was soon asked for."
    context = [Scored(text, evidence_for(text, "Radium", "1898"), 1.0), scored(BREAD)]
    weak = context[0].evidence.probabilities.copy()
    weak[weak < 0.5] = 0
    weak[[0, 7, 8]] = 0.02, 0.04, 0.03  # It; The, shed
    context[0] = replace(context[0], evidence=replace(context[0].evidence, probabilities=weak))
    config = TrimConfig(unit="sentence", max_tokens=9, fill=True, on_empty="drop", separator=" ")
    filled = trim(context, config, 0.5, words)
    # The evidence has 5 words, and the next best sentence, 4 more, follows it: one span.
    assert [one.text for one in filled] == ["Radium was found in 1898. The shed was cold.", ""]
    assert len(filled[0].spans) == 1
    more = trim(context, replace(config, max_tokens=11), 0.5, words)
    assert more[0].text == "It rained. Radium was found in 1898. The shed was cold."
    # Three words of room are left of a sentence of six.
    most = trim(context, replace(config, max_tokens=16), 0.5, words)
    assert most[0].text.startswith("It rained. Radium was found in 1898. The shed was cold. Nobody knew.")
    assert words(most[0].text) == 16
    assert trim(context, replace(config, max_tokens=None), 0.5, None)[0].text == "Radium was found in 1898."


def mass(context, results) -> float:
    total = 0.0
    for passage, result in zip(context, results, strict=True):
        for span in result.spans:
            inside = (passage.evidence.offsets[:, 1] > span.start) & (passage.evidence.offsets[:, 1] <= span.end)
            total += float(passage.evidence.probabilities[inside].sum())
    return total


def test_all_evidence_is_kept_when_it_fits():
    context = [scored(CURIE, "radium", "1898", "patented"), scored(NOBEL, "dynamite", "1867"), scored(BREAD)]
    config = TrimConfig(unit="sentence", max_tokens=100, on_empty="drop", citation="[{number}] ")
    results = trim(context, config, 0.5, words)
    assert text_of(context, results, config) == (
        "[1] Marie Curie found radium in 1898, in a shed in Paris. She never patented it.\n\n"
        "[2] He invented dynamite in 1867 and left his money for prizes."
    )
    assert results[2].reason == "no evidence reaches the threshold of 0.5"


def test_the_best_passage_keeps_its_best_span_whatever_the_density():
    context = [scored("Gold. Gold.", "Gold", score=1.0), scored(NOBEL, "dynamite", "1867", "prizes", score=9.0)]
    config = TrimConfig(unit="sentence", max_tokens=13, merge_gap=0)
    results = trim(context, config, 0.5, words)
    assert results[1].text == "He invented dynamite in 1867 and left his money for prizes."
    assert results[0].text == "Gold."


def test_dense_evidence_wins_what_is_left():
    context = [
        scored("Radium glows.", "Radium", "glows", score=5.0),
        scored("It has been said that some of it glows here at night.", "glows"),
        scored("Glows green.", "Glows", "green"),
    ]
    config = TrimConfig(unit="sentence", max_tokens=5)
    assert [one.text for one in trim(context, config, 0.5, words)] == ["Radium glows.", "", "Glows green."]


def test_a_span_too_long_shrinks_to_the_best_part_that_fits():
    context = [scored(CURIE, "found", "radium", "1898", "shed", "Paris")]
    config = TrimConfig(unit="sentence")

    def at(limit: int) -> str:
        return trim(context, replace(config, max_tokens=limit), 0.5, words)[0].text

    assert at(6) == "Marie Curie found radium in 1898,"
    assert at(3) == "found radium"  # the name stays whole, and the three words with it would be four
    assert "radium" in at(2) or "found" in at(2)
    assert len(at(1).split()) == 1


def test_the_words_with_the_most_evidence_are_kept_of_a_sentence_that_is_too_long():
    text = "In Paris, where nobody had looked for such things, Marie Curie found radium in pitchblende after years."
    context = [scored(text, "Marie", "Curie", "found", "radium", "pitchblende")]
    assert trim(context, TrimConfig(unit="sentence", max_tokens=6), 0.5, words)[0].text == (
        "Marie Curie found radium in pitchblende"
    )


def test_the_next_best_span_gives_its_best_part_but_no_crumbs():
    context = [
        scored("Radium glows.", "Radium", "glows", score=5.0),
        scored("Old letters say that radium glows green in every jar of the shed.", "radium", "glows", "green"),
    ]
    config = TrimConfig(unit="sentence")
    kept = [trim(context, replace(config, max_tokens=limit), 0.5, words)[1].text for limit in (4, 7, 30)]
    assert kept == ["", "say that radium glows green", context[1].text]


def test_a_very_long_span_takes_few_counts():
    calls = []

    def count(text: str) -> int:
        calls.append(text)
        return words(text)

    text = " ".join(f"The shed number {number} held radium." for number in range(400))
    config = TrimConfig(unit="sentence", max_tokens=4, merge_gap=100)
    (result,) = trim([scored(text, *["radium"] * 400)], config, 0.5, count)
    assert words(result.text) == 4
    assert len(calls) < 60


def test_filling_prefers_the_rest_of_a_good_sentence():
    text = "The jar, which was cold, held radium. The weather was fine. Bread is cheap."
    config = TrimConfig(unit="phrase", max_tokens=8, fill=True)
    found = trim([scored(text, "held", "radium")], config, 0.5, words)[0]
    assert found.text == "The jar, which was cold, held radium."


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("It held radium, which was cold, in a jar. Bread is cheap.", 1),
        ("It held radium \N{EM DASH} which was cold \N{EM DASH} in a jar. Bread is cheap.", 1),
        ("It held radium (which was so cold), in a jar. Bread is cheap.", 1),
        ("It held radium.\n\n------------\n\nWhich was so cold. Bread is cheap.", 2),  # a rule costs tokens
    ],
)
def test_what_is_filled_in_goes_on_where_only_marks_are_between(text, parts):
    config = TrimConfig(unit="phrase", max_tokens=11, fill=True)
    trimming = trim_all([scored(text, "held", "radium")], config, 0.5, words)
    (found,) = trimming.trimmed
    assert len(found.spans) == len(trimming.assembly.excerpts) == parts
    start, end = found.spans[0].start, found.spans[-1].end
    assert "radium" in text[start:end]
    assert "cold" in text[start:end]
    if parts == 1:
        assert found.text == text[start:end]


def test_a_hopeless_budget_says_what_is_needed():
    context = [scored("Radiumchloride", "Radiumchloride")]
    config = TrimConfig(max_tokens=3)
    (result,) = trim(context, config, 0.5, characters)
    assert (result.text, result.spans, result.kept, result.tokens) == ("", (), 0.0, 0)
    assert result.reason == "a budget of 3 tokens is too small for the shortest piece of evidence (needs 14)"


@pytest.mark.parametrize(("policy", "expected"), [("best_span", BREAD), ("keep", "  " + BREAD), ("drop", "")])
def test_policies_for_a_passage_without_evidence(policy, expected):
    config = TrimConfig(on_empty=policy)
    (result,) = trim([scored("  " + BREAD)], config, 0.5, None)
    assert result.text == expected


def test_the_title_comes_along_only_with_evidence():
    config = TrimConfig(keep_title=True, on_empty="drop")
    assert trim([scored(CURIE, "cold")], config, 0.5, None)[0].text == "Marie Curie … The shed was cold."
    assert trim([scored(CURIE)], config, 0.5, None)[0].text == ""
    assert trim([scored(CURIE, "Marie", "Curie", "found", "radium")], config, 0.5, None)[0].text.startswith(
        "Marie Curie\n\nMarie Curie found radium"
    )


def test_nothing_in_nothing_out():
    config = TrimConfig(max_tokens=10)
    assert trim([], config, 0.5, words) == []
    assert text_of([], [], config) == ""
    (result,) = trim([scored("")], config, 0.5, words)
    assert (result.text, result.kept, result.reason) == ("", 0.0, "the passage has no tokens")


def test_the_tokenizer_of_the_config_counts_when_none_is_given():
    config = TrimConfig(max_tokens=4)
    context = [scored(CURIE, "found", "radium", "1898")]
    results = trim(context, config, 0.5, None)
    assert 0 < tiktokens(text_of(context, results, config)) <= 4


@pytest.mark.parametrize("citation", ["{name}", "{", "{}", "{number.x}"])
def test_a_citation_that_is_no_format_is_refused(citation):
    with pytest.raises(ConfigError, match="citation"):
        TrimConfig(citation=citation)


def test_a_budget_over_many_passages_takes_few_counts():
    calls = []

    def count(text: str) -> int:
        calls.append(text)
        return words(text)

    context = [scored(NOBEL, "dynamite", "1867") for _ in range(200)]
    config = TrimConfig(unit="sentence", max_tokens=500)
    results = trim(context, config, 0.5, count)
    assert words(text_of(context, results, config)) <= 500
    assert sum(len(text) > len(NOBEL) for text in calls) < 60


BIKES = "model,article,frame,price,weeks\nTour,AT-200,aluminium,1450,4\n"
BIKES += "Tour E,AT-250,aluminium,3290,6\nRace,AR-400,carbon,3980,12"


@pytest.mark.parametrize("limit", range(28, 60))
def test_a_budget_keeps_whole_rows(limit):
    context = [scored(BIKES, "Tour", "AT-200", "aluminium", "1450", "Tour", "AT-250", "3290", "model", "price")]
    found = trim(context, TrimConfig(max_tokens=limit), 0.5, characters)[0].text
    assert set(found.replace(" \N{HORIZONTAL ELLIPSIS} ", "\n").splitlines()) <= set(BIKES.splitlines())
    assert "Tour" in found


@pytest.mark.parametrize("row", ["101\t{}\n102\tAll is well.", "| 101 | {} |\n| 102 | All is well. |"])
def test_a_row_that_is_too_long_is_cut_at_the_sentences_in_its_cells(row):
    text = row.format(
        "The pump began to whistle. Oskar found a cracked impeller. He went home, as it was late by then."
    )
    context = [scored(text, "Oskar", "found", "cracked", "impeller")]
    assert trim(context, TrimConfig(max_tokens=35), 0.5, characters)[0].text == "Oskar found a cracked impeller."
