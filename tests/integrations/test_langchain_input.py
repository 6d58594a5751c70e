"""What the adapters of LangChain say of wrong input."""

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding

from fgr_retriever import TrimConfig, Trimmer
from fgr_retriever.errors import ConfigError, IndexNotFoundError, InputError
from fgr_retriever.testing import WordEncoder
from langchain_fgr import FGRCompressor, FGRRetriever, FGRVectorStore, evidence_tool

DOCUMENTS = [Document("Marie Curie found radium.")]


@pytest.mark.parametrize(
    ("documents", "query", "told"),
    [
        (["radium"], "radium", r"Document\(page_content"),
        ("radium", DOCUMENTS, "the documents come first"),
        (DOCUMENTS[0], "radium", "put one document into a list"),
    ],
)
async def test_documents_must_be_documents(documents, query, told):
    compressor = FGRCompressor(encoder=WordEncoder())
    with pytest.raises(InputError, match=told):
        compressor.compress_documents(documents, query)
    with pytest.raises(InputError, match=told):
        await compressor.acompress_documents(documents, query)


@pytest.mark.parametrize("given", [{"docs": DOCUMENTS, "query": "radium"}, "radium"])
async def test_the_runnable_names_its_keys(given):
    runnable = FGRCompressor(encoder=WordEncoder()).as_runnable()
    with pytest.raises(InputError, match=r'"documents": .*"query"'):
        runnable.invoke(given)
    with pytest.raises(InputError, match=r'"documents": .*"query"'):
        await runnable.ainvoke(given)


@pytest.mark.parametrize("field", [{"top_n": 0}, {"top_n": "1"}, {"max_tokens": "10"}])
def test_numbers_are_checked_at_once(field):
    with pytest.raises(ConfigError, match=next(iter(field))):
        FGRCompressor(encoder=WordEncoder(), **field)


def test_one_document_goes_into_a_list():
    with pytest.raises(InputError, match="put it into a list"):
        FGRRetriever.from_documents(DOCUMENTS[0], encoder=WordEncoder())


def test_a_tool_for_a_path_names_what_opens_it():
    with pytest.raises(InputError, match=r"Engine\.open"):
        evidence_tool("my.index")


BOTH = [FGRRetriever, FGRVectorStore]


@pytest.fixture
def retriever(engine, counter):
    return FGRRetriever(engine=engine, count_tokens=counter)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"documents": DOCUMENTS}, r"takes no 'documents': give it to FGRRetriever\.from_documents"),
        ({"texts": ["a"]}, r"takes no 'texts': give it to FGRRetriever\.from_texts"),
        ({"persist_directory": "f"}, r"the folder of the index is 'path' of FGRRetriever\.from_documents, from_texts"),
        ({"path": "folder"}, r"takes no 'path': give it to FGRRetriever\.from_documents, from_texts or from_index"),
        ({}, r"engine=None: must be an Engine; .*FGRRetriever\.from_documents, from_texts or from_index"),
        ({"engine": "folder"}, r"engine='folder': must be .*FGRRetriever\.from_documents, from_texts or from_index"),
        ({"embedding": "openai"}, "takes no 'embedding': .*no embeddings are needed"),
    ],
)
def test_what_makes_a_retriever_is_named(given, told):
    with pytest.raises(InputError, match=told):
        FGRRetriever(**given)


def test_arguments_without_a_name_are_told_where_they_go():
    with pytest.raises(InputError, match=r"by name: .*FGRRetriever\.from_documents, from_texts or from_index"):
        FGRRetriever(DOCUMENTS)
    for wrong in ({}, {"path": "folder"}):
        with pytest.raises(InputError, match=r"FGRVectorStore\.from_texts, from_documents or from_index"):
            FGRVectorStore(**wrong)
    with pytest.raises(InputError, match=r"in order: documents; by name: path, "):
        FGRRetriever.from_documents(DOCUMENTS, "folder")
    with pytest.raises(InputError, match=r"evidence_tool: missing .*'source'"):
        evidence_tool()


def test_a_store_in_the_place_of_its_engine_is_told_from_it(engine, retriever):
    store = FGRVectorStore(engine)
    with pytest.raises(InputError, match=r"pass its `\.engine`; its as_retriever\(\) finds whole documents"):
        FGRRetriever(engine=store)
    for kind in BOTH:
        with pytest.raises(InputError, match=r"this FGRRetriever has one: pass its `\.engine`"):
            kind(engine=retriever)


