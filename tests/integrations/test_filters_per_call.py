"""A filter for one call, none for one call, and a filter on a key that no passage has."""

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

from langchain_core.callbacks import BaseCallbackHandler
from llama_index.core.vector_stores.types import MetadataFilter, MetadataFilters

import langchain_fgr
import llama_index.tools.fgr
from fgr_retriever import TrimConfig
from fgr_retriever.testing import WordEncoder
from langchain_fgr import FGRRetriever, FGRVectorStore
from llama_index.retrievers.fgr import FGRRetriever as LlamaIndexRetriever

QUERY = "who found radium and penicillin and dynamite"


@pytest.fixture
def chemistry(engine):
    return FGRRetriever(engine=engine, filter={"field": "chemistry"}, count_tokens=len)


def ids(documents):
    return {document.id for document in documents}


async def test_no_filter_for_one_call_is_not_the_same_as_none_given(chemistry, texts):
    assert ids(chemistry.invoke(QUERY)) == {"curie", "nobel"}
    assert ids(chemistry.invoke(QUERY, filter=None)) == texts.keys()
    assert ids(await chemistry.ainvoke(QUERY, filter=None)) == texts.keys()
    assert ids(chemistry.batch([QUERY], filter=None)[0]) == texts.keys()
    assert ids(chemistry.bind(filter=None).invoke(QUERY)) == texts.keys()
    assert ids(chemistry.invoke(QUERY, filter={"year": 1928})) == {"fleming"}
    assert ids(chemistry.invoke(QUERY)) == {"curie", "nobel"}
    whole = chemistry.model_copy(update={"trim": None})
    assert ids(whole.invoke(QUERY)) == {"curie", "nobel"}
    assert ids(whole.invoke(QUERY, filter=None)) == texts.keys()


def test_search_kwargs_without_a_filter_take_it_away(engine, texts):
    given = FGRRetriever(engine=engine, filter={"field": "chemistry"}, search_kwargs={"filter": None})
    assert ids(given.invoke(QUERY)) == texts.keys()


def test_the_retriever_of_a_vector_store_does_the_same(engine, texts):
    retriever = FGRVectorStore(engine).as_retriever(search_kwargs={"k": 9, "filter": {"field": "chemistry"}})
    assert ids(retriever.invoke(QUERY)) == {"curie", "nobel"}
    assert ids(retriever.invoke(QUERY, filter=None)) == texts.keys()


def found_by(tool):
    done = tool.func(QUERY)[1] if hasattr(tool, "func") else tool.call(QUERY).raw_output
    return {passage["id"] for source in done["sources"] for passage in source["passages"]}


def test_a_tool_has_a_filter_of_its_own_or_that_of_its_retriever(engine, chemistry, texts):
    make = langchain_fgr.evidence_tool
    assert found_by(make(chemistry, count_tokens=len, k=9)) == {"curie", "nobel"}
    assert found_by(make(chemistry, count_tokens=len, k=9, filter=None)) >= {"curie", "nobel", "fleming"}
    assert found_by(make(chemistry, count_tokens=len, filter={"year": 1928})) == {"fleming"}
    assert found_by(make(engine, count_tokens=len, filter={"year": 1928})) == {"fleming"}
    make = llama_index.tools.fgr.evidence_tool
    year = MetadataFilters(filters=[MetadataFilter(key="year", value=1928)])
    retriever = LlamaIndexRetriever(engine, filters=year)
    assert found_by(make(retriever, count_tokens=len)) == {"fleming"}
    assert found_by(make(retriever, count_tokens=len, filters=None)) >= {"curie", "nobel", "fleming"}
    assert found_by(make(engine, count_tokens=len, filters=year)) == {"fleming"}


@pytest.mark.parametrize(
    ("filter", "named"),
    [
        ({"yaer": 1898}, "'yaer'"),
        ({"yaer": 1898, "feild": "physics", "year": 1898}, "'yaer', 'feild'"),
        ({"nested.depe": 1}, "'nested.depe'"),
        ({"$or": [{"yaer": 1898}, {"$and": [{"feild": "physics"}]}]}, "'yaer', 'feild'"),
        ({"year": 3000}, None),
        ({"year": 3000, "draft": {"$exists": False}}, None),
        ({"year": 3000, "$not": {"draft": True}}, None),
        ({"yaer": {"$ne": 1898}}, None),
        (None, None),
    ],
)
def test_a_key_that_no_passage_has_is_noted(engine, filter, named):
    context = engine.retrieve(QUERY, filter=filter, count_tokens=len)
    assert bool(context.hits) == (filter is None or filter == {"yaer": {"$ne": 1898}})
    note = f"the filter lets nothing through: no passage has the metadata {named}"
    assert list(context.report.notes) == ([note] if named else [])


