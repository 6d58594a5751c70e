"""Async twins of blocking methods."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

_SelfT = TypeVar("_SelfT")
_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")


def in_thread(
    method: Callable[Concatenate[_SelfT, _Args], _Result],
) -> Callable[Concatenate[_SelfT, _Args], Coroutine[Any, Any, _Result]]:
    """Make the async twin of a method: the same call in a worker thread."""

    async def twin(self: _SelfT, /, *args: _Args.args, **kwargs: _Args.kwargs) -> _Result:
        return await asyncio.to_thread(method, self, *args, **kwargs)

    functools.update_wrapper(twin, method)
    twin.__name__ = f"a{method.__name__}"
    return twin
