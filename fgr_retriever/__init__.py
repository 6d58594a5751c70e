"""Late-interaction retrieval that shows its evidence and trims passages to it.

Names load on first use, so that `import fgr_retriever` costs nothing until a model is needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fgr_retriever.agents.citations import Citation, verify_citations
    from fgr_retriever.config import IndexConfig, SearchConfig, TrimConfig
    from fgr_retriever.engine import Engine
    from fgr_retriever.errors import FgrError
    from fgr_retriever.evidence.hit import Hit
    from fgr_retriever.index.encoded.writing import EncodedShard, encode_shard
    from fgr_retriever.index.qdrant.place import QdrantCollection
    from fgr_retriever.model.encoder import Encoder
    from fgr_retriever.search.pipeline import Pipeline
    from fgr_retriever.trim.context import Context, Excerpt, Source, Trimmed
    from fgr_retriever.trim.trimmer import Trimmer
    from fgr_retriever.trim.trust import TrustReport
    from fgr_retriever.types import Added, Passage, Span, TokenEvidence

__version__ = "0.1.0"

__all__ = [
    "Added",
    "Citation",
    "Context",
    "EncodedShard",
    "Encoder",
    "Engine",
    "Excerpt",
    "FgrError",
    "Hit",
    "IndexConfig",
    "Passage",
    "Pipeline",
    "QdrantCollection",
    "SearchConfig",
    "Source",
    "Span",
    "TokenEvidence",
    "TrimConfig",
    "Trimmed",
    "Trimmer",
    "TrustReport",
    "__version__",
    "encode_shard",
    "verify_citations",
]

_HOME = {
    "Added": "types",
    "Citation": "agents.citations",
    "Context": "trim.context",
    "EncodedShard": "index.encoded.writing",
    "Encoder": "model.encoder",
    "Engine": "engine",
    "Excerpt": "trim.context",
    "FgrError": "errors",
    "Hit": "evidence.hit",
    "IndexConfig": "config",
    "Passage": "types",
    "Pipeline": "search.pipeline",
    "QdrantCollection": "index.qdrant.place",
    "SearchConfig": "config",
    "Source": "trim.context",
    "Span": "types",
    "TokenEvidence": "types",
    "TrimConfig": "config",
    "Trimmed": "trim.context",
    "Trimmer": "trim.trimmer",
    "TrustReport": "trim.trust",
    "encode_shard": "index.encoded.writing",
    "verify_citations": "agents.citations",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
