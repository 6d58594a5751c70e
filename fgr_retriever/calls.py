"""Support for public calls: traces, stopwatches, time limits, async twins and waiting for the network.

Traces are OpenTelemetry spans if its API is installed; otherwise nothing is traced. Questions and results stay out of
the traces: they hold numbers, and the words of a question that nothing supports.
"""

from __future__ import annotations

import asyncio
import functools
import math
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from typing_extensions import Self

from fgr_retriever.errors import TimeLimitError

try:
    from opentelemetry import trace
except ImportError:  # an extra: without it nobody traces
    trace = None  # type: ignore[assignment, unused-ignore]

Note: TypeAlias = Callable[[Mapping[str, Any]], None]
_SelfT = TypeVar("_SelfT")
_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")


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
    """Adds up the time that each stage of a call takes, and collects notes; a time limit is checked before each.

    Attributes:
        times_ms: Milliseconds by stage.
        notes: Messages about what did not go as asked.
    """

    def __init__(self) -> None:
        self.times_ms: dict[str, float] = {}
        self.notes: list[str] = []

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time what happens inside the `with` block, unless the time is up."""
        check_time()
        start = time.perf_counter()
        try:
            yield
        finally:
            self.times_ms[stage] = self.times_ms.get(stage, 0.0) + 1000 * (time.perf_counter() - start)


class TimeLimit:
    """How long a call may take. Whoever waits for it can end it earlier.

    Python has no way to end a thread, so the call itself looks at the clock: between its stages, and in loops over
    passages, by `check_time`. A call without a limit never ends early.

    Args:
        seconds: From now.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Set the limit for what this thread or task does inside the `with` block.

        Raises:
            TimeLimitError: The time is up already, or runs out inside.
        """
        before = _limit.set(self)
        try:
            self.check()
            yield
        finally:
            _limit.reset(before)

    def stop(self) -> None:
        """End the call at its next check, from any thread."""
        self._end = -math.inf

    def check(self) -> None:
        """Raise TimeLimitError if the time is up."""
        if self.is_over():
            raise self.error()

    def is_over(self) -> bool:
        """Say whether the time is up."""
        return time.monotonic() > self._end

    def error(self) -> TimeLimitError:
        """Say that the time is up."""
        return TimeLimitError(
            f"it took more than {self._seconds:g} s: ask for fewer passages, ask a shorter question or filter less"
        )


_limit: ContextVar[TimeLimit | None] = ContextVar("fgr_time_limit", default=None)


def time_limit() -> TimeLimit | None:
    """Give the time limit of the call that runs here."""
    return _limit.get()


def check_time() -> None:
    """Raise TimeLimitError if the call that runs here has a time limit and the time is up."""
    limit = time_limit()
    if limit is not None:
        limit.check()


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


def _ignore(values: Mapping[str, Any]) -> None:
    """Do nothing: there is no trace."""
