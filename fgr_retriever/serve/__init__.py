"""A search page and a JSON API over one index: `fgr serve`, or `create_app` in a server of your own.

What bounds the cost of a request (`slots.py`, `http.py`) serves `fgr mcp`, too. The names load on first use, since the
options of a server (`config.py`) need neither torch nor a web framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fgr_retriever.serve.app import create_app
    from fgr_retriever.serve.slots import Slots

__all__ = ["Slots", "create_app"]


def __getattr__(name: str) -> Any:
    """Load a public name from its module (PEP 562)."""
    if name == "create_app":
        from fgr_retriever.serve.app import create_app

        return create_app
    if name == "Slots":
        from fgr_retriever.serve.slots import Slots

        return Slots
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
