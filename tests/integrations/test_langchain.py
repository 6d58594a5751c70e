"""The LangChain adapters behind real LangChain classes."""

import copy
import gc
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("langchain_core")

from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import ConfigurableField, RunnableLambda, RunnablePassthrough
from langchain_core.tools import create_retriever_tool
from langchain_core.vectorstores import InMemoryVectorStore

import langchain_fgr
from fgr_retriever import TrimConfig
from fgr_retriever.errors import ConfigError, IndexNotFoundError, InputError, ModelMismatchError
from fgr_retriever.testing import WordEncoder
from langchain_fgr import FGRCompressor, FGRRetriever

QUERY = "who found radium"


@pytest.fixture
def retriever(documents, counter):
    return FGRRetriever.from_documents(documents, encoder=WordEncoder(), count_tokens=counter, k=3)


@pytest.fixture
def compressor(counter):
    return FGRCompressor(encoder=WordEncoder(), count_tokens=counter)


def spans_of(document, whole):
    """Cut the spans of a result out of the whole text."""
    return [whole[start:end] for start, end, _ in document.metadata["fgr_spans"]]


def test_public_names_and_base_classes():
    assert {"FGRCompressor", "FGRRetriever"} <= set(langchain_fgr.__all__)
    assert issubclass(FGRRetriever, BaseRetriever)
    assert issubclass(FGRCompressor, BaseDocumentCompressor)
    for name in ("_get_relevant_documents", "_aget_relevant_documents"):
        assert {"k", "filter", "max_tokens"} <= inspect.signature(getattr(FGRRetriever, name)).parameters.keys()


def test_a_field_that_there_is_not_is_refused(documents):
    with pytest.raises(InputError, match="top_k"):
        FGRRetriever.from_documents(documents, encoder=WordEncoder(), top_k=3)
    with pytest.raises(InputError, match="threshold"):
        FGRCompressor(encoder=WordEncoder(), threshold=0.3)


def test_a_result_has_the_stored_id_and_metadata_and_verbatim_evidence(retriever, texts, metadata):
    best = retriever.invoke(QUERY)[0]
    assert best.id == "curie"
    assert metadata["curie"].items() <= best.metadata.items()
    assert "found radium" in best.page_content
    assert len(best.page_content) < len(texts["curie"])
    assert best.page_content == TrimConfig().separator.join(spans_of(best, texts["curie"]))
    assert 0 < best.metadata["fgr_kept"] < 1


def test_source_spans_are_the_spans_in_the_source_document(retriever):
    best = retriever.invoke(QUERY)[0]
    shifted = [[start + 1000, end + 1000, score] for start, end, score in best.metadata["fgr_spans"]]
    assert best.metadata["fgr_source_spans"] == shifted
    without_start = retriever.invoke("dynamite")[0]
    assert without_start.id == "nobel"
    assert "fgr_source_spans" not in without_start.metadata


def test_results_are_json_safe_and_hide_the_reserved_key(retriever):
    for document in retriever.invoke(QUERY, k=5):
        assert json.loads(json.dumps(document.metadata)) == document.metadata
        assert "_fgr" not in document.metadata


def test_call_arguments_override_the_fields_for_one_call(retriever):
    assert len(retriever.invoke(QUERY)) == 3
    assert [found.id for found in retriever.invoke(QUERY, k=1)] == ["curie"]
    chemistry = retriever.invoke(QUERY, filter={"field": "chemistry"})
    assert {found.id for found in chemistry} == {"curie", "nobel"}
    assert len(retriever.invoke(QUERY)) == 3


def test_filter_as_a_field(documents):
    retriever = FGRRetriever.from_documents(
        documents, encoder=WordEncoder(), count_tokens=len, filter={"year": {"$gte": 1895, "$lt": 1928}}
    )
    assert {found.id for found in retriever.invoke(QUERY)} == {"curie", "röntgen"}
    assert [found.id for found in retriever.invoke(QUERY, filter={"year": 1928})] == ["fleming"]


