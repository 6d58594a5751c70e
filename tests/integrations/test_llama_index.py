"""The LlamaIndex adapters behind real LlamaIndex classes."""

import copy
import json
import subprocess
import sys
from enum import Enum
from pathlib import Path

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, LlamaDebugHandler
from llama_index.core.instrumentation.event_handlers.base import BaseEventHandler
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent, RetrievalStartEvent
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import (
    Document,
    ImageNode,
    IndexNode,
    MetadataMode,
    NodeRelationship,
    NodeWithScore,
    QueryBundle,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.tools import RetrieverTool
from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters
from llama_index_instrumentation import get_dispatcher

from fgr_retriever import Engine, TrimConfig
from fgr_retriever.errors import ConfigError, IndexNotFoundError, InputError
from fgr_retriever.testing import WordEncoder
from llama_index.postprocessor.fgr import FGRPostprocessor
from llama_index.postprocessor.fgr.nodes import query_text
from llama_index.retrievers.fgr import FGRRetriever

QUERY = "who found radium"


@pytest.fixture
def nodes(texts, metadata):
    """Text nodes with all that a node parser and a careful user set."""
    made = []
    for id, text in texts.items():
        start = metadata[id].get("start_index")
        node = TextNode(
            id_=id,
            text=text,
            metadata={key: value for key, value in metadata[id].items() if key != "start_index"},
            excluded_llm_metadata_keys=["field"],
            excluded_embed_metadata_keys=["year"],
            metadata_template="<{key}={value}>",
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="book", metadata={"title": "Finds"})},
            start_char_idx=start,
            end_char_idx=None if start is None else start + len(text),
        )
        made.append(node)
    return made


@pytest.fixture
def retriever(nodes, counter):
    return FGRRetriever.from_nodes(nodes, encoder=WordEncoder(), count_tokens=counter, similarity_top_k=3)


@pytest.fixture
def postprocessor(counter):
    return FGRPostprocessor(encoder=WordEncoder(), count_tokens=counter)


@pytest.fixture
def scored(nodes):
    """What another retriever gives: scores in no order, and one without."""
    scores = [0.1, 0.9, None, 0.5, 0.0]
    return [NodeWithScore(node=node, score=score) for node, score in zip(nodes, scores, strict=True)]


@pytest.fixture
def events():
    """Every instrumentation event of the test, in order."""
    seen = []

    class Handler(BaseEventHandler):
        def handle(self, event, **kwargs):
            seen.append(event)

    handler = Handler()
    dispatcher = get_dispatcher()
    dispatcher.add_event_handler(handler)
    yield seen
    dispatcher.event_handlers.remove(handler)


def of_kind(events, *kinds):
    return [event for event in events if isinstance(event, kinds)]


def spans_of(node, whole):
    return [whole[start:end] for start, end, _ in node.metadata["fgr_spans"]]


def ids(results):
    return [result.node_id for result in results]


def where(*filters, condition=FilterCondition.AND):
    return MetadataFilters(filters=list(filters), condition=condition)


def test_base_classes():
    assert issubclass(FGRRetriever, BaseRetriever)
    assert issubclass(FGRPostprocessor, BaseNodePostprocessor)
    assert FGRPostprocessor.class_name() == "FGRPostprocessor"


def test_a_field_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="threshold"):
        FGRPostprocessor(encoder=WordEncoder(), threshold=0.3)


def test_a_result_is_the_stored_node_with_verbatim_evidence(retriever, nodes, texts):
    best = retriever.retrieve(QUERY)[0]
    stored = nodes[0]
    assert isinstance(best.node, TextNode)
    assert best.node_id == "curie"
    assert best.text == " … ".join(spans_of(best, texts["curie"]))
    assert "found radium" in best.text
    assert len(best.text) < len(stored.text)
    assert best.score == best.metadata["fgr_score"]
    assert stored.metadata.items() <= best.metadata.items()
    for name in ("relationships", "metadata_template", "metadata_separator", "text_template", "mimetype"):
        assert getattr(best.node, name) == getattr(stored, name)
    assert (best.node.start_char_idx, best.node.end_char_idx) == (stored.start_char_idx, stored.end_char_idx)
    assert best.node.source_node.metadata == {"title": "Finds"}


