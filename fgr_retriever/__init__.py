"""Late-interaction retrieval that shows its evidence and trims passages to it.

Names load on first use, so that `import fgr_retriever` costs nothing until a model is needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fgr_retriever.config import IndexConfig, SearchConfig, TrimConfig
    from fgr_retriever.encoder import Encoder
    from fgr_retriever.engine import Engine
    from fgr_retriever.errors import FgrError
    from fgr_retriever.trimmer import Trimmer
    from fgr_retriever.types import Context, Hit, Passage, Span, TokenEvidence, Trimmed

__version__ = "0.1.0"

__all__ = [
    "Context",
    "Encoder",
    "Engine",
    "FgrError",
    "Hit",
    "IndexConfig",
    "Passage",
    "SearchConfig",
    "Span",
    "TokenEvidence",
    "TrimConfig",
    "Trimmed",
    "Trimmer",
    "__version__",
]

_HOME = {
    "Context": "types",
    "Encoder": "encoder",
    "Engine": "engine",
    "FgrError": "errors",
    "Hit": "types",
    "IndexConfig": "config",
    "Passage": "types",
    "SearchConfig": "config",
    "Span": "types",
    "TokenEvidence": "types",
    "TrimConfig": "config",
    "Trimmed": "types",
    "Trimmer": "trimmer",
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
