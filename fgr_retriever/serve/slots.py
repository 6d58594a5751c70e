"""Searches in threads: a few at once, some that wait, and none for longer than its time limit."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, TypeVar

from fgr_retriever.calls import TimeLimit
from fgr_retriever.errors import FgrError
from fgr_retriever.serve.config import ServeConfig

RETRY_AFTER = 1
"""Seconds after which a client that was refused may ask again."""

_T = TypeVar("_T")


class BusyError(FgrError):
    """The server has enough to do, or stops: ask again later."""


class Slots:
    """Runs the searches of a server.

    A search that nobody waits for any more gets no answer, but keeps its slot until it has really ended: at its next
    look at the clock (`fgr_retriever.calls.TimeLimit`). So there are never more searches at once than slots.

    Args:
        config: How many at once, how many wait, and for how long.
    """

    def __init__(
        self,
        config: ServeConfig = ServeConfig(),  # noqa: B008 - immutable
    ) -> None:
        self.config = config
        self._threads = ThreadPoolExecutor(config.at_once, "fgr-search")
        self._lock = threading.Condition()
        self._running: set[_Call[Any]] = set()
        self._waiting: deque[_Call[Any]] = deque()
        self._stopped = False

    async def run(self, work: Callable[[], _T]) -> _T:
        """Do some work in a thread, in its turn. If the waiting task is cancelled, the work is given up.

        Raises:
            BusyError: Too many wait already, or the server stops.
            TimeLimitError: It takes too long, its waiting included.
        """
        call = _Call(work, TimeLimit(self.config.time_limit))
        self._admit(call)
        answer = asyncio.wrap_future(call.answer)
        answer.add_done_callback(_seen)
        try:
            await asyncio.wait({answer}, timeout=self.config.time_limit)
            if not answer.done():
                raise call.limit.error()
            return answer.result()
        finally:
            answer.cancel()
            call.limit.stop()
            self._withdraw(call)

    def stop(self) -> None:
        """Give up all searches: their clients are told so at once, and later ones are refused."""
        with self._lock:
            self._stopped = True
            calls = [*self._running, *self._waiting]
            self._waiting.clear()
        for call in calls:
            call.limit.stop()
            call.fail(BusyError("the server stops: ask again later"))

    def wait(self, seconds: float) -> bool:
        """Wait until no search runs, and say whether that came to be."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._running, seconds)

    def _admit(self, call: _Call[Any]) -> None:
        """Give a call a slot, or let it wait for one."""
        with self._lock:
            if self._stopped:
                raise BusyError("the server stops: ask again later")
            if len(self._running) < self.config.at_once:
                self._start(call)
            elif len(self._waiting) < self.config.queue:
                self._waiting.append(call)
            else:
                raise BusyError(f"{len(self._waiting)} searches wait already: ask again later")

    def _start(self, call: _Call[Any]) -> None:
        self._running.add(call)
        self._threads.submit(self._work, call)

    def _work(self, call: _Call[Any]) -> None:
        """Do the work of a call, then give its slot to the next one."""
        call.run()
        with self._lock:
            self._running.discard(call)
            if self._waiting:
                self._start(self._waiting.popleft())
            self._lock.notify_all()

    def _withdraw(self, call: _Call[Any]) -> None:
        """Take a call that nobody waits for out of the queue."""
        with self._lock, suppress(ValueError):
            self._waiting.remove(call)


class _Call(Generic[_T]):
    """Some work, its time limit, and the answer."""

    def __init__(self, work: Callable[[], _T], limit: TimeLimit) -> None:
        self._work, self.limit = work, limit
        self.answer: Future[_T] = Future()

    def run(self) -> None:
        """Do the work, unless the time is up."""
        try:
            with self.limit():
                found = self._work()
        except BaseException as error:  # as the threads of the standard library do it: whoever waits gets to know
            self.fail(error)
        else:
            with suppress(InvalidStateError):
                self.answer.set_result(found)

    def fail(self, error: BaseException) -> None:
        """Answer with an error, if there is no answer yet and somebody waits."""
        with suppress(InvalidStateError):
            self.answer.set_exception(error)


def _seen(answer: asyncio.Future[Any]) -> None:
    """Look at an error that comes when nobody waits any more, or asyncio reports it as forgotten."""
    if not answer.cancelled():
        answer.exception()
