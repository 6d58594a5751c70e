"""Places in the source, behind other people's parsers: true, or left out."""

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

from langchain_classic.retrievers.document_compressors import DocumentCompressorPipeline, EmbeddingsFilter
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_text_splitters import RecursiveCharacterTextSplitter
from llama_index.core import Document as LlamaDocument
from llama_index.core.node_parser import HierarchicalNodeParser, SentenceSplitter, SentenceWindowNodeParser
from llama_index.core.postprocessor import MetadataReplacementPostProcessor
from llama_index.core.schema import NodeWithScore, TextNode

from fgr_retriever import TrimConfig
from fgr_retriever.testing import WordEncoder
from langchain_fgr import FGRCompressor
from langchain_fgr import FGRRetriever as LangChainRetriever
from llama_index.postprocessor.fgr import FGRPostprocessor
from llama_index.retrievers.fgr import FGRRetriever as LlamaIndexRetriever

QUERY = "radium notebooks"
TEXT = (
    "The archive opens at nine. Marie Curie found radium in 1898. She was born in Warsaw, far from Paris. Her "
    "notebooks are still radioactive. Visitors may not touch them. The radium is kept in lead. "
    "The archive closes at five."
)
WORDS = TrimConfig(unit="token", merge_gap=0)


def check(results, source):
    """Every given range of the source has the text that was kept; gives how many there were."""
    ranges = 0
    for text, metadata, separator in results:
        places = metadata.get("fgr_source_spans", [])
        if places:
            assert separator.join(source[start:end] for start, end, _ in places) == text
        ranges += len(places)
    return ranges


def nodes_of(found):
    return [(one.text, one.metadata, TrimConfig().separator) for one in found]


def trimmed(nodes, **settings):
    trim = FGRPostprocessor(encoder=WordEncoder(), count_tokens=len, **settings)
    return trim.postprocess_nodes([NodeWithScore(node=one, score=1.0) for one in nodes], query_str=QUERY)


PARSERS = {
    "sentences": SentenceSplitter(chunk_size=24, chunk_overlap=0),
    "overlapping": SentenceSplitter(chunk_size=40, chunk_overlap=20),
    "windows": SentenceWindowNodeParser(window_size=1),
    "leaves": HierarchicalNodeParser.from_defaults(chunk_sizes=[64, 24], chunk_overlap=0),
}


@pytest.mark.parametrize("split", [False, True], ids=["whole nodes", "span nodes"])
@pytest.mark.parametrize("source", [TEXT, f"{TEXT}\n\n{TEXT}"], ids=["once", "repeated"])
@pytest.mark.parametrize("name", PARSERS)
def test_parsers_of_llama_index(name, source, split):
    nodes = PARSERS[name].get_nodes_from_documents([LlamaDocument(text=source, id_="d")])
    retriever = LlamaIndexRetriever.from_nodes(
        nodes, encoder=WordEncoder(), similarity_top_k=50, split_spans=split, count_tokens=len
    )
    for found in (trimmed(nodes, split_spans=split), retriever.retrieve(QUERY)):
        assert check(nodes_of(found), source) > 0
        for one in found if split else []:
            if one.node.start_char_idx is not None:
                assert source[one.node.start_char_idx : one.node.end_char_idx] == one.text


def test_a_leaf_counts_from_its_parent_and_says_nothing_of_the_document():
    nodes = PARSERS["leaves"].get_nodes_from_documents([LlamaDocument(text=TEXT, id_="d")])
    leaves = [one for one in nodes if one.parent_node]
    assert len(leaves) > 2
    assert check(nodes_of(trimmed(leaves)), TEXT) == 0


def test_a_window_in_the_place_of_its_sentence_has_no_range():
    nodes = PARSERS["windows"].get_nodes_from_documents([LlamaDocument(text=TEXT)])
    windows = MetadataReplacementPostProcessor(target_metadata_key="window").postprocess_nodes(
        [NodeWithScore(node=one, score=1.0) for one in nodes]
    )
    found = trimmed([one.node for one in windows])
    assert found
    assert check(nodes_of(found), TEXT) == 0


def test_a_parser_of_langchain_that_did_not_find_the_text():
    splitter = RecursiveCharacterTextSplitter(chunk_size=60, chunk_overlap=0, add_start_index=True)
    documents = splitter.create_documents([TEXT])
    documents.append(Document("The radium is kept in gold.", metadata={"start_index": -1}))
    retriever = LangChainRetriever.from_documents(documents, encoder=WordEncoder(), k=50)
    compressor = FGRCompressor(encoder=WordEncoder())
    for found in (retriever.invoke(QUERY), compressor.compress_documents(documents, QUERY)):
        assert check([(one.page_content, one.metadata, " … ") for one in found], TEXT) > 2
        (gold,) = [one for one in found if "gold" in one.page_content]
        assert "fgr_source_spans" not in gold.metadata


