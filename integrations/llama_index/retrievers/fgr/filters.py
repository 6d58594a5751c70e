"""Convert LlamaIndex metadata filters to filters of the index."""

from __future__ import annotations

from typing import Any

from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from fgr_retriever.errors import InputError

_OPERATORS = {
    FilterOperator.EQ: "$eq",
    FilterOperator.NE: "$ne",
    FilterOperator.GT: "$gt",
    FilterOperator.GTE: "$gte",
    FilterOperator.LT: "$lt",
    FilterOperator.LTE: "$lte",
    FilterOperator.IN: "$in",
    FilterOperator.NIN: "$nin",
    FilterOperator.CONTAINS: "$contains",
    FilterOperator.TEXT_MATCH: "$contains",
    FilterOperator.TEXT_MATCH_INSENSITIVE: "$icontains",
}
_LIST_OPERATORS = {FilterOperator.ANY: "$or", FilterOperator.ALL: "$and"}


def to_filter(filters: MetadataFilters | None) -> dict[str, Any] | None:
    """Translate filters, which may be nested; None or an empty list lets every node through.

    `FilterCondition.NOT` lets a node through if none of the filters matches it.

    Raises:
        InputError: An operator has no counterpart in the index, or these are no filters of LlamaIndex.
    """
    if filters is not None and not isinstance(filters, MetadataFilters):
        raise InputError(f"filters={filters!r:.200}: must be MetadataFilters(filters=[...])")
    parts = [_translate(part) for part in filters.filters] if filters else []
    present = [part for part in parts if part is not None]
    if filters is None or not present:
        return None
    if filters.condition is FilterCondition.NOT:
        return {"$not": {"$or": present}}
    return {"$or" if filters.condition is FilterCondition.OR else "$and": present}


def _translate(part: MetadataFilter | MetadataFilters) -> dict[str, Any] | None:
    """Translate one filter or a nested group."""
    if isinstance(part, MetadataFilters):
        return to_filter(part)
    if part.operator is FilterOperator.IS_EMPTY:
        return {"$or": [{part.key: {"$exists": False}}, {part.key: {"$in": [None, "", []]}}]}
    if part.operator in _LIST_OPERATORS:
        if not isinstance(part.value, list) or not part.value:
            raise InputError(f"filter on {part.key!r}: {part.operator.name} needs a list of values, got {part.value!r}")
        return {_LIST_OPERATORS[part.operator]: [{part.key: {"$contains": value}} for value in part.value]}
    if part.operator not in _OPERATORS:
        known = ", ".join(operator.name for operator in (*_OPERATORS, *_LIST_OPERATORS, FilterOperator.IS_EMPTY))
        raise InputError(f"filter on {part.key!r}: operator {part.operator.name} is not supported; use one of {known}")
    return {part.key: {_OPERATORS[part.operator]: part.value}}
