"""Names of arguments: what a function takes, and what is wrong about a name that it does not take."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from difflib import SequenceMatcher
from typing import Any, TypeVar, cast

from fgr_retriever.config import TrimConfig
from fgr_retriever.errors import InputError

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Options = TypeVar("_Options")

_TRIM = frozenset(one.name for one in fields(TrimConfig))


def refuse_unknown(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names of arguments that there are not.

    Args:
        owner: What was called, for the message.
        given: The names that the caller used.
        known: All names that there are, at least one.

    Raises:
        InputError: One is unknown; the message has all names, and first the nearest one if any is near. Of a setting
            of the trim it says how to give it, if there is an argument `trim`.
    """
    names = list(known)
    for name in given:
        if name not in names and "trim" in names and name in _TRIM:
            raise InputError(f"{owner} takes no {name!r}: it is a setting of `trim`: trim=TrimConfig({name}=...)")
        if name not in names:
            raise InputError(unknown_name(owner, name, names))


def unknown_name(owner: str, name: str, known: Iterable[str]) -> str:
    """Say that there is no argument of this name; see `refuse_unknown`."""
    names = list(known)
    nearest = max(names, key=functools.partial(_likeness, name))
    guess = f"did you mean {nearest!r}? " if _likeness(name, nearest) > 0.5 else ""
    return f"{owner} takes no {name!r}: {guess}It takes {', '.join(names)}"


def takes(options: type | None = None) -> Callable[[_Function], _Function]:
    """Let a function refuse names of arguments that it does not take, with an InputError that has the nearest one.

    Args:
        options: The TypedDict of its annotation `**options: Unpack[...]`, if it has one. Type checkers read
            the names there; with this, `inspect.signature` and `help` show them, too.
    """

    def decorate(function: _Function) -> _Function:
        signature = inspect.signature(function)
        own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        hints = {} if options is None else options.__annotations__
        named = [
            inspect.Parameter(name, own[0].KEYWORD_ONLY, default=..., annotation=getattr(hint, "__forward_arg__", hint))
            for name, hint in hints.items()
        ]
        known = [one.name for one in (*own, *named) if one.name not in ("self", "cls")]

        @functools.wraps(function)
        def checked(*args: Any, **given: Any) -> Any:
            refuse_unknown(function.__qualname__.removesuffix(".__init__"), given, known)
            return function(*args, **given)

        checked.__signature__ = signature.replace(parameters=[*own, *named])  # type: ignore[attr-defined]
        return cast(_Function, checked)

    return decorate


def taken(given: Mapping[str, Any], options: type[_Options]) -> _Options:
    """Take those of the given options that a TypedDict names."""
    return cast(_Options, {name: given[name] for name in options.__annotations__ if name in given})


def _likeness(name: str, other: str) -> float:
    """Say how much two names of arguments are alike, by their words and their letters; in [0, 2]."""
    ours, theirs = set(name.lower().split("_")), set(other.split("_"))
    return len(ours & theirs) / min(len(ours), len(theirs)) + SequenceMatcher(None, name.lower(), other).ratio()
