"""The LlamaIndex adapters inside engines, other retrievers and pipelines; trust reports as events."""

import json
import math
import re

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import VectorStoreIndex
from llama_index.core.base.base_selector import BaseSelector, MultiSelection, SingleSelection
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import CompletionResponse
from llama_index.core.chat_engine import ContextChatEngine
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.instrumentation.event_handlers.base import BaseEventHandler
from llama_index.core.llms import MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.node_parser import TokenTextSplitter
from llama_index.core.postprocessor import PrevNextNodePostprocessor
from llama_index.core.query_engine import CitationQueryEngine, RetrieverQueryEngine
from llama_index.core.response_synthesizers import get_response_synthesizer
from llama_index.core.retrievers import QueryFusionRetriever, RouterRetriever
from llama_index.core.schema import Document, MetadataMode, NodeWithScore, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.tools import RetrieverTool
from llama_index_instrumentation import get_dispatcher

from fgr_retriever import TrimConfig
from fgr_retriever.testing import WordEncoder
from llama_index.postprocessor.fgr import FGRPostprocessor, TrustReportEvent
from llama_index.retrievers.fgr import FGRRetriever

QUERY = "who found radium"
STRATEGY = DocstoreStrategy.DUPLICATES_ONLY


class Recorder(MockLLM):
    """An LLM that repeats its prompt."""

    def complete(self, prompt, formatted=False, **kwargs):
        return CompletionResponse(text=prompt)


class Hashing(BaseEmbedding):
    """A local embedding: counts of hashed words, normalised."""

    def _get_text_embedding(self, text):
        counts = [0.0] * 64
        for word in re.findall(r"\w+", text.lower()):
            counts[sum(word.encode()) % 64] += 1.0
        norm = math.sqrt(sum(count * count for count in counts)) or 1.0
        return [count / norm for count in counts]

    def _get_query_embedding(self, query):
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query):
        return self._get_text_embedding(query)


class First(BaseSelector):
    """Always selects the first choice."""

    def _get_prompts(self):
        return {}

    def _update_prompts(self, prompts):
        pass

    def _select(self, choices, query):
        return MultiSelection(selections=[SingleSelection(index=0, reason="first")])

    async def _aselect(self, choices, query):
        return self._select(choices, query)


@pytest.fixture
def nodes(texts, metadata):
    return [TextNode(id_=id, text=text, metadata={"year": metadata[id]["year"]}) for id, text in texts.items()]


@pytest.fixture
def retriever(nodes, counter):
    return FGRRetriever.from_nodes(nodes, encoder=WordEncoder(), count_tokens=counter, similarity_top_k=2)


@pytest.fixture
def postprocessor(counter):
    return FGRPostprocessor(encoder=WordEncoder(), count_tokens=counter)


@pytest.fixture
def reports():
    """The trust reports of the test, in order."""
    seen = []

    class Handler(BaseEventHandler):
        def handle(self, event, **kwargs):
            if isinstance(event, TrustReportEvent):
                seen.append(event.report)

    handler = Handler()
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(handler)
    yield seen
    dispatcher.event_handlers.remove(handler)


def ids(results):
    return [result.node_id for result in results]


async def test_every_call_sends_its_trust_report(retriever, postprocessor, reports):
    retriever.trim = TrimConfig(max_tokens=4)
    found = retriever.retrieve("who found radium and zeppelins")
    assert json.loads(json.dumps(reports)) == reports
    assert reports[0]["tokens_after"] <= 4 < reports[0]["tokens_before"]
    assert "zeppelins" in reports[0]["uncovered"]
    await retriever.aretrieve(QUERY)
    postprocessor.postprocess_nodes(found, query_str="zeppelins")
    await postprocessor.apostprocess_nodes(found, query_str=QUERY)
    assert [report["weak"] for report in reports] == [False, False, True, False]
    postprocessor.postprocess_nodes([], query_str=QUERY)
    assert len(reports) == 4


@pytest.mark.parametrize("use_async", [False, True])
async def test_query_engine(retriever, use_async):
    engine = RetrieverQueryEngine.from_args(retriever, llm=Recorder())
    response = await engine.aquery(QUERY) if use_async else engine.query(QUERY)
    assert ids(response.source_nodes)[0] == "curie"
    assert "found radium" in str(response)
    assert "notebooks" not in str(response)
    assert "fgr_" not in str(response)


def test_citation_query_engine(retriever, texts):
    engine = CitationQueryEngine.from_args(None, retriever=retriever, llm=Recorder(), citation_chunk_size=64)
    response = engine.query(QUERY)
    assert response.source_nodes[0].text.startswith("Source 1:\n")
    assert "found radium" in response.source_nodes[0].text
    assert "fgr_" not in str(response)
    for source in response.source_nodes:
        spans = source.metadata["fgr_spans"]
        whole = next(text for text in texts.values() if all(text[a:b] in source.text for a, b, _ in spans))
        assert whole


async def test_context_chat_engine(retriever):
    engine = ContextChatEngine.from_defaults(
        retriever=retriever, llm=Recorder(), memory=ChatMemoryBuffer.from_defaults(token_limit=3000)
    )
    for response in (engine.chat(QUERY), await engine.achat(QUERY)):
        assert ids(response.source_nodes)[0] == "curie"
        assert "found radium" in str(response)
        assert "fgr_" not in str(response)