def test_source_spans_are_the_spans_in_the_source_document(retriever):
    best = retriever.retrieve(QUERY)[0]
    shifted = [[start + 1000, end + 1000, score] for start, end, score in best.metadata["fgr_spans"]]
    assert best.metadata["fgr_source_spans"] == shifted
    without_start = retriever.retrieve("dynamite")[0]
    assert without_start.node_id == "nobel"
    assert "fgr_source_spans" not in without_start.metadata
    assert without_start.node.start_char_idx is None


def test_our_keys_reach_neither_llm_nor_embedding_model(retriever):
    retriever.full_text = True
    node = retriever.retrieve(QUERY)[0].node
    assert node.get_content(MetadataMode.LLM) == f"<year=1898>\n<tags=['a', 'b']>\n\n{node.text}"
    assert "fgr" not in node.get_content(MetadataMode.EMBED)
    assert "year" not in node.get_content(MetadataMode.EMBED)


def test_full_text_is_an_option(retriever, texts):
    assert "fgr_text" not in retriever.retrieve(QUERY)[0].metadata
    retriever.full_text = True
    assert retriever.retrieve(QUERY)[0].metadata["fgr_text"] == texts["curie"]


def test_results_are_json_safe_and_hide_the_reserved_key(retriever):
    retriever.similarity_top_k = 5
    for result in retriever.retrieve(QUERY):
        assert json.loads(json.dumps(result.metadata)) == result.metadata
        assert "_fgr" not in result.metadata
        assert TextNode.from_json(result.node.to_json()) == result.node


def test_indexing_never_changes_the_nodes(nodes):
    before = copy.deepcopy(nodes)
    FGRRetriever.from_nodes(nodes, encoder=WordEncoder(), count_tokens=len).retrieve(QUERY)
    assert nodes == before


def test_chunks_of_a_document_keep_their_place_in_it(counter):
    sentences = [f"Chapter {number} is about the number {number}." for number in range(40)]
    source = Document(text=" ".join(sentences), id_="book", metadata={"title": "Numbers"})
    chunks = SentenceSplitter(chunk_size=40, chunk_overlap=0, include_metadata=False)([source])
    assert len(chunks) > 5
    retriever = FGRRetriever.from_nodes(chunks, encoder=WordEncoder(), count_tokens=counter, similarity_top_k=1)
    (best,) = retriever.retrieve("Chapter 33")
    cut = [source.text[start:end] for start, end, _ in best.metadata["fgr_source_spans"]]
    assert cut == spans_of(best, source.text[best.node.start_char_idx : best.node.end_char_idx])
    assert any("33" in text for text in cut)
    assert best.node.ref_doc_id == "book"
    assert best.node.prev_node == next(chunk for chunk in chunks if chunk.node_id == best.node_id).prev_node


def test_documents_become_text_nodes(counter):
    document = Document(text="Radium glows. Snow falls.", id_="d", metadata={"n": 1})
    (found,) = FGRRetriever.from_nodes([document], encoder=WordEncoder(), count_tokens=counter).retrieve("radium")
    assert isinstance(found.node, TextNode)
    assert not isinstance(found.node, Document)
    assert (found.node_id, found.metadata["n"]) == ("d", 1)


def test_index_nodes_lead_to_their_objects(counter):
    inner = TextNode(text="The inner table: 1898, 1911.", id_="inner")
    nodes = [IndexNode(text="A table of radium years.", index_id="table", obj=inner), TextNode(text="Snow fell.")]
    retriever = FGRRetriever.from_nodes(nodes, encoder=WordEncoder(), count_tokens=counter, similarity_top_k=1)
    assert ids(retriever.retrieve("radium years")) == ["inner"]
    without = FGRRetriever(retriever.engine, count_tokens=counter, similarity_top_k=1)
    (found,) = without.retrieve("radium years")
    assert isinstance(found.node, IndexNode)
    assert found.node.index_id == "table"


