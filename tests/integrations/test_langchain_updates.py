"""Keeping an index in step with changing documents, through LangChain's own classes."""

import copy

import pytest

pytest.importorskip("langchain_tests")

from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, aindex, index
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from fgr_retriever import TrimConfig
from fgr_retriever.errors import ConfigError, InputError
from fgr_retriever.testing import WordEncoder
from langchain_fgr import FGRCompressor, FGRRetriever, FGRVectorStore

QUERY = "who found radium"


class TestStandard(VectorStoreIntegrationTests):
    """LangChain's own contract for vector stores."""

    @pytest.fixture
    def vectorstore(self, tmp_path):
        return FGRVectorStore.from_documents([], path=tmp_path / "index", encoder=WordEncoder())


@pytest.fixture
def store(tmp_path, documents):
    return FGRVectorStore.from_documents(documents, path=tmp_path / "index", encoder=WordEncoder())


@pytest.fixture
def records():
    manager = InMemoryRecordManager("library")
    manager.create_schema()
    return manager


def counts(engine):
    return engine.last_added.added, engine.last_added.updated, engine.last_added.unchanged


# --- LangChain's indexing ---------------------------------------------------------------------


def kept(store, ids=None):
    return {document.page_content for document in store.get_by_ids(ids or store.engine.ids())}


def run(cleanup, documents, records, store):
    source = {"source_id_key": "field"} if cleanup == "incremental" else {}
    found = index(documents, records, store, cleanup=cleanup, key_encoder="blake2b", **source)
    return found["num_added"], found["num_skipped"], found["num_deleted"]


@pytest.mark.parametrize("cleanup", ["full", "incremental"])
def test_indexing_keeps_step(tmp_path, documents, records, cleanup):
    store = FGRVectorStore.from_documents([], path=tmp_path / "index", encoder=WordEncoder())
    assert run(cleanup, documents, records, store) == (5, 0, 0)
    assert run(cleanup, documents, records, store) == (0, 5, 0)
    changed = copy.deepcopy(documents)
    changed[0].page_content = "Marie Curie found radium, and polonium."
    assert run(cleanup, changed[:4], records, store) == (1, 3, 2 if cleanup == "full" else 1)
    gone = {documents[0].page_content} | ({documents[4].page_content} if cleanup == "full" else set())
    assert kept(store) == {one.page_content for one in [*documents, *changed]} - gone
    assert store.similarity_search(QUERY, k=1)[0].page_content == changed[0].page_content
    store.engine.verify()


async def test_indexing_async(tmp_path, documents, records):
    store = FGRVectorStore.from_documents([], path=tmp_path / "index", encoder=WordEncoder())
    options = {"cleanup": "full", "key_encoder": "sha256"}
    assert (await aindex(documents, records, store, **options))["num_added"] == 5
    assert (await aindex(documents[:2], records, store, **options))["num_deleted"] == 3
    assert kept(store) == {one.page_content for one in documents[:2]}


def test_a_forced_update_encodes_nothing(tmp_path, documents, records):
    store = FGRVectorStore.from_documents([], path=tmp_path / "index", encoder=WordEncoder())
    run("full", documents, records, store)
    index(documents, records, store, cleanup="full", key_encoder="blake2b", force_update=True)
    assert counts(store.engine) == (0, 0, 5)


# --- the vector store -------------------------------------------------------------------------


def test_whole_documents_with_their_scores(store, documents):
    best, score = store.similarity_search_with_score(QUERY, k=1)[0]
    assert best == documents[0]
    assert score == pytest.approx(store.engine.search(QUERY, k=1)[0].score)
    assert store.similarity_search("found", k=9, filter={"field": "medicine"}) == [documents[1]]
    assert store.as_retriever(search_kwargs={"k": 1}).invoke(QUERY) == [documents[0]]
    (behind,) = FGRCompressor(encoder=WordEncoder()).compress_documents([best], QUERY)
    (found,) = FGRRetriever(engine=store.engine, k=1).invoke(QUERY)
    assert behind.page_content == found.page_content
    assert behind.metadata["fgr_spans"] == found.metadata["fgr_spans"]


def test_from_texts(tmp_path):
    store = FGRVectorStore.from_texts(
        ["one", "two"], metadatas=[{"n": 1}, {"n": 2}], ids=["a", "b"], encoder=WordEncoder()
    )
    assert store.get_by_ids(["b", "a"]) == [
        Document("two", id="b", metadata={"n": 2}),
        Document("one", id="a", metadata={"n": 1}),
    ]
    assert store.add_texts(["three"], ids=["c"]) == ["c"]
    assert store.delete(["a", "unknown"]) is True
    assert store.engine.ids() == ["b", "c"]
    with pytest.raises(InputError, match="1 ids for 2 texts"):
        FGRVectorStore.from_texts(["one", "two"], ids=["a"], encoder=WordEncoder())


def test_what_is_no_document_and_no_engine_is_refused_with_the_remedy(store, tmp_path):
    with pytest.raises(InputError, match=r"Document\(page_content"):
        store.add_documents(["text"])
    with pytest.raises(InputError, match=r"Engine\.open"):
        FGRVectorStore(str(tmp_path))


async def test_the_async_makers(tmp_path, documents):
    store = await FGRVectorStore.afrom_documents(documents[:2], path=tmp_path / "index", encoder=WordEncoder())
    assert store.get_by_ids(["fleming"]) == [documents[1]]
    again = await FGRVectorStore.afrom_texts(["a", "b"], metadatas=[{"n": 1}, {"n": 2}], encoder=WordEncoder())
    assert [one.metadata["n"] for one in await again.asimilarity_search("b", k=9)] == [2, 1]