async def test_router_retriever(retriever):
    tools = [RetrieverTool.from_defaults(retriever, description="finds")]
    router = RouterRetriever(selector=First(), retriever_tools=tools, llm=Recorder())
    assert sorted(ids(router.retrieve(QUERY))) == sorted(ids(retriever.retrieve(QUERY)))
    assert sorted(ids(await router.aretrieve(QUERY))) == sorted(ids(retriever.retrieve(QUERY)))


@pytest.mark.parametrize("mode", ["simple", "reciprocal_rerank", "relative_score", "dist_based_score"])
async def test_query_fusion_retriever(retriever, nodes, mode):
    dense = VectorStoreIndex(nodes, embed_model=Hashing()).as_retriever(similarity_top_k=2)
    fusion = QueryFusionRetriever(
        [retriever, dense], llm=Recorder(), mode=mode, num_queries=1, similarity_top_k=3, use_async=False
    )
    found = fusion.retrieve(QUERY)
    assert "curie" in ids(found)
    assert [one.node_id for one in await fusion.aretrieve(QUERY)] == ids(found)


def test_nodes_of_an_ingestion_pipeline_keep_document_and_place(counter):
    sentences = [f"Chapter {number} is about the number {number}." for number in range(30)]
    source = Document(text=" ".join(sentences), id_="book")
    splitter = TokenTextSplitter(chunk_size=40, chunk_overlap=0, include_metadata=False)
    pipeline = IngestionPipeline(transformations=[splitter], docstore=SimpleDocumentStore(), docstore_strategy=STRATEGY)
    chunks = pipeline.run(documents=[source])
    assert pipeline.run(documents=[source]) == []  # its document store remembers
    retriever = FGRRetriever.from_nodes(chunks, encoder=WordEncoder(), count_tokens=counter, similarity_top_k=1)
    (best,) = retriever.retrieve("Chapter 23")
    assert best.node.ref_doc_id == "book"
    cut = [source.text[start:end] for start, end, _ in best.metadata["fgr_source_spans"]]
    assert " … ".join(cut) == best.node.get_content(MetadataMode.NONE)


async def test_postprocessor_behind_a_vector_index_with_a_local_embedding(nodes, postprocessor, texts):
    index = VectorStoreIndex(nodes, embed_model=Hashing())
    dense = index.as_retriever(similarity_top_k=3)
    given = dense.retrieve(QUERY)
    engine = index.as_query_engine(llm=Recorder(), similarity_top_k=3, node_postprocessors=[postprocessor])
    for response in (engine.query(QUERY), await engine.aquery(QUERY)):
        assert ids(response.source_nodes) == ids(given)
        assert [one.score for one in response.source_nodes] == [one.score for one in given]
        for one in response.source_nodes:
            cut = [texts[one.node_id][start:end] for start, end, _ in one.metadata["fgr_spans"]]
            assert " … ".join(cut) == one.text
        assert "notebooks" not in str(response)
    assert [one.text for one in dense.retrieve(QUERY)] == [one.text for one in given]  # the index is unchanged


def test_postprocessor_beside_others_and_in_a_synthesizer(nodes, postprocessor, counter):
    docstore = SimpleDocumentStore()
    docstore.add_documents(nodes)
    beside = PrevNextNodePostprocessor(docstore=docstore, num_nodes=1)
    retriever = FGRRetriever.from_nodes(nodes, encoder=WordEncoder(), count_tokens=counter, similarity_top_k=1)
    engine = RetrieverQueryEngine(
        retriever,
        response_synthesizer=get_response_synthesizer(llm=Recorder(), response_mode="compact"),
        node_postprocessors=[beside, postprocessor],
    )
    assert "found radium" in str(engine.query(QUERY))


async def test_postprocessor_ranks_what_a_vector_index_found(nodes, counter):
    index = VectorStoreIndex(nodes, embed_model=Hashing())
    postprocessor = FGRPostprocessor(encoder=WordEncoder(), count_tokens=counter, top_n=2)
    engine = index.as_query_engine(llm=Recorder(), similarity_top_k=5, node_postprocessors=[postprocessor])
    question = "he called it dynamite"
    own = FGRRetriever.from_nodes(nodes, encoder=WordEncoder(), count_tokens=counter, similarity_top_k=2)
    expected = own.retrieve(question)
    for response in (engine.query(question), await engine.aquery(question)):
        assert ids(response.source_nodes) == ids(expected)
        assert [one.text for one in response.source_nodes] == [one.text for one in expected]
        assert [one.score for one in response.source_nodes] == [
            one.metadata["fgr_score"] for one in response.source_nodes
        ]
        assert [one.score for one in response.source_nodes] == pytest.approx([one.score for one in expected], abs=0.01)


def test_ranked_nodes_come_before_those_without_text(counter):
    texts = ["", "Snow fell.", "Radium glows.", " "]
    given = [NodeWithScore(node=TextNode(id_=str(place), text=text), score=0.5) for place, text in enumerate(texts)]
    postprocessor = FGRPostprocessor(encoder=WordEncoder(), count_tokens=counter, top_n=1)
    found = postprocessor.postprocess_nodes(given, query_str="radium")
    assert ids(found) == ["2", "0", "3"]
    assert [one.score for one in found] == [pytest.approx(1, abs=0.01), 0.5, 0.5]
    assert [one.score for one in given] == [0.5] * 4
