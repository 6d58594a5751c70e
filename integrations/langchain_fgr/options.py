"""What the functions take that make a retriever."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from fgr_retriever import TrimConfig
from fgr_retriever.adapters import OpenOptions


class RetrieverFields(TypedDict, total=False):
    """The fields of an `FGRRetriever` besides its index."""

    k: int
    filter: dict[str, Any] | None
    trim: TrimConfig | Mapping[str, Any] | None
    max_tokens: int | None
    count_tokens: Callable[[str], int] | None
    full_text: bool
    search_kwargs: dict[str, Any]
    name: str | None
    tags: list[str] | None
    metadata: dict[str, Any] | None


class RetrieverOptions(OpenOptions, RetrieverFields):
    """How an index is opened, and the fields of the retriever over it."""


class StoreOptions(OpenOptions, total=False):
    """How an index is opened, and where and how documents are indexed."""

    ids: list[str] | None
    path: str | Path | None
    show_progress: bool