@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        (lambda store: store.max_marginal_relevance_search(QUERY), "similarity_search"),
        (lambda store: store.as_retriever(search_type="mmr"), "similarity_search"),
        (lambda store: store.similarity_search_with_relevance_scores(QUERY), "similarity_search_with_score"),
        (
            lambda store: store.as_retriever(
                search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.5}
            ),
            "similarity_search_with_score",
        ),
        (lambda store: store.similarity_search_by_vector([0.0]), "text"),
    ],
    ids=["mmr", "mmr retriever", "relevance", "threshold retriever", "vector"],
)
def test_what_cannot_be_is_refused_with_the_remedy(store, call, remedy):
    with pytest.raises(ConfigError, match=remedy):
        call(store)


def test_a_wrong_argument_of_a_search_is_refused_with_the_nearest(store):
    for search in (store.similarity_search, store.similarity_search_with_score, store.as_retriever().invoke):
        with pytest.raises(InputError, match="takes no 'filters': did you mean 'filter'"):
            search(QUERY, filters={})


def test_nothing_is_deleted_by_leaving_the_ids_out(store):
    for holder in (store, FGRRetriever(engine=store.engine)):
        with pytest.raises(InputError, match=r"engine\.ids\(\)"):
            holder.delete()
    with pytest.raises(InputError, match="2 ids for 1 documents"):
        store.add_documents([Document("new")], ids=["a", "b"])
    assert len(store.engine) == 5


# --- the retriever ----------------------------------------------------------------------------


def test_every_start_of_an_app_costs_only_what_is_new(tmp_path, documents):
    first = FGRRetriever.from_documents(documents, path=tmp_path / "index", encoder=WordEncoder())
    assert counts(first.engine) == (5, 0, 0)
    first.engine.close()
    documents[0].metadata["year"] = 1899
    documents[1].page_content = "Fleming found mould."
    again = FGRRetriever.from_documents(documents, path=tmp_path / "index", encoder=WordEncoder())
    assert counts(again.engine) == (0, 2, 3)
    assert again.get_by_ids(["curie", "fleming"]) == documents[:2]


def test_one_call_brings_an_index_up_to_date(tmp_path, documents):
    path, encoder = tmp_path / "index", WordEncoder()
    FGRRetriever.from_documents(documents, path=path, delete_missing=True, encoder=encoder).engine.close()
    daily = FGRRetriever.from_documents(documents[:2], path=path, delete_missing=True, encoder=encoder)
    assert (counts(daily.engine), daily.engine.last_added.deleted) == ((0, 0, 2), 3)
    daily.engine.close()
    with pytest.raises(InputError, match="nothing to add, and all 2 stored"):
        FGRRetriever.from_documents([], path=path, delete_missing=True, encoder=encoder)


async def test_what_is_missing_is_deleted_if_asked_for(tmp_path, documents):
    retriever = FGRRetriever.from_documents(documents, encoder=WordEncoder())
    documents[0].metadata["year"] = 1899
    new = Document("a new one", id="new")
    ids = ["curie", "nobel", "new"]
    assert retriever.add_documents([documents[0], documents[2], new], delete_missing=True) == ids
    assert set(retriever.engine.ids()) == set(ids)
    last = retriever.engine.last_added
    assert (last.added, last.updated, last.unchanged, last.deleted) == (1, 1, 1, 3)
    assert await retriever.aadd_documents([Document("a new one")], ids=["new"], delete_missing=True) == ["new"]
    assert retriever.engine.ids() == ["new"]
    assert counts(retriever.engine) == (0, 0, 1)


def test_nothing_does_not_take_the_place_of_all(documents):
    retriever = FGRRetriever.from_documents(documents, encoder=WordEncoder())
    before = retriever.engine.ids()
    for nothing in ([], iter(())):
        with pytest.raises(InputError, match=r"nothing to add, and all 5 stored .* delete\(engine.ids\(\)\)"):
            retriever.add_documents(nothing, delete_missing=True)
    assert retriever.engine.ids() == before
    retriever.delete(before)
    assert retriever.add_documents([], delete_missing=True) == []  # nothing is lost


async def test_fetching_and_deleting_through_the_retriever(tmp_path, documents):
    retriever = FGRRetriever.from_documents(documents, path=tmp_path / "index", encoder=WordEncoder())
    assert retriever.get_by_ids(["nobel", "unknown"]) == [documents[2]]
    assert await retriever.aget_by_ids(["nobel"]) == [documents[2]]
    assert retriever.delete(["nobel"])
    assert await retriever.adelete(["curie"])
    assert retriever.engine.ids() == ["fleming", "röntgen", "empty-handed"]
    assert await retriever.aadd_documents([Document("again")], ids=["nobel"]) == ["nobel"]
    assert retriever.engine.ids({"year": {"$gte": 1900}}) == ["fleming", "empty-handed"]


def test_whole_documents_have_no_budget(tmp_path, documents):
    retriever = FGRRetriever.from_documents(documents, encoder=WordEncoder(), trim=None)
    with pytest.raises(ConfigError, match="trim=None"):
        retriever.invoke(QUERY, max_tokens=9)
    with pytest.raises(ConfigError, match="trim=None"):
        FGRRetriever(engine=retriever.engine, trim=None, search_kwargs={"max_tokens": 9})
    budgeted = FGRRetriever(engine=retriever.engine, trim=TrimConfig(), search_kwargs={"max_tokens": 9})
    assert budgeted.trim.max_tokens == 9
