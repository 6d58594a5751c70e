"""What a filter may be, as JSON Schema, for the OpenAPI document; `fgr_retriever.index.filters` says what it means."""

from __future__ import annotations

from typing import Any

MAX_CONDITIONS = 200
"""Conditions in a filter at most, each key and each operator. Values in a list do not count."""

MAX_PARTS = 100
"""Members of one $and or $or, and keys of one filter at most."""

FILTER_NAME = "Filter"

_CONDITION_NAME, _OPERATORS_NAME = "FilterCondition", "FilterOperators"
_ORDERED = {"type": ["number", "string"]}
_LIST = {"type": "array"}
_OPERANDS: dict[str, dict[str, Any]] = {
    "$eq": {},
    "$ne": {},
    "$gt": _ORDERED,
    "$gte": _ORDERED,
    "$lt": _ORDERED,
    "$lte": _ORDERED,
    "$in": _LIST,
    "$nin": _LIST,
    "$contains": {},
    "$icontains": {"type": "string"},
    "$exists": {"type": "boolean"},
}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_SOME_FILTERS = {"type": "array", "items": _ref(FILTER_NAME), "minItems": 1, "maxItems": MAX_PARTS}
_FORGOTTEN = [name[1:] for name in _OPERANDS]  # in an object to compare with they are taken for a mistake
_NO_OPERATOR = "^([^$]|$)"  # a name that does not begin with $

FILTER: dict[str, dict[str, Any]] = {
    FILTER_NAME: {
        "type": "object",
        "description": f"Conditions on metadata, at most {MAX_CONDITIONS} in all. A key is a name or a path with dots.",
        "properties": {"$and": _SOME_FILTERS, "$or": _SOME_FILTERS, "$not": _ref(FILTER_NAME)},
        "patternProperties": {_NO_OPERATOR: _ref(_CONDITION_NAME)},
        "additionalProperties": False,
        "maxProperties": MAX_PARTS,
    },
    _CONDITION_NAME: {
        "description": "A value that must be equal, or operators.",
        "anyOf": [
            {"type": ["null", "boolean", "number", "string", "array"]},
            {"type": "object", "propertyNames": {"pattern": _NO_OPERATOR, "not": {"enum": _FORGOTTEN}}},
            _ref(_OPERATORS_NAME),
        ],
    },
    _OPERATORS_NAME: {
        "type": "object",
        "properties": _OPERANDS,
        "additionalProperties": False,
        "minProperties": 1,
    },
}


def check_size(filter: Any) -> Any:
    """Give a filter back.

    Raises:
        ValueError: It, or a part of it, has too many conditions.
    """
    if _conditions(filter) > MAX_CONDITIONS:
        raise ValueError(f"has more than {MAX_CONDITIONS} conditions: put the values of one key into one $in")
    return filter


def _conditions(filter: Any) -> int:
    """Count the keys and operators of a filter, also within $and, $or and $not; an empty one counts, too."""
    if not isinstance(filter, (dict, list)):
        return 1
    if len(filter) > MAX_PARTS:
        raise ValueError(f"has a part with more than {MAX_PARTS} members: put the values of one key into one $in")
    if isinstance(filter, list):
        return sum(map(_conditions, filter))
    nested = ("$and", "$or", "$not")
    return sum(_conditions(part) if key in nested else _operators(part) for key, part in filter.items()) or 1


def _operators(condition: Any) -> int:
    """Count the operators of one key."""
    return len(condition) if isinstance(condition, dict) and condition else 1
