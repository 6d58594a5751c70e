"""What the functions take that make a retriever."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import IndexNode
from llama_index.core.vector_stores.types import MetadataFilters
from typing_extensions import TypedDict

from fgr_retriever import TrimConfig
from fgr_retriever.adapters import OpenOptions


class BaseSettings(TypedDict, total=False):
    """The arguments of every LlamaIndex retriever."""

    callback_manager: CallbackManager | None
    object_map: dict[str, Any] | None
    objects: list[IndexNode] | None
    verbose: bool


class RetrieverSettings(BaseSettings, total=False):
    """The arguments of an `FGRRetriever` besides its index."""

    similarity_top_k: int
    filters: MetadataFilters | None
    trim: TrimConfig | Mapping[str, Any] | None
    max_tokens: int | None
    count_tokens: Callable[[str], int] | None
    full_text: bool
    split_spans: bool


class RetrieverOptions(OpenOptions, RetrieverSettings):
    """How an index is opened, and the arguments of the retriever over it."""


class IndexedOptions(RetrieverOptions, total=False):
    """The same, with where and how nodes are indexed."""

    path: str | Path | None
    show_progress: bool