@pytest.mark.parametrize("limit", [0, 1, 3, 5, 8, 13, 30])
def test_budget_holds_over_all_results(retriever, counter, limit):
    found = retriever.invoke("who found radium and penicillin and dynamite", max_tokens=limit)
    assert counter("\n\n".join(document.page_content for document in found)) <= limit
    assert all(document.page_content for document in found)
    if limit >= 30:
        assert len(found) == 3


def test_dropped_documents_are_made_up_for(documents, counter):
    drop = TrimConfig(on_empty="drop")
    retriever = FGRRetriever.from_documents(documents, encoder=WordEncoder(), trim=drop, count_tokens=counter, k=2)
    # "the" and "was" are in many texts; only two texts have a word of this query.
    assert {found.id for found in retriever.invoke("radium dynamite")} == {"curie", "nobel"}
    assert [found.id for found in retriever.invoke("radium", k=5)] == ["curie"]
    assert retriever.invoke("zeppelin") == []


async def test_async_gives_the_same(retriever):
    for options in ({}, {"k": 1}, {"filter": {"field": "chemistry"}}, {"max_tokens": 4}):
        assert await retriever.ainvoke(QUERY, **options) == retriever.invoke(QUERY, **options)
    assert await retriever.abatch([QUERY, "dynamite"]) == retriever.batch([QUERY, "dynamite"])


async def test_async_drop_gives_the_same(documents, counter):
    drop = TrimConfig(on_empty="drop")
    retriever = FGRRetriever.from_documents(documents, encoder=WordEncoder(), trim=drop, count_tokens=counter, k=2)
    assert await retriever.ainvoke("radium dynamite") == retriever.invoke("radium dynamite")


def test_full_text_is_an_option(retriever, texts):
    assert "fgr_text" not in retriever.invoke(QUERY)[0].metadata
    whole = retriever.model_copy(update={"full_text": True}).invoke(QUERY)[0]
    assert whole.metadata["fgr_text"] == texts["curie"]


def test_adding_never_changes_the_documents(documents):
    before = copy.deepcopy(documents)
    retriever = FGRRetriever.from_documents(documents, encoder=WordEncoder(), count_tokens=len)
    retriever.invoke(QUERY)
    assert documents == before


def test_add_documents_returns_ids_and_replaces(retriever):
    added = retriever.add_documents([Document("Tesla found alternating currents.", id="tesla"), Document("No id.")])
    assert added[0] == "tesla"
    assert len(retriever.engine) == 7
    assert retriever.add_documents([Document("Tesla kept pigeons.", id="tesla")]) == ["tesla"]
    assert len(retriever.engine) == 7
    assert "pigeons" in retriever.invoke("pigeons", k=1)[0].page_content


async def test_aadd_documents_returns_ids(retriever):
    assert await retriever.aadd_documents([Document("Tesla kept pigeons.", id="tesla")]) == ["tesla"]
    assert (await retriever.ainvoke("pigeons", k=1))[0].id == "tesla"


def test_documents_without_id_get_one_from_their_content(retriever):
    same, other = Document("Same.", metadata={"a": 1, "b": 2}), Document("Same.", metadata={"a": 2})
    reordered = Document("Same.", metadata={"b": 2, "a": 1})
    ids = retriever.add_documents([same, other, reordered])
    assert ids[0] == ids[2] != ids[1]
    assert len(retriever.engine) == 7
    assert retriever.add_documents([same]) == ids[:1]
    assert len(retriever.engine) == 7


def test_a_given_id_twice_in_one_call_is_refused(retriever):
    with pytest.raises(InputError, match="twice"):
        retriever.add_documents([Document("One.", id="x"), Document("Two.", id="x")])
    assert len(retriever.engine) == 5


def test_metadata_that_json_does_not_know_is_refused_by_name(retriever):
    with pytest.raises(InputError, match="when"):
        retriever.add_documents([Document("Text.", metadata={"when": object()})])


def test_from_texts(counter):
    retriever = FGRRetriever.from_texts(
        ["Radium glows.", "Snow falls."], [{"n": 1}, {"n": 2}], ["a", "b"], encoder=WordEncoder(), count_tokens=counter
    )
    (best,) = retriever.invoke("radium", k=1)
    assert (best.id, best.metadata["n"]) == ("a", 1)
    with pytest.raises(InputError, match="1 ids for 2 texts"):
        FGRRetriever.from_texts(["x", "y"], ids=["a"], encoder=WordEncoder())


