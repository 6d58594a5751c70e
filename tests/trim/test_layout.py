"""Assembly of a context: numbering, order, merged chunks, repeats, and the way back to the passages."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgr_retriever import Context, Engine, Passage, Span, TrimConfig, Trimmer
from fgr_retriever.errors import InputError
from fgr_retriever.text.surroundings import widen
from fgr_retriever.trim.choice import trim
from fgr_retriever.trim.layout import Layout, Scored
from fgr_retriever.trim.origin import Origin
from fgr_retriever.trim.repeats import _words
from fgr_retriever.types import TokenEvidence
from tests.evidence.test_spans import TOKEN, evidence_for, passages
from tests.text.test_sentences import texts
from tests.trim.test_choice import characters, configs, counters

# No word comes twice, so a stretch of it has one place.
SOURCE = " ".join(f"Lamp{i} lights room{i}, but shade{i} dims it{i}." for i in range(12))


@st.composite
def chunks(draw, source=SOURCE, name="doc"):
    """Overlapping pieces of one source, each with evidence and a score of its own."""
    start = draw(st.integers(0, len(source) - 20))
    text = source[start : start + draw(st.integers(10, 200))]
    tokens = [token.span() for token in TOKEN.finditer(text)]
    chances = draw(st.lists(st.sampled_from([0.05, 0.6, 0.9]), min_size=len(tokens), max_size=len(tokens)))
    evidence = TokenEvidence(np.array(tokens, np.int32).reshape(-1, 2), np.array(chances, np.float32))
    return Scored(text, evidence, draw(st.floats(-5, 5)), Origin(f"{name}-{start}", name, (name,), start))


alone = st.builds(lambda one, score: Scored(*one, score, Origin("alone", "Alone")), passages(), st.floats(-5, 5))
contexts = st.lists(alone | chunks() | chunks(SOURCE.upper(), "other"), max_size=6)
cited = st.sampled_from(["", "[{number}] ", "[{number}] {title} ({id}): "])
settled = st.builds(lambda config, citation: replace(config, citation=citation), configs, cited)


def written(context, config, threshold=0.5, count=None):
    return trim(context, config, threshold, count)


def scored(text, *likely, score=1.0, **origin):
    return Scored(text, evidence_for(text, *likely), score, Origin(**origin))


# --- laws -------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(contexts, settled, counters, st.floats(0, 1))
def test_the_whole_text_is_never_over_budget_and_consists_of_verbatim_stretches(context, config, count, threshold):
    done = written(context, config, threshold, count)
    text = done.assembly.text
    assert count(text) <= config.max_tokens
    end = 0
    for one in done.assembly.excerpts:
        assert one.start >= end
        end = one.start + len(one.text)
        assert text[one.start : end] == one.text == context[one.position].text[one.span.start : one.span.end] != ""
        assert one.position in done.assembly.sources[one.number - 1].positions
        assert one.span in done.trimmed[one.position].spans
    assert len(done.assembly.excerpts) == sum(len(one.spans) for one in done.trimmed)
    assert [source.number for source in done.assembly.sources] == list(range(1, len(done.assembly.sources) + 1))


@settings(max_examples=60)
@given(contexts, settled)
def test_orders_are_permutations_of_one_another(context, config):
    config = replace(config, max_tokens=None)
    found = []
    for order in ("best", "edges", "source"):
        done = written(context, replace(config, order=order))
        found.append(sorted((one.position, one.span) for one in done.assembly.excerpts))
        assert sorted(i for source in done.assembly.sources if not source.repeats for i in source.positions) == sorted(
            i for i, one in enumerate(done.trimmed) if one.spans
        )
    assert found[0] == found[1] == found[2]


@settings(max_examples=80)
@given(st.lists(chunks(), min_size=1, max_size=5), settled)
def test_merging_loses_no_span_and_writes_no_character_of_the_source_twice(context, config):
    config = replace(config, max_tokens=None, keep_title=False)
    apart = written(context, replace(config, merge=False))
    merged = written(context, config := replace(config, merge=True))
    for one in apart.assembly.excerpts:  # punctuation alone makes no span a different one
        assert said(one.text) in said(merged.assembly.text)
    places = [
        place
        for one in merged.assembly.excerpts
        for place in range(context[one.position].origin.start + one.span.start, one_end(context, one))
    ]
    assert len(places) == len(set(places))
    assert places == sorted(places)
    assert len(merged.assembly.sources) <= 1
    for one in merged.repeats:
        assert said(context[one.position].text[one.span.start : one.span.end]) in said(merged.assembly.text)


def said(text):
    return " ".join(_words(text))


def one_end(context, excerpt):
    return context[excerpt.position].origin.start + excerpt.span.end


@settings(max_examples=60)
@given(contexts, settled, counters)
def test_what_is_not_written_again_stands_in_the_passage_that_is_named(context, config, count):
    done = written(context, replace(config, merge=True, separator=" "), 0.5, count)
    for one in done.repeats:
        kept = done.trimmed[one.kept_in]
        assert kept.spans
        assert said(context[one.position].text[one.span.start : one.span.end]) in said(done.assembly.text)


def test_three_equal_passages_name_the_one_that_has_the_text():
    same = "The lamp in the hall lights room three."
    done = written(
        [scored(same, same, score=score, id=str(score)) for score in (1.0, 2.0, 3.0)], TrimConfig(merge=True)
    )
    assert [bool(one.spans) for one in done.trimmed] == [False, False, True]
    assert [one.kept_in for one in done.repeats] == [2, 2]
    assert done.trimmed[0].reason == done.trimmed[1].reason == "the same text is kept in passage 3.0"


@given(texts, st.data(), st.integers(0, 3))
def test_a_wider_stretch_contains_the_span_and_grows_with_the_sentences(text, data, count):
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    first, last = widen(text, start, end, count)
    assert 0 <= first <= start <= end <= last <= len(text)
    further = widen(text, start, end, count + 1)
    assert further[0] <= first <= last <= further[1]


def context_of(passages, query="radium", **settings) -> Context:
    from fgr_retriever.testing import WordEncoder

    return Trimmer(WordEncoder(), TrimConfig(**settings), count_tokens=characters).context(query, passages)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(20, 200)), min_size=1, max_size=5), st.integers(0, 2))
def test_every_excerpt_of_a_merged_context_expands(ranges, sentences):
    found = [
        Passage(f"p{i}", SOURCE[start : start + size], {"source": "doc", "start_index": start})
        for i, (start, size) in enumerate(ranges)
    ]
    context = context_of(found, "lights shade3 room5 dims", unit="token")
    assert context.excerpts or not context.text
    for one in context.excerpts:
        wider = context.expand(one.number, one.span, sentences, position=one.position)
        text = context.hits[one.position].passage.text
        assert wider.text == text[wider.span.start : wider.span.end]
        assert wider.span.start <= one.span.start < one.span.end <= wider.span.end
        assert wider.start is None


# --- examples ---------------------------------------------------------------------------------

TEXT = "Marie Curie found radium in 1898. She worked in Paris. Radium glows in the dark."


def test_overlapping_chunks_are_one_source_and_one_text():
    chunks = [
        Passage("b", TEXT[20:], {"source": "a/curie.txt", "start_index": 20}),
        Passage("other", "Bread is made of flour.", {"source": "a/bread.txt", "start_index": 0}),
        Passage("a", TEXT[:60], {"source": "a/curie.txt", "start_index": 0}),
    ]
    context = context_of(
        chunks, "found radium Paris glows dark", citation="[{number}] {title}, {id}: ", on_empty="drop", unit="sentence"
    )
    assert context.text == f"[1] curie.txt, a: {TEXT}"
    (source,) = context.sources
    assert (source.number, source.positions, source.title) == (1, (2, 0), "curie.txt")
    assert [one.position for one in context.excerpts] == [2, 0]
    assert context.report.mass_kept > 0.85  # all but the bread
    assert context.trimmed[0].text + context.trimmed[2].text != TEXT  # the white space between stands in neither


def test_chunks_interleave_in_reading_order():
    one = scored(TEXT[:70], "found", "Radium", "glows", source=("x",), start=0, id="one")
    other = scored(TEXT[34:], "Paris", source=("x",), start=34, id="other")
    done = trim([other, one], TrimConfig(threshold=0.5, unit="token", separator=" | "), 0.5, None)
    assert done.assembly.text == "found | Paris. Radium glows"  # white space alone is no elision
    assert done.assembly.sources[0].positions == (1, 0)


def test_a_name_that_many_documents_share_merges_nothing():
    found = [
        Passage("a", "Radium glows.", {"source": "web", "start_index": 0}),
        Passage("b", "Nobel sold radium.", {"source": "web", "start_index": 0}),
        Passage("c", "Who bought radium?", {"source": "site", "start_index": 0}),
        Passage("d", "Radium is sold.", {"source": "site"}),
    ]
    context = context_of(found, order="source")
    assert [source.positions for source in context.sources] == [(0,), (1,), (2,), (3,)]


@pytest.mark.parametrize(
    ("titles", "title"),
    [
        (("f.md > A > B", "f.md > A > C"), "f.md > A"),
        (("f.md > A", "f.md"), "f.md"),
        (("f.md > A", "f.md > A"), "f.md > A"),
        (("f.md > A > C", "f.md > B > C"), "f.md"),
        (("one", "two"), "one"),
    ],
)
def test_the_title_of_merged_chunks_is_what_their_titles_have_in_common(titles, title):
    found = [
        Passage("a", TEXT[:20], {"source": "f.md", "start_index": 0, "title": titles[0]}),
        Passage("b", TEXT[20:], {"source": "f.md", "start_index": 20, "title": titles[1]}),
    ]
    context = context_of(found, "found radium Paris", unit="sentence", citation="[{number}] {title}: ")
    assert [source.title for source in context.sources] == [title]
    assert context.text.startswith(f"[1] {title}: ")


def test_chunks_stay_apart_on_request():
    found = [
        Passage("b", TEXT[20:], {"source": "curie", "start_index": 20}),
        Passage("a", TEXT[:60], {"source": "curie", "start_index": 0}),
    ]
    context = context_of(found, "found radium Paris", merge=False, order="source", unit="sentence")
    assert [source.positions for source in context.sources] == [(1,), (0,)]  # in reading order
    assert context.text.count("Paris") == 2


@pytest.mark.parametrize(
    ("order", "expected"), [("best", "54321"), ("edges", "53124"), ("source", "24135")], ids=["best", "edges", "source"]
)
def test_orders(order, expected):
    found = [scored(f"{n}", f"{n}", score=int(n), id=n) for n in "24135"]
    done = trim(found, TrimConfig(order=order, passage_separator=""), 0.5, None)
    assert done.assembly.text == expected


def test_a_repeat_is_kept_once_and_named():
    sentence = "Marie Curie found radium in a shed."
    found = [
        scored(
            "It was so: marie curie found radium in the shed!", "found", "radium", "curie", "shed", score=1, id="low"
        ),
        scored(sentence + " Bread.", "found", "radium", "Curie", "shed", score=2, id="high"),
    ]
    done = trim(found, TrimConfig(unit="phrase", threshold=0.5), 0.5, None)
    assert done.assembly.text == sentence
    assert done.trimmed[0].reason == "the same text is kept in passage high"
    assert [(one.position, one.kept_in) for one in done.repeats] == [(0, 1)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Radium was found in Paris in 1898.", "Radium was found in Paris in 1899."),
        ("It is safe to touch pure radium.", "It is not safe to touch pure radium."),
        ("Trains run from Paris to Rome daily.", "Trains run to Paris from Rome daily."),
        ("It was found there.", "It was found there."),  # too short to say the same
    ],
)
def test_what_differs_in_a_word_is_no_repeat(one, other):
    config = TrimConfig(threshold=0.0, unit="sentence")
    done = trim([scored(one, id="a"), scored(other, id="b")], config, 0.0, None)
    assert [trimmed.text for trimmed in done.trimmed] == [one, other]
    assert done.repeats == ()


def test_a_long_span_that_does_not_fit_takes_no_short_one_with_it():
    short = "Nobel invented dynamite in Krümmel near Hamburg."
    long = scored(short + " And then" + " he went on" * 40 + ".", "Nobel", "dynamite", score=1, id="long")
    best = scored("Best radium.", "radium", "Best", score=9, id="best")
    config = TrimConfig(threshold=0.0, unit="sentence", max_tokens=80, merge_gap=500)
    done = trim([best, long, scored(short, "Nobel", "dynamite", id="short")], config, 0.0, characters)
    assert short in done.assembly.text


def test_the_budget_counts_titles():
    found = [scored("Radium glows.", "Radium", "glows", id="a", title="A title of some length")]
    config = TrimConfig(citation="{title}: ", max_tokens=30)
    done = trim(found, config, 0.5, characters)
    assert 0 < len(done.assembly.text) <= 30
    assert done.assembly.text.startswith("A title of some length: ")


# --- origin -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "source", "start", "title"),
    [
        ({}, None, None, "id"),
        ({"source": "docs/a b.md", "start_index": 7}, ("docs/a b.md",), 7, "a b.md"),
        ({"source": "a.pdf", "page": 3, "start_index": 0}, ("a.pdf", "page 3"), 0, "a.pdf"),
        ({"file_path": "C:\\x\\y.txt", "file_name": "y.txt"}, ("C:\\x\\y.txt",), None, "y.txt"),
        ({"doc_id": "d", "title": "Two\nlines "}, ("d",), None, "Two lines"),
        ({"source": "s", "start_index": -1}, ("s",), None, "s"),  # what a splitter says that found no place
        ({"source": "s", "start_index": True}, ("s",), None, "s"),
        ({"source": 5, "title": None}, None, None, "id"),
        ({"source": "s", "start_index": 4, "fgr_spans": []}, ("s",), None, "s"),  # trimmed before
        (
            {"_fgr": {"source_start": 9, "node": {"relationships": {"1": {"node_id": "doc"}}}}, "source": "s"},
            ("doc",),
            9,
            "s",
        ),
        ({"_fgr": None}, None, None, "id"),
        ({"Header 1": "Guide", "Header 2": "Install"}, None, None, "Guide > Install"),
        ({"header_path": "/Guide/Install/"}, None, None, "Guide > Install"),
        ({"header_path": "/"}, None, None, "id"),
        ({"header_path": "/", "file_name": "guide.md"}, None, None, "guide.md"),
        ({"header_path": "/Guide/", "file_name": "guide.md"}, None, None, "guide.md > Guide"),
        (
            {"Header 2": "Platinum", "source": "docs/plans.md", "Header 1": "Gold plans"},
            ("docs/plans.md",),
            None,
            "plans.md > Gold plans > Platinum",
        ),
        ({"title": "Plans", "Header 1": "Plans", "Header 2": "Gold"}, None, None, "Plans > Gold"),
        ({"title": "f.md > Plans > Gold", "Header 1": "Plans", "Header 2": "Gold"}, None, None, "f.md > Plans > Gold"),
        ({"Header 1": "Guide", "source": "guide.md"}, ("guide.md",), None, "guide.md > Guide"),
    ],
)
def test_origin(metadata, source, start, title):
    assert Origin.of(Passage("id", "text", metadata)) == Origin("id", title, source, start)


UUID = "0B9f5f6e-3c1d-4a7e-9b2a-5d1c8e7f6a90"


@pytest.mark.parametrize(
    "id",
    [
        UUID,
        f"urn:uuid:{UUID}",
        f"{{{UUID}}}",
        f"{UUID}#0-12",
        f"{UUID}_3",
        UUID.replace("-", ""),
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08#2",
        "507f1f77bcf86cd799439011",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "01arz3ndektsv4rrffq69g5fav#3",
    ],
)
def test_an_id_that_only_machines_read_is_no_title(id):
    assert Origin.of(Passage(id, "text")) == Origin(id)
    assert Origin.of(Passage(id, "text")).name is None
    assert Origin.of(Passage(id, "text", {"file_name": f"{UUID}.pdf", "source": f"/tmp/{UUID}"})).title == ""
    assert Origin.of(Passage(id, "text", {"source": f"{UUID}.pdf", "Header 1": "Guide"})).title == "Guide"
    assert Origin.of(Passage(id, "text", {"title": UUID})).title == UUID  # somebody wants it


@pytest.mark.parametrize(
    "id",
    ["curie", "42", "2026-11-28", f"letter {UUID}", "report_20261128.pdf", "v1.2.3", "decade", "0x1f", "§ 7", "été"],
)
def test_an_id_that_a_reader_may_know_is_a_title(id):
    assert Origin.of(Passage(id, "text")).title == id


@pytest.mark.parametrize(
    ("citation", "written"),
    [
        ("[{number}] {title}\n", "[1]\n"),
        ("[{number}] {title}: ", "[1]: "),
        ("[{number}] ({title}) ", "[1] "),
        ("[{number}] {title} ({id}): ", f"[1] ({UUID}): "),
        ("{{title}} {title}{number} ", "{title}1 "),
    ],
)
def test_a_mark_without_a_title_has_no_gap_for_it(citation, written):
    done = trim([scored("Radium glows.", "Radium", id=UUID)], TrimConfig(citation=citation), 0.5, None)
    assert done.assembly.text == f"{written}Radium glows."


# --- expand -----------------------------------------------------------------------------------


@pytest.fixture
def context(tmp_path, word_encoder):
    with Engine.open(tmp_path / "index", encoder=word_encoder) as engine:
        engine.add([Passage("curie", TEXT), Passage("bread", "Bread is old. Radium bread is not. Flour is white.")])
        yield engine.retrieve("radium Paris", k=2, trim=TrimConfig(unit="token", merge_gap=0))


def test_expand_gives_whole_sentences(context):
    (paris,) = [one for one in context.excerpts if one.text == "Paris."]
    assert context.expand(1, paris.span, 0).text == "She worked in Paris."
    assert context.expand(1, paris.span).text == TEXT
    bread = next(one for one in context.excerpts if one.number == 2)
    assert context.expand(2, bread.span, 5).text.startswith("Bread is old.")
    assert 0 <= context.expand(1, paris.span).span.score <= 1


@pytest.mark.parametrize(
    ("number", "span", "options", "message"),
    [
        (3, Span(0, 1, 0), {}, "sources 1, 2"),
        (0, Span(0, 1, 0), {}, "sources 1, 2"),
        (1, Span(0, 1000, 0), {}, "characters 0 to"),
        (1, Span(5, 4, 0), {}, "characters 0 to"),
        (1, Span(0, 1, 0), {"sentences": -1}, "sentences=-1"),
        (1, Span(0, 1, 0), {"sentences": True}, "sentences=True"),
        (1, Span(0, 1, 0), {"position": 1}, "position=1"),
    ],
)
def test_expand_refuses_what_is_not_there(context, number, span, options, message):
    with pytest.raises(InputError, match=message):
        context.expand(number, span, **options)


def test_expand_asks_which_chunk_is_meant():
    found = [
        Passage("a", TEXT[:54], {"source": "curie", "start_index": 0}),
        Passage("b", TEXT[55:], {"source": "curie", "start_index": 55}),
    ]
    context = context_of(found, "found radium", unit="sentence")
    with pytest.raises(InputError, match="say position="):
        context.expand(1, Span(3, 5, 0.5))
    assert context.expand(1, Span(3, 5, 0.5), 0, position=1).text == TEXT[55:]
    kept = context.trimmed[1].spans[0]
    assert context.expand(1, kept).position == 1


def test_the_layout_of_nothing_is_empty():
    assert Layout.of([], TrimConfig()).write([]).text == ""
