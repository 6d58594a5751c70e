"""Metadata filters: `{"year": {"$gte": 1900}, "lang": "en"}` compiled to a predicate.

All keys of one filter must match. A key names a metadata value; `a.b` also reaches into nested
objects. A plain value means `$eq`.

==========================  ======================================================================
`$eq`, `$ne`                the value is (not) equal; 1 equals 1.0 but never `true`
`$gt` `$gte` `$lt` `$lte`   compares numbers with numbers and strings with strings, else no match
`$in`, `$nin`               the value is (not) equal to one element of a list
`$contains`                 a list has an equal element, or a string has this substring
`$icontains`                a string has this substring; upper and lower case are the same
`$exists`                   the key exists (`true`) or does not exist (`false`)
`$and`, `$or`, `$not`       combine filters: `$and` and `$or` take a list, `$not` takes one filter
==========================  ======================================================================

A passage without the key matches only `$ne`, `$nin` and `{"$exists": false}`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, TypeAlias

from fgr_retriever.errors import InputError
from fgr_retriever.types import Metadata

Filter: TypeAlias = Mapping[str, Any]
Predicate: TypeAlias = Callable[[Metadata], bool]
_Test: TypeAlias = Callable[[Any], bool]

_MISSING = object()
_ORDERINGS = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}
_OPERATORS = ("$eq", "$ne", *_ORDERINGS, "$in", "$nin", "$contains", "$icontains", "$exists")


def compile_filter(filter: Filter) -> Predicate:
    """Turn a filter into a function from metadata to bool.

    Raises:
        InputError: An operator is unknown or its operand has the wrong type.
    """
    if not isinstance(filter, Mapping):
        raise InputError(f"filter {filter!r}: must be a mapping from metadata keys to conditions")
    predicates = [_clause(key, condition) for key, condition in filter.items()]
    return lambda metadata: all(matches(metadata) for matches in predicates)


def wanted_keys(filter: Filter) -> list[str]:
    """List the keys of a filter without which a passage does not pass; those below `$or` and `$and`, too.

    Raises:
        InputError: The filter is invalid.
    """
    compile_filter(filter)
    found: list[str] = []
    for key, condition in filter.items():
        if key in ("$and", "$or"):
            found += [wanted for part in condition for wanted in wanted_keys(part)]
        elif key != "$not" and not compile_filter({key: condition})({}):
            found.append(key)
    return list(dict.fromkeys(found))


def has_key(metadata: Metadata, key: str) -> bool:
    """Say whether metadata have a key, whole or along its dots."""
    return _lookup(metadata, key) is not _MISSING


def _clause(key: Any, condition: Any) -> Predicate:
    """Compile one entry of a filter."""
    if key in ("$and", "$or"):
        if not isinstance(condition, list) or not condition:
            raise InputError(f"{key} {condition!r}: must be a list of at least one filter")
        parts = [compile_filter(part) for part in condition]
        combine = all if key == "$and" else any
        return lambda metadata: combine(matches(metadata) for matches in parts)
    if key == "$not":
        negated = compile_filter(condition)
        return lambda metadata: not negated(metadata)
    if not isinstance(key, str) or key.startswith("$"):
        raise InputError(f"unknown filter operator {key!r}: use a metadata key, $and, $or or $not")
    tests = _tests(condition)
    return lambda metadata: all(test(_lookup(metadata, key)) for test in tests)


def _tests(condition: Any) -> list[_Test]:
    """Compile the condition of one key: a plain value, or a mapping of operators."""
    is_operators = isinstance(condition, Mapping) and any(str(name).startswith("$") for name in condition)
    if isinstance(condition, Mapping) and not is_operators and any(f"${name}" in _OPERATORS for name in condition):
        raise InputError(
            f"condition {condition!r}: operators begin with $, such as $gte; "
            'to find a value that is such an object, write {"$eq": {...}}'
        )
    operators = condition if is_operators else {"$eq": condition}
    return [_test(name, operand) for name, operand in operators.items()]


def _test(name: str, operand: Any) -> _Test:
    """Compile one operator; the test gets `_MISSING` when the passage has no such key."""
    if name in ("$eq", "$ne"):
        return lambda value: _equal(value, operand) == (name == "$eq")
    if name in ("$in", "$nin"):
        if not isinstance(operand, (list, tuple, set, frozenset)):
            raise InputError(f"{name} {operand!r}: must be a list of values")
        texts = frozenset(item for item in operand if isinstance(item, str))  # thousands of ids are looked up at once
        others = [item for item in operand if not isinstance(item, str)]
        return lambda value: _is_in(value, texts, others) == (name == "$in")
    if name == "$contains":
        return lambda value: _contains(value, operand)
    if name == "$icontains":
        if not isinstance(operand, str):
            raise InputError(f"$icontains {operand!r}: must be a string")
        return lambda value: isinstance(value, str) and operand.casefold() in value.casefold()
    if name == "$exists":
        if not isinstance(operand, bool):
            raise InputError(f"$exists {operand!r}: must be True or False")
        return lambda value: (value is not _MISSING) == operand
    if name in _ORDERINGS:
        return _ordering(name, operand)
    raise InputError(f"unknown filter operator {name!r}: use one of {', '.join(_OPERATORS)}")


def _ordering(name: str, operand: Any) -> _Test:
    """Compile `$gt`, `$gte`, `$lt` or `$lte`."""
    compare = _ORDERINGS[name]
    if isinstance(operand, str):
        return lambda value: isinstance(value, str) and compare(value, operand)
    if _is_number(operand):
        return lambda value: _is_number(value) and compare(value, operand)
    raise InputError(f"{name} {operand!r}: must be a number or a string")


def _is_in(value: Any, texts: Set[str], others: Sequence[Any]) -> bool:
    return value in texts if isinstance(value, str) else any(_equal(value, item) for item in others)


def _contains(value: Any, operand: Any) -> bool:
    if isinstance(value, str):
        return isinstance(operand, str) and operand in value
    return isinstance(value, (list, tuple)) and any(_equal(item, operand) for item in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _equal(left: Any, right: Any) -> bool:
    """Compare two JSON values; unlike in Python, `true` is not 1, at any depth."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(_equal, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    return bool(left == right)


def _lookup(metadata: Metadata, key: str) -> Any:
    """Find the value of a key, whole or along its dots; `_MISSING` when there is none."""
    if key in metadata:
        return metadata[key]
    value: Any = metadata
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return _MISSING
        value = value[part]
    return value
