"""Settings of a retriever that may be assigned later, and are checked then as they are when it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llama_index.core.vector_stores.types import MetadataFilters

from fgr_retriever import TrimConfig
from fgr_retriever.adapters import budgeted, trim_config
from fgr_retriever.config import check, is_count
from llama_index.retrievers.fgr.filters import to_filter


class AssignedSettings:
    """Has the settings `similarity_top_k`, `trim`, `max_tokens` and `filters`."""

    _similarity_top_k: int
    _trim: TrimConfig | None
    _filters: MetadataFilters | None

    @property
    def similarity_top_k(self) -> int:
        """How many nodes to return."""
        return self._similarity_top_k

    @similarity_top_k.setter
    def similarity_top_k(self, count: int) -> None:
        check("similarity_top_k", count, is_count(count, 1), "an integer of at least 1")
        self._similarity_top_k = count

    @property
    def trim(self) -> TrimConfig | None:
        """How nodes are trimmed; None gives whole nodes. A dict of the fields of `TrimConfig` may be assigned, too."""
        return self._trim

    @trim.setter
    def trim(self, trim: TrimConfig | Mapping[str, Any] | None) -> None:
        self._trim = trim_config(trim)

    @property
    def max_tokens(self) -> int | None:
        """Hard limit of tokens for all nodes together, that of `trim`; None for none."""
        return None if self._trim is None else self._trim.max_tokens

    @max_tokens.setter
    def max_tokens(self, max_tokens: int | None) -> None:
        if max_tokens is None and self._trim is not None:
            self._trim = replace(self._trim, max_tokens=None)
        else:
            self._trim = budgeted(self._trim, max_tokens)

    @property
    def filters(self) -> MetadataFilters | None:
        """Conditions on the metadata of the nodes; None for none."""
        return self._filters

    @filters.setter
    def filters(self, filters: MetadataFilters | None) -> None:
        to_filter(filters)  # an unsupported operator shows now, not at the first query
        self._filters = filters
