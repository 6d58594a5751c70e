"""The systems that are compared: ours, those of the frameworks, and simple ones.

Under a budget, a system that ranks sentences is cut at the budget; ours gets it as `max_tokens`. As
shipped, each runs with its own settings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import bm25s
import Stemmer
from langchain_classic.retrievers.document_compressors import DocumentCompressorPipeline, EmbeddingsFilter
from langchain_core.documents import Document
from langchain_text_splitters import CharacterTextSplitter
from llama_index.core.indices.query.embedding_utils import get_top_k_embeddings
from llama_index.core.postprocessor import SentenceEmbeddingOptimizer
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.utils import globals_helper

from benchmarks.trimming.embeddings import LangChainMiniLM, LlamaIndexMiniLM
from benchmarks.trimming.outputs import ID, METADATA, Output, cut_at, joined, locate
from fgr_retriever import Encoder, TrimConfig
from fgr_retriever.evaluation.spans import Range
from fgr_retriever.text.sentences import sentences
from fgr_retriever.trim.budget import TokenCounter
from langchain_fgr import FGRCompressor
from llama_index.postprocessor.fgr import FGRPostprocessor

Cut: TypeAlias = Callable[[int], Output]
Budgeted: TypeAlias = Callable[[str, str], Cut]
Shipped: TypeAlias = Callable[[str, str], Output]
Rank: TypeAlias = Callable[[str, str], Sequence[Range]]

# The setting of LangChain's documentation for an `EmbeddingsFilter`.
LANGCHAIN_THRESHOLD = 0.76


def budgeted(count: TokenCounter, encoder: Encoder) -> dict[str, Budgeted]:
    """Make the systems that are compared at equal budgets: question and passage to a function of the budget."""

    def ranking(rank: Rank) -> Budgeted:
        def system(query: str, passage: str) -> Cut:
            ranked = rank(query, passage)
            return lambda budget: cut_at(budget, passage, ranked, count)

        return system

    def ours(**settings: Any) -> Budgeted:
        def system(query: str, passage: str) -> Cut:
            def cut(budget: int) -> Output:
                trim = TrimConfig(max_tokens=budget, **settings)
                return _postprocess(FGRPostprocessor(trim=trim, encoder=encoder, count_tokens=count), query, passage)

            return cut

        return system

    return {
        "fgr": ours(),
        "fgr, fill": ours(fill=True),
        "fgr, sentences, fill": ours(unit="sentence", fill=True),
        "SentenceEmbeddingOptimizer": ranking(optimizer_ranking()),
        "EmbeddingsFilter": ranking(_filter_ranking()),
        "BM25 sentences": ranking(bm25_ranking),
        "lead": ranking(lambda query, passage: sentences(passage)),
    }


def shipped(encoder: Encoder) -> dict[str, Shipped]:
    """Make the systems as users have them, each with its own settings."""
    model = LlamaIndexMiniLM()

    def optimizer(cutoff: float) -> Shipped:
        return lambda query, passage: _postprocess(
            SentenceEmbeddingOptimizer(embed_model=model, percentile_cutoff=cutoff), query, passage
        )

    pipeline = _pipeline(
        EmbeddingsFilter(embeddings=LangChainMiniLM(), k=None, similarity_threshold=LANGCHAIN_THRESHOLD)
    )
    postprocessor, compressor = FGRPostprocessor(encoder=encoder), FGRCompressor(encoder=encoder)
    return {
        "FGRPostprocessor()": lambda query, passage: _postprocess(postprocessor, query, passage),
        "FGRCompressor()": lambda query, passage: _compress(compressor, query, passage),
        **{f"SentenceEmbeddingOptimizer(percentile_cutoff={cutoff})": optimizer(cutoff) for cutoff in (0.2, 0.3, 0.5)},
        f"EmbeddingsFilter(similarity_threshold={LANGCHAIN_THRESHOLD})": lambda query, passage: _compress(
            pipeline, query, passage
        ),
    }


def bm25_ranking(query: str, passage: str) -> list[Range]:
    """Rank sentences by BM25 among themselves; equals, and those without a word of the query, as they stand."""
    ranges = sentences(passage)
    stemmer = Stemmer.Stemmer("english")
    texts = [passage[start:end] for start, end in ranges]
    tokens = bm25s.tokenize(texts, stemmer=stemmer, return_ids=False, show_progress=False)
    if not any(tokens):
        return ranges
    model = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    model.index(tokens, show_progress=False)
    (words,) = bm25s.tokenize([query], stemmer=stemmer, return_ids=False, show_progress=False)
    known = [word for word in words if word in model.vocab_dict]
    if not known:
        return ranges
    return [ranges[place] for place in (-model.get_scores(known)).argsort(kind="stable")]


def optimizer_ranking() -> Rank:
    """Rank as `SentenceEmbeddingOptimizer` does: its sentences, its similarity, without the metadata it pastes in."""
    model = LlamaIndexMiniLM()

    def rank(query: str, passage: str) -> list[Range]:
        found = globals_helper.punkt_tokenizer.tokenize(passage)
        question = model.get_agg_embedding_from_queries([query])
        _, order = get_top_k_embeddings(
            query_embedding=question,
            embeddings=model._get_text_embeddings(found),
            similarity_fn=model.similarity,
            similarity_top_k=None,
            embedding_ids=list(range(len(found))),
        )
        ranges = _in_order(found, passage)
        return [ranges[place] for place in order]

    return rank


def _filter_ranking() -> Rank:
    """Rank with the real pipeline, which sorts by similarity when asked for the best `k`."""
    pipeline = filter_pipeline()

    def rank(query: str, passage: str) -> list[Range]:
        found = pipeline.compress_documents([Document(passage)], query)
        starts = [document.metadata["start_index"] for document in found]
        return [(start, start + len(one.page_content)) for start, one in zip(starts, found, strict=True)]

    return rank


def filter_pipeline() -> DocumentCompressorPipeline:
    """Make the pipeline of an `EmbeddingsFilter` that keeps all sentences, most similar first."""
    return _pipeline(EmbeddingsFilter(embeddings=LangChainMiniLM(), k=1_000_000))


def _pipeline(embeddings_filter: EmbeddingsFilter) -> DocumentCompressorPipeline:
    """Put a sentence splitter before a filter, as LangChain's documentation does."""
    splitter = CharacterTextSplitter(
        separator=r"(?<=[.!?])\s+", is_separator_regex=True, chunk_size=1, chunk_overlap=0, add_start_index=True
    )
    return DocumentCompressorPipeline(transformers=[splitter, embeddings_filter])