@pytest.mark.parametrize(
    ("filter", "reason"),
    [
        ({"year": "1898"}, "no passage has 'year' as text; it is a number"),
        ({"year": [1898]}, "no passage has 'year' as a list; it is a number"),
        ({"year": {"$in": ["1898", "1928"]}}, "no passage has 'year' as text; it is a number"),
        ({"year": {"$gte": "1898"}}, "no passage has 'year' as text; it is a number"),
        ({"year": {"$contains": 18}}, "no passage has 'year' as a list; it is a number"),
        (
            {"year": True, "yaer": 1},
            "no passage has the metadata 'yaer'; no passage has 'year' as true or false; it is a number",
        ),
        ({"$or": [{"year": "1898"}]}, "no passage has 'year' as text; it is a number"),
        ({"year": {"$in": ["1898", 3000]}}, None),
    ],
)
def test_a_value_of_another_type_is_noted(engine, filter, reason):
    context = engine.retrieve(QUERY, filter=filter, count_tokens=len)
    assert not context.hits
    if engine.location.startswith("qdrant"):  # there, only absent keys are counted
        reason = reason.split(";")[0] if "yaer" in filter else None
    assert list(context.report.notes) == ([f"the filter lets nothing through: {reason}"] if reason else [])


@pytest.mark.parametrize("find", ["search", "rank", "search_batch"])
def test_the_log_says_once_why_a_filter_lets_nothing_through(engine, caplog, find):
    query = [QUERY] if find == "search_batch" else QUERY
    for filter in ({"yaer": {"$lt": 5}}, {"yaer": {"$lt": 6}}, {"year": 3000}, {"year": {"$lt": 5}}, None):
        getattr(engine, find)(query, filter=filter)
    told = [one.getMessage() for one in caplog.records if one.name == "fgr_retriever.index.unmet"]
    assert told == ["the filter lets nothing through: no passage has the metadata 'yaer'"]


def test_the_log_says_it_of_an_index_that_was_empty(engine, caplog):
    passages = engine.get(engine.ids())
    engine.delete(engine.ids())
    assert not engine.search(QUERY, filter={"yaer": 1})
    assert not caplog.records
    engine.add(passages)
    assert not engine.search(QUERY, filter={"yaer": 1})
    assert "'yaer'" in caplog.text


def test_the_report_says_it_and_not_the_log(engine, caplog):
    assert engine.retrieve(QUERY, filter={"yaer": 1}, count_tokens=len).report.notes
    assert not caplog.records


@pytest.mark.parametrize("trim", [None, TrimConfig()], ids=["whole", "trimmed"])
def test_the_log_says_it_of_frameworks(engine, trim, caplog):
    for _ in range(2):
        assert not FGRRetriever(engine=engine, trim=trim).invoke(QUERY, filter={"yaer": 1})
    filters = MetadataFilters(filters=[MetadataFilter(key="feild", value="physics")])
    for _ in range(2):
        assert not LlamaIndexRetriever(engine, trim=trim, filters=filters).retrieve(QUERY)
    assert caplog.text.count("no passage has the metadata 'yaer'") == 1
    assert caplog.text.count("no passage has the metadata 'feild'") == 1


def test_the_note_is_in_the_report_of_a_call(chemistry):
    seen = []

    class Handler(BaseCallbackHandler):
        def on_custom_event(self, name, data, **kwargs):
            seen.append(data["notes"])

    chemistry.invoke(QUERY, filter={"yaer": 1}, config={"callbacks": [Handler()]})
    (notes,) = seen
    assert "'yaer'" in notes[0]


def test_in_an_empty_index_nothing_is_missing(tmp_path):
    retriever = FGRRetriever.from_texts([], encoder=WordEncoder(), path=tmp_path / "empty")
    assert list(retriever.engine.retrieve(QUERY, filter={"yaer": 1}).report.notes) == []