def test_nodes_without_text_are_left_out(counter):
    nodes = [TextNode(text="Radium."), TextNode(text=" "), ImageNode(image_url="https://example.org/a.png")]
    retriever = FGRRetriever.from_nodes(nodes, encoder=WordEncoder(), count_tokens=counter)
    assert len(retriever.engine) == 1
    assert retriever.add_nodes([TextNode(text="Snow.", id_="snow"), TextNode(text="")]) == ["snow"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (where(MetadataFilter(key="year", value=1898)), {"curie"}),
        (where(MetadataFilter(key="year", value=1898, operator=FilterOperator.NE)), {"fleming", "nobel", "röntgen"}),
        (where(MetadataFilter(key="year", value=1898, operator=FilterOperator.GT)), {"fleming"}),
        (where(MetadataFilter(key="year", value=1898, operator=FilterOperator.GTE)), {"fleming", "curie"}),
        (where(MetadataFilter(key="year", value=1895, operator=FilterOperator.LT)), {"nobel"}),
        (where(MetadataFilter(key="year", value=1895, operator=FilterOperator.LTE)), {"nobel", "röntgen"}),
        (where(MetadataFilter(key="year", value=[1867, 1928], operator=FilterOperator.IN)), {"nobel", "fleming"}),
        (where(MetadataFilter(key="year", value=[1867, 1928], operator=FilterOperator.NIN)), {"curie", "röntgen"}),
        (
            where(
                MetadataFilter(key="field", value="chemistry"),
                MetadataFilter(key="year", value=1890, operator=FilterOperator.GT),
            ),
            {"curie"},
        ),
        (
            where(
                MetadataFilter(key="field", value="physics"),
                MetadataFilter(key="year", value=1867),
                condition=FilterCondition.OR,
            ),
            {"röntgen", "nobel"},
        ),
        (
            where(
                MetadataFilter(key="field", value="physics"),
                MetadataFilter(key="year", value=1867),
                condition=FilterCondition.NOT,
            ),
            {"curie", "fleming"},
        ),
        (
            where(
                MetadataFilter(key="year", value=1890, operator=FilterOperator.GT),
                where(
                    MetadataFilter(key="field", value="chemistry"),
                    MetadataFilter(key="field", value="physics"),
                    condition=FilterCondition.OR,
                ),
            ),
            {"curie", "röntgen"},
        ),
        (where(), {"curie", "fleming", "nobel", "röntgen"}),
        (where(where()), {"curie", "fleming", "nobel", "röntgen"}),
        (where(MetadataFilter(key="year", value=1)), set()),
    ],
)
def test_filters(nodes, counter, filters, expected):
    retriever = FGRRetriever.from_nodes(nodes[:4], encoder=WordEncoder(), count_tokens=counter, filters=filters)
    assert set(ids(retriever.retrieve(QUERY))) == expected


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        (FilterOperator.CONTAINS, "metal", {"both", "metal"}),
        (FilterOperator.CONTAINS, "met", set()),
        (FilterOperator.ANY, ["metal", "old"], {"both", "metal", "old"}),
        (FilterOperator.ALL, ["metal", "old"], {"both"}),
        (FilterOperator.TEXT_MATCH, "Met", {"text"}),
        (FilterOperator.TEXT_MATCH_INSENSITIVE, "met", {"text"}),
        (FilterOperator.IS_EMPTY, None, {"none", "empty"}),
    ],
)
def test_filters_of_lists_and_texts(operator, value, expected):
    tags = {"both": ["old", "metal"], "metal": ["metal"], "old": ["old"], "text": "Metals", "none": None, "empty": []}
    nodes = [TextNode(id_=name, text=f"radium {name}", metadata={"tags": tag}) for name, tag in tags.items()]
    filters = where(MetadataFilter(key="tags", value=value, operator=operator))
    retriever = FGRRetriever.from_nodes(nodes, encoder=WordEncoder(), filters=filters, similarity_top_k=9)
    assert set(ids(retriever.retrieve(QUERY))) == expected


def test_an_unsupported_filter_is_refused_at_once(retriever):
    for operator, value in ((FilterOperator.ANY, "a"), (FilterOperator.ALL, [])):
        filters = where(MetadataFilter(key="tags", value=value, operator=operator))
        with pytest.raises(InputError, match=rf"'tags'.*{operator.name} needs a list"):
            FGRRetriever(retriever.engine, filters=filters)
        with pytest.raises(InputError, match="needs a list"):
            retriever.filters = where(filters)
    later = MetadataFilter.model_construct(key="tags", value="a", operator=Enum("Later", ["NEAR"]).NEAR)
    with pytest.raises(InputError, match=r"'tags'.*NEAR.*EQ"):
        FGRRetriever(retriever.engine, filters=where().model_copy(update={"filters": [later]}))


@pytest.mark.parametrize("limit", [0, 1, 3, 5, 8, 13, 30])
def test_budget_holds_over_all_results(retriever, counter, limit):
    retriever.trim = TrimConfig(max_tokens=limit)
    found = retriever.retrieve("who found radium and penicillin and dynamite")
    assert counter("\n\n".join(result.text for result in found)) <= limit
    assert all(result.text for result in found)


