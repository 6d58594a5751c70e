"""Valid Unicode: what leaves for other programs has no lone surrogates.

A lone surrogate is half of a character. Python strings may hold one, and passages are stored and returned
with theirs, character for character. No encoding of Unicode can write it, so other programs fail on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def without_surrogates(text: str) -> str:
    """Replace lone surrogates; one character replaces one, so offsets hold."""
    return _LONE_SURROGATE.sub(_REPLACEMENT, text)


def valid(value: Any) -> Any:
    """Replace the lone surrogates in every string of a JSON value.

    Args:
        value: Strings, numbers, lists, tuples, mappings with string keys, at any depth. It is not changed.

    Returns:
        The same value with valid strings. Two keys that become equal stay two: the second gets an underscore.
    """
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, Mapping):
        found: dict[str, Any] = {}
        for key, item in value.items():
            name = without_surrogates(key)
            while name in found:
                name += "_"
            found[name] = valid(item)
        return found
    return [valid(item) for item in value] if isinstance(value, (list, tuple)) else value