def _postprocess(postprocessor: BaseNodePostprocessor, query: str, passage: str) -> Output:
    """Run a LlamaIndex postprocessor on one node."""
    node = TextNode(id_=ID, text=passage, metadata=dict(METADATA))
    found = postprocessor.postprocess_nodes([NodeWithScore(node=node, score=1.0)], query_str=query)
    text = " ".join(one.text for one in found)
    spans = [(start, end) for one in found for start, end, _ in one.metadata.get("fgr_spans", ())]
    kept = bool(found) and all(METADATA.items() <= one.metadata.items() for one in found)
    return Output(text, joined(passage, spans or locate(text, passage)), kept, [one.node_id for one in found] == [ID])


def _compress(compressor: FGRCompressor | DocumentCompressorPipeline, query: str, passage: str) -> Output:
    """Run a LangChain compressor on one document."""
    found = compressor.compress_documents([Document(passage, id=ID, metadata=dict(METADATA))], query)
    text = " ".join(one.page_content for one in found)
    spans = [(start, end) for one in found for start, end, _ in one.metadata.get("fgr_spans", ())]
    kept = bool(found) and all(METADATA.items() <= one.metadata.items() for one in found)
    return Output(text, joined(passage, spans or locate(text, passage)), kept, {one.id for one in found} == {ID})


def _in_order(texts: Sequence[str], passage: str) -> list[Range]:
    """Find where consecutive stretches of a passage stand in it."""
    found: list[Range] = []
    end = 0
    for text in texts:
        start = passage.index(text, end)
        end = start + len(text)
        found.append((start, end))
    return found
