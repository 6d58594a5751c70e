"""Late-interaction retrieval and evidence trimming for LangChain.

    from langchain_fgr import FGRCompressor, FGRRetriever

    retriever = FGRRetriever.from_texts(["Marie Curie discovered radium.", ...], k=3)
    documents = retriever.invoke("who found radium?")

`FGRRetriever` searches an index of its own, and `FGRVectorStore` is the same index as a vector store;
`FGRCompressor` trims what any other retriever returns;
`evidence_tool` gives an agent numbered evidence to cite;
`numbered_sources` lets `verify_citations` check an answer that was made of documents.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fgr_retriever.errors import MissingExtraError

try:
    from langchain_fgr.compressor import FGRCompressor
    from langchain_fgr.retriever import FGRRetriever
    from langchain_fgr.vector_store import FGRVectorStore
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("langchain_core"):
        raise
    raise MissingExtraError("langchain_fgr", "langchain") from error

if TYPE_CHECKING:
    from langchain_fgr.sources import numbered_sources
    from langchain_fgr.tool import evidence_tool

__all__ = ["FGRCompressor", "FGRRetriever", "FGRVectorStore", "evidence_tool", "numbered_sources"]

_HOME = {"evidence_tool": "tool", "numbered_sources": "sources"}


def __getattr__(name: str) -> Any:
    """Load what agents use on first use (PEP 562): the tool searches, so its module loads torch."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"langchain_fgr.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