async def test_dropped_nodes_are_made_up_for(nodes, counter):
    retriever = FGRRetriever.from_nodes(
        nodes, encoder=WordEncoder(), count_tokens=counter, trim=TrimConfig(on_empty="drop"), similarity_top_k=2
    )
    assert set(ids(retriever.retrieve("radium dynamite"))) == {"curie", "nobel"}
    assert await retriever.aretrieve("radium dynamite") == retriever.retrieve("radium dynamite")
    assert retriever.retrieve("zeppelin") == []


async def test_async_gives_the_same(retriever):
    assert await retriever.aretrieve(QUERY) == retriever.retrieve(QUERY)


async def test_tool_calls_are_unwrapped(retriever):
    tool = RetrieverTool.from_defaults(retriever)
    plain = retriever.retrieve(QUERY)
    assert tool.call(input=QUERY).raw_output == plain
    assert tool.call(QUERY).raw_output == plain
    assert (await tool.acall(input=QUERY)).raw_output == plain


@pytest.mark.parametrize(
    ("given", "question"),
    [
        ("\ninput is a\nb?\n", "a\nb?"),
        ("input is a\n", "a"),
        ("input is a", "input is a"),
        ("what is input is a\n", "what is input is a\n"),
    ],
)
def test_only_the_wrapper_of_a_tool_call_is_taken_off(given, question):
    assert query_text(QueryBundle(given)) == question


def test_tool_postprocessor_gets_the_bare_question(retriever, postprocessor):
    nodes = [NodeWithScore(node=TextNode(text="The input is odd. Radium glows."), score=1.0)]
    (found,) = postprocessor.postprocess_nodes(nodes, query_str="\ninput is radium\n")
    assert "odd" not in found.text
    (plain,) = postprocessor.postprocess_nodes(nodes, query_str="odd input is radium")
    assert "odd" in plain.text


def test_retrieval_is_reported(retriever, events):
    found = retriever.retrieve(QUERY)
    start, end = of_kind(events, RetrievalStartEvent, RetrievalEndEvent)
    assert start.str_or_query_bundle == QUERY
    assert end.nodes == found


def test_the_callback_manager_is_used(retriever):
    handler = LlamaDebugHandler(print_trace_on_end=False)
    reporting = FGRRetriever(retriever.engine, count_tokens=len, callback_manager=CallbackManager([handler]))
    reporting.retrieve(QUERY)
    assert len(handler.get_event_pairs(CBEventType.RETRIEVE)) == 1


async def test_behind_a_query_engine(retriever):
    engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM())
    for response in (engine.query(QUERY), await engine.aquery(QUERY)):
        assert "found radium" in str(response)  # MockLLM repeats its prompt
        assert "notebooks" not in str(response)
        assert "fgr_" not in str(response)
        assert ids(response.source_nodes)[0] == "curie"


def test_from_defaults_takes_exactly_one_source(nodes, counter):
    options = {"encoder": WordEncoder(), "count_tokens": counter}
    docstore = SimpleDocumentStore()
    docstore.add_documents(nodes)
    index = VectorStoreIndex(nodes, embed_model=MockEmbedding(embed_dim=4))
    for source in ({"nodes": nodes}, {"docstore": docstore}, {"index": index}):
        assert ids(FGRRetriever.from_defaults(**source, **options).retrieve(QUERY))[0] == "curie"
    for wrong in ({}, {"nodes": nodes, "docstore": docstore}):
        with pytest.raises(InputError, match="exactly one"):
            FGRRetriever.from_defaults(**wrong, **options)
    empty = VectorStoreIndex([], embed_model=MockEmbedding(embed_dim=4), storage_context=StorageContext.from_defaults())
    with pytest.raises(InputError, match="document store"):
        FGRRetriever.from_defaults(index=empty, **options)


@pytest.mark.folders
def test_persist_and_open_again(retriever, tmp_path):
    target = tmp_path / "saved"
    retriever.trim = TrimConfig(unit="sentence", max_tokens=50)
    retriever.filters = where(MetadataFilter(key="year", value=1890, operator=FilterOperator.GT))
    retriever.persist(target)
    again = FGRRetriever.from_persist_dir(target, encoder=WordEncoder(), count_tokens=retriever.count_tokens)
    assert (again.similarity_top_k, again.trim, again.filters) == (3, retriever.trim, retriever.filters)
    assert again.retrieve(QUERY) == retriever.retrieve(QUERY)
    again.engine.verify()
    again.similarity_top_k = 1
    again.persist(target)  # its own folder
    options = {"encoder": WordEncoder(), "count_tokens": retriever.count_tokens}
    assert len(FGRRetriever.from_persist_dir(target, **options).retrieve(QUERY)) == 1
    assert len(FGRRetriever.from_persist_dir(target, similarity_top_k=2, **options).retrieve(QUERY)) == 2
    with pytest.raises(InputError, match="not empty"):
        retriever.persist(retriever.engine.folder.parent)


