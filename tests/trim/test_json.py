"""Contexts, hits and reports as plain JSON and back."""

import copy
import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever import Context, Hit, Passage, Span, TrimConfig, Trimmer, TrustReport, verify_citations
from fgr_retriever.errors import InputError
from fgr_retriever.testing import WordEncoder
from fgr_retriever.trim.trust import Dropped, Repeated

WORDS = st.sampled_from(["found", "radium", "Curie", "dish", "é", "\N{GRINNING FACE}", "1898.", "May.", "\n\n"])
TEXTS = st.lists(WORDS, max_size=20).map(" ".join)
METADATA = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=5), st.none() | st.integers() | st.lists(st.text("ab"))
)
PASSAGES = st.lists(st.builds(Passage, st.uuids().map(str), TEXTS, METADATA), max_size=4)
SHARES = st.floats(0, 1)
SPANS = st.builds(Span, st.integers(0, 9), st.integers(10, 99), SHARES)


@pytest.fixture(scope="module")
def context():
    """A context with everything: two chunks of a source, a repeat, a budget, an empty passage."""
    texts = ["Curie found radium in 1898. She was born in Warsaw.", "Fleming found penicillin in a dish.", ""]
    passages = [Passage(f"p{place}", text, {"source": f"{place}.txt"}) for place, text in enumerate(texts)]
    passages.append(Passage("again", texts[1], {"source": "again.txt"}))
    return Trimmer(WordEncoder(), TrimConfig(max_tokens=40, on_empty="keep")).context("found radium dish", passages)


def same(one, other):
    """Compare two values field by field; arrays and hits have no equality of their own."""
    if dataclasses.is_dataclass(one):
        parts = [(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one)]
        return type(one) is type(other) and all(same(*part) for part in parts)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other) and one.shape == other.shape
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and type(one) is type(other)


@given(TEXTS.filter(str.strip), PASSAGES)
def test_a_context_comes_back_as_it_was(query, passages):
    context = Trimmer(WordEncoder(), TrimConfig(max_tokens=30)).context(query, passages)
    assert same(Context.from_dict(context.to_dict()), context)
    assert Context.from_dict(context.to_dict()) == context
    assert hash(Context.from_dict(context.to_dict())) == hash(context)
    assert same(Context.from_dict(json.loads(json.dumps(context.to_dict(), allow_nan=False))), context)
    for hit in context.hits:
        assert same(Hit.from_dict(json.loads(json.dumps(hit.to_dict(), allow_nan=False))), hit)


def test_contexts_that_differ_in_one_number_are_not_equal(context):
    for path, value in ((("hits", 0, "token_scores", "probabilities", 0), 0.123), (("hits", 0, "rank"), 9)):
        values = copy.deepcopy(context.to_dict())
        place = values
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        assert Context.from_dict(values) != context
    assert context != context.text


@given(
    st.builds(
        TrustReport,
        st.none() | st.integers(),
        st.none() | st.integers(),
        SHARES,
        SHARES,
        st.none() | st.builds(Dropped, st.text("ab"), SPANS),
        st.lists(st.builds(Repeated, st.text("ab"), SPANS, st.text("ab"))).map(tuple),
        st.lists(st.text("ab")).map(tuple),
        st.booleans(),
        st.dictionaries(st.text("ab"), SHARES),
        st.lists(st.text("ab")).map(tuple),
    )
)
def test_a_report_comes_back_as_it_was(report):
    assert TrustReport.from_dict(report.to_dict()) == report
    assert TrustReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_what_comes_back_works_as_before(context):
    back = Context.from_dict(json.loads(json.dumps(context.to_dict())))
    one = back.excerpts[0]
    assert back.expand(one.number, one.span, position=one.position) == context.expand(
        one.number, one.span, position=one.position
    )
    answer = "Curie found radium in 1898 [1]."
    assert verify_citations(answer, back, encoder=WordEncoder()) == verify_citations(
        answer, context, encoder=WordEncoder()
    )
    assert back.to_html() == context.to_html()


def test_reading_changes_nothing_of_the_callers(context):
    values = context.to_dict()
    before = copy.deepcopy(values)
    back = Context.from_dict(values)
    back.hits[0].passage.metadata["source"] = "another"
    back.hits[0].token_scores.offsets[:] = 0
    assert values == before


