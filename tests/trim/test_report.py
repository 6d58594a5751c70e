"""The trust report, query support, traces and HTML of what was retrieved."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from fgr_retriever import Engine, Passage, TrimConfig, Trimmer, calls
from fgr_retriever.calls import Stopwatch
from fgr_retriever.evidence.spans import as_ranges, find_spans
from fgr_retriever.evidence.support import coverage
from fgr_retriever.evidence.token_evidence import Question, support
from fgr_retriever.model.tokens import StoredTokens
from fgr_retriever.text.stop_words import is_content
from fgr_retriever.trim.choice import trim
from fgr_retriever.trim.layout import Scored
from fgr_retriever.trim.report import covered, largest_dropped, mass_share
from tests.evidence.test_spans import evidence_for
from tests.test_engine import count_words
from tests.trim.test_choice import counters
from tests.trim.test_layout import contexts, settled

GOLD = "Gold is dear. Radium is dearer. Iron is cheap."


def retrieve(word_encoder, query, *texts, **config):
    found = [Passage(f"p{i}", text) for i, text in enumerate(texts)]
    return Trimmer(word_encoder, TrimConfig(**config), count_tokens=count_words).context(query, found)


def test_a_budget_without_room_for_any_evidence_is_noted(word_encoder):
    found = retrieve(word_encoder, "radium", "Radium is dear.", max_tokens=0)
    assert found.text == ""
    assert found.report.notes == ("max_tokens=0 has no room for any evidence: give a larger budget, of at least 1",)
    assert retrieve(word_encoder, "radium", "Radium is dear.", max_tokens=3).report.notes == ()
    assert retrieve(word_encoder, "radium", "Gold is dear.", max_tokens=0).report.notes == ()  # there is none


def test_a_budget_without_room_for_the_best_evidence_is_noted(word_encoder):
    found = [Passage("a", "radium-" * 12 + "glow"), Passage("b", "A radium mill.")]  # a word cannot be cut
    told = Trimmer(word_encoder, TrimConfig(max_tokens=14), count_tokens=len).context("radium glow", found)
    assert told.text == "A radium mill."
    (note,) = told.report.notes
    assert "no room for the shortest part of the best evidence (needs 88)" in note


# --- mass and what is dropped -----------------------------------------------------------------


def test_mass_by_hand():
    # Tokens: Gold .9, is .1, dear .1 | Radium .9, is .1, dearer .1 | Iron .1, is .1, cheap .1: 2.5 in all.
    passage = Scored(GOLD, evidence_for(GOLD, "Gold", "Radium"), 1.0)
    assert mass_share([passage], [as_ranges([(0, 12)])]) == pytest.approx(1.1 / 2.5)
    assert mass_share([passage], [as_ranges([(0, 12), (14, 30)])]) == pytest.approx(2.2 / 2.5)
    assert mass_share([passage], [as_ranges([])]) == 0
    assert mass_share([], []) == 1


def test_the_largest_dropped_stretch_by_hand():
    passage = Scored(GOLD, evidence_for(GOLD, "Gold", "Radium"), 1.0)
    spans = find_spans(GOLD, passage.evidence, TrimConfig(threshold=0.5, unit="sentence"), 0.5)
    assert [(span.start, span.end) for span in spans] == [(0, 31)]  # one span of two sentences
    found = largest_dropped([passage], [spans], [as_ranges([(0, 4)])])
    assert GOLD[found.span.start : found.span.end] == "is dear. Radium is dearer."
    assert found.span.score == pytest.approx((0.1 + 0.1 + 0.9 + 0.1 + 0.1) / 5)
    assert largest_dropped([passage], [spans], [as_ranges([(0, 31)])]) is None
    assert largest_dropped([passage], [()], [as_ranges([])]) is None


@settings(max_examples=40)
@given(contexts, settled, counters)
def test_all_evidence_is_kept_or_reported(context, config, count):
    done = trim(context, config, 0.5, count)
    kept = covered(done)
    assert 0 <= mass_share(context, kept) <= 1
    spans = [find_spans(one.text, one.evidence, config, 0.5) for one in context]
    dropped = largest_dropped(context, spans, kept)
    places = [
        {i for span in found for i in range(span.start, span.end) if not one.text[i].isspace()}
        - {i for start, end in ranges.tolist() for i in range(start, end)}
        for one, found, ranges in zip(context, spans, kept, strict=True)
    ]
    if dropped:
        assert any(
            one.origin.id == dropped.id and dropped.span.start in left
            for one, left in zip(context, places, strict=True)
        )
    elif not any((one.evidence.probabilities == 0).any() for one in context):
        marks = [{one.text[i] for i in left} for one, left in zip(context, places, strict=True)]
        assert not any(any(map(str.isalnum, found)) for found in marks)


def test_a_budget_drops_and_says_so(word_encoder):
    texts = ["Curie found radium in Paris.", "In Paris she found polonium too, much later."]
    everything = retrieve(word_encoder, "found radium in Paris", *texts, unit="sentence").report
    assert everything.largest_dropped is None
    assert everything.mass_kept + everything.mass_dropped == 1
    assert not everything.weak
    report = retrieve(word_encoder, "found radium in Paris", *texts, unit="sentence", max_tokens=5).report
    assert report.tokens_after == 5
    assert report.tokens_before == 13
    assert report.largest_dropped.id == "p1"
    assert report.mass_dropped > 0.3
    assert report.mass_kept + report.mass_dropped == 1


def test_no_evidence_is_weak_and_no_hits_are_too(word_encoder):
    report = retrieve(word_encoder, "quantum gravity", "Bread is made of flour.").report
    assert report.weak
    assert report.uncovered == ("quantum", "gravity")
    nothing = retrieve(word_encoder, "quantum gravity").report
    assert nothing.weak
    assert (nothing.mass_kept, nothing.mass_dropped, nothing.largest_dropped) == (1, 0, None)
    assert nothing.uncovered == ("quantum", "gravity")


def test_uncovered_words_are_those_that_nothing_kept_has(word_encoder):
    report = retrieve(word_encoder, "Who found radium in Brazil?", "Curie found radium. Brazil grows coffee.").report
    assert report.uncovered == ()
    report = retrieve(
        word_encoder,
        "Who found radium in Brazil?",
        "Curie found radium.",
        "Brazil is far.",
        unit="sentence",
        max_tokens=3,
    ).report
    assert report.uncovered == ("Brazil",)
    assert "Who" not in report.uncovered


def test_words_that_only_the_budget_left_out_are_told_from_those_that_nothing_has(word_encoder):
    asked = "Who found radium in Brazil by zeppelin?"
    texts = ["Curie found radium.", "Brazil is far."]
    report = retrieve(word_encoder, asked, *texts, unit="sentence", max_tokens=3).report
    assert (report.uncovered, report.beyond_budget) == (("Brazil", "zeppelin"), ("Brazil",))
    for roomy in ({}, {"max_tokens": 30}):
        report = retrieve(word_encoder, asked, *texts, unit="sentence", **roomy).report
        assert (report.uncovered, report.beyond_budget, report.needed) == (("zeppelin",), (), None)


@pytest.mark.parametrize("query", ["radium", "gold iron", "iron is cheap"])
def test_the_budget_that_is_needed_shows_something_of_the_best(word_encoder, query):
    short = retrieve(word_encoder, query, GOLD, "Gold.", citation="[{number}] {title}: ", max_tokens=1)
    assert (short.text, short.report.needed > 1) == ("", True)
    held = retrieve(word_encoder, query, GOLD, "Gold.", citation="[{number}] {title}: ", max_tokens=short.report.needed)
    assert held.excerpts
    assert held.report.needed is None


def test_the_report_is_json(word_encoder):
    text = "Curie found radium in a cold shed."
    report = retrieve(word_encoder, "found radium", text, text, "Other radium.", max_tokens=7).report
    found = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert found["repeated"] == [{"id": "p1", "span": [0, 34, pytest.approx(0.3, abs=0.2)], "kept_in": "p0"}]
    assert found["largest_dropped"]["id"] == "p2"
    assert set(found["times_ms"]) == {"encode", "evidence", "trim"}
    assert all(value >= 0 for value in found["times_ms"].values())


def test_a_search_times_its_stages(tmp_path, word_encoder, passages):
    with Engine.open(tmp_path / "index", encoder=word_encoder) as engine:
        engine.add(passages)
        times = engine.retrieve("radium").report.times_ms
    assert list(times) == ["encode", "search", "evidence", "trim"]
    assert all(value >= 0 for value in times.values())


def test_a_stopwatch_adds_up_and_survives_errors():
    watch = Stopwatch()
    with watch("a"):
        pass
    first = watch.times_ms["a"]
    with pytest.raises(ValueError, match="x"), watch("a"):
        raise ValueError("x")
    assert watch.times_ms["a"] >= first


# --- support ----------------------------------------------------------------------------------


def unit(*rows):
    return torch.nn.functional.normalize(torch.tensor(rows, dtype=torch.float32), dim=1)


def test_support_by_hand():
    question = "Radio-active tea?"
    offsets = np.array([[0, 0], [0, 5], [6, 12], [13, 16], [16, 17], [0, 0]], np.int32)
    query = unit([1, 1, 1, 1], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 1, 1, 1])
    vectors = unit([1, 0, 0, 0], [0, 3, 4, 0], [0, 0, 0, 1]).numpy().astype(np.float16)
    [found] = support(Question(question, query, offsets), [vectors])
    assert [(word.text, word.start, word.end) for word in found.words] == [("Radio-active", 0, 12), ("tea", 13, 16)]
    assert found.owners.tolist() == [0, 0, 1]
    words, cosines = found.best()
    assert words.tolist()[:2] == [0, 1]
    np.testing.assert_allclose(cosines, [1, 0.8, 0], atol=1e-3)
    # Radio 1, active 0.6: 0.8 for the word; tea 0.8.
    assert list(coverage([found], [np.array([True, True, True])]).values()) == pytest.approx([0.8, 0.8], abs=1e-3)
    assert list(coverage([found], [np.array([True, False, False])]).values()) == pytest.approx([0.5, 0], abs=1e-3)
    assert list(coverage([found, found], [np.zeros(3, bool)] * 2).values()) == [-1, -1]


@pytest.mark.parametrize("question", ["", "?!", "\U0001f600"])
def test_a_question_without_words_supports_nothing(question):
    empty = Question(question, torch.zeros(0, 4), np.zeros((0, 2), np.int32))
    assert support(empty, []) == []
    [found] = support(empty, [np.zeros((3, 4), np.float16)])
    assert found.words == ()
    assert found.best()[0].tolist() == [-1, -1, -1]
    assert coverage([found], [np.ones(3, bool)]) == {}


def test_passages_are_compared_together_as_each_alone(word_encoder):
    texts = ["Curie found radium.", "", "Radium glows.", "Bread is old."]
    [question] = Question.encode(word_encoder, ["Who found radium?"])
    vectors = [StoredTokens.of(list(word_encoder.encode_passages([text]))).vectors for text in texts]
    for together, one in zip(support(question, vectors), vectors, strict=True):
        [alone] = support(question, [one])
        np.testing.assert_array_equal(together.similarities, alone.similarities)
        assert together.similarities.shape == (len(one), 3)
        assert together.words == alone.words


def test_each_hit_tells_which_word_a_token_matches(word_encoder):
    (hit,) = retrieve(word_encoder, "Who found radium?", "Curie found radium.").hits
    numbers, cosines = hit.support.best()
    assert [hit.support.words[i].text for i in numbers[1:]] == ["found", "radium"]
    np.testing.assert_allclose(cosines[1:], 1, atol=1e-2)
    assert len(numbers) == len(hit.token_scores)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("the", False),
        ("Who", False),
        ("isn't", False),
        ("What\u2019s", False),
        ("radium", True),
        ("7", True),
        ("x", False),
    ],
)
def test_content_words(word, expected):
    assert is_content(word) is expected


# --- traces -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exporter():
    """OpenTelemetry knows one provider a process."""
    found = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    trace.set_tracer_provider(provider)
    return found


def test_a_call_is_traced_with_its_report(tmp_path, word_encoder, passages, exporter):
    exporter.clear()
    with Engine.open(tmp_path / "index", encoder=word_encoder) as engine:
        engine.add(passages)
        report = engine.retrieve("found radium in Brazil", k=2, count_tokens=count_words).report
    search, retrieved = exporter.get_finished_spans()
    assert (search.name, retrieved.name) == ("fgr.search", "fgr.retrieve")
    assert search.parent.span_id == retrieved.context.span_id
    assert search.attributes["fgr.k"] == 2
    assert search.attributes["fgr.times_ms.search"] > 0
    assert retrieved.attributes["fgr.mass_kept"] == report.mass_kept
    assert retrieved.attributes["fgr.tokens_after"] == report.tokens_after
    assert retrieved.attributes["fgr.uncovered"] == ("Brazil",)
    assert retrieved.attributes["fgr.times_ms.trim"] == report.times_ms["trim"]


def test_evidence_that_was_dropped_is_traced(word_encoder, exporter, caplog):
    exporter.clear()
    texts = ["radium glows", "here is radium too, and more of it"]
    dropped = retrieve(word_encoder, "radium", *texts, unit="sentence", max_tokens=2).report.largest_dropped
    (span,) = exporter.get_finished_spans()
    assert span.attributes["fgr.largest_dropped.id"] == dropped.id == "p1"
    assert span.attributes["fgr.largest_dropped.span"][:2] == (dropped.span.start, dropped.span.end)
    assert not caplog.records


def test_a_trim_is_traced_and_so_is_an_error(word_encoder, exporter):
    exporter.clear()
    Trimmer(word_encoder).trim("radium", ["radium glows", "x"])
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.attributes["fgr.passages"]) == ("fgr.trim", 2)
    assert "fgr.tokens_after" not in span.attributes
    exporter.clear()
    with pytest.raises(ValueError, match="blank"):
        Trimmer(word_encoder).trim(" ", ["radium"])
    (span,) = exporter.get_finished_spans()
    assert not span.status.is_ok


def test_without_opentelemetry_nothing_happens(word_encoder, monkeypatch, exporter):
    exporter.clear()
    monkeypatch.setattr(calls, "trace", None)
    assert Trimmer(word_encoder).trim("radium", ["radium glows"])[0].text
    assert exporter.get_finished_spans() == ()


# --- HTML -------------------------------------------------------------------------------------


class Fragment(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.depth = [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attributes]
        self.depth += 1

    def handle_endtag(self, tag):
        self.depth -= 1


HOSTILE = '<img src=x onerror=alert(1)> radium & "glows" </div></article><script>x</script>'


def test_html_of_hits_is_escaped_and_whole(word_encoder):
    context = Trimmer(word_encoder).context(HOSTILE, [Passage(HOSTILE, HOSTILE)])
    for text in (context.to_html(), context._repr_html_(), context.hits[0].to_html(), context.hits[0]._repr_html_()):
        found = Fragment(text)
        assert found.depth == 0
        assert "mark" in found.tags
        assert not {"img", "script", "link", "iframe"} & set(found.tags)
        assert not {"src", "href", "onerror"} & set(found.attributes)
        assert "prefers-color-scheme: dark" in text
        assert "http" not in text
        assert "@import" not in text


def test_html_names_what_nothing_supports(word_encoder):
    html = retrieve(word_encoder, "radium in Brazil", "Curie found radium.", unit="sentence").to_html()
    assert "Nothing supports: Brazil" in html
    assert "No passage found" in retrieve(word_encoder, "radium").to_html()


@given(st.text(max_size=40))
def test_html_can_be_written_for_every_text(text):
    from fgr_retriever.testing import WordEncoder

    context = Trimmer(WordEncoder()).context("radium", [Passage("id", text)])
    assert Fragment(context.to_html().encode("utf-8").decode()).depth == 0
