"""Arguments: what a function takes, and what is wrong about a name or a value that it does not take."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import SequenceMatcher
from numbers import Integral
from typing import Any, TypeVar, cast

from fgr_retriever.errors import ConfigError, FgrError, InputError

_Kind = TypeVar("_Kind", bound=type)
_Function = TypeVar("_Function", bound=Callable[..., Any])

_ANOTHER_WAY = {"delete_missing": ("replacing", "replacing=engine.ids() deletes what is not among the passages")}
"""By a name that a function may lack, the argument that does the same, and how."""


def check(name: str, value: Any, ok: bool, allowed: str) -> None:
    """Raise ConfigError unless `ok`; the message has the field, its value and what is allowed."""
    if not ok:
        raise ConfigError(f"{name}={value!r}: must be {allowed}")


def is_count(value: Any, least: int) -> bool:
    """Say whether `value` is an integer (and not a bool), of NumPy, too, of at least `least`."""
    return isinstance(value, Integral) and not isinstance(value, bool) and operator.index(value) >= least


def whole_number(name: str, value: Any, least: int) -> int:
    """Take an integer of at least `least` as one of Python, which JSON, SQLite and clients of servers know.

    Raises:
        ConfigError: It is none; the message has `name` and the value.
    """
    check(name, value, is_count(value, least), f"an integer of at least {least}")
    return operator.index(value)


def is_number(value: Any) -> bool:
    """Say whether `value` is an integer or a float (and not a bool)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def strict_arguments(error: type[FgrError] = InputError, **settings: type) -> Callable[[_Kind], _Kind]:
    """Let the public functions of a class refuse what they do not take in our words, which Python's TypeError lacks.

    `inspect.signature` and type checkers see the functions as they are.

    Args:
        error: What is raised.
        settings: By the name of an argument, the class of its value, whose fields are often given by themselves.
    """

    def decorate(kind: _Kind) -> _Kind:
        for name, found in list(vars(kind).items()):
            function = found.__func__ if isinstance(found, classmethod) else found
            if inspect.isfunction(function) and (name == "__init__" or not name.startswith("_")):
                checked = _checked(function, error, settings)
                setattr(kind, name, classmethod(checked) if isinstance(found, classmethod) else checked)
        return kind

    return decorate


def strict_function(function: _Function) -> _Function:
    """Let a function by itself refuse what it does not take with an InputError, as those of a class do."""
    return cast(_Function, _checked(function, InputError, {}))


def owner_of(function: Callable[..., Any], args: Sequence[Any], first: str) -> tuple[str, type | None]:
    """Give the name of what is called, for a message, and the class if one is made with its `__init__`.

    Args:
        function: What is called.
        args: The arguments in order.
        first: The name of its first argument.
    """
    kind = class_of(args, first)
    if kind is None:
        return function.__name__, None
    is_making = function.__name__ == "__init__"
    return kind.__name__ if is_making else f"{kind.__name__}.{function.__name__}", kind if is_making else None


def class_of(args: Sequence[Any], first: str) -> type | None:
    """Give the class of which a function is called, by its arguments in order and the name of the first one."""
    if first not in ("self", "cls") or not args:
        return None
    kind: type = args[0] if first == "cls" else type(args[0])
    return kind


def unknown_name(owner: str, name: str, known: Iterable[str], takers: Sequence[str] = ()) -> str:
    """Say that there is no argument of this name, which ones there are, and what the caller may have meant.

    Args:
        owner: What was called.
        name: The name that the caller used.
        known: All names that there are, at least one.
        takers: Other functions that take this name; none are told if another name is near.
    """
    names = list(known)
    nearest = max(names, key=functools.partial(_likeness, name))
    argument, how = _ANOTHER_WAY.get(name, ("", ""))
    if _likeness(name, nearest) > 0.5:
        guess = f"did you mean {nearest!r}? "
    else:
        meant = [how] if argument in names else []
        meant += [f"{', '.join(takers)} {'take' if len(takers) > 1 else 'takes'} {name!r}"] if takers else []
        guess = f"{'; '.join(meant)}. " if meant else ""
    return f"{owner} takes no {name!r}: {guess}It takes {', '.join(names)}"


def field_of(owner: str, name: str, setting: str, kind: type) -> str:
    """Say that a name is no argument, but a field of the value of another one."""
    return f"{owner} takes no {name!r}: it is a setting of `{setting}`: {setting}={kind.__name__}({name}=...)"


def order_of(known: Iterable[str], own: Iterable[inspect.Parameter]) -> str:
    """Say which arguments a function takes in order, and which by name."""
    first = [one.name for one in own if one.kind is not one.KEYWORD_ONLY and one.name not in ("self", "cls")]
    named = [name for name in known if name not in first]
    parts = [("in order", first), ("by name", named)]
    return "It takes " + "; ".join(f"{how}: {', '.join(names)}" for how, names in parts if names)


def _checked(function: Callable[..., Any], error: type[FgrError], settings: Mapping[str, type]) -> Callable[..., Any]:
    signature = inspect.signature(function)
    own = list(signature.parameters.values())
    known = [one.name for one in own if one.name not in ("self", "cls")]

    def bind(args: Sequence[Any], given: Mapping[str, Any]) -> None:
        try:
            signature.bind(*args, **given)
        except TypeError as wrong:
            owner, _ = owner_of(function, args, own[0].name)
            unknown = next((name for name in given if known and name not in known), None)
            if unknown is None:
                raise error(f"{owner}: {wrong}. {order_of(known, own) if known else 'It takes nothing'}") from None
            for setting, kind in settings.items():
                if setting in known and unknown in {one.name for one in fields(kind)}:
                    raise error(field_of(owner, unknown, setting, kind)) from None
            raise error(unknown_name(owner, unknown, known, takers_of(class_of(args, own[0].name), unknown))) from None

    @functools.wraps(function)
    def checked(*args: Any, **given: Any) -> Any:
        bind(args, given)
        return function(*args, **given)

    @functools.wraps(function)
    async def checked_async(*args: Any, **given: Any) -> Any:
        bind(args, given)
        return await function(*args, **given)

    return checked_async if inspect.iscoroutinefunction(function) else checked


def takers_of(kind: type | None, name: str) -> list[str]:
    """List the functions of a class that refuse unknown names in our words and take this one, without async twins."""
    found = {one: getattr(kind, one, None) for one in dir(kind) if kind is not None and not one.startswith("_")}
    return [
        f"{getattr(kind, '__name__', '')}.{one}"
        for one, function in found.items()
        if inspect.isroutine(function) and hasattr(function, "__wrapped__")
        if not any(map(inspect.iscoroutinefunction, (function, inspect.unwrap(function))))
        if name in inspect.signature(function).parameters
    ]


def _likeness(name: str, other: str) -> float:
    """Say how much two names of arguments are alike, by their words and their letters; in [0, 2]."""
    ours, theirs = set(name.lower().split("_")), set(other.split("_"))
    return len(ours & theirs) / min(len(ours), len(theirs)) + SequenceMatcher(None, name.lower(), other).ratio()