@pytest.mark.folders
def test_persist_dir_faults(retriever, tmp_path):
    with pytest.raises(IndexNotFoundError):
        FGRRetriever.from_persist_dir(tmp_path / "missing", encoder=WordEncoder())
    retriever.persist(tmp_path / "saved")
    (tmp_path / "saved" / "llama_index.json").write_text('{"similarity_top_k": 3}')
    with pytest.raises(ConfigError, match=r"llama_index\.json"):
        FGRRetriever.from_persist_dir(tmp_path / "saved", encoder=WordEncoder())


def test_any_index_opens(nodes, tmp_path, passages):
    with Engine.open(tmp_path / "index", encoder=WordEncoder()) as engine:
        engine.add(passages)
    retriever = FGRRetriever.from_persist_dir(tmp_path / "index", encoder=WordEncoder(), count_tokens=len)
    assert ids(retriever.retrieve("radium"))[0] == "radium"


def test_postprocessor_keeps_order_scores_ids_and_nodes(postprocessor, scored, texts):
    before = copy.deepcopy(scored)
    found = postprocessor.postprocess_nodes(scored, query_str=QUERY)
    assert scored == before
    assert ids(found) == ids(scored)
    assert [result.score for result in found] == [0.1, 0.9, None, 0.5, 0.0]
    for given, result in zip(scored, found, strict=True):
        assert result.text == " … ".join(spans_of(result, texts[result.node_id]))
        assert given.metadata.items() <= result.metadata.items()
        assert result.node.relationships == given.node.relationships
        assert result.node.start_char_idx == given.node.start_char_idx
        assert "field" in result.node.excluded_llm_metadata_keys
        assert "fgr" not in result.get_content(MetadataMode.LLM)
        json.dumps(result.metadata)
    assert found[0].metadata["fgr_source_spans"][0][0] >= 1000
    found[0].node.metadata["new"] = 1
    found[0].node.relationships.clear()
    assert scored == before


async def test_postprocessor_async_gives_the_same(postprocessor, scored):
    expected = postprocessor.postprocess_nodes(scored, query_str=QUERY)
    assert await postprocessor.apostprocess_nodes(scored, query_bundle=QueryBundle(QUERY)) == expected


async def test_postprocessor_events_on_every_path(postprocessor, scored, events):
    for nodes in (scored, []):
        expected = postprocessor.postprocess_nodes(nodes, query_str=QUERY)
        start, end = of_kind(events, ReRankStartEvent, ReRankEndEvent)
        assert isinstance(start, ReRankStartEvent)
        assert (start.query.query_str, start.nodes, start.top_n) == (QUERY, nodes, len(nodes))
        assert end.nodes == expected
        events.clear()
        assert await postprocessor.apostprocess_nodes(nodes, query_str=QUERY) == expected
        assert [type(event) for event in of_kind(events, ReRankStartEvent, ReRankEndEvent)] == [
            ReRankStartEvent,
            ReRankEndEvent,
        ]
        events.clear()


def test_postprocessor_callbacks(scored, counter):
    handler = LlamaDebugHandler(print_trace_on_end=False)
    manager = CallbackManager([handler])
    reporting = FGRPostprocessor(encoder=WordEncoder(), count_tokens=counter, callback_manager=manager)
    found = reporting.postprocess_nodes(scored, query_str=QUERY)
    ((start, end),) = handler.get_event_pairs(CBEventType.RERANKING)
    assert start.payload[EventPayload.QUERY_STR] == QUERY
    assert start.payload[EventPayload.NODES] == scored
    assert end.payload[EventPayload.NODES] == found


def test_postprocessor_needs_a_query(postprocessor, scored):
    for nodes in (scored, []):
        with pytest.raises(ValueError, match="no query"):
            postprocessor.postprocess_nodes(nodes)