# --- trimmed twice ----------------------------------------------------------------------------


@pytest.fixture
def once():
    document = Document(TEXT, id="d", metadata={"start_index": 100})
    compressor = FGRCompressor(encoder=WordEncoder(), trim=WORDS)
    (found,) = compressor.compress_documents([document], "radium notebooks lead")
    assert len(found.metadata["fgr_spans"]) > 2
    return found


def again(document, query, **settings):
    compressor = FGRCompressor(encoder=WordEncoder(), **settings)
    (found,) = compressor.compress_documents([document], query)
    return found


@pytest.mark.parametrize("trim", [WORDS, TrimConfig(), TrimConfig(on_empty="keep")], ids=["words", "phrases", "all"])
@pytest.mark.parametrize("query", ["radium", "notebooks", "something else"])
def test_trimming_twice_is_composed(once, query, trim):
    twice = again(once, query, trim=trim)
    pieces = [TEXT[start:end] for start, end, _ in twice.metadata["fgr_spans"]]
    assert " … ".join(pieces) == twice.page_content
    shifted = [[start + 100, end + 100, score] for start, end, score in twice.metadata["fgr_spans"]]
    assert twice.metadata["fgr_source_spans"] == shifted
    assert twice.metadata["fgr_kept"] == pytest.approx(sum(map(len, pieces)) / len(TEXT), abs=1e-3)
    third = again(twice, query, trim=trim)
    assert " … ".join(TEXT[start:end] for start, end, _ in third.metadata["fgr_spans"]) == third.page_content


@pytest.mark.parametrize(
    "change",
    [
        lambda text, metadata: (text.replace("radium", "polonium", 1), metadata),
        lambda text, metadata: (text.replace(" … ", " - ", 1), metadata),
        lambda text, metadata: (TEXT, metadata),
        lambda text, metadata: (text, {**metadata, "fgr_spans": "all"}),
        lambda text, metadata: (text, {**metadata, "fgr_spans": [[5, 2, 0.1]]}),
        lambda text, metadata: (text, {**metadata, "fgr_spans": []}),
        lambda text, metadata: (text, {**metadata, "fgr_text": TEXT.upper()}),
    ],
    ids=["longer", "separators", "whole again", "no list", "backwards", "none", "other text"],
)
def test_what_was_changed_in_between_has_ranges_of_the_text_at_hand(once, change):
    text, metadata = change(once.page_content, once.metadata)
    twice = again(Document(text, metadata=metadata), "radium")
    assert " … ".join(text[start:end] for start, end, _ in twice.metadata["fgr_input_spans"]) == twice.page_content
    assert not {"fgr_spans", "fgr_source_spans"} & twice.metadata.keys()


def test_trimming_twice_in_llama_index_with_a_node_for_each_span():
    node = TextNode(text=TEXT, id_="d", start_char_idx=100, end_char_idx=100 + len(TEXT))
    first = trimmed([node], trim=WORDS)
    found = trimmed([one.node for one in first], split_spans=True, trim=TrimConfig())
    assert check(nodes_of(found), "?" * 100 + TEXT) > 0
    for one in found:
        start, end = one.node.start_char_idx, one.node.end_char_idx
        assert (start, end) == (None, None) or TEXT[start - 100 : end - 100] == one.text


# --- what else described the whole text -------------------------------------------------------


def test_the_vector_of_the_whole_text_is_dropped():
    documents = [Document(TEXT, id="d"), Document("Snow fell on the roofs.", id="s")]
    filters = EmbeddingsFilter(embeddings=DeterministicFakeEmbedding(size=8), similarity_threshold=-1.0)
    seen = filters.compress_documents(documents, QUERY)
    assert seen[0].state
    pipeline = DocumentCompressorPipeline(transformers=[filters, FGRCompressor(encoder=WordEncoder())])
    assert [one.state for one in pipeline.compress_documents(documents, QUERY)] == [{}, {}]
    node = TextNode(text=TEXT, embedding=[1.0, 2.0])
    (found,) = trimmed([node])
    assert found.node.embedding is None
    assert node.embedding == [1.0, 2.0]
