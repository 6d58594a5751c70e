"""Settings of a retriever that may be assigned later, and are checked then as they are when it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llama_index.core.vector_stores.types import MetadataFilters

from fgr_retriever import TrimConfig
from fgr_retriever.adapters import TokenCounter, budgeted, check_counter, trim_config
from fgr_retriever.adapters.names import refuse_unknown
from fgr_retriever.arguments import whole_number
from llama_index.retrievers.fgr.filters import to_filter


class AssignedSettings:
    """Has the settings `similarity_top_k`, `trim`, `max_tokens`, `count_tokens` and `filters`.

    A name that there is not is refused when it is assigned, once all that an object has is assigned.
    """

    _similarity_top_k: int
    _trim: TrimConfig | None
    _count_tokens: TokenCounter | None
    _filters: MetadataFilters | None
    _is_complete: bool = False
    """No name is new from now on. A subclass may assign what it likes, before and after its `__init__`."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute that there is; what begins with "_" is nobody's misspelt setting.

        Raises:
            InputError: There is no such attribute; the message names the nearest one.
        """
        kind, own = type(self), vars(self)
        if self._is_complete and not name.startswith("_") and name not in own and not hasattr(kind, name):
            settings = [one for one, value in vars(AssignedSettings).items() if isinstance(value, property)]
            refuse_unknown(kind.__name__, [name], [*settings, *(one for one in own if not one.startswith("_"))])
        super().__setattr__(name, value)

    @property
    def similarity_top_k(self) -> int:
        """How many nodes to return."""
        return self._similarity_top_k

    @similarity_top_k.setter
    def similarity_top_k(self, count: int) -> None:
        self._similarity_top_k = whole_number("similarity_top_k", count, 1)

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
    def count_tokens(self) -> TokenCounter | None:
        """What counts the tokens of the budget; None takes the tokenizer of `trim`."""
        return self._count_tokens

    @count_tokens.setter
    def count_tokens(self, count_tokens: TokenCounter | None) -> None:
        check_counter(count_tokens)
        self._count_tokens = count_tokens

    @property
    def filters(self) -> MetadataFilters | None:
        """Conditions on the metadata of the nodes; None for none."""
        return self._filters

    @filters.setter
    def filters(self, filters: MetadataFilters | None) -> None:
        to_filter(filters)  # an unsupported operator shows now, not at the first query
        self._filters = filters
