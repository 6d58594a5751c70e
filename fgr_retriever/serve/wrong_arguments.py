"""What is wrong with the arguments of a request, in our words in place of pydantic's; for `fgr serve` and `fgr mcp`."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from fgr_retriever.arguments import unknown_name

# What a value must be, by pydantic's kind of error; in braces, what pydantic says of the limit.
_MUST = {
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_long": "must have at most {max_length} characters: shorten it",
    "string_pattern_mismatch": "must not be blank",
    "string_unicode": "must be Unicode text: take out the half of a character (a lone surrogate)",
    "literal_error": "must be {expected}",
}
# The same for wrong types: pydantic has several kinds for each, such as int_type, int_parsing and int_from_float.
_TYPES = {
    "int": "must be a whole number",
    "float": "must be a number",
    "finite": "must be a finite number",
    "string": "must be a string",
    "dict": "must be a JSON object",
    "model": "must be a JSON object",
}
_MOST = 5  # wrong arguments that are told
_LONGEST = 80  # characters of a name or value
_SHOWN = reprlib.Repr()  # neither long nor deep, however large a value is
_SHOWN.maxstring = _LONGEST


def told(error: ValidationError, owner: str, model: type[BaseModel]) -> str:
    """Say of the first wrong arguments which one it is, its value, and what it must be.

    Args:
        error: What pydantic found.
        owner: What was called.
        model: Its arguments.
    """
    return "; ".join(
        _told(cast(Mapping[str, Any], one), owner, model) for one in error.errors(include_url=False)[:_MOST]
    )


def _told(one: Mapping[str, Any], owner: str, model: type[BaseModel]) -> str:
    kind, limits = one["type"], one.get("ctx", {})
    *outer, last = path = [str(part)[:_LONGEST] for part in one["loc"]] or ["body"]
    name = ".".join(path)
    if kind == "json_invalid":
        return f"the body is no JSON ({limits['error']}): send a JSON object"
    if kind == "missing":
        return f"{name} is missing: {owner} needs it"
    if kind == "extra_forbidden":
        return unknown_name(".".join(outer) or owner, last, _inner(model, outer).model_fields)
    if kind == "value_error":  # of a check of our own
        return f"{name}: {limits['error']}"
    must = _MUST.get(kind) or _TYPES.get(kind.partition("_")[0])
    return f"{name}={_SHOWN.repr(one['input'])}: {must.format(**limits) if must else one['msg']}"


def _inner(model: type[BaseModel], path: Sequence[str]) -> type[BaseModel]:
    """Find the arguments below a path, which are a model as well."""
    found: Any = model
    for part in path:
        found = found.model_fields[part].annotation
    return cast(type[BaseModel], found)
