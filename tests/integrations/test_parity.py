"""Both frameworks and the bare engine give the same texts, spans and metadata for the same input."""

from pathlib import Path

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode

from fgr_retriever import Engine, Passage, TrimConfig, Trimmer
from fgr_retriever.adapters import RESULT_KEYS
from fgr_retriever.errors import InputError
from fgr_retriever.testing import WordEncoder
from langchain_fgr import FGRCompressor
from langchain_fgr import FGRRetriever as LangChainRetriever
from llama_index.postprocessor.fgr import FGRPostprocessor
from llama_index.retrievers.fgr import FGRRetriever as LlamaIndexRetriever
from tests.index.qdrant.serving import served

QUERIES = ["who found radium", "what was given in his name", "penicillin and dynamite", "zeppelin"]
CONFIGS = [
    TrimConfig(),
    TrimConfig(unit="sentence", context_sentences=1),
    TrimConfig(unit="token", merge_gap=0),
    TrimConfig(on_empty="drop"),
    TrimConfig(on_empty="keep", max_tokens=20),
    TrimConfig(max_tokens=7, citation="[{number}] "),
]


@pytest.fixture(scope="module")
def documents(texts, metadata):
    return [Document(text, id=id, metadata=metadata[id]) for id, text in texts.items()]


@pytest.fixture(scope="module")
def nodes(texts, metadata):
    made = []
    for id, text in texts.items():
        start = metadata[id].get("start_index")
        end = None if start is None else start + len(text)
        made.append(TextNode(id_=id, text=text, metadata=metadata[id], start_char_idx=start, end_char_idx=end))
    return made


def from_langchain(documents):
    return [(document.id, document.page_content, document.metadata) for document in documents]


def from_llama_index(results):
    return [(result.node_id, result.text, result.metadata) for result in results]


def from_engine(ids, trimmed, metadata):
    """What both adapters owe: id, text and metadata of all that kept some text."""
    return [
        (id, trim.text, {**metadata[id], **trim.to_metadata(metadata[id].get("start_index"))})
        for id, trim in zip(ids, trimmed, strict=True)
        if trim.text
    ]


@pytest.fixture(scope="module")
def engines(kept_in, tmp_path_factory, texts, metadata, documents, nodes):
    """Three indexes of the same texts: filled bare, by LangChain and by LlamaIndex."""
    bare = Engine.open(tmp_path_factory.mktemp("bare"), encoder=WordEncoder())
    bare.add(Passage(id, text, metadata[id]) for id, text in texts.items())
    langchain = LangChainRetriever.from_documents(documents, encoder=WordEncoder()).engine
    return bare, langchain, LlamaIndexRetriever.from_nodes(nodes, encoder=WordEncoder()).engine


@pytest.mark.parametrize("trim", CONFIGS, ids=range(len(CONFIGS)))
@pytest.mark.parametrize("query", QUERIES)
def test_retrievers(engines, query, trim, metadata, counter):
    bare, for_langchain, for_llama_index = engines
    context = bare.retrieve(query, k=5, trim=trim, count_tokens=counter)
    expected = from_engine([hit.passage.id for hit in context.hits], context.trimmed, metadata)
    langchain = LangChainRetriever(engine=for_langchain, k=5, trim=trim, count_tokens=counter)
    llama_index = LlamaIndexRetriever(for_llama_index, similarity_top_k=5, trim=trim, count_tokens=counter)
    assert from_langchain(langchain.invoke(query)) == expected
    assert from_llama_index(llama_index.retrieve(query)) == expected


@pytest.mark.parametrize("trim", CONFIGS, ids=range(len(CONFIGS)))
@pytest.mark.parametrize("query", QUERIES)
def test_trimmers(query, trim, texts, metadata, documents, nodes, counter):
    trimmed = Trimmer(WordEncoder(), trim, count_tokens=counter).trim(query, list(texts.values()))
    expected = from_engine(texts, trimmed, metadata)
    options = {"encoder": WordEncoder(), "trim": trim, "count_tokens": counter}
    scored = [NodeWithScore(node=node, score=1.0) for node in nodes]
    assert from_langchain(FGRCompressor(**options).compress_documents(documents, query)) == expected
    assert from_llama_index(FGRPostprocessor(**options).postprocess_nodes(scored, query_str=query)) == expected


@pytest.mark.folders
@pytest.mark.filterwarnings("ignore:Local mode performs exact")
@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
def test_a_url_is_a_path(documents, nodes, counter):
    options = {"encoder": WordEncoder(), "count_tokens": counter}
    first, second = (f"qdrant://localhost/{number}?storage=exact" for number in range(2))
    with served(pytest.importorskip("qdrant_client").QdrantClient(":memory:")):
        LangChainRetriever.from_documents(documents, path=first, **options)
        LlamaIndexRetriever.from_nodes(nodes, path=second, **options)
        found = from_llama_index(LlamaIndexRetriever.from_persist_dir(first, **options).retrieve(QUERIES[0]))
        assert found
        assert found == from_langchain(LangChainRetriever.from_index(second, **options).invoke(QUERIES[0]))
        retriever = LlamaIndexRetriever.from_persist_dir(first, **options)
        with pytest.raises(InputError, match=r"`fgr copy` copies it into one.*give its URL to `from_persist_dir`"):
            retriever.persist("saved")
        assert not Path("saved").exists()


def test_an_index_of_one_framework_opens_in_the_other(tmp_path, documents, nodes, counter):
    options = {"encoder": WordEncoder(), "count_tokens": counter}
    LangChainRetriever.from_documents(documents, path=tmp_path / "langchain", **options)
    LlamaIndexRetriever.from_nodes(nodes, path=tmp_path / "llama_index", **options)
    found = [
        from_langchain(LangChainRetriever.from_index(tmp_path / name, **options).invoke(QUERIES[0]))
        for name in ("langchain", "llama_index")
    ] + [
        from_llama_index(LlamaIndexRetriever.from_persist_dir(tmp_path / name, **options).retrieve(QUERIES[0]))
        for name in ("langchain", "llama_index")
    ]
    assert found[0] == found[1] == found[2] == found[3]
    assert not any("_fgr" in metadata for _, _, metadata in found[0])


def test_the_place_in_the_source_survives_a_change_of_framework(tmp_path, counter):
    node = TextNode(id_="n", text="Radium glows.", start_char_idx=50, end_char_idx=63)
    options = {"encoder": WordEncoder(), "count_tokens": counter}
    retriever = LlamaIndexRetriever.from_nodes([node], path=tmp_path / "index", **options)
    (as_node,) = retriever.retrieve("radium")
    (as_document,) = LangChainRetriever.from_index(tmp_path / "index", **options).invoke("radium")
    assert "start_index" not in as_node.metadata
    assert as_document.metadata["start_index"] == 50
    assert as_document.metadata["fgr_source_spans"] == as_node.metadata["fgr_source_spans"]


def test_result_keys_are_all_that_is_added(documents, counter):
    (found, *_) = LangChainRetriever.from_documents(
        documents, encoder=WordEncoder(), count_tokens=counter, full_text=True
    ).invoke(QUERIES[0])
    sometimes = {"fgr_scores", "fgr_input_spans", "fgr_also_in"}
    assert found.metadata.keys() - documents[0].metadata.keys() == set(RESULT_KEYS) - sometimes
