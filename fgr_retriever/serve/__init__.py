"""A search page and a JSON API over one index: `fgr serve`, or `create_app` in a server of your own.

What bounds the cost of a request (`slots.py`, `http.py`) serves `fgr mcp`, too.
"""

from fgr_retriever.serve.app import create_app
from fgr_retriever.serve.slots import Slots

__all__ = ["Slots", "create_app"]
