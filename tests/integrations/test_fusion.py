"""Our results among others: every class that joins results of several questions or retrievers knows them again."""

import json

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

from langchain_classic.retrievers import ContextualCompressionRetriever, EnsembleRetriever, MultiQueryRetriever
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import NodeWithScore, TextNode

from fgr_retriever import Engine, Passage, TrimConfig
from fgr_retriever.testing import WordEncoder
from langchain_fgr import FGRCompressor
from langchain_fgr import FGRRetriever as LangChainRetriever
from llama_index.postprocessor.fgr import FGRPostprocessor
from llama_index.retrievers.fgr import FGRRetriever as LlamaIndexRetriever

QUESTIONS = ["who found radium", "radium in 1898", "notebooks still radioactive", "born in Warsaw, found radium"]
MODES = ["reciprocal_rerank", "relative_score", "dist_based_score", "simple"]
OTHERS = [None, TrimConfig()]  # whole, and trimmed


@pytest.fixture(scope="module")
def filled(kept_in, tmp_path_factory, texts, metadata):
    engine = Engine.open(tmp_path_factory.mktemp("index"), encoder=WordEncoder())
    engine.add(Passage(id, text, metadata[id]) for id, text in texts.items())
    return engine


class Questions(MockLLM):
    """Generates the other three questions."""

    def complete(self, prompt, formatted=False, **kwargs):
        found = super().complete("", formatted=formatted)
        found.text = "\n".join(QUESTIONS[1:])
        return found


class Dense(BaseRetriever):
    """Another retriever, over the same nodes: the whole nodes, in its own order."""

    def __init__(self, nodes):
        super().__init__()
        self.nodes = nodes

    def _retrieve(self, query_bundle):
        return [NodeWithScore(node=node, score=1 / rank) for rank, node in enumerate(self.nodes, start=1)]


def fuse(retrievers, mode, questions=4, k=3):
    return QueryFusionRetriever(
        retrievers, llm=Questions(), mode=mode, num_queries=questions, similarity_top_k=k, use_async=False
    )


# --- LlamaIndex -------------------------------------------------------------------------------


@pytest.mark.parametrize("trim", OTHERS, ids=["whole", "trimmed"])
def test_votes_of_four_questions_add_up(filled, trim):
    """Golden: the first of four lists has 4 / 60."""
    retriever = LlamaIndexRetriever(filled, similarity_top_k=3, trim=trim)
    found = fuse([retriever], "reciprocal_rerank").retrieve(QUESTIONS[0])
    assert (found[0].node_id, found[0].score) == ("curie", pytest.approx(4 / 60))
    assert len({one.node_id for one in found}) == len(found) == 3


@pytest.mark.parametrize("mode", MODES)
def test_trimmed_results_are_fused_as_whole_ones(filled, mode):
    def fused(trim):
        retriever = LlamaIndexRetriever(filled, similarity_top_k=5, trim=trim)
        return [(one.node_id, round(one.score, 4)) for one in fuse([retriever], mode, k=5).retrieve(QUESTIONS[0])]

    assert fused(TrimConfig()) == fused(None)
    assert len(fused(None)) == 5


@pytest.mark.parametrize("trim", OTHERS, ids=["whole", "trimmed"])
def test_votes_of_another_retriever_add_up(filled, trim):
    """Golden: radium is first for both, and each other node has one vote of each retriever."""
    whole = LlamaIndexRetriever(filled, similarity_top_k=5, trim=None)
    nodes = whole.get_by_ids(filled.ids())
    fused = fuse([LlamaIndexRetriever(filled, similarity_top_k=5, trim=trim), Dense(nodes)], "reciprocal_rerank", 1, 5)
    found = fused.retrieve(QUESTIONS[0])
    assert (found[0].node_id, found[0].score) == ("curie", pytest.approx(2 / 60))
    assert [one.node_id for one in found].count("curie") == 1
    assert len(found) == 5


def test_whole_nodes_are_the_stored_ones(filled):
    node = TextNode(text="Radium glows.", id_="a", metadata={"b": 1, "a": [2]}, excluded_llm_metadata_keys=["b"])
    retriever = LlamaIndexRetriever.from_nodes([node], encoder=WordEncoder(), trim=None)
    for question in ("radium", "glows"):
        (found,) = retriever.retrieve(question)
        assert found.node == node
        assert found.node.hash == node.hash
        assert found.score == pytest.approx(retriever.engine.search(question)[0].score)


