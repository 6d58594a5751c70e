"""The LangChain adapters in chains, pipelines, configuration and tracing of real LangChain classes."""

import copy
import json

import pytest

pytest.importorskip("langchain_core")

from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_classic.retrievers.document_compressors import DocumentCompressorPipeline
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.runnables import ConfigurableField, RunnablePassthrough
from langchain_text_splitters import CharacterTextSplitter

from fgr_retriever import TrimConfig
from fgr_retriever.errors import ConfigError, InputError
from fgr_retriever.testing import WordEncoder
from langchain_fgr import FGRCompressor, FGRRetriever

QUERY = "who found radium"


@pytest.fixture
def retriever(documents, counter):
    return FGRRetriever.from_documents(documents, encoder=WordEncoder(), count_tokens=counter, k=3)


@pytest.fixture
def compressor(counter):
    return FGRCompressor(encoder=WordEncoder(), count_tokens=counter)


def ids(documents):
    return [document.id for document in documents]


def test_search_kwargs_win_over_fields_and_the_call_over_both(documents, counter):
    kwargs = {"k": 2, "filter": {"field": "chemistry"}, "max_tokens": 4}
    options = {"encoder": WordEncoder(), "count_tokens": counter, "k": 4, "filter": {"field": "physics"}}
    retriever = FGRRetriever.from_documents(documents, search_kwargs=kwargs, **options)
    (short,) = retriever.invoke("who found radium and dynamite")
    assert short.id == "curie"
    assert counter(short.page_content) <= 4
    assert ids(retriever.invoke("who found radium and dynamite", max_tokens=100)) == ["curie", "nobel"]
    assert ids(retriever.invoke("who found radium and dynamite", max_tokens=100, k=1)) == ["curie"]
    assert ids(retriever.invoke(QUERY, filter={"year": 1928})) == ["fleming"]
    assert (retriever.k, retriever.filter, retriever.trim.max_tokens) == (2, {"field": "chemistry"}, 4)
    assert kwargs == {"k": 2, "filter": {"field": "chemistry"}, "max_tokens": 4}
    rebuilt = FGRRetriever(engine=retriever.engine, **retriever.model_dump())
    assert (rebuilt.k, rebuilt.filter, rebuilt.trim) == (retriever.k, retriever.filter, retriever.trim)


def test_unknown_search_kwargs_are_refused(retriever):
    with pytest.raises(InputError, match=r"score_threshold.*k, filter, max_tokens"):
        FGRRetriever(engine=retriever.engine, search_kwargs={"score_threshold": 0.5})
    with pytest.raises(ConfigError, match=r"k=0: .*greater than or equal to 1"):
        FGRRetriever(engine=retriever.engine, count_tokens=len, search_kwargs={"k": 0})


def test_fields_are_configurable_at_run_time(retriever):
    configurable = retriever.configurable_fields(
        search_kwargs=ConfigurableField(id="search_kwargs"), filter=ConfigurableField(id="filter")
    )
    by_kwargs = configurable.with_config(configurable={"search_kwargs": {"k": 1}})
    assert ids(by_kwargs.invoke(QUERY)) == ["curie"]
    by_filter = configurable.invoke(QUERY, config={"configurable": {"filter": {"year": 1867}}})
    assert ids(by_filter) == ["nobel"]
    assert len(configurable.invoke(QUERY)) == 3


def test_alternative_retrievers_are_configurable(retriever, documents, counter):
    short = FGRRetriever.from_documents(documents[:1], encoder=WordEncoder(), count_tokens=counter)
    either = retriever.configurable_alternatives(ConfigurableField(id="which"), default_key="all", one=short)
    assert len(either.invoke(QUERY)) == 3
    assert ids(either.invoke("dynamite", config={"configurable": {"which": "one"}})) == ["curie"]


async def test_tags_metadata_and_errors_reach_the_callbacks(documents, counter):
    seen = []

    class Handler(BaseCallbackHandler):
        def on_retriever_start(self, serialized, query, *, tags=None, metadata=None, **kwargs):
            seen.append(("start", sorted(tags), metadata["team"]))

        def on_retriever_error(self, error, **kwargs):
            seen.append(("error", type(error).__name__))

    retriever = FGRRetriever.from_documents(
        documents, encoder=WordEncoder(), count_tokens=counter, tags=["always"], metadata={"team": "red"}
    )
    config = {"callbacks": [Handler()], "tags": ["once"]}
    retriever.invoke(QUERY, config=config)
    await retriever.ainvoke(QUERY, config=config)
    with pytest.raises(ConfigError):
        retriever.invoke(QUERY, config=config, k=0)
    start = ("start", ["always", "once"], "red")
    assert seen == [start, start, start, ("error", "ConfigError")]


@pytest.fixture
def reports():
    """A handler and the trust reports that it got, each with the run that it belongs to."""

    class Handler(BaseCallbackHandler):
        def __init__(self):
            self.seen, self.runs = [], []

        def on_retriever_start(self, serialized, query, *, run_id, **kwargs):
            self.runs.append(run_id)

        def on_custom_event(self, name, data, *, run_id, **kwargs):
            self.seen.append((name, data, run_id))

    return Handler()


