"""Late-interaction retrieval with evidence trimming for LlamaIndex.

from llama_index.retrievers.fgr import FGRRetriever

retriever = FGRRetriever.from_nodes(nodes, similarity_top_k=3)
results = retriever.retrieve("who found radium?")
"""

from fgr_retriever.errors import MissingExtraError

try:
    from llama_index.retrievers.fgr.base import FGRRetriever
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("llama_index.core"):
        raise
    raise MissingExtraError("llama_index.retrievers.fgr", "llama-index") from error

__all__ = ["FGRRetriever"]
