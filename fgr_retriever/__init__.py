"""Late-interaction retrieval that shows its evidence and trims passages to it.

Names load on first use, so that `import fgr_retriever` costs nothing until a model is needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fgr_retriever.citations import Citation, verify_citations
    from fgr_retriever.config import IndexConfig, SearchConfig, TrimConfig
    from fgr_retriever.encoder import Encoder
    from fgr_retriever.engine import Engine
    from fgr_retriever.errors import FgrError
    from fgr_retriever.pipeline import Pipeline
    from fgr_retriever.report import TrustReport
    from fgr_retriever.trimmer import Trimmer
    from fgr_retriever.types import Context, Excerpt, Hit, Passage, Source, Span, TokenEvidence, Trimmed

__version__ = "0.1.0"

__all__ = [
    "Citation",
    "Context",
    "Encoder",
    "Engine",
    "Excerpt",
    "FgrError",
    "Hit",
    "IndexConfig",
    "Passage",
    "Pipeline",
    "SearchConfig",
    "Source",
    "Span",
    "TokenEvidence",
    "TrimConfig",
    "Trimmed",
    "Trimmer",
    "TrustReport",
    "__version__",
    "verify_citations",
]

_HOME = {
    "Citation": "citations",
    "Context": "types",
    "Encoder": "encoder",
    "Engine": "engine",
    "Excerpt": "types",
    "FgrError": "errors",
    "Hit": "types",
    "IndexConfig": "config",
    "Passage": "types",
    "Pipeline": "pipeline",
    "SearchConfig": "config",
    "Source": "types",
    "Span": "types",
    "TokenEvidence": "types",
    "TrimConfig": "config",
    "Trimmed": "types",
    "Trimmer": "trimmer",
    "verify_citations": "citations",
    "TrustReport": "report",
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
