"""Filters as conditions of Qdrant: exactly what `fgr_retriever.index.filters` says, or a refusal.

Refused is what no server can compare exactly: a string of more than 47 bytes with `$gt`, `$gte`, `$lt` or `$lte`, a
number of 2^53 or more with them, and a lone surrogate in `$contains` and `$icontains`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from qdrant_client import models

from fgr_retriever.errors import InputError
from fgr_retriever.index.filters import Filter, compile_filter, operators_of
from fgr_retriever.index.qdrant.facets import CHUNKS, EXACT, REPLACED, chunks, keyword, name_of, searchable

_BOUNDS = {"$gt": "gt", "$gte": "gte", "$lt": "lt", "$lte": "lte"}
_EVERYTHING, _NOTHING = models.Filter(), models.HasIdCondition(has_id=[])


def conditions(filter: Filter | None) -> models.Filter:
    """Translate a filter; None lets everything pass.

    Raises:
        InputError: The filter is invalid, or an operator cannot be translated exactly.
    """
    if filter is None:
        return _EVERYTHING
    compile_filter(filter)
    return _all(_clause(key, condition) for key, condition in filter.items())


def exists(key: str) -> models.Filter:
    """Let passages with a metadata key pass."""
    return _has(_path(key, "eq"))


def _clause(key: str, condition: Any) -> models.Filter:
    """Translate one entry of a valid filter."""
    if key in ("$and", "$or"):
        parts = [conditions(part) for part in condition]
        return _all(parts) if key == "$and" else _any(parts)
    if key == "$not":
        return _not(conditions(condition))
    return _all(_test(key, name, operand) for name, operand in operators_of(condition).items())


def _test(key: str, name: str, operand: Any) -> models.Filter:
    """Translate one operator."""
    if name in ("$eq", "$ne", "$in", "$nin"):
        values = [operand] if name in ("$eq", "$ne") else list(operand)
        found = _among(key, "eq", values)
        return found if name in ("$eq", "$in") else _not(found)
    if name == "$exists":
        return exists(key) if operand else _not(exists(key))
    if name in ("$contains", "$icontains"):
        return _containing(key, name, operand)
    if isinstance(operand, str):
        return _string_order(key, name, operand)
    return _number_order(key, name, operand)


def _among(key: str, part: str, values: Iterable[Any]) -> models.Filter:
    """Let passages pass of which a keyword is one of these values."""
    wanted = sorted({keyword(value) for value in values})
    return models.Filter(must=[_match(_path(key, part), models.MatchAny(any=wanted)) if wanted else _NOTHING])


def _containing(key: str, name: str, operand: Any) -> models.Filter:
    """Translate `$contains` and `$icontains`."""
    if name == "$contains" and not isinstance(operand, str):
        return _among(key, "in", [operand])
    if searchable(operand) != operand or REPLACED in operand:
        raise InputError(f"{name} {operand!r:.200}: a Qdrant collection finds no lone surrogates and no U+FFFF")
    if not operand:
        return _any([_has(_path(key, "s0")), *([_among(key, "in", [""])] if name == "$contains" else [])])
    if name == "$icontains":
        return _substring(_path(key, "c"), operand.casefold())
    return _any([_substring(_path(key, "t"), operand), _among(key, "in", [operand])])


def _substring(path: str, text: str) -> models.Filter:
    """Let strings with a substring pass; with an empty one, all strings."""
    return models.Filter(must=[_match(path, models.MatchSubstring(substring=text))])


def _string_order(key: str, name: str, operand: str) -> models.Filter:
    """Compare strings: the first numbers that differ decide (see `facets.chunks`).

    Raises:
        InputError: The operand is too long to be told apart from longer strings.
    """
    numbers, bound = chunks(operand), _BOUNDS[name]
    if len(operand.encode("utf-8", "surrogatepass")) >= 6 * CHUNKS:
        raise InputError(f"{name} {operand!r:.200}: a Qdrant collection compares strings of at most 47 bytes only")
    paths = [_path(key, f"s{place}") for place in range(len(numbers))]
    equal = [_between(path, number) for path, number in zip(paths, numbers, strict=True)]
    strict = "$gt" if bound.startswith("gt") else "$lt"
    cases = [_all([*equal[:place], _range(path, strict, numbers[place])]) for place, path in enumerate(paths)]
    return _any([*cases, _all(equal)] if bound.endswith("e") else cases)


def _number_order(key: str, name: str, operand: float) -> models.Filter:
    """Compare numbers; those that are stored are finite.

    Raises:
        InputError: The operand is so large that stored integers round to it.
    """
    path, infinite = _path(key, "n"), operand in (math.inf, -math.inf)
    if infinite and (operand > 0) == (name in ("$lt", "$lte")):
        return _has(path)
    if infinite or operand != operand:
        return models.Filter(must=[_NOTHING])
    if abs(operand) >= EXACT:
        raise InputError(f"{name} {operand!r}: a Qdrant collection compares numbers below 2^53 only")
    return _range(path, name, operand)


def _between(path: str, number: float) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key=path, range=models.Range(gte=number, lte=number))])


def _range(path: str, name: str, number: float) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key=path, range=models.Range(**{_BOUNDS[name]: number}))])


def _has(path: str) -> models.Filter:
    return models.Filter(must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=path))])


def _all(parts: Iterable[models.Filter]) -> models.Filter:
    """Join filters of which all must match; one that lets everything pass is left out."""
    kept: list[Any] = [part for part in parts if part != _EVERYTHING]
    return kept[0] if len(kept) == 1 else models.Filter(must=kept) if kept else _EVERYTHING


def _any(parts: Sequence[models.Filter]) -> models.Filter:
    """Join filters of which one must match."""
    return _EVERYTHING if _EVERYTHING in parts else models.Filter(should=list(parts))


def _not(part: models.Filter) -> models.Filter:
    return models.Filter(must=[_NOTHING]) if part == _EVERYTHING else models.Filter(must_not=[part])


def _path(key: str, part: str) -> str:
    return f"f.{name_of(key)}.{part}"


def _match(path: str, match: Any) -> models.FieldCondition:
    return models.FieldCondition(key=path, match=match)
