"""Values as plain JSON and back: what a checkpoint, a queue or another program can hold.

The fields of a dataclass become the keys of an object. A span is `[start, end, score]`. Arrays of numbers are lists;
those of half precision, which are large, are `{"shape": [...], "float16": ...}` with little-endian bytes in Base64.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.errors import InputError
from fgr_retriever.text.valid import valid
from fgr_retriever.types import Json, Passage, Span

T = TypeVar("T")
_HALF = "float16"


def to_json(value: Any) -> dict[str, Json]:
    """Write a dataclass as plain JSON, in valid Unicode: half a character, which no encoding has, becomes U+FFFD.

    Args:
        value: A dataclass of numbers, strings, arrays, spans, passages and such dataclasses. It is not changed.

    Raises:
        InputError: It holds what JSON has no word for, such as a date in the metadata of a passage.
    """
    return cast("dict[str, Json]", valid(_written(value, type(value).__name__)))


def from_json(kind: type[T], values: Any) -> T:
    """Read what `to_json` wrote.

    Args:
        kind: The dataclass.
        values: The object. It is not changed.

    Raises:
        InputError: A key is missing or unknown, or a value has another type; the message names its place.
    """
    return cast(T, _read(kind, values, kind.__name__))


def same(one: Any, other: Any) -> bool:
    """Say whether two values that `to_json` could write are equal, arrays with all of their numbers."""
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and np.array_equal(one, other)
    if is_dataclass(one):
        return type(one) is type(other) and all(
            same(getattr(one, each.name), getattr(other, each.name)) for each in fields(one)
        )
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _written(value: Any, where: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, Span):
        return [_written(part, where) for part in (value.start, value.end, value.score)]
    if is_dataclass(value):
        return {one.name: _written(getattr(value, one.name), f"{where}.{one.name}") for one in fields(value)}
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _written(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_written(item, f"{where}[{place}]") for place, item in enumerate(value)]
    raise InputError(f"{where} is {value!r:.80}, a {type(value).__name__}: JSON cannot hold it; write it as a string")


def _array(value: NDArray[Any]) -> Any:
    if value.dtype != np.float16:
        return value.tolist()
    data = base64.b64encode(value.astype("<f2").tobytes()).decode("ascii")
    return {"shape": list(value.shape), _HALF: data}


def _read(kind: Any, value: Any, where: str) -> Any:
    """Read a value of a type."""
    if get_origin(kind) in (Union, UnionType):
        inner = next(one for one in get_args(kind) if one is not type(None))
        return None if value is None else _read(inner, value, where)
    if get_origin(kind) is tuple:
        items = _expect(value, (list, tuple), "a list", where)
        return tuple(_read(get_args(kind)[0], item, f"{where}[{place}]") for place, item in enumerate(items))
    if get_origin(kind) is np.ndarray:
        return _read_array(get_args(get_args(kind)[1])[0], value, where)
    if kind is Span:
        parts = _expect(value, (list, tuple), "a list [start, end, score]", where)
        if len(parts) != len(fields(Span)):
            raise _wrong(value, "a list [start, end, score]", where)
        return Span(_read(int, parts[0], where), _read(int, parts[1], where), _read(float, parts[2], where))
    if kind is Passage:
        return _read_passage(value, where)
    if is_dataclass(kind):
        return _read_fields(kind, value, where)
    if get_origin(kind) is not None:
        items = _expect(value, Mapping, "an object", where)
        return {
            _read(str, key, where): _read(get_args(kind)[1], item, f"{where}[{key!r}]") for key, item in items.items()
        }
    return _read_plain(kind, value, where)


def _read_plain(kind: type, value: Any, where: str) -> Any:
    """Read a number, a truth value or a string."""
    name = {bool: "true or false", int: "an integer", float: "a finite number", str: "a string"}[kind]
    if kind is float:
        _expect(value, (int, float), name, where)
        if isinstance(value, bool) or not math.isfinite(value):
            raise _wrong(value, name, where)
        return float(value)
    if kind is int and isinstance(value, bool):
        raise _wrong(value, name, where)
    return _expect(value, kind, name, where)


def _read_fields(kind: Any, value: Any, where: str) -> Any:
    items = _expect(value, Mapping, "an object", where)
    hints = get_type_hints(kind)
    if unknown := [key for key in items if key not in hints]:
        raise InputError(f"{where} has the unknown key {unknown[0]!r:.80}: was it written by a later version?")
    needed = [one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]
    if missing := [name for name in needed if name not in items]:
        raise InputError(f"{where} has no key {missing[0]!r}: pass what to_dict wrote")
    return kind(**{key: _read(hints[key], item, f"{where}.{key}") for key, item in items.items()})


def _read_passage(value: Any, where: str) -> Passage:
    items = _expect(value, Mapping, "an object", where)
    if set(items) - {"metadata"} != {"id", "text"}:
        raise _wrong(sorted(map(str, items)), "an object with the keys id, text and metadata", where)
    metadata = _expect(items.get("metadata", {}), Mapping, "an object", f"{where}.metadata")
    id, text = (_read(str, items[key], f"{where}.{key}") for key in ("id", "text"))
    return Passage(id, text, _written(metadata, f"{where}.metadata"))


def _read_array(kind: type, value: Any, where: str) -> NDArray[Any]:
    """Read an array; one of int32 holds character ranges, two numbers in a row."""
    if kind is np.float16:
        return _read_half(value, where)
    if kind is np.int32:
        pairs = _read(tuple[tuple[int, ...], ...], value, where)
        if any(len(pair) != 2 for pair in pairs):
            raise _wrong(value, "a list of [start, end]", where)
        numbers: tuple[Any, ...] = pairs
    else:
        row: Any = tuple[float, ...] if kind is np.float32 else tuple[int, ...]
        numbers = _read(row, value, where)
    try:
        found: NDArray[Any] = np.array(numbers, dtype=kind)
    except OverflowError:
        raise _wrong(value, f"numbers that {kind.__name__} can hold", where) from None
    return found.reshape(-1, 2) if kind is np.int32 else found


def _read_half(value: Any, where: str) -> NDArray[np.float16]:
    expected = 'an object {"shape": [...], "float16": Base64}'
    items = _expect(value, Mapping, expected, where)
    if set(items) != {"shape", _HALF}:
        raise _wrong(value, expected, where)
    shape = _read(tuple[int, ...], items["shape"], f"{where}.shape")
    try:
        data = base64.b64decode(_read(str, items[_HALF], f"{where}.{_HALF}"), validate=True)
    except (binascii.Error, ValueError):
        raise _wrong(items[_HALF], "Base64", f"{where}.{_HALF}") from None
    if min(shape, default=0) < 0 or math.prod(shape) * np.dtype(np.float16).itemsize != len(data):
        raise _wrong(items["shape"], f"the shape of {len(data)} bytes of float16", f"{where}.shape")
    found: NDArray[np.float16] = np.frombuffer(data, dtype="<f2").reshape(shape).astype(np.float16)
    return found


def _expect(value: Any, kind: Any, name: str, where: str) -> Any:
    if not isinstance(value, kind):
        raise _wrong(value, name, where)
    return value


def _wrong(value: Any, name: str, where: str) -> InputError:
    return InputError(f"{where} is {value!r:.80}: must be {name}; pass what to_dict wrote")
