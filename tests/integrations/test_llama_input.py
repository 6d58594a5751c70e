"""What a LlamaIndex user may assign to a retriever, and wrong values, which show at once."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.callbacks import CallbackManager
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document, NodeWithScore, QueryBundle, TextNode
from llama_index.core.utils import get_tokenizer
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters

from fgr_retriever import TrimConfig
from fgr_retriever.errors import ConfigError, InputError
from fgr_retriever.testing import WordEncoder
from llama_index.postprocessor.fgr import FGRPostprocessor
from llama_index.retrievers.fgr import FGRRetriever
from llama_index.tools.fgr import evidence_tool
from llama_index.vector_stores.fgr import FGRVectorStore

TEXT = "Radium was found in a shed in 1898. It glows. Curie found it there, and nobody else was in the shed."


@pytest.fixture
def retriever():
    found = FGRRetriever.from_nodes([TextNode(id_="a", text=TEXT, metadata={"year": 1898})], count_tokens=_words)
    yield found
    found.engine.close()


def _words(text):
    return len(text.split())


def test_a_limit_that_is_assigned_holds(retriever):
    assert retriever.max_tokens is None
    retriever.max_tokens = 3
    assert retriever.max_tokens == retriever.trim.max_tokens == 3
    assert 0 < sum(_words(one.text) for one in retriever.retrieve("Who found radium?")) <= 3
    retriever.max_tokens = None
    assert retriever.trim == TrimConfig()
    retriever.trim = None
    assert retriever.max_tokens is None
    with pytest.raises(ConfigError, match="max_tokens=3 with trim=None"):
        retriever.max_tokens = 3


def test_trim_may_be_assigned_as_a_dict(retriever):
    retriever.trim = {"max_tokens": 3}
    assert retriever.trim == TrimConfig(max_tokens=3)
    with pytest.raises(ConfigError, match="did you mean 'max_tokens'"):
        retriever.trim = {"max_token": 3}
    assert retriever.trim == TrimConfig(max_tokens=3)


def test_filters_of_another_kind_are_refused_at_once(retriever):
    for asked in ({"year": 1898}, [MetadataFilter(key="year", value=1898)]):
        with pytest.raises(InputError, match=r"must be MetadataFilters\(filters"):
            retriever.filters = asked
        with pytest.raises(InputError, match=r"must be MetadataFilters\(filters"):
            FGRRetriever(retriever.engine, filters=asked)
        with pytest.raises(InputError, match=r"must be MetadataFilters\(filters"):
            evidence_tool(retriever, filters=asked)(query="radium")
    assert retriever.filters is None
    retriever.filters = MetadataFilters(filters=[MetadataFilter(key="year", value=1900)])
    assert not retriever.retrieve("radium")


@pytest.mark.folders
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("max_token", "did you mean 'max_tokens'"),
        ("top_k", "did you mean 'similarity_top_k'"),
        ("filter", "did you mean 'filters'"),
        ("callback_managers", "did you mean 'callback_manager'"),
        ("unit", r"trim=TrimConfig\(unit="),
        ("weight", "It takes similarity_top_k, .*split_spans"),
    ],
)
def test_a_name_that_there_is_not_is_refused_when_it_is_assigned(retriever, name, told):
    copied = copy.copy(retriever)
    for one in (retriever, copied):
        with pytest.raises(InputError, match=f"FGRRetriever takes no '{name}': .*{told}"):
            setattr(one, name, 3)
        assert not hasattr(one, name)


@pytest.mark.folders
async def test_a_name_that_there_is_not_is_refused_by_what_stores_nodes(retriever):
    node, refresh = TextNode(text="a"), r"FGRRetriever\.refresh_ref_docs take 'delete_missing'"
    with pytest.raises(InputError, match=f"add_nodes takes no 'delete_missing': .*{refresh}"):
        retriever.add_nodes([node], delete_missing=True)
    with pytest.raises(InputError, match=f"from_nodes takes no 'delete_missing': .*{refresh}"):
        FGRRetriever.from_nodes([node], delete_missing=True)
    with pytest.raises(InputError, match="refresh_ref_docs takes no 'delet_missing': did you mean 'delete_missing'"):
        retriever.refresh_ref_docs([Document(text="a")], delet_missing=True)
    with pytest.raises(InputError, match="aadd_nodes takes no 'progress': did you mean 'show_progress'"):
        await FGRVectorStore(retriever.engine).aadd_nodes([node], progress=True)
    assert retriever.engine.ids() == ["a"]


@pytest.mark.folders
def test_what_llama_index_and_a_subclass_assign_is_assigned(retriever):
    class Weighted(FGRRetriever):
        asked = 0

        def __init__(self, engine, weight):
            self.before = weight
            super().__init__(engine)
            self.weight = weight

        def _retrieve(self, query_bundle):
            self.asked += 1
            self.last = query_bundle.query_str
            return super()._retrieve(query_bundle)

    weighted = Weighted(retriever.engine, 3)
    assert weighted.retrieve("radium")
    assert (weighted.before, weighted.weight, weighted.asked, weighted.last) == (3, 3, 1, "radium")
    for name, value in (
        ("callback_manager", CallbackManager()),
        ("object_map", {"a": NODE}),
        ("_verbose", True),
        ("_mine", 1),
        ("full_text", True),
        ("engine", retriever.engine),
        ("retrieve", lambda question: []),
    ):
        setattr(retriever, name, value)
        assert getattr(retriever, name) == value


@pytest.mark.folders
async def test_what_does_not_count_tokens_is_told_at_once(retriever):
    calls = (
        lambda count: FGRRetriever(retriever.engine, count_tokens=count),
        lambda count: setattr(retriever, "count_tokens", count),
        lambda count: FGRPostprocessor(count_tokens=count),
        lambda count: evidence_tool(retriever, count_tokens=count),
    )
    for call in calls:
        with pytest.raises(ConfigError, match=r"count_tokens='gpt-4o': .* TrimConfig\(tokenizer='gpt-4o'\)"):
            call("gpt-4o")
        with pytest.raises(ConfigError, match="count_tokens=300: must be a function that gives an integer: lambda"):
            call(300)
    assert retriever.count_tokens is _words


@pytest.mark.folders
async def test_tokens_in_place_of_their_number_are_told(retriever):
    told = r"count_tokens must be a function that gives an integer, got list: lambda text: len\(tokenize\(text\)\)"
    tokenize = get_tokenizer()
    nodes, tool = [NodeWithScore(node=NODE)], evidence_tool(retriever, count_tokens=tokenize)
    retriever.count_tokens = tokenize
    for settings in ({}, {"max_tokens": 20}):
        retriever.max_tokens = settings.get("max_tokens")
        with pytest.raises(ConfigError, match=told):
            retriever.retrieve("radium")
        with pytest.raises(ConfigError, match=told):
            await retriever.aretrieve("radium")
        trim = FGRPostprocessor(count_tokens=tokenize, **settings)
        with pytest.raises(ConfigError, match=told):
            trim.postprocess_nodes(nodes, query_str="radium")
    with pytest.raises(ConfigError, match=told):
        tool("radium")


NODE = TextNode(id_="a", text=TEXT)
PAGE = Document(id_="a.txt", text=TEXT)
ENGINE = "must be an Engine; .*FGRRetriever.from_nodes, from_documents.*from_persist_dir"


@pytest.mark.folders
@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (
            lambda one, path: FGRRetriever.from_documents(PAGE, path=path),
            "documents is one Document, 'a.txt': must be a",
        ),
        (
            lambda one, path: FGRRetriever.from_documents("docs/", path=path),
            r"documents='docs/'.*SimpleDirectoryReader.*load",
        ),
        (lambda one, path: FGRRetriever.from_documents(Path("docs"), path=path), r"SimpleDirectoryReader.*is `path=`"),
        (lambda one, path: FGRRetriever.from_documents(None, path=path), "documents=None: must be a list"),
        (lambda one, path: FGRRetriever.from_documents({"a": PAGE}, path=path), "must be a list of documents"),
        (lambda one, path: FGRRetriever.from_documents([TEXT], path=path), r"must be a node; .*Document\(text"),
        (lambda one, path: FGRRetriever.from_nodes(NODE, path=path), "nodes is one TextNode, 'a': must be a list"),
        (lambda one, path: FGRRetriever.from_nodes([NodeWithScore(node=NODE)], path=path), "pass its `node`"),
        (
            lambda one, path: FGRRetriever.from_defaults([PAGE], path=path),
            "must be an index of LlamaIndex; .*documents",
        ),
        (
            lambda one, path: FGRRetriever.from_documents([PAGE, NODE], path=path),
            "'a' is a TextNode: a node, not a document. add_nodes and from_nodes take nodes",
        ),
        (lambda one, path: one.insert(NODE), "'a' is a TextNode: a node, not a document"),
        (lambda one, path: one.refresh_ref_docs([NODE], delete_missing=True), "'a' is a TextNode: a node"),
        (lambda one, path: FGRVectorStore(one.engine).refresh_ref_docs([NODE]), "'a' is a TextNode: a node"),
        (lambda one, path: one.add_nodes(NODE), "nodes is one TextNode"),
        (lambda one, path: one.insert([PAGE]), "insert takes one document, refresh_ref_docs many"),
        (lambda one, path: one.refresh_ref_docs(PAGE), "documents is one Document"),
        (lambda one, path: FGRVectorStore(one.engine).add(NODE), "nodes is one TextNode"),
        (lambda one, path: FGRRetriever([PAGE]), ENGINE),
        (lambda one, path: FGRRetriever("my.index"), f"engine='my.index': {ENGINE}"),
        (lambda one, path: FGRRetriever(None), ENGINE),
        (lambda one, path: FGRRetriever(FGRVectorStore(one.engine)), "this FGRVectorStore has one: pass its `.engine`"),
        (lambda one, path: FGRVectorStore(one), "this FGRRetriever has one: pass its `.engine`"),
        (lambda one, path: FGRVectorStore("my.index"), "FGRVectorStore.from_path"),
        (lambda one, path: FGRVectorStore.from_path(None), "path=None: must be the folder"),
        (lambda one, path: FGRRetriever.from_persist_dir(None), "persist_dir=None: must be the folder"),
    ],
)
def test_what_people_pass_in_the_place_of_a_list_or_an_index(retriever, tmp_path, call, reason):
    with pytest.raises(InputError, match=reason):
        call(retriever, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert retriever.engine.ids() == ["a"]


@pytest.mark.folders
@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (SentenceSplitter(), r"must be a list, such as \[SentenceSplitter\(\.\.\.\)\]"),
        (SentenceSplitter, r"must be a list, such as \[SentenceSplitter\(\.\.\.\)\]"),
        ("SentenceSplitter", "must be a list"),
        ([SentenceSplitter], r"must be an open one, such as SentenceSplitter\("),
        (["SentenceSplitter"], "must be an open one"),
    ],
)
def test_transformations_are_a_list(retriever, tmp_path, steps, reason):
    with pytest.raises(InputError, match=reason):
        FGRRetriever.from_documents([PAGE], transformations=steps, path=tmp_path / "new")
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match=reason):
        retriever.insert(PAGE, steps)


@pytest.mark.folders
def test_integers_of_numpy_are_taken(retriever):
    one = np.int64(1)
    assert len(FGRRetriever(retriever.engine, similarity_top_k=one).retrieve("radium")) == 1
    retriever.similarity_top_k = one
    assert type(retriever.similarity_top_k) is int
    index = VectorStoreIndex.from_vector_store(FGRVectorStore(retriever.engine), embed_model=MockEmbedding(embed_dim=1))
    assert len(index.as_retriever(similarity_top_k=one).retrieve("radium")) == 1
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in ("radium", "gold")]
    made = FGRPostprocessor(encoder=WordEncoder(), top_n=one)
    assert len(made.postprocess_nodes(nodes, query_str="radium")) == 1


@pytest.mark.folders
@pytest.mark.parametrize("count", [0, -1, "3", 2.5, True, None])
def test_how_many_nodes_is_checked_at_once(retriever, count):
    reason = f"similarity_top_k={re.escape(repr(count))}: must be an integer of at least 1"
    with pytest.raises(ConfigError, match=reason):
        FGRRetriever(retriever.engine, similarity_top_k=count)
    with pytest.raises(ConfigError, match=reason):
        retriever.similarity_top_k = count
    assert retriever.similarity_top_k == 5
    index = VectorStoreIndex.from_vector_store(FGRVectorStore(retriever.engine), embed_model=MockEmbedding(embed_dim=1))
    with pytest.raises(ConfigError, match=reason):
        index.as_retriever(similarity_top_k=count).retrieve("radium")


@pytest.mark.folders
@pytest.mark.parametrize("count", [0, -1, "3", 2.5, True])
def test_how_many_nodes_a_postprocessor_gives_is_checked_at_once(count):
    postprocessor = FGRPostprocessor(top_n=2)
    with pytest.raises(ValueError, match="top_n"):
        postprocessor.top_n = count
    assert postprocessor.top_n == 2
    with pytest.raises(ConfigError, match=f"top_n={re.escape(repr(count))}"):
        FGRPostprocessor(top_n=count)


@pytest.mark.folders
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (([NodeWithScore(node=NODE)], "radium"), "query_bundle='radium': must be a QueryBundle; .* is query_str="),
        (([NodeWithScore(node=NODE)], None, QueryBundle("radium")), "must be a string; a QueryBundle is query_bundle="),
        (([NODE], QueryBundle("radium")), r"must be a NodeWithScore; NodeWithScore\(node="),
        ((NodeWithScore(node=NODE), QueryBundle("radium")), "must be a list of NodeWithScore; put a single one"),
    ],
)
async def test_a_postprocessor_says_what_it_takes(given, reason):
    with pytest.raises(InputError, match=reason):
        FGRPostprocessor().postprocess_nodes(*given)
    with pytest.raises(InputError, match=reason):
        await FGRPostprocessor().apostprocess_nodes(*given)