async def test_the_retriever_sends_its_trust_report(retriever, reports):
    config = {"callbacks": [reports]}
    retriever.invoke("who found radium and zeppelins", config=config, max_tokens=4)
    (name, report, run_id), *more = reports.seen
    assert (name, run_id, more) == ("fgr_report", *reports.runs, [])
    assert json.loads(json.dumps(report)) == report
    assert report["tokens_after"] <= 4 < report["tokens_before"]
    assert "zeppelins" in report["uncovered"]
    assert not report["weak"]
    await retriever.ainvoke("zeppelins", config=config)
    assert reports.seen[1][1]["weak"]


async def test_the_report_is_in_the_event_stream_of_a_chain(retriever):
    chain = retriever | len
    events = [event async for event in chain.astream_events(QUERY, version="v2") if event["event"] == "on_custom_event"]
    assert [event["name"] for event in events] == ["fgr_report"]
    assert events[0]["data"]["mass_kept"] > 0


async def test_the_compressor_sends_its_trust_report_however_it_is_called(retriever, compressor, documents, reports):
    config = {"callbacks": [reports]}
    given = {"documents": documents, "query": QUERY}
    behind = ContextualCompressionRetriever(base_compressor=compressor, base_retriever=retriever)
    compressor.compress_documents(documents, QUERY, callbacks=[reports])
    await compressor.acompress_documents(documents, QUERY, callbacks=[reports])
    compressor.as_runnable().invoke(given, config=config)
    await compressor.as_runnable().ainvoke(given, config=config)
    assert len(reports.seen) == 4
    assert len({json.dumps({**data, "times_ms": 0}) for _, data, _ in reports.seen}) == 1
    behind.invoke(QUERY, config=config)
    await behind.ainvoke(QUERY, config=config)
    assert len(reports.seen) == 8  # each one of the retriever and one of the compressor
    assert not compressor.compress_documents([], QUERY, callbacks=[reports])
    assert len(reports.seen) == 8


async def test_batch_keeps_the_order_of_the_questions(retriever):
    questions = [QUERY, "penicillin dish", "dynamite", "rays on a screen"]
    expected = [retriever.invoke(question) for question in questions]
    assert [found[0].id for found in expected] == ["curie", "fleming", "nobel", "röntgen"]
    assert retriever.batch(questions, config={"max_concurrency": 2}) == expected
    assert await retriever.abatch(questions) == expected
    by_place = dict(retriever.batch_as_completed(questions))
    assert [by_place[place] for place in range(4)] == expected


async def test_retriever_pipes_into_the_compressor(retriever, compressor, documents):
    chain = {"documents": retriever, "query": RunnablePassthrough()} | compressor.as_runnable()
    found = chain.invoke("radium")
    assert found[0].id == "curie"
    assert "radium" in found[0].page_content
    assert await chain.ainvoke("radium") == found


async def test_compressor_in_a_pipeline_behind_a_splitter(compressor, documents, texts):
    splitter = CharacterTextSplitter(chunk_size=40, chunk_overlap=0, separator=". ", add_start_index=True)
    pipeline = DocumentCompressorPipeline(transformers=[splitter, compressor])
    bare = [Document(document.page_content, metadata={"of": document.id}) for document in documents]
    before = copy.deepcopy(bare)
    found = pipeline.compress_documents(bare, QUERY)
    assert bare == before
    assert len(found) > len(bare)
    for document in found:
        whole = texts[document.metadata["of"]]
        cut = [whole[start:end] for start, end, _ in document.metadata["fgr_source_spans"]]
        assert " … ".join(cut) == document.page_content
    assert await pipeline.acompress_documents(bare, QUERY) == found


def test_compressor_and_retriever_nest(retriever, compressor, counter):
    # Both trim: the retriever to phrases, then the compressor over all of them to six words.
    tight = FGRCompressor(encoder=WordEncoder(), count_tokens=counter, trim=TrimConfig(max_tokens=6))
    pipeline = DocumentCompressorPipeline(transformers=[compressor, tight])
    found = ContextualCompressionRetriever(base_compressor=pipeline, base_retriever=retriever).invoke(QUERY)
    assert found[0].id == "curie"
    assert counter("\n\n".join(document.page_content for document in found)) <= 6


def test_exactly_k_come_back_under_every_policy_without_a_budget(documents, counter):
    for on_empty, expected in (("best_span", 5), ("keep", 5), ("drop", 1)):
        trim = TrimConfig(on_empty=on_empty)
        retriever = FGRRetriever.from_documents(documents, encoder=WordEncoder(), count_tokens=counter, trim=trim)
        assert [len(retriever.invoke("penicillin", k=k)) for k in range(1, 6)] == [
            min(k, expected) for k in range(1, 6)
        ]


async def test_documents_that_say_the_same_are_made_up_for(counter):
    same = "Radium glows in the dark of night. Snow."
    texts = [same, same, same, "Radium was found in Paris.", "Snow fell on roofs."]
    ids_ = [str(place) for place in range(len(texts))]
    retriever = FGRRetriever.from_texts(texts, ids=ids_, encoder=WordEncoder(), count_tokens=counter, k=2)
    found = retriever.invoke("radium glows in the dark of night")
    assert ids(found) == ["0", "3"]
    assert await retriever.ainvoke("radium glows in the dark of night") == found
    assert ids(retriever.invoke("radium glows in the dark of night", k=5)) == ["0", "3", "4"]
    apart = retriever.model_copy(update={"trim": TrimConfig(merge=False)})
    # Of several equals, a collection chooses itself which is the last of `k`.
    assert set(ids(apart.invoke("radium glows in the dark of night"))) < {"0", "1", "2"}
