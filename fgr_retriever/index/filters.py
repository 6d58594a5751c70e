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

A filter is asked for every passage. So values in a list are looked up by their hash, however many they are, and
alternatives that name one key, such as `{"$or": [{"year": 1898}, {"year": 1934}]}`, are one list.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Any, TypeAlias

from fgr_retriever.calls import check_time
from fgr_retriever.errors import InputError
from fgr_retriever.types import Metadata

Filter: TypeAlias = Mapping[str, Any]
Predicate: TypeAlias = Callable[[Metadata], bool]
_Test: TypeAlias = Callable[[Any], bool]

_MISSING = object()
_ORDERINGS = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}
_OPERATORS = ("$eq", "$ne", *_ORDERINGS, "$in", "$nin", "$contains", "$icontains", "$exists")
# What a list of filters may hold many of: such conditions on one key are the same as one with all their values.
_MERGED = {"$or": {"$eq": "$in", "$in": "$in"}, "$and": {"$ne": "$nin", "$nin": "$nin"}}


def compile_filter(filter: Filter) -> Predicate:
    """Turn a filter into a function from metadata to bool.

    Raises:
        InputError: An operator is unknown or its operand has the wrong type.
    """
    matches = _compiled(filter)

    def in_time(metadata: Metadata) -> bool:
        check_time()  # there may be millions of passages
        return matches(metadata)

    return in_time


def _compiled(filter: Filter) -> Predicate:
    """Compile a filter, or one within another."""
    if not isinstance(filter, Mapping):
        raise InputError(f"filter {filter!r:.200}: must be a mapping from metadata keys to conditions")
    return _all([_clause(key, condition) for key, condition in filter.items()])


def wanted_conditions(filter: Filter) -> list[tuple[str, Any]]:
    """List the keys of a filter without which a passage does not pass, with what is asked of them.

    Those below `$or` and `$and` are among them.

    Raises:
        InputError: The filter is invalid.
    """
    compile_filter(filter)
    found: list[tuple[str, Any]] = []
    for key, condition in filter.items():
        if key in ("$and", "$or"):
            found += [wanted for part in condition for wanted in wanted_conditions(part)]
        elif key != "$not" and not compile_filter({key: condition})({}):
            found.append((key, condition))
    return found


def values_at(metadata: Metadata, key: str) -> tuple[Any, ...]:
    """Give the value of a key, whole or along its dots; nothing where there is no such key."""
    value = _getter(key)(metadata)
    return () if value is _MISSING else (value,)


def _clause(key: Any, condition: Any) -> Predicate:
    """Compile one entry of a filter."""
    if key in ("$and", "$or"):
        if not isinstance(condition, list) or not condition:
            raise InputError(f"{key} {condition!r:.200}: must be a list of at least one filter")
        parts = [_compiled(part) for part in _merged(key, condition)]
        return _all(parts) if key == "$and" else _any(parts)
    if key == "$not":
        negated = _compiled(condition)
        return lambda metadata: not negated(metadata)
    if not isinstance(key, str) or key.startswith("$"):
        raise _unknown(key)
    value_of = _getter(key)
    tests = [_test(name, operand) for name, operand in operators_of(condition).items()]
    if len(tests) == 1:
        (test,) = tests
        return lambda metadata: test(value_of(metadata))
    return lambda metadata: all(test(value_of(metadata)) for test in tests)