@pytest.mark.folders
@pytest.mark.parametrize("kind", BOTH)
def test_a_folder_without_an_index_is_named_with_what_makes_one(kind, tmp_path):
    with pytest.raises(IndexNotFoundError) as raised:
        kind.from_index(tmp_path / "nope", encoder=WordEncoder())
    message = str(raised.value)
    assert all(part in message for part in (str(tmp_path / "nope"), "no such folder", "from_documents", "Engine.open"))
    with pytest.raises(IndexNotFoundError, match=r"there is no manifest\.json"):
        kind.from_index(tmp_path, encoder=WordEncoder())
    assert not list(tmp_path.iterdir())


@pytest.mark.folders
@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("path", [None, 5, DOCUMENTS, ""])
def test_what_is_no_path_is_refused(kind, path):
    with pytest.raises(InputError, match=r"path=.*must be the folder of an index"):
        kind.from_index(path, encoder=WordEncoder())


def test_a_store_opens_an_index_that_is_there(tmp_path):
    FGRRetriever.from_documents(DOCUMENTS, path=tmp_path / "index", encoder=WordEncoder()).engine.close()
    store = FGRVectorStore.from_index(tmp_path / "index", encoder=WordEncoder())
    assert [one.page_content for one in store.similarity_search("radium")] == ["Marie Curie found radium."]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("name", [None, "embedding", "embeddings", "embed"])
def test_embeddings_are_told_to_be_superfluous(kind, name):
    embeddings = DeterministicFakeEmbedding(size=3)
    unnamed, named = ([embeddings], {}) if name is None else ([], {name: embeddings})
    for made, first in ((kind.from_documents, DOCUMENTS), (kind.from_texts, ["radium"])):
        with pytest.raises(InputError, match=r"no embeddings are needed: .*`model=` .*`encoder=`"):
            made(first, *unnamed, encoder=WordEncoder(), **named)


async def test_embeddings_are_superfluous_in_a_coroutine_and_by_name():
    with pytest.raises(InputError, match="no embeddings are needed"):
        await FGRVectorStore.afrom_documents(DOCUMENTS, DeterministicFakeEmbedding(size=3))
    with pytest.raises(InputError, match=r"embedding='folder': .*no embeddings are needed.*`path=`"):
        FGRVectorStore.from_documents(DOCUMENTS, "folder", encoder=WordEncoder())


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("documents", ["docs/", None, 5, {"a": DOCUMENTS[0]}, DOCUMENTS[0], ["radium"], [DOCUMENTS]])
def test_what_is_no_list_of_documents_is_refused(kind, documents, retriever):
    with pytest.raises(InputError, match=r"must be an iterable of documents|must be a Document"):
        kind.from_documents(documents, encoder=WordEncoder())
    for ids in (None, ["a"]):
        with pytest.raises(InputError, match=r"must be an iterable of documents|must be a Document"):
            kind(engine=retriever.engine).add_documents(documents, ids=ids)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("text",), "texts='text': .*put one text into a list"),
        ((None,), "texts=None: must be an iterable of strings"),
        ((DOCUMENTS,), "must be a string; documents go to add_documents"),
        (([1],), "text 1: must be a string"),
        ((["a"], {"a": 1}), r"metadatas=\{'a': 1\}: must be a list with one for each of the 1 texts"),
        ((["a"], ["b"]), "metadatas has 'b': must be a dict"),
        ((["a"], []), "0 metadatas for 1 texts"),
        ((["a", "b"], None, "cd"), "ids='cd': must be a list"),
        ((["a"], None, [1]), "ids has 1: must be a string"),
    ],
)
async def test_what_are_no_texts_is_refused(kind, given, told, retriever):
    named = dict(zip(("texts", "metadatas", "ids"), given, strict=False))
    with pytest.raises(InputError, match=told):
        kind.from_texts(**named, encoder=WordEncoder())
    made = kind(engine=retriever.engine)
    with pytest.raises(InputError, match=told):
        made.add_texts(**named)
    with pytest.raises(InputError, match=told):
        await made.aadd_texts(**named)
    assert len(retriever.engine) == 5


@pytest.mark.parametrize("kind", BOTH)
async def test_texts_are_added_with_their_metadata_and_ids(kind, engine):
    made = kind(engine=engine)
    assert made.add_texts(["one"], [{"year": 1}], ids=["1"]) == ["1"]
    assert await made.aadd_texts(iter(["two", "three"]), [None, {"year": 3}], ids=["2", None]) == [
        "2",
        *(one.id for one in made.get_by_ids(engine.ids()) if one.page_content == "three"),
    ]
    assert [one.metadata for one in made.get_by_ids(["1", "2"])] == [{"year": 1}, {}]