def test_half_a_character_is_written_as_a_valid_one():
    context = Trimmer(WordEncoder()).context("found", [Passage("p", "found \ud800 here")])
    back = Context.from_dict(json.loads(json.dumps(context.to_dict(), ensure_ascii=False).encode("utf-8")))
    assert back.hits[0].passage.text == "found \N{REPLACEMENT CHARACTER} here"
    assert back.excerpts[0].span == context.excerpts[0].span


def test_metadata_that_json_cannot_hold_is_refused_with_its_place(context):
    hit = dataclasses.replace(context.hits[0], passage=Passage("p", "text", {"when": {1, 2}}))
    with pytest.raises(InputError, match=r"Hit\.passage\.metadata\['when'\] is \{1, 2\}, a set"):
        hit.to_dict()


def put(values, path, value):
    """Replace a value, or remove it where the value is `...`."""
    *way, last = path
    for key in way:
        values = values[key]
    if value is ...:
        del values[last]
    else:
        values[last] = value


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (["query"], ..., "Context has no key 'query'"),
        (["querry"], "x", "Context has the unknown key 'querry'"),
        (["query"], 3, "Context.query is 3: must be a string"),
        (["tokens_before"], 1.5, "Context.tokens_before is 1.5: must be an integer"),
        (["tokens_before"], True, "Context.tokens_before is True: must be an integer"),
        (["hits"], {}, "Context.hits is {}: must be a list"),
        (["hits", 0, "rank"], "1", r"Context.hits\[0\].rank is '1': must be an integer"),
        (["hits", 0, "score"], float("nan"), "must be a finite number"),
        (["hits", 0, "scores"], [], r"hits\[0\].scores is \[\]: must be an object"),
        (["hits", 0, "passage", "text"], ..., "id, text and metadata"),
        (["hits", 0, "passage", "metadata"], {"a": {1}}, r"metadata\['a'\] is \{1\}, a set"),
        (["hits", 0, "spans", 0], [1, 2], r"spans\[0\] is \[1, 2\]: must be a list \[start, end, score\]"),
        (["hits", 0, "spans", 0], [0, 999, 0.5], r"hits\[0\].spans: must be ascending ranges of the \d+ characters"),
        (["hits", 0, "token_scores", "probabilities"], [0.5], "a row for each"),
        (["hits", 0, "token_scores", "offsets", 0], [1], r"must be a list of \[start, end\]"),
        (["hits", 0, "token_scores", "offsets", 0], [1, 2**40], "numbers that int32 can hold"),
        (["hits", 0, "token_scores", "offsets", 0], [1, 999], "must lie in the"),
        (["hits", 0, "support", "similarities"], [[0.5]], "float16"),
        (["hits", 0, "support", "similarities", "float16"], "???", "must be Base64"),
        (["hits", 0, "support", "similarities", "shape"], [1, 1], "the shape of"),
        (["hits", 0, "support", "similarities", "shape"], [-1, -1], "the shape of"),
        (["hits", 0, "support", "owners", 0], 99, "must be numbers of its"),
        (["trimmed", 0], ..., "trimmed has 3 passages for 4 hits"),
        (["trimmed", 0, "spans"], [[5, 2, 0.5]], r"trimmed\[0\].spans: must be ascending"),
        (["sources", 0, "positions"], [9], r"has the positions \[9\] of 4 hits"),
        (["excerpts", 0, "text"], "invented", r"excerpts\[0\] 'invented': does not stand at its place"),
        (["excerpts", 0, "position"], -1, "does not stand at its place"),
        (["excerpts", 0, "number"], 77, "does not stand at its place"),
        (["text"], "another text", "does not stand at its place"),
    ],
)
def test_what_is_wrong_is_named(context, path, value, told):
    values = context.to_dict()
    put(values, path, value)
    with pytest.raises(InputError, match=told):
        Context.from_dict(values)


@pytest.mark.parametrize("kind", [Context, Hit, TrustReport])
@pytest.mark.parametrize("values", [None, [], "{}", 3])
def test_something_else_than_an_object_is_refused(kind, values):
    with pytest.raises(InputError, match=f"{kind.__name__} is .*: must be an object"):
        kind.from_dict(values)
