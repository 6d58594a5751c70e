"""The documents and nodes of an answer as numbered sources, whose citations can be checked."""

import json

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

from langchain_core.documents import Document
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import CitationQueryEngine, RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore, TextNode

import langchain_fgr
from fgr_retriever import Encoder, TrimConfig, verify_citations
from fgr_retriever.errors import InputError
from llama_index.postprocessor.fgr import FGRPostprocessor
from llama_index.retrievers.fgr import FGRRetriever
from llama_index.tools.fgr import numbered_sources

QUERY = "Who found radium?"
ANSWER = "Curie found radium in 1898 [1]. Curie found radium in 1914 [1]. Nobody knows [9]."


@pytest.fixture(scope="module")
def nodes(texts):
    return [
        TextNode(id_=id, text=texts[id], start_char_idx=100, end_char_idx=100 + len(texts[id]), metadata={"title": id})
        for id in ("curie", "fleming")
    ]


@pytest.fixture
def retriever(nodes):
    found = FGRRetriever.from_nodes(nodes, similarity_top_k=2)
    yield found
    found.engine.close()


def check_ranges(evidence, texts):
    """Every span has its text, and its place in the passage and the source."""
    for number, source in enumerate(evidence["sources"], start=1):
        assert source["number"] == number
        assert source["spans"]
        for span in source["spans"]:
            assert texts[span["passage"]][span["start"] : span["end"]] == span["text"]
            assert (span["source_start"], span["source_end"]) == (100 + span["start"], 100 + span["end"])
            assert 0 < span["score"] <= 1
    assert json.loads(json.dumps(evidence)) == evidence


def verdicts(evidence, encoder):
    return [(one.number, one.supported) for one in verify_citations(ANSWER, evidence, encoder=encoder)]


@pytest.mark.parametrize("split_spans", [False, True])
def test_of_a_query_engine(retriever, texts, split_spans):
    retriever.split_spans = split_spans
    response = RetrieverQueryEngine.from_args(retriever, llm=MockLLM()).query(QUERY)
    evidence = numbered_sources(response.source_nodes)
    check_ranges(evidence, texts)
    assert len(evidence["sources"]) == len(response.source_nodes)
    first = evidence["sources"][0]
    assert first["title"] == "curie"
    assert first["passages"] == [{"id": "curie", "metadata": {"title": "curie"}}]
    assert verdicts(evidence, retriever) == [(1, True), (1, False), (9, False)]


def test_of_a_citation_query_engine(retriever, texts):
    engine = CitationQueryEngine.from_args(None, llm=MockLLM(), retriever=retriever)
    response = engine.query(QUERY)
    assert response.source_nodes[0].text.startswith("Source 1:\n")
    evidence = numbered_sources(response.source_nodes)
    assert "Source" not in json.dumps(evidence)
    for source, id in zip(evidence["sources"], ("curie", "fleming"), strict=True):
        for span in source["spans"]:
            assert texts[id][span["start"] : span["end"]] == span["text"]
            assert span["source_start"] == 100 + span["start"]
    assert verdicts(evidence, retriever) == [(1, True), (1, False), (9, False)]


def test_of_a_postprocessor_and_of_whole_nodes(nodes, texts):
    given = [NodeWithScore(node=node) for node in nodes]
    config = TrimConfig(separator=" [...] ", unit="phrase", on_empty="drop")
    check_ranges(numbered_sources(FGRPostprocessor(trim=config).postprocess_nodes(given, query_str=QUERY)), texts)
    (span,) = numbered_sources(nodes)["sources"][1]["spans"]  # not trimmed: all of it
    assert span["text"] == texts["fleming"]
    assert (span["start"], span["source_start"], span["score"]) == (0, 100, 0)
    assert verdicts(numbered_sources(given), Encoder.default()) == [(1, True), (1, False), (9, False)]


def test_of_a_text_that_somebody_cut(retriever):
    found = retriever.retrieve(QUERY)
    found[0].node.set_content("Curie found radium")
    (span,) = numbered_sources(found)["sources"][0]["spans"]
    assert (span["text"], span["start"], span["end"], span["source_start"]) == ("Curie found radium", 0, 18, None)
    found[0].node.set_content("")
    assert numbered_sources(found)["sources"][0]["spans"] == []
    assert numbered_sources(found)["sources"][1]["number"] == 2


def test_of_documents(texts):
    documents = [Document(texts[id], id=id, metadata={"start_index": 100}) for id in ("curie", "fleming")]
    retriever = langchain_fgr.FGRRetriever.from_documents(documents, k=2)
    evidence = langchain_fgr.numbered_sources(retriever.invoke(QUERY))
    check_ranges(evidence, texts)
    assert verdicts(evidence, retriever) == [(1, True), (1, False), (9, False)]
    retriever.engine.close()


def test_what_is_no_result_is_refused(retriever):
    with pytest.raises(InputError, match="must be a node"):
        numbered_sources(["text"])
    for wrong in (["text"], "text"):
        with pytest.raises(InputError, match="must be a Document"):
            langchain_fgr.numbered_sources(wrong)
    with pytest.raises(InputError, match=r"numbered_sources\(them\), from langchain_fgr or llama_index"):
        verify_citations(ANSWER, retriever.retrieve(QUERY))
