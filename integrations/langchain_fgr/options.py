"""What the functions take that make a retriever."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import TypedDict

from fgr_retriever import TrimConfig
from fgr_retriever.adapters import OpenOptions
from fgr_retriever.adapters.names import refuse_unknown
from fgr_retriever.errors import InputError


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


def checked_kwargs(given: Any, known: Sequence[str]) -> dict[str, Any]:
    """Take the `search_kwargs` of a retriever.

    Args:
        given: What was given as them; None is none.
        known: The names that there are.

    Raises:
        InputError: They are no dict, or one is unknown.
    """
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f"search_kwargs={given!r:.200}: must be a dict with {', '.join(known)}")
    refuse_unknown("search_kwargs", given or {}, known)
    return dict(given or {})
