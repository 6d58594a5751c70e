r"""What filters read of metadata: one small object for each key, in a form in which equality and order are exact.

Qdrant compares payload values in its own way: `1` never equals `1.0`, a list equals each of its elements, strings have
no order, keys with dots are paths, and the embedded core takes a boolean for 1 or 0. A filter must mean the same over a
folder and over a collection. So each point has, beside the metadata as they are, its *facets*: `f.KEY.eq` and so on.

==========  ==========================================================================================
`eq`        the whole value as a keyword: its JSON, or the hash of a long one; `true` and `1.0` as `true` and `1`
`in`        the elements of a list, as keywords likewise
`n`         a number, to compare
`s0` ...    a string, six bytes a number, to compare
`t`, `c`    a string, and the same without upper case, to find substrings
==========  ==========================================================================================
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fgr_retriever.errors import InputError
from fgr_retriever.types import Metadata

CHUNKS = 8  # of six bytes: strings are compared by so many
EXACT = 2**53  # from here on floats have gaps, and so have the numbers that a server compares
_CHUNK = 6
_LONGEST = 64  # characters of a keyword that is not hashed
_LARGEST = 1.7976931348623157e308
_OUTSIDE = re.compile("[\ud800-\udfff]")
REPLACED = "\uffff"
"""Stands for a lone surrogate in a string in which substrings are looked for; it is no character."""


def facets(metadata: Metadata) -> dict[str, dict[str, Any]]:
    """Describe metadata for filters, by the names of keys; the values of nested objects, too."""
    reached = dict(_nested(metadata, ""))
    reached.update(metadata)  # a whole key comes before the way along its dots
    return {name_of(key): _facet(value) for key, value in reached.items()}


def name_of(key: str) -> str:
    """Write a metadata key as a name that is the same in every path syntax."""
    return re.sub(r"[^A-Za-z0-9_]", lambda found: f"-{ord(found[0]):x}-", key, flags=re.ASCII) or "-"


def keyword(value: Any) -> str:
    """Write a JSON value so that equal values, as filters see them, give equal texts and others do not.

    Raises:
        InputError: It is no JSON value.
    """
    text = json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"))
    return text if len(text) <= _LONGEST else "#" + hashlib.blake2b(text.encode(), digest_size=24).hexdigest()


def chunks(text: str) -> list[int]:
    """Cut a string into numbers below 2^53 whose order, one after the other, is that of strings.

    The last number of a string that ends within them says where it ends, so that two different strings differ in a
    number that both have.
    """
    data = text.encode("utf-8", "surrogatepass")[: CHUNKS * _CHUNK]
    digits = [byte + 1 for byte in data]
    digits += [0] * (_CHUNK - len(digits) % _CHUNK) if len(digits) < CHUNKS * _CHUNK else []
    pieces = [digits[start : start + _CHUNK] for start in range(0, len(digits), _CHUNK)]
    return [sum(digit * 257 ** (_CHUNK - 1 - place) for place, digit in enumerate(piece)) for piece in pieces]


def searchable(text: str) -> str:
    """Give a string that a server takes: lone surrogates are replaced."""
    return _OUTSIDE.sub(REPLACED, text)


def _nested(value: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    """Go through what is reached along dots: keys that have dots themselves are not."""
    for key, inner in value.items():
        if "." not in key:
            yield before + key, inner
            if isinstance(inner, Mapping):
                yield from _nested(inner, f"{before}{key}.")


def _facet(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"eq": keyword(value)}
    if isinstance(value, str):
        found |= {"t": searchable(value), "c": searchable(value.casefold())}
        found |= {f"s{place}": chunk for place, chunk in enumerate(chunks(value))}
    elif isinstance(value, (list, tuple)):
        found["in"] = sorted({keyword(one) for one in value})
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        found["n"] = float(max(-_LARGEST, min(value, _LARGEST)))
    return found


def _canonical(value: Any) -> Any:
    """Give equal values one form: whole numbers as integers, tuples as lists."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise InputError(f"filter value {value!r:.200}: keys must be strings")
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return list(map(_canonical, value))
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise InputError(f"filter value {value!r:.200} ({type(value).__name__}): must be a JSON value")