def _all(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    return lambda metadata: all(matches(metadata) for matches in parts)


def _any(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    return lambda metadata: any(matches(metadata) for matches in parts)


def _merged(combine: str, filters: list[Any]) -> list[Any]:
    """Write what a list of filters says of the values of one key as one filter; the others stay as they are.

    Args:
        combine: `$or` or `$and`.
        filters: Not checked yet.
    """
    values: dict[tuple[str, str], list[Any]] = {}
    others = []
    for one in filters:
        ((key, condition),) = one.items() if isinstance(one, Mapping) and len(one) == 1 else [("$not", None)]
        operators = {} if not isinstance(key, str) or key.startswith("$") else operators_of(condition)
        ((name, operand),) = operators.items() if len(operators) == 1 else [("", None)]
        joined = _MERGED[combine].get(name)
        found = operand if name == joined else [operand]
        if joined and isinstance(found, (list, tuple)):
            values.setdefault((key, joined), []).extend(found)
        else:
            others.append(one)
    return others + [{key: {joined: found}} for (key, joined), found in values.items()]


def operators_of(condition: Any) -> Mapping[str, Any]:
    """Give the operators of one key; a plain value means `$eq`."""
    is_operators = isinstance(condition, Mapping) and any(str(name).startswith("$") for name in condition)
    if isinstance(condition, Mapping) and not is_operators and any(f"${name}" in _OPERATORS for name in condition):
        raise InputError(
            f"condition {condition!r:.200}: operators begin with $, such as $gte; "
            'to find a value that is such an object, write {"$eq": {...}}'
        )
    return condition if is_operators else {"$eq": condition}


def _test(name: str, operand: Any) -> _Test:
    """Compile one operator; the test gets `_MISSING` when the passage has no such key."""
    if name in ("$eq", "$ne"):
        return _membership([operand], name == "$eq")
    if name in ("$in", "$nin"):
        if not isinstance(operand, (list, tuple, set, frozenset)):
            raise InputError(f"{name} {operand!r:.200}: must be a list of values")
        return _membership(operand, name == "$in")
    if name == "$contains":
        return _containing(operand)
    if name == "$icontains":
        if not isinstance(operand, str):
            raise InputError(f"$icontains {operand!r:.200}: must be a string")
        folded = operand.casefold()
        return lambda value: isinstance(value, str) and folded in value.casefold()
    if name == "$exists":
        if not isinstance(operand, bool):
            raise InputError(f"$exists {operand!r:.200}: must be True or False")
        return lambda value: (value is not _MISSING) == operand
    if name in _ORDERINGS:
        return _ordering(name, operand)
    raise _unknown(name)


def _unknown(name: Any) -> InputError:
    """Make the error for an operator that there is not, or not where it stands."""
    return InputError(
        f"unknown filter operator {name!r:.200}: the condition of a key takes {', '.join(_OPERATORS)}; in place of a "
        "key there may be $and, $or, $not"
    )


def _ordering(name: str, operand: Any) -> _Test:
    """Compile `$gt`, `$gte`, `$lt` or `$lte`."""
    compare = _ORDERINGS[name]
    if isinstance(operand, str):
        return lambda value: isinstance(value, str) and compare(value, operand)
    if _is_number(operand):
        return lambda value: _is_number(value) and compare(value, operand)
    raise InputError(f"{name} {operand!r:.200}: must be a number or a string")


def _membership(values: Collection[Any], wanted: bool) -> _Test:
    """Test whether a value is among others, or is not."""
    kept = _identities(values)
    return lambda value: (value is not _MISSING and _identity(value) in kept) == wanted


def _containing(operand: Any) -> _Test:
    """Compile `$contains`."""
    (kept,) = _identities([operand])

    def contains(value: Any) -> bool:
        if isinstance(value, str):
            return isinstance(operand, str) and operand in value
        return isinstance(value, (list, tuple)) and any(_identity(item) == kept for item in value)

    return contains


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _identities(values: Iterable[Any]) -> frozenset[Hashable]:
    """Give the identities of operands.

    Raises:
        InputError: One is no JSON value, and cannot be hashed.
    """
    try:
        return frozenset(map(_identity, values))
    except TypeError:
        raise InputError(f"filter values {values!r:.200}: must be JSON values") from None


def _identity(value: Any) -> Hashable:
    """Give what is equal for equal JSON values, and has a hash; unlike in Python, `true` is not 1, at any depth."""
    if isinstance(value, (bool, Mapping, list, tuple)):
        if isinstance(value, bool):
            return bool, value
        if isinstance(value, Mapping):
            return dict, frozenset((key, _identity(item)) for key, item in value.items())
        return list, tuple(map(_identity, value))
    return value  # type: ignore[no-any-return]


def _getter(key: str) -> Callable[[Metadata], Any]:
    """Make what finds the value of a key, whole or along its dots; `_MISSING` when there is none."""
    parts = key.split(".")
    if len(parts) == 1:
        return lambda metadata: metadata.get(key, _MISSING)

    def value_of(metadata: Metadata) -> Any:
        if key in metadata:
            return metadata[key]
        value: Any = metadata
        for part in parts:
            if not isinstance(value, Mapping) or part not in value:
                return _MISSING
            value = value[part]
        return value

    return value_of