async def test_fuse_first_and_trim_afterwards(filled, counter):
    whole = LlamaIndexRetriever(filled, similarity_top_k=3, trim=None)
    trim = FGRPostprocessor(encoder=WordEncoder(), trim=TrimConfig(max_tokens=12), count_tokens=counter)
    engine = RetrieverQueryEngine.from_args(fuse([whole], MODES[0]), llm=MockLLM(), node_postprocessors=[trim])
    found = engine.query(QUESTIONS[0]).source_nodes
    assert found[0].node_id == "curie"
    assert found[0].score == pytest.approx(4 / 60)
    assert sum(counter(one.text) for one in found) <= 12
    assert (await whole.aretrieve(QUESTIONS[0])) == whole.retrieve(QUESTIONS[0])


def test_a_trimmed_node_is_a_text_node_when_it_is_stored(filled):
    (found, *_) = LlamaIndexRetriever(filled, similarity_top_k=1).retrieve(QUESTIONS[0])
    again = TextNode.from_dict(json.loads(json.dumps(found.node.to_dict())))
    assert type(again) is TextNode
    assert (again.text, again.metadata, again.node_id) == (found.text, found.metadata, found.node_id)
    assert found.node.model_copy(deep=True).hash == found.node.hash != again.hash


def test_span_nodes_have_hashes_of_their_own(filled):
    found = LlamaIndexRetriever(filled, split_spans=True, trim=TrimConfig(unit="token", merge_gap=0)).retrieve(
        "radium radioactive today"
    )
    assert len({one.node.hash for one in found}) == len(found) > 5


# --- LangChain --------------------------------------------------------------------------------


@pytest.fixture
def whole(filled):
    return LangChainRetriever(engine=filled, k=3, trim=None)


def test_whole_documents_are_the_stored_ones(whole, texts, metadata):
    for question in QUESTIONS:
        for found in whole.invoke(question):
            assert found == Document(texts[found.id], id=found.id, metadata=metadata[found.id])


def test_multi_query(whole):
    questions = "\n".join(QUESTIONS[1:])
    many = MultiQueryRetriever.from_llm(whole, FakeListLLM(responses=[questions]), include_original=True)
    found = many.invoke(QUESTIONS[0])
    once = [document for question in QUESTIONS for document in whole.invoke(question)]
    assert sorted(one.id for one in found) == sorted({one.id for one in once})


def test_an_ensemble_with_another_retriever(whole, filled):
    """Golden: the first of both lists has the most votes, and nothing is there twice."""
    other = InMemoryVectorStore(_OneVector())
    other.add_documents(whole.get_by_ids(filled.ids()))
    ensemble = EnsembleRetriever(retrievers=[whole, other.as_retriever(search_kwargs={"k": 5})])
    found = ensemble.invoke(QUESTIONS[0])
    assert found[0].id == "curie"
    assert sorted(one.id for one in found) == sorted(filled.ids())


def test_trimmed_documents_are_known_by_a_key_of_their_own(filled):
    """The way that the guide names for who fuses trimmed documents all the same."""
    documents = LangChainRetriever(engine=filled, k=5).get_by_ids(filled.ids())
    named = [one.model_copy(update={"metadata": {**one.metadata, "key": one.id}}) for one in documents]
    trimmed = LangChainRetriever.from_documents(named, encoder=WordEncoder(), k=5)
    ensemble = EnsembleRetriever(retrievers=[trimmed, trimmed.model_copy(update={"trim": None})], id_key="key")
    assert [one.id for one in ensemble.invoke(QUESTIONS[0])] == [one.id for one in trimmed.invoke(QUESTIONS[0])]


async def test_fuse_first_and_trim_afterwards_in_langchain(whole, counter):
    ensemble = EnsembleRetriever(retrievers=[whole, whole])
    trim = FGRCompressor(encoder=WordEncoder(), trim=TrimConfig(max_tokens=12), count_tokens=counter)
    chain = ContextualCompressionRetriever(base_compressor=trim, base_retriever=ensemble)
    found = chain.invoke(QUESTIONS[0])
    assert found[0].id == "curie"
    assert sum(counter(one.page_content) for one in found) <= 12
    assert await whole.ainvoke(QUESTIONS[0]) == whole.invoke(QUESTIONS[0])


class _OneVector:
    """All texts are alike: the store gives its documents in the order in which they were added."""

    def embed_documents(self, texts):
        return [[1.0] for _ in texts]

    def embed_query(self, text):
        return [1.0]