def test_ids_of_documents_are_a_list_of_strings(retriever, documents):
    for ids, told in (("abcde", "must be a list with one for each of the 5"), ([1] * 5, "ids has 1")):
        with pytest.raises(InputError, match=told):
            retriever.add_documents(documents, ids=ids)


def test_integers_of_numpy_are_taken(engine, retriever):
    one = np.int64(1)
    made = FGRRetriever(engine=engine, k=one, max_tokens=np.int32(9), count_tokens=len)
    assert (made.k, type(made.k), made.trim.max_tokens) == (1, int, 9)
    retriever.k = one
    store = FGRVectorStore(engine)
    for found in (
        made.invoke("radium"),
        retriever.invoke("radium"),
        FGRRetriever(engine=engine).invoke("radium", k=one),
        store.similarity_search("radium", one),
        store.as_retriever(search_kwargs={"k": one}).invoke("radium"),
        FGRCompressor(encoder=WordEncoder(), top_n=one).compress_documents([Document("a"), Document("b")], "a"),
    ):
        assert len(found) == 1


@pytest.mark.parametrize("k", [0, -1, "3", 2.0, True, None])
def test_k_is_refused_wherever_it_is_given(k, engine, retriever):
    store = FGRVectorStore(engine)
    for give in (
        lambda: FGRRetriever(engine=engine, k=k),
        lambda: FGRRetriever(engine=engine, search_kwargs={"k": k}),
        lambda: FGRRetriever.from_texts(["a"], encoder=WordEncoder(), k=k),
        lambda: setattr(retriever, "k", k),
        lambda: setattr(retriever, "search_kwargs", {"k": k}),
        lambda: store.as_retriever(search_kwargs={"k": k}),
        lambda: store.similarity_search("radium", k),
    ):
        with pytest.raises(ConfigError, match=f"k={k!r}"):
            give()
    assert retriever.k == 5
    if k is not None:  # which leaves it as it is
        for call in (lambda: retriever.invoke("radium", k=k), lambda: evidence_tool(retriever, k=k)):
            with pytest.raises(ConfigError, match=f"k={k!r}"):
                call()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("kk", 3, "did you mean 'k'"),
        ("documents", DOCUMENTS, "takes no 'documents'"),
        ("engine", "folder", "must be an Engine"),
        ("filter", "year", "filter 'year'"),
        ("filter", {"year": {"$near": 1}}, r"operator '\$near'"),
        ("trim", 5, "trim=5"),
        ("trim", {"units": "sentence"}, "did you mean 'unit'"),
        ("max_tokens", -1, "max_tokens=-1"),
        ("search_kwargs", {"top_k": 1}, "did you mean 'k'"),
        ("search_kwargs", [3], r"search_kwargs=\[3\]: must be a dict"),
        ("count_tokens", "tokens", "count_tokens='tokens'"),
        ("full_text", "yes", "full_text='yes'"),
    ],
)
def test_a_setting_is_checked_when_it_is_given_and_when_it_is_assigned(name, value, told, retriever):
    before = retriever.invoke("found radium")
    for give in (
        lambda: FGRRetriever(**{"engine": retriever.engine, name: value}),
        lambda: setattr(retriever, name, value),
    ):
        with pytest.raises((InputError, ConfigError), match=told):
            give()
    assert retriever.invoke("found radium") == before


def test_a_setting_that_is_assigned_holds(retriever, counter):
    retriever.max_tokens = 4
    found = retriever.invoke("found radium")
    assert 0 < counter(" ".join(one.page_content for one in found)) <= 4
    retriever.max_tokens = None
    assert retriever.trim == TrimConfig()
    retriever.trim = {"unit": "sentence"}
    retriever.search_kwargs = {"k": 1, "filter": {"year": 1928}, "max_tokens": 50}
    assert (retriever.trim, retriever.k) == (TrimConfig(unit="sentence", max_tokens=50), 1)
    assert [one.id for one in retriever.invoke("found radium")] == ["fleming"]
    retriever.filter = None
    assert [one.id for one in retriever.invoke("found radium")] == ["curie"]
    retriever.trim = None
    assert retriever.invoke("found radium")[0].page_content.endswith("radioactive today.")
    with pytest.raises(ConfigError, match="trim=None"):
        retriever.max_tokens = 4


def test_a_compressor_is_checked_when_it_is_changed():
    compressor = FGRCompressor(encoder=WordEncoder())
    for name, value in (("top_n", 0), ("max_tokens", "x"), ("trim", None), ("trim", 5), ("encoder", "x"), ("k", 3)):
        with pytest.raises((InputError, ConfigError), match=name):
            setattr(compressor, name, value)
    compressor.trim, compressor.top_n = {"unit": "sentence"}, 1
    assert (compressor.trim, compressor.top_n) == (TrimConfig(unit="sentence"), 1)


