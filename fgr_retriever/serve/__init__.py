"""A search page and a JSON API over one index: `fgr serve`, or `create_app` in a server of your own."""

from fgr_retriever.serve.app import create_app

__all__ = ["create_app"]
