"""The persistent index: exact MaxSim over float16 token vectors on disk."""

from fgr_retriever.index.index import Index
from fgr_retriever.index.info import IndexInfo, describe
from fgr_retriever.index.store import Store

__all__ = ["Index", "IndexInfo", "Store", "describe"]
