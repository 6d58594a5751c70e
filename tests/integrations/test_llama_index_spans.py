"""One node for each span: ids, places in the source, relationships; and what filters can say of empty values."""

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.schema import (
    Document,
    MetadataMode,
    NodeRelationship,
    NodeWithScore,
    QueryBundle,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from fgr_retriever import TrimConfig
from fgr_retriever.testing import WordEncoder
from llama_index.postprocessor.fgr import FGRPostprocessor
from llama_index.retrievers.fgr import FGRRetriever

TEXT = "Curie found radium. She slept. Later she found polonium too."
OPTIONS = {"encoder": WordEncoder(), "count_tokens": len, "trim": TrimConfig(unit="sentence", merge_gap=0)}


@pytest.fixture
def node():
    return TextNode(
        id_="curie",
        text=TEXT,
        metadata={"page": 7},
        excluded_llm_metadata_keys=["page"],
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="book")},
        start_char_idx=1000,
        end_char_idx=1000 + len(TEXT),
    )


def placed(results):
    return [(one.node_id, one.text, one.node.start_char_idx, one.node.end_char_idx) for one in results]


async def test_a_node_for_each_span(node):
    expected = [
        ("curie#0-19", "Curie found radium.", 1000, 1019),
        ("curie#31-60", "Later she found polonium too.", 1031, 1060),
    ]
    postprocessor = FGRPostprocessor(split_spans=True, **OPTIONS)
    given = [NodeWithScore(node=node, score=0.5)]
    trimmed = postprocessor.postprocess_nodes(given, query_str="who found")
    retriever = FGRRetriever.from_nodes([node], split_spans=True, similarity_top_k=1, full_text=True, **OPTIONS)
    found = retriever.retrieve("who found")
    assert placed(trimmed) == placed(found) == expected
    assert await retriever.aretrieve("who found") == found
    assert await postprocessor.apostprocess_nodes(given, query_bundle=QueryBundle("who found")) == trimmed
    assert [one.score for one in trimmed] == [0.5, 0.5]
    assert {one.metadata["fgr_text"] for one in found} == {TEXT}
    for one in (*trimmed, *found):
        assert one.node.ref_doc_id == "book"
        assert one.node.parent_node.node_id == "curie"
        assert one.metadata["page"] == 7
        (start, end, _), (there, _, _) = *one.metadata["fgr_spans"], *one.metadata["fgr_source_spans"]
        assert TEXT[start:end] == one.text
        assert there == 1000 + start
        assert one.metadata["fgr_kept"] == round(len(one.text) / len(TEXT), 4)
        assert one.get_content(MetadataMode.LLM) == one.text
    assert node.relationships.keys() == {NodeRelationship.SOURCE}


def test_without_a_place_in_the_source_a_span_has_none_either(node):
    nodes = [TextNode(id_="here", text=TEXT), Document(id_="whole", text=TEXT)]
    given = [NodeWithScore(node=one) for one in nodes]
    found = FGRPostprocessor(split_spans=True, **OPTIONS).postprocess_nodes(given, query_str="radium")
    assert [one.node_id for one in found] == ["here#0-19", "whole#0-19"]
    assert (found[0].node.start_char_idx, found[0].node.end_char_idx) == (None, None)
    assert "fgr_source_spans" not in found[0].metadata


@pytest.mark.folders
def test_splitting_is_persisted(node, tmp_path):
    retriever = FGRRetriever.from_nodes([node], split_spans=True, **OPTIONS)
    retriever.persist(tmp_path / "saved")
    again = FGRRetriever.from_persist_dir(tmp_path / "saved", encoder=WordEncoder(), count_tokens=len)
    assert placed(again.retrieve("who found")) == placed(retriever.retrieve("who found"))


@pytest.mark.parametrize(("key", "expected"), [("tags", {"none", "null", "list", "text"}), ("other", "all")])
def test_the_operator_is_empty(key, expected):
    values = {"null": None, "list": [], "text": "", "full": ["a"], "zero": 0}
    nodes = [TextNode(id_=id, text="Radium.", metadata={"tags": value}) for id, value in values.items()]
    nodes.append(TextNode(id_="none", text="Radium."))
    empty = MetadataFilter(key=key, value=None, operator=FilterOperator.IS_EMPTY)
    everything = {node.node_id for node in nodes}
    wanted = everything if expected == "all" else expected

    def found(filters):
        retriever = FGRRetriever.from_nodes(nodes, filters=filters, similarity_top_k=9, **OPTIONS)
        return {result.node_id for result in retriever.retrieve("radium")}

    assert found(MetadataFilters(filters=[empty])) == wanted
    assert found(MetadataFilters(filters=[empty], condition=FilterCondition.NOT)) == everything - wanted