def test_tokens_in_place_of_their_number_are_told(retriever):
    told = r"count_tokens must be a function that gives an integer, got list: lambda text: len\(tokenize\(text\)\)"
    tool, compressor = evidence_tool(retriever, count_tokens=str.split), FGRCompressor(count_tokens=str.split)
    retriever.count_tokens = str.split
    for call in (
        lambda: retriever.invoke("found radium"),
        lambda: retriever.engine.retrieve("found radium", count_tokens=str.split),
        lambda: compressor.compress_documents(DOCUMENTS, "found radium"),
        lambda: tool.invoke({"query": "found radium"}),
    ):
        with pytest.raises(ConfigError, match=told):
            call()
    for give in (
        lambda: setattr(retriever, "count_tokens", "gpt-4o"),
        lambda: FGRCompressor(count_tokens="gpt-4o"),
        lambda: evidence_tool(retriever, count_tokens="gpt-4o"),
        lambda: retriever.engine.retrieve("found radium", count_tokens="gpt-4o"),
        lambda: Trimmer(WordEncoder(), count_tokens="gpt-4o"),
    ):
        with pytest.raises(ConfigError, match=r"count_tokens='gpt-4o': .* TrimConfig\(tokenizer='gpt-4o'\)"):
            give()


@pytest.mark.parametrize("wrong", [{"filter": "year"}, {"filter": {"a": {"$near": 1}}}, {"count_tokens": 4}])
def test_a_tool_is_checked_when_it_is_made(retriever, wrong):
    with pytest.raises((InputError, ConfigError), match=next(iter(wrong))):
        evidence_tool(retriever, **wrong)


@pytest.mark.parametrize("kind", BOTH)
async def test_a_misspelt_or_unnamed_argument_of_an_add_is_told(kind, engine):
    made = kind(engine=engine)
    with pytest.raises(InputError, match=rf"{kind.__name__}\.add_documents takes no 'id': did you mean 'ids'"):
        made.add_documents(DOCUMENTS, id=["a"])
    with pytest.raises(InputError, match=rf"{kind.__name__}\.aadd_texts takes no 'metadata': did you mean 'metadatas'"):
        await made.aadd_texts(["a"], metadata=[{}])
    with pytest.raises(InputError, match=rf"add_texts takes no 'delete_missing': {kind.__name__}\.add_documents"):
        made.add_texts(["a"], delete_missing=True)
    with pytest.raises(InputError, match=r"add_documents: too many .*in order: documents; by name: ids"):
        made.add_documents(DOCUMENTS, ["a"])


@pytest.mark.folders
@pytest.mark.parametrize("kind", BOTH)
def test_what_is_no_list_of_documents_makes_no_index(kind, tmp_path):
    for made, given in ((kind.from_documents, "docs/"), (kind.from_texts, "text")):
        with pytest.raises(InputError, match="must be an iterable"):
            made(given, path=tmp_path / "index", encoder=WordEncoder())
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"config": {"nbits": 4}}, r"config=\{'nbits': 4\}: must be None or an IndexConfig"),
        ({"search": "exact"}, r"search='exact': must be a SearchConfig"),
        ({"pipeline": "rerank"}, r"pipeline='rerank': must be None or a Pipeline"),
        ({"encoder": DOCUMENTS}, r"encoder=.*must be an open model, such as Encoder\.default"),
    ],
)
def test_how_an_index_is_opened_is_checked_at_once(option, told):
    with pytest.raises((InputError, ConfigError), match=told):
        FGRRetriever.from_texts(["radium"], **{"encoder": WordEncoder(), **option})


def test_an_engine_is_no_model(engine, retriever):
    for one in (engine, retriever):
        with pytest.raises(InputError, match="the `encoder` of an engine"):
            FGRCompressor(encoder=one)


def test_names_of_other_stores_lead_to_ours(engine, tmp_path):
    store = FGRVectorStore(engine)
    for name in ("k", "filter"):
        with pytest.raises(
            InputError, match=rf'takes no \'{name}\' by itself: give it as search_kwargs={{"{name}": ...}}'
        ):
            store.as_retriever(**{name: 2})
    for name in ("persist_directory", "folder_path"):
        for make in (FGRVectorStore.from_documents, FGRRetriever.from_documents, FGRVectorStore.from_texts):
            with pytest.raises(InputError, match=f"takes no '{name}': the folder of the index is 'path'"):
                make([], **{name: str(tmp_path / "made")})
    assert not (tmp_path / "made").exists()