def test_postprocessor_passes_what_has_no_text(postprocessor, scored):
    image = NodeWithScore(node=ImageNode(image_url="https://example.org/a.png", id_="image"), score=0.3)
    link = NodeWithScore(node=IndexNode(text="", index_id="elsewhere"), score=0.2)
    found = postprocessor.postprocess_nodes([image, scored[0], link], query_str=QUERY)
    assert [found[0], found[2]] == [image, link]
    assert found[1].node_id == "curie"
    assert postprocessor.postprocess_nodes([image], query_str=QUERY) == [image]


def test_postprocessor_leaves_out_what_is_empty(scored, counter):
    drop = FGRPostprocessor(trim=TrimConfig(on_empty="drop"), encoder=WordEncoder(), count_tokens=counter)
    assert ids(drop.postprocess_nodes(scored, query_str="radium dynamite")) == ["curie", "nobel"]


def test_postprocessor_trims_documents_too(postprocessor):
    given = [NodeWithScore(node=Document(text="Radium glows. The snow fell all night.", id_="d"))]
    (found,) = postprocessor.postprocess_nodes(given, query_str="radium")
    assert "Radium" in found.node.get_content(MetadataMode.NONE)
    assert "snow" not in found.node.get_content(MetadataMode.NONE)
    assert given[0].node.get_content(MetadataMode.NONE) == "Radium glows. The snow fell all night."


@pytest.mark.parametrize("limit", [0, 2, 5, 9])
def test_postprocessor_budget(scored, counter, limit):
    trim = TrimConfig(max_tokens=limit)
    found = FGRPostprocessor(trim=trim, encoder=WordEncoder(), count_tokens=counter).postprocess_nodes(
        scored, query_str=QUERY
    )
    assert counter("\n\n".join(result.text for result in found)) <= limit


def test_postprocessor_is_serialisable(postprocessor):
    dumped = postprocessor.to_dict()
    assert dumped["class_name"] == "FGRPostprocessor"
    assert not {"encoder", "count_tokens", "callback_manager"} & dumped.keys()
    assert FGRPostprocessor.from_json(postprocessor.to_json()).trim == postprocessor.trim


def test_postprocessor_behind_a_vector_store_index(nodes, postprocessor):
    index = VectorStoreIndex(nodes, embed_model=MockEmbedding(embed_dim=4))
    engine = index.as_query_engine(llm=MockLLM(), similarity_top_k=5, node_postprocessors=[postprocessor])
    response = engine.query(QUERY)
    assert len(response.source_nodes) == 5
    assert "found radium" in str(response)
    assert "notebooks" not in str(response)
    assert "fgr_" not in str(response)


def test_trimming_twice_gives_offsets_into_the_whole_text(retriever, postprocessor, texts):
    once = retriever.retrieve(QUERY)
    for first, second in zip(once, postprocessor.postprocess_nodes(once, query_str=QUERY), strict=True):
        assert second.text == " … ".join(spans_of(second, texts[second.node_id]))
        assert ("fgr_source_spans" in second.metadata) == ("fgr_source_spans" in first.metadata)


@pytest.mark.parametrize("module", ["llama_index.retrievers.fgr", "llama_index.postprocessor.fgr"])
def test_without_llama_index_the_import_names_the_extra(module):
    code = f"import sys; sys.modules['llama_index.core'] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent)
    assert done.returncode == 1
    assert "MissingExtraError" in done.stderr
    assert "fgr-retriever[llama-index]" in done.stderr


def test_namespace_packages_stay_open():
    root = Path(__file__).parents[2] / "integrations" / "llama_index"
    for folder in (root, root / "retrievers", root / "postprocessor"):
        assert not (folder / "__init__.py").exists()


def test_max_tokens_is_a_limit_of_its_own(texts, counter):
    nodes = [NodeWithScore(node=TextNode(text=text, id_=id), score=0.5) for id, text in texts.items()]
    made = {"encoder": WordEncoder(), "count_tokens": counter}
    short = FGRPostprocessor(max_tokens=6, trim={"max_tokens": 50, "unit": "sentence"}, **made)
    found = [one.text for one in short.postprocess_nodes(nodes, query_str="found radium")]
    same = FGRPostprocessor(trim=TrimConfig(max_tokens=6, unit="sentence"), **made)
    assert found == [one.text for one in same.postprocess_nodes(nodes, query_str="found radium")]
    assert 0 < sum(map(counter, found)) <= 6
    with pytest.raises(ConfigError, match="FGRPostprocessor: max_tokens=-1: "):
        FGRPostprocessor(max_tokens=-1)
    with pytest.raises(ConfigError, match="trim=None: FGRPostprocessor trims"):
        FGRPostprocessor(trim=None)
