"""A late-interaction index where LlamaIndex wants a vector store.

from llama_index.vector_stores.fgr import FGRVectorStore

store = FGRVectorStore.from_path("my.index")
"""

from fgr_retriever.errors import MissingExtraError

try:
    from llama_index.vector_stores.fgr.base import FGRVectorStore
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("llama_index.core"):
        raise
    raise MissingExtraError("llama_index.vector_stores.fgr", "llama-index") from error

__all__ = ["FGRVectorStore"]
