"""Names of arguments that an adapter does not take: what they may mean beside a wrong spelling."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import chain
from typing import Any, TypeVar, cast

from fgr_retriever.arguments import class_of, field_of, order_of, owner_of, takers_of, unknown_name
from fgr_retriever.config import TrimConfig
from fgr_retriever.errors import InputError

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Options = TypeVar("_Options")

_TRIM = frozenset(one.name for one in fields(TrimConfig))
_FOLDER = "path"
_FOLDERS = frozenset(("persist_directory", "folder_path"))  # what Chroma and FAISS call it
_KWARGS = "search_kwargs"
_IN_KWARGS = frozenset(("k", "filter"))
_EMBEDDERS = ("embed_query", "get_text_embedding")  # what LangChain's embeddings have, and LlamaIndex's
NO_EMBEDDINGS = (
    "leave it out, no embeddings are needed: an index has a late-interaction model of its own. Where an index is "
    "opened, `model=` (a folder or hub id) or `encoder=` (an open model) names another checkpoint"
)


def refuse_unknown(
    owner: str, given: Iterable[str], known: Iterable[str], kind: type | None = None, others: type | None = None
) -> None:
    """Refuse names of arguments that there are not.

    Args:
        owner: What was called, for the message.
        given: The names that the caller used.
        known: All names that there are, at least one.
        kind: The class that was called, if it was one.
        others: The class whose other functions may take a name.

    Raises:
        InputError: One is unknown; the message has all names, and first the nearest one if any is near. Of a setting
            of the trim it says how to give it, if there is an argument `trim`; of what another way to make the class
            takes, it names this way.
    """
    names = list(known)
    for name in given:
        if name in names:
            continue
        if "trim" in names and name in _TRIM:
            raise InputError(field_of(owner, name, "trim", TrimConfig))
        if _is_embedding(name):
            raise InputError(f"{owner} takes no {name!r}: {NO_EMBEDDINGS}")
        if _KWARGS in names and name in _IN_KWARGS:
            raise InputError(f'{owner} takes no {name!r} by itself: give it as {_KWARGS}={{"{name}": ...}}')
        ours = _FOLDER if name in _FOLDERS else name
        if ours in names:
            raise InputError(f"{owner} takes no {name!r}: the folder of the index is {ours!r}")
        takers = [one for one in makers(kind) if ours in inspect.signature(getattr(kind, one)).parameters]
        if takers:
            how = "give it to" if ours == name else f"the folder of the index is {ours!r} of"
            raise InputError(f"{owner} takes no {name!r}: {how} {listed(owner, takers)}")
        raise InputError(unknown_name(owner, name, names, takers_of(others, name)))


def makers(kind: type | None) -> list[str]:
    """List the functions of a class itself that make one, such as `from_documents`."""
    return [name for name in vars(kind) if name.startswith("from_")] if kind else []


def listed(owner: str, functions: Sequence[str]) -> str:
    """Name some functions of a class in a message."""
    *others, last = functions
    return f"{owner}.{', '.join(others)} or {last}" if others else f"{owner}.{last}"


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
            owner, kind = owner_of(function, args, own[0].name)
            _refuse_embeddings(owner, chain(args, given.values()))
            refuse_unknown(owner, given, known, kind, class_of(args, own[0].name))
            try:
                signature.bind(*args, **given)
            except TypeError as error:
                others = f"; or call {listed(owner, makers(kind))}" if makers(kind) else ""
                raise InputError(f"{owner}: {error}. {order_of(known, own)}{others}") from None
            return function(*args, **given)

        checked.__signature__ = signature.replace(parameters=[*own, *named])  # type: ignore[attr-defined]
        return cast(_Function, checked)

    return decorate


def taken(given: Mapping[str, Any], options: type[_Options]) -> _Options:
    """Take those of the given options that a TypedDict names."""
    return cast(_Options, {name: given[name] for name in options.__annotations__ if name in given})


def _refuse_embeddings(owner: str, given: Iterable[object]) -> None:
    for value in given:
        if any(callable(getattr(type(value), name, None)) for name in _EMBEDDERS):
            raise InputError(f"{owner} was given {value!r:.100}: {NO_EMBEDDINGS}")


def _is_embedding(name: str) -> bool:
    return name.startswith("embed")
