"""Support for public calls: names of options, traces, stopwatches, async twins and waiting for the network.

Traces are OpenTelemetry spans if its API is installed; otherwise nothing is traced. Questions and results stay out of
the traces: they hold numbers, and the words of a question that nothing supports.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import SequenceMatcher
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar, cast

from typing_extensions import Self

from fgr_retriever.errors import InputError

try:
    from opentelemetry import trace
except ImportError:  # an extra: without it nobody traces
    trace = None  # type: ignore[assignment, unused-ignore]

Note: TypeAlias = Callable[[Mapping[str, Any]], None]
_SelfT = TypeVar("_SelfT")
_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")
_Function = TypeVar("_Function", bound=Callable[..., Any])
_Options = TypeVar("_Options")


def refuse_unknown(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names of arguments that there are not.

    Args:
        owner: What was called, for the message.
        given: The names that the caller used.
        known: All names that there are, at least one.

    Raises:
        InputError: One is unknown; the message has all names, and first the nearest one if any is near.
    """
    names = list(known)
    for name in given:
        if name not in names:
            nearest = max(names, key=functools.partial(_likeness, name))
            guess = f"did you mean {nearest!r}? " if _likeness(name, nearest) > 0.5 else ""
            raise InputError(f"{owner} takes no {name!r}: {guess}It takes {', '.join(names)}")


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


@contextmanager
def traced(name: str) -> Iterator[Note]:
    """Record what happens inside the `with` block, as a span of the current trace.

    Args:
        name: Name of the span, without the prefix `fgr.`.

    Yields:
        A function that adds attributes, each under the prefix `fgr.`. Values that are None are left
        out, and a mapping becomes one attribute for each of its keys.
    """
    if trace is None:
        yield _ignore
        return
    with trace.get_tracer("fgr_retriever").start_as_current_span(f"fgr.{name}") as span:

        def note(values: Mapping[str, Any]) -> None:
            if span.is_recording():
                span.set_attributes(_flat("fgr", values))

        yield note


class Stopwatch:
    """Adds up the time that each stage of a call takes, and collects notes.

    Attributes:
        times_ms: Milliseconds by stage.
        notes: Messages about what did not go as asked.
    """

    def __init__(self) -> None:
        self.times_ms: dict[str, float] = {}
        self.notes: list[str] = []

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time what happens inside the `with` block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.times_ms[stage] = self.times_ms.get(stage, 0.0) + 1000 * (time.perf_counter() - start)


class Closing:
    """Something that is closed at the end of a `with` or `async with` block."""

    def close(self) -> None:
        """Release what the object holds; each class says what that is."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    async def __aenter__(self) -> Self:
        """Use it in an `async with` block."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close it in a worker thread."""
        await asyncio.to_thread(self.close)


def in_thread(
    method: Callable[Concatenate[_SelfT, _Args], _Result],
) -> Callable[Concatenate[_SelfT, _Args], Coroutine[Any, Any, _Result]]:
    """Make the async twin of a method: the same call in a worker thread."""

    async def twin(self: _SelfT, /, *args: _Args.args, **kwargs: _Args.kwargs) -> _Result:
        return await asyncio.to_thread(method, self, *args, **kwargs)

    functools.update_wrapper(twin, method)
    twin.__name__ = f"a{method.__name__}"
    return twin


def in_time(seconds: float, call: Callable[[], _Result]) -> _Result:
    """Call something that may wait for the network, but no longer than some seconds; it goes on in its thread.

    Raises:
        TimeoutError: There is no answer by then. What the call raises is raised, too.
    """
    outcome: list[_Result | Exception] = []

    def run() -> None:
        try:
            outcome.append(call())
        except Exception as error:  # raised again below, in the caller's thread
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True, name="fgr-retriever network")
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Give nested values dotted names; a list of lists or mappings becomes its length, a number a float in a list."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}.{key}"
        if isinstance(value, Mapping):
            found.update(_flat(name, value))
        elif isinstance(value, list) and any(isinstance(one, (Mapping, list)) for one in value):
            found[name] = len(value)
        elif isinstance(value, list):  # all of one type, or the attribute is refused
            found[name] = [one if isinstance(one, str) else float(one) for one in value]
        elif value is not None:
            found[name] = value
    return found


def _likeness(name: str, other: str) -> float:
    """Say how much two names of arguments are alike, by their words and their letters; in [0, 2]."""
    ours, theirs = set(name.lower().split("_")), set(other.split("_"))
    return len(ours & theirs) / min(len(ours), len(theirs)) + SequenceMatcher(None, name.lower(), other).ratio()


def _ignore(values: Mapping[str, Any]) -> None:
    """Do nothing: there is no trace."""
