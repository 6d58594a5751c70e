"""Citations of an answer: found, led back to their spans, judged."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever import Context, Engine, Passage, TrimConfig, verify_citations
from fgr_retriever.agents.evidence_search import CITATION, EvidenceSearch, describe
from fgr_retriever.agents.readings import Reading
from fgr_retriever.errors import ConfigError, InputError
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.testing import WordEncoder

CURIE = "Marie Curie found radium in 1898. She was born in Warsaw."
FLEMING = "Fleming came home in May. He found penicillin in a dish. It held 2,500 spores."
NOBEL = "Nobel mixed clay with oil. He sold it as dynamite, he found."


@pytest.fixture(scope="module")
def context(kept_in, tmp_path_factory):
    """Three sources in the order of the list; of each, whole sentences with "found"."""
    engine = Engine.open(tmp_path_factory.mktemp("index"), encoder=WordEncoder())
    texts = {"curie": CURIE, "fleming": FLEMING, "nobel": NOBEL}
    starts = {"curie": {"start_index": 100}}
    engine.add(Passage(id, text, {"source": f"{id}.txt", **starts.get(id, {})}) for id, text in texts.items())
    trim = TrimConfig(unit="sentence", order="source", citation=CITATION, on_empty="keep", context_sentences=1)
    return engine.retrieve("found", k=3, trim=trim)


def numbers(answer, context):
    return [citation.number for citation in verify_citations(answer, context)]


def cited(answer, context):
    """The number and the sentence of each citation."""
    return [(one.number, answer[slice(*one.sentence)]) for one in verify_citations(answer, context)]


def test_the_sources_of_these_tests(context):
    assert [source.title for source in context.sources] == ["curie.txt", "fleming.txt", "nobel.txt"]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("No citation at all.", []),
        ("Radium [1].", [1]),
        ("Radium[1].", [1]),
        ("Radium [1, 3].", [1, 3]),
        ("Radium [1,3; 2].", [1, 3, 2]),
        ("Radium [2][3].", [2, 3]),
        ("Radium [1-3].", [1, 2, 3]),
        ("Radium [1 \N{EN DASH} 2].", [1, 2]),
        ("Radium [3-1].", [1, 2, 3]),
        ("Radium [2-9].", [2, 3, 9]),
        ("Radium [0-9999].", [0, 1, 2, 3, 9999]),
        ("Radium [1, 1].", [1]),
        ("Radium [^2].", [2]),
        ("Radium \N{LEFT BLACK LENTICULAR BRACKET}3\N{DAGGER}source\N{RIGHT BLACK LENTICULAR BRACKET}.", [3]),
        ("See [the book](https://a.example/1), [a], [], [1.5], [-1], [12345].", []),
        ("Take `rows[1]` and\n```\nx = rows[2]\n```\nas in [3].", [3]),
        ("```\nopen fence [1]", []),
    ],
)
def test_which_numbers_an_answer_cites(context, answer, found):
    assert numbers(answer, context) == found


def test_the_place_of_a_mark_is_exact(context):
    answer = "Radium \N{GRINNING FACE} [1, 2] is rare."
    first, second = verify_citations(answer, context)
    assert answer[first.start : first.end] == answer[second.start : second.end] == "[1, 2]"


@pytest.mark.parametrize(
    ("answer", "sentences"),
    [
        ("Radium is rare [1]. Tin is not [2].", [(1, "Radium is rare [1]."), (2, "Tin is not [2].")]),
        ("Radium is rare.[1] Tin is not.[2]", [(1, "Radium is rare.[1]"), (2, "Tin is not.[2]")]),
        ("Radium is rare. [1] Tin is not. [2]", [(1, "Radium is rare."), (2, "[1] Tin is not.")]),
        ("Radium is rare. [1][2] Tin is not.", [(1, "Radium is rare."), (2, "Radium is rare.")]),
        ("Radium is rare. [1] says that tin is not.", [(1, "[1] says that tin is not.")]),
        ("[1] Radium is rare.", [(1, "[1] Radium is rare.")]),
        ("Radium is rare.\n\n[1] Curie, 1898", [(1, "[1] Curie, 1898")]),
        ("- Radium is rare [1]\n- Tin is not [2]", [(1, "- Radium is rare [1]"), (2, "- Tin is not [2]")]),
        ("[1]", [(1, "[1]")]),
    ],
)
def test_the_sentence_that_a_mark_belongs_to(context, answer, sentences):
    assert cited(answer, context) == sentences


def test_without_an_encoder_only_existence_is_decided(context):
    there, missing = verify_citations("Bananas are blue [1]. Radium was found [4].", context)
    assert (there.supported, there.reason) == (None, "not checked: no encoder was given")
    assert (missing.supported, missing.reason) == (False, "there is no source [4]")
    assert missing.source is None
    assert missing.spans == ()


def test_spans_lead_back_to_passage_and_source_document(context):
    first, second = verify_citations("Radium [1]. Penicillin [2].", context)
    for citation, text in ((first, CURIE), (second, FLEMING)):
        for span in citation.spans:
            assert text[span["start"] : span["end"]] == span["text"]
    assert [span["source_start"] for span in first.spans] == [100 + span["start"] for span in first.spans]
    assert second.spans[0]["source_start"] is None


def judged(answer, context):
    return [(one.number, one.supported, one.reason) for one in verify_citations(answer, context, encoder=WordEncoder())]


def test_a_sentence_whose_words_are_in_the_spans_is_supported(context):
    answer = "Curie found radium in 1898 [1]. Fleming found penicillin [2]."
    assert judged(answer, context) == [(1, True, ""), (2, True, "")]


def test_only_the_spans_that_support_are_given(context):
    (citation,) = verify_citations("Radium was found in 1898 [1].", context, encoder=WordEncoder())
    assert all("radium" in span["text"] for span in citation.spans)


def test_a_source_about_something_else_supports_nothing(context):
    assert judged("Bananas ripen [2].", context) == [(2, False, "no span of [2] is evidence for it")]


def test_words_that_no_span_has_are_named_when_they_are_many(context):
    reason = 'the cited spans have nothing for "zeppelin", "bicycle"'
    assert judged("Curie found a zeppelin and a bicycle [1].", context) == [(1, False, reason)]
    assert judged("Curie found glowing radium in Warsaw [1].", context) == [(1, True, "")]


def test_a_name_must_be_matched(context):
    reason = 'the cited spans have nothing for "Einstein", "said"'
    assert judged("Radium was found in Warsaw by Marie Curie, said Einstein [1].", context) == [(1, False, reason)]


def test_a_number_must_be_there_to_the_digit(context):
    assert judged("It held 2500 spores [2].", context) == [(2, True, "")]
    reason = 'the cited spans have nothing for "1899"'
    assert judged("Curie found radium in 1899 [1].", context) == [(1, False, reason)]


def test_sources_cited_together_share_the_words(context):
    assert judged("Curie found radium [1] and Fleming penicillin [2].", context) == [(1, True, ""), (2, True, "")]
    alone = judged("Curie found radium and Fleming penicillin [1].", context)
    assert alone == [(1, False, 'the cited spans have nothing for "Fleming", "penicillin"')]


def test_a_mark_without_a_sentence_is_not_judged(context):
    assert judged("[1]", context) == [(1, None, "not checked: the mark stands in no sentence")]


def test_a_sentence_without_words_is_judged(context):
    assert judged("^ [1].", context)[0][:2] == (1, False)


def test_the_artifact_of_a_tool_does_as_well_as_the_context(context):
    answer = "Curie found radium [1]. Fleming found helium [2, 8]."
    artifact = json.loads(json.dumps(describe(context)))
    assert verify_citations(answer, artifact, encoder=WordEncoder()) == verify_citations(
        answer, context, encoder=WordEncoder()
    )


def test_the_answer_of_an_empty_context(tmp_path):
    engine = Engine.open(tmp_path / "index", encoder=WordEncoder())
    (citation,) = verify_citations("Radium [1].", engine.retrieve("radium"), encoder=WordEncoder())
    assert citation.supported is False


@pytest.mark.parametrize(("answer", "given"), [(None, "context"), (b"[1]", "context"), ("[1]", None), ("[1]", {})])
def test_wrong_input_is_refused(context, answer, given):
    with pytest.raises(InputError, match="must be"):
        verify_citations(answer, context if given == "context" else given)


def test_a_saved_context_is_refused_with_what_reads_it(context):
    with pytest.raises(InputError, match=r"must be a Context .* Context\.from_dict"):
        verify_citations("[1]", context.to_dict())
    with pytest.raises(InputError, match="must be a Context"):
        verify_citations("[1]", {"sources": [{"title": "a"}]})


class Holder:
    """A retriever, as far as a model is looked for."""

    def __init__(self, engine):
        self.engine = engine


def test_the_model_may_be_that_of_an_engine_or_of_what_has_one(tmp_path, context):
    engine = Engine.open(tmp_path / "index", encoder=WordEncoder())
    for one in (engine, engine.encoder, Holder(engine)):
        (citation,) = verify_citations("Curie found radium in 1898 [1].", context, encoder=one)
        assert citation.supported is True
    for one in ("a model", object(), Holder(None)):
        with pytest.raises(InputError, match=r"encoder must be a model, got .*Encoder\.default"):
            verify_citations("[1]", context, encoder=one)


STAFF = "Lunch is at noon. Logs stay 30 days, and the cache holds 500 entries. Nobody enters at night."
KEPT = STAFF[STAFF.index("and the cache") : STAFF.index(" Nobody")]


def read(context, encoder, sentence="Logs stay 30 days, and the cache holds 500 entries"):
    """Whether a sentence is supported, and the spans that support it."""
    (citation,) = verify_citations(f"{sentence} [1].", context, encoder=encoder)
    return citation.supported, [span["text"] for span in citation.spans]


@pytest.fixture
def staff(kept_in, tmp_path):
    """An engine with one passage, and what it finds: a clause of it."""
    with Engine.open(tmp_path / "index", encoder=WordEncoder()) as engine:
        engine.add([Passage("staff", STAFF)])
        found = engine.retrieve("the cache holds 500 entries", k=1)
        assert [excerpt.text for excerpt in found.excerpts] == [KEPT]
        yield engine, found


def test_the_sentences_of_a_context_are_read_whole(staff):
    engine, found = staff
    assert read(found, engine.encoder) == (True, [KEPT])
    assert read(Context.from_dict(found.to_dict()), engine.encoder) == (True, [KEPT])
    assert read(found, engine.encoder, "Lunch is at noon") == (False, [])  # another sentence


def test_the_sentences_of_an_artifact_are_read_whole_with_the_engine_that_stores_them(staff):
    engine, found = staff
    artifact = json.loads(json.dumps(describe(found)))
    assert read(artifact, engine) == read(artifact, Holder(engine)) == (True, [KEPT])
    assert read(artifact, engine.encoder)[0] is False
    engine.add([Passage("staff", f"Now: {STAFF}")])
    assert read(artifact, engine)[0] is False  # the text has no such span there any more
    engine.close()
    assert read(artifact, engine)[0] is False
    assert read(found, engine)[0] is True


def test_spans_of_one_sentence_and_of_a_text_without_stops():
    long = "Cold " + "air " * 500
    text = f"Not all pumps, valves, fans, and motors run at night. {long}engine {long}"
    parts = ("valves", "motors run at night.", "engine")
    spans = [
        {"passage": "p", "start": text.index(one), "end": text.index(one) + len(one), "text": one} for one in parts
    ]
    reading = Reading({"number": 1, "title": "", "also_in": [], "passages": [], "spans": spans}, {"p": text})
    assert reading.rows.split("\n\n") == [text[: text.index(" Cold")], "engine"]
    assert [one["text"] for one in reading.spans_at(np.array([0]))] == ["valves", "motors run at night."]
    assert [one["text"] for one in reading.spans_at(np.array([text.index("valves")]))] == ["valves"]
    assert [one["text"] for one in reading.spans_at(np.array([len(reading.text) - 1]))] == ["engine"]


@pytest.mark.golden
def test_a_kept_clause_is_not_turned_round(tmp_path):
    text = (
        "Vests are worn. No visitor, even if accompanied by staff, may enter the engine room between 22:00 and 05:00."
    )
    clause = text[text.index("may enter") :]
    span = {"passage": "p", "start": text.index(clause), "end": len(text), "text": clause}
    source = {"number": 1, "title": "", "also_in": [], "passages": [], "spans": [span]}
    with Engine.open(tmp_path / "index") as engine:
        engine.add([Passage("p", text)])
        assert read({"sources": [source]}, engine, "Visitors may enter the engine room between 22:00 and 05:00") == (
            False,
            [clause],
        )


def test_the_contexts_of_several_searches(tmp_path):
    engine = Engine.open(tmp_path / "index", encoder=WordEncoder())
    engine.add([Passage("curie", CURIE), Passage("nobel", NOBEL)])
    search = EvidenceSearch.of(engine, k=1, start=1)
    (text, curie), (_, nobel) = search.search("radium"), search.search("dynamite")
    assert text.startswith("[1] curie")
    assert [source["number"] for one in (curie, nobel) for source in one["sources"]] == [1, 2]
    found = judged("Curie found radium [1]. He sold dynamite [2]. Curie found radium [2].", [curie, nobel, curie])
    assert [supported for _, supported, _ in found] == [True, True, False]
    again = EvidenceSearch.of(engine, k=1).search("dynamite")[1]
    with pytest.raises(InputError, match=r"number 1 stands for two sources.*start=1 \+ max\(numbers\), here start=3"):
        verify_citations("[1]", [curie, nobel, again])
    later = {**again, "sources": [{**again["sources"][0], "number": 7}]}  # of a call after the two that do not agree
    with pytest.raises(InputError, match="here start=8"):
        verify_citations("[1]", [curie, nobel, again, later])
    assert verify_citations("[1]", [])[0].supported is False


def test_numbers_go_on_from_where_a_context_begins(tmp_path):
    engine = Engine.open(tmp_path / "index", encoder=WordEncoder())
    engine.add([Passage("curie", CURIE), Passage("nobel", NOBEL)])
    context = engine.retrieve("found", k=2, trim=TrimConfig(citation="[{number}] ", first_number=7))
    assert [source.number for source in context.sources] == [7, 8]
    assert all(f"[{source.number}] " in context.text for source in context.sources)
    assert numbers("[7] [1]", context) == [7, 1]
    for wrong in (0, True, 1.5):
        with pytest.raises(ConfigError, match="first_number"):
            TrimConfig(first_number=wrong)
        with pytest.raises(ConfigError, match="start"):
            EvidenceSearch.of(engine, start=wrong)


@given(st.text(st.sampled_from("[]【】0123456789 ,-^`.\nAb"), max_size=60))
def test_every_citation_points_at_a_mark_inside_its_answer(context, answer):
    found = verify_citations(answer, context, encoder=WordEncoder())
    assert found == sorted(found, key=lambda citation: citation.start)
    for citation in found:
        mark = answer[citation.start : citation.end]
        assert mark[0] in "[【"
        assert mark[-1] in "]】"
        start, end = citation.sentence
        assert 0 <= start < end <= len(answer)
        assert (citation.source is None) == (citation.number not in (1, 2, 3))


@pytest.mark.golden
def test_the_embedded_model_tells_paraphrase_from_invention(tmp_path):
    encoder = Encoder.default()
    with Engine.open(tmp_path / "index", encoder=encoder) as engine:
        engine.add(
            [
                Passage("cache", "The cache keeps the last 500 entries. When it is full, the oldest is thrown out."),
                Passage("bat", "Bats find their way by calling and listening to the echo."),
            ]
        )
        trim = TrimConfig(order="source", on_empty="keep", threshold=0.0, citation=CITATION)
        context = engine.retrieve("How do bats and caches work?", k=2, trim=trim)
    number = {source.title: source.number for source in context.sources}
    answer = (
        f"Once full, the cache evicts the oldest entry [{number['cache']}]. "
        f"Bats navigate by echolocation [{number['bat']}]. "
        f"The cache holds 1000 entries [{number['cache']}]. "
        f"Bats sleep through the winter [{number['bat']}]. "
        f"The cache holds 500 entries [{number['bat']}]."
    )
    checked = verify_citations(answer, context, encoder=encoder)
    assert [citation.supported for citation in checked] == [True, True, False, False, False]


LOG = "2026-11-06 14:22:31 INFO fan stopped"


@pytest.mark.parametrize(
    ("text", "sentence", "supported"),
    [
        ("Cargo E costs EUR,5190,10", "Cargo E costs 5190", True),
        ("Cargo E costs EUR,5190,10", "Cargo E costs 5290", False),
        (LOG, "The fan stopped at 14:22", True),
        (LOG, "The fan stopped at 2:22 p.m.", True),
        (LOG, "The fan stopped at 14:00", False),
        (LOG, "The fan stopped on 6 November 2026", True),
        (LOG, "The fan stopped on Nov 6, 2026", True),
        (LOG, "The fan stopped on 06/11/2026", True),
        (LOG, "The fan stopped on 11/06/2026", True),
        (LOG, "The fan stopped on 6.11.2026", True),
        (LOG, "The fan stopped on 6.10.2026", False),
        (LOG, "The fan stopped on 7 November 2026", False),
        (LOG, "The fan stopped on 6 October 2026", False),
        ("The fan stopped on 06/11/2026.", "The fan stopped on 6 November 2026", True),
        ("The fan stopped on 06/11/2026.", "The fan stopped on 11 June 2026", True),
        ("The fan stopped on 06/11/2026.", "The fan stopped on 6 October 2026", False),
    ],
)
def test_numbers_times_and_dates_of_records(text, sentence, supported):
    assert supports(text, sentence) is supported


def supports(text, sentence, *more):
    """Judge a sentence by the kept spans of one source."""
    spans = [
        {
            "passage": "p",
            "start": 0,
            "end": len(one),
            "source_start": None,
            "source_end": None,
            "score": 1.0,
            "text": one,
        }
        for one in (text, *more)
    ]
    source = {"number": 1, "title": "p", "also_in": [], "passages": [{"id": "p", "metadata": {}}], "spans": spans}
    found = {"query": "", "sources": [source], "weak": False, "uncovered": [], "note": "", "report": {}}
    (citation,) = verify_citations(f"{sentence} [1].", found, encoder=WordEncoder())
    return citation.supported


def test_a_number_of_another_row_is_no_support():
    header, *rows = "| Call | Price |", "| call, weekday | 220 euros |", "| call, weekend | 340 euros |"
    assert supports(header, "The weekend call price is 340 euros", *rows) is True
    assert supports(header, "The weekend call price is 220 euros", *rows) is False


def test_a_column_may_say_what_a_price_is_for():
    table = "| Bike | Day | Week |\n|---|---|---|\n| Cargo | 55 | 240 |"
    assert supports(table, "The bike Cargo is 240 per week") is True
    assert supports(table, "The bike Cargo is 240 per month") is False


@pytest.mark.parametrize("record", ["item: Van\nday: 85\nweek: 420\nmonth: 1400", "Item = Van\nDay = 85\nWeek = 420"])
def test_a_key_of_a_record_may_say_what_a_price_is_for(record):
    assert supports(record, "A van costs 420 per week") is True
    assert supports(record, "A van costs 420 per day") is None
    assert supports(record, "A van costs 420 per year") is False
    assert supports(record, "A van costs 430 per week") is False


def test_words_alone_may_be_another_wording_if_the_numbers_are_there():
    assert supports("Up to five days are carried over.", "Up to five days wander onwards yonder") is None
    assert supports("Up to five days are carried over.", "Up to six days wander onwards yonder") is False
    assert supports("Some days are carried over.", "Some days wander onwards yonder") is False


def test_a_period_of_a_column_is_not_that_of_a_note_below_the_table():
    table = "| Bike | Day | Week |\n|---|---|---|\n| Cargo | 55 | 240 |"
    note = "The bike Cargo costs half a day more if it is late."
    assert supports(table, "The bike Cargo costs 240 for a week", note) is True