def test_an_index_opens_again_and_a_missing_one_is_not_made(tmp_path, documents, retriever):
    path = tmp_path / "index"
    FGRRetriever.from_documents(documents, encoder=WordEncoder(), path=path)
    again = FGRRetriever.from_index(path, encoder=WordEncoder(), k=3, count_tokens=len)
    assert again.invoke(QUERY) == retriever.invoke(QUERY)
    with pytest.raises(IndexNotFoundError):
        FGRRetriever.from_index(tmp_path / "missing", encoder=WordEncoder())
    assert not (tmp_path / "missing").exists()


def test_an_index_of_another_model_is_refused(tmp_path, documents):
    class OtherEncoder(WordEncoder):
        fingerprint = "other"

    FGRRetriever.from_documents(documents, encoder=WordEncoder(), path=tmp_path / "index")
    with pytest.raises(ModelMismatchError):
        FGRRetriever.from_index(tmp_path / "index", encoder=OtherEncoder())


@pytest.mark.folders
def test_the_temporary_index_lives_as_long_as_its_retriever(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    retriever = FGRRetriever.from_texts(["Radium glows."], encoder=WordEncoder(), count_tokens=len)
    copied = retriever.model_copy()
    del retriever
    gc.collect()
    assert copied.invoke("radium")[0].page_content
    assert list(tmp_path.iterdir())
    del copied
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_configuration_is_serialisable_and_checked(retriever):
    dumped = json.loads(retriever.model_dump_json())
    assert dumped["k"] == 3
    assert dumped["trim"]["unit"] == "phrase"
    assert not {"engine", "count_tokens"} & dumped.keys()
    rebuilt = FGRRetriever(engine=retriever.engine, count_tokens=len, **dumped)
    assert rebuilt.trim == retriever.trim
    assert rebuilt.invoke(QUERY) == retriever.invoke(QUERY)
    with pytest.raises(ConfigError, match=r"FGRRetriever: k=0: .*greater than or equal to 1"):
        FGRRetriever(engine=retriever.engine, k=0)
    for wrong in ({"K": 3}, {"top_k": 3}, {"filters": {}}):
        with pytest.raises(InputError, match=rf"invoke takes no '{next(iter(wrong))}': did you mean"):
            retriever.invoke(QUERY, **wrong)
    with pytest.raises(InputError, match=r"invoke takes no 'limit'.* k, filter, max_tokens$"):
        retriever.batch([QUERY], limit=3)
    with pytest.raises(InputError, match=r"Engine\.open"):
        FGRRetriever(engine="not an engine")
    with pytest.raises(ConfigError):
        retriever.invoke(QUERY, k=0)


def test_configurable_at_run_time(retriever):
    configurable = retriever.configurable_fields(k=ConfigurableField(id="k"))
    assert len(configurable.invoke(QUERY, config={"configurable": {"k": 1}})) == 1


def test_tracing_names_the_retriever_and_its_model(retriever):
    seen = {}

    class Handler(BaseCallbackHandler):
        def on_retriever_start(self, serialized, query, *, metadata=None, **kwargs):
            seen.update(metadata, query=query)

        def on_retriever_end(self, documents, **kwargs):
            seen["found"] = len(documents)

    retriever.invoke(QUERY, config={"callbacks": [Handler()]})
    assert seen["ls_retriever_name"] == "fgr"
    assert seen["ls_vector_store_provider"] == "fgr-retriever"
    assert seen["ls_embedding_model"] == WordEncoder().fingerprint
    assert (seen["query"], seen["found"]) == (QUERY, 3)


def test_blank_query_is_refused(retriever):
    with pytest.raises(InputError):
        retriever.invoke("  ")


def test_rag_chain(retriever):
    def as_context(found):
        return "\n".join(f"[{document.id}] {document.page_content}" for document in found)

    prompt = ChatPromptTemplate.from_template("Context:\n{context}\n\nQuestion: {question}")
    seen = []

    def keep(message):
        seen.append(message.to_string())
        return message

    model = FakeListChatModel(responses=["Marie Curie"])
    context = {"context": retriever | as_context, "question": RunnablePassthrough()}
    chain = context | prompt | RunnableLambda(keep) | model | StrOutputParser()
    assert chain.invoke(QUERY) == "Marie Curie"
    assert "[curie] Marie Curie found radium" in seen[0]
    assert "notebooks" not in seen[0]


def test_retriever_tool_with_citations(retriever):
    tool = create_retriever_tool(retriever, "search", "Finds facts.", response_format="content_and_artifact")
    call = {"type": "tool_call", "id": "1", "name": "search", "args": {"query": QUERY}}
    message = tool.invoke(call)
    assert "found radium" in message.content
    assert message.artifact[0].metadata["fgr_spans"]


def test_compressor_keeps_order_ids_and_metadata(compressor, documents, texts, metadata):
    before = copy.deepcopy(documents)
    found = compressor.compress_documents(documents, QUERY)
    assert [document.id for document in found] == list(texts)
    for document in found:
        assert metadata[document.id].items() <= document.metadata.items()
        assert document.page_content == " … ".join(spans_of(document, texts[document.id]))
        json.dumps(document.metadata)
    assert documents == before


def test_compressor_keeps_the_scores_of_other_retrievers(compressor):
    given = Document("Marie Curie found radium. She slept.", metadata={"relevance_score": 0.25})
    (found,) = compressor.compress_documents([given], QUERY)
    assert found.metadata["relevance_score"] == 0.25
    assert found.id is None


def test_compressor_leaves_out_what_is_empty(documents, counter):
    drop = FGRCompressor(trim=TrimConfig(on_empty="drop"), encoder=WordEncoder(), count_tokens=counter)
    assert [found.id for found in drop.compress_documents(documents, "radium dynamite")] == ["curie", "nobel"]
    assert drop.compress_documents([], QUERY) == []
    assert drop.compress_documents([Document("")], QUERY) == []


async def test_compressor_async_gives_the_same(compressor, documents):
    assert await compressor.acompress_documents(documents, QUERY) == compressor.compress_documents(documents, QUERY)
    assert await compressor.acompress_documents([], QUERY) == []


def test_empty_input_needs_no_model(monkeypatch):
    def refuse():
        raise AssertionError("loaded a model")

    monkeypatch.setattr("fgr_retriever.model.choice.embedded_encoder", refuse)
    assert FGRCompressor().compress_documents([], QUERY) == []
    with pytest.raises(AssertionError, match="loaded"):
        FGRCompressor().compress_documents([Document("x")], QUERY)


@pytest.mark.parametrize("limit", [0, 2, 5, 9])
def test_compressor_budget(documents, counter, limit):
    trim = TrimConfig(max_tokens=limit)
    compressor = FGRCompressor(trim=trim, encoder=WordEncoder(), count_tokens=counter)
    found = compressor.compress_documents(documents, QUERY)
    assert counter("\n\n".join(document.page_content for document in found)) <= limit


async def test_compressor_as_runnable(compressor, documents):
    runnable = compressor.as_runnable()
    given = {"documents": documents, "query": QUERY}
    expected = compressor.compress_documents(documents, QUERY)
    assert runnable.invoke(given) == await runnable.ainvoke(given) == expected
    chain = {"documents": lambda query: documents, "query": RunnablePassthrough()} | runnable | len
    assert chain.invoke(QUERY) == len(expected)


def test_compressor_is_serialisable(compressor):
    dumped = json.loads(compressor.model_dump_json())
    assert FGRCompressor(**dumped).trim == compressor.trim
    assert FGRCompressor(trim={"unit": "sentence"}).trim == TrimConfig(unit="sentence")
    with pytest.raises(ConfigError):
        FGRCompressor(trim={"unit": "page"})


async def test_compressor_behind_a_vector_store(compressor, documents, texts):
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    store.add_documents(documents)
    base = store.as_retriever(search_kwargs={"k": 4})
    retriever = ContextualCompressionRetriever(base_compressor=compressor, base_retriever=base)
    found = retriever.invoke(QUERY)
    assert [document.id for document in found] == [document.id for document in base.invoke(QUERY)]
    assert all(document.page_content in texts[document.id] for document in found if "…" not in document.page_content)
    assert await retriever.ainvoke(QUERY) == found


class ByLength(Embeddings):
    """A poor first stage: the longest texts first, whatever the question."""

    def embed_documents(self, texts):
        return [[1.0, 1 / len(text)] for text in texts]

    def embed_query(self, text):
        return [1.0, 0.0]


async def test_compressor_ranks_what_a_vector_store_found(documents, counter, texts):
    store = InMemoryVectorStore(ByLength())
    store.add_documents(documents)
    base = store.as_retriever(search_kwargs={"k": 5})
    assert base.invoke("dynamite")[0].id != "nobel"
    compressor = FGRCompressor(encoder=WordEncoder(), count_tokens=counter, top_n=2)
    second = ContextualCompressionRetriever(base_compressor=compressor, base_retriever=base)
    found = second.invoke("he called it dynamite")
    own = FGRRetriever.from_documents(documents, encoder=WordEncoder(), count_tokens=counter, k=2)
    expected = own.invoke("he called it dynamite")
    assert [document.id for document in found] == [document.id for document in expected]
    assert [document.page_content for document in found] == [document.page_content for document in expected]
    assert found[0].metadata["fgr_score"] > found[1].metadata["fgr_score"]
    assert found[0].metadata["fgr_score"] == pytest.approx(expected[0].metadata["fgr_score"], abs=0.01)
    assert await second.ainvoke("he called it dynamite") == found


def test_ranked_documents_share_the_budget(documents, counter):
    compressor = FGRCompressor(encoder=WordEncoder(), count_tokens=counter, trim=TrimConfig(max_tokens=4), top_n=1)
    (found,) = compressor.compress_documents(documents, "who found radium and dynamite")
    assert counter(found.page_content) <= 4
    same = [Document("Radium glows."), Document("Snow fell."), Document("Radium glows.")]  # no ids, twice the same
    ranked = FGRCompressor(encoder=WordEncoder(), trim=TrimConfig(merge=False), top_n=3)
    found = ranked.compress_documents(same, "radium")
    assert [document.page_content for document in found] == ["Radium glows.", "Radium glows.", "Snow fell."]
    with pytest.raises(ConfigError, match="top_n=0"):
        FGRCompressor(encoder=WordEncoder(), top_n=0).compress_documents(same, "radium")


def test_trimming_twice_gives_offsets_into_the_whole_text(retriever, compressor, texts):
    given = retriever.invoke(QUERY)
    twice = ContextualCompressionRetriever(base_compressor=compressor, base_retriever=retriever).invoke(QUERY)
    for first, second in zip(given, twice, strict=True):
        assert second.page_content == " … ".join(spans_of(second, texts[second.id]))
        assert ("fgr_source_spans" in second.metadata) == ("fgr_source_spans" in first.metadata)


def test_without_langchain_the_import_names_the_extra():
    code = "import sys; sys.modules['langchain_core'] = None; import langchain_fgr"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent)
    assert done.returncode == 1
    assert "MissingExtraError" in done.stderr
    assert "fgr-retriever[langchain]" in done.stderr


def test_max_tokens_is_a_limit_of_its_own(texts, counter):
    documents = [Document(text) for text in texts.values()]
    made = {"encoder": WordEncoder(), "count_tokens": counter}
    short = FGRCompressor(max_tokens=6, trim={"max_tokens": 50, "unit": "sentence"}, **made)
    found = short.compress_documents(documents, "found radium")
    assert found == FGRCompressor(trim=TrimConfig(max_tokens=6, unit="sentence"), **made).compress_documents(
        documents, "found radium"
    )
    assert 0 < sum(counter(one.page_content) for one in found) <= 6
    with pytest.raises(ConfigError, match="FGRCompressor: max_tokens=-1: "):
        FGRCompressor(max_tokens=-1)
    with pytest.raises(ConfigError, match="trim=None: FGRCompressor trims"):
        FGRCompressor(trim=None)
