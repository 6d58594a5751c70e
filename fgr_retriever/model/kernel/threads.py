"""Which threads the work of a search runs on: parts of a compiled step side by side, small conversions on one.

A step lets go of Python's lock, so threads run its parts at once. The caller takes the first part itself, and takes
back what no thread has begun by then. So on a busy machine a search is as fast as on one thread, and nobody spins.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import ContextVar, copy_context
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor

from fgr_retriever.model.kernel.library import kernel

_Result = TypeVar("_Result")
_SHARED = 1 << 15  # numbers from which torch shares an operation out among its threads
_inside: ContextVar[bool] = ContextVar("_inside", default=False)


def side_by_side(step: Callable[[slice], _Result], count: int, least: int) -> list[_Result]:
    """Share `count` items out among as many threads as torch may use.

    Without compiled steps, and within a part, all items are one part: torch has threads of its own, and these are
    taken.

    Args:
        step: Takes a run of items. It runs in the context of the caller, so it knows the time limit of the call.
        count: Number of items.
        least: Fewest items that a thread is worth.

    Returns:
        What `step` gave for each part, in order; for no items there is one part, too.
    """
    threads = 1 if _inside.get() or kernel() is None else torch.get_num_threads()
    number = max(1, min(threads, count // least))
    bounds = [count * part // number for part in range(number + 1)]
    first, *others = map(slice, bounds, bounds[1:])
    if not others:
        return [step(first)]
    token = _inside.set(True)
    pending = [_handed_over(step, part) for part in others]
    try:
        found = [step(first)]
        found += [step(part) if one.cancel() else one.result() for part, one in zip(others, pending, strict=True)]
    finally:
        _inside.reset(token)
        _finish(pending)
    return found


def _handed_over(step: Callable[[slice], _Result], part: slice) -> Future[_Result]:
    """Give a part to another thread; once the main thread has ended, to none, so that the caller takes it back."""
    try:
        return _pool().submit(copy_context().run, step, part)
    except RuntimeError:  # Python starts no work any more, but waits for threads that still search
        return Future()


def converted(rows: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert a matrix on a CPU as `Tensor.to` does, but on this thread alone.

    torch's other threads would spin at a barrier before and long after: what a search finds is converted sooner.
    """
    found = torch.empty(rows.shape, dtype=dtype)
    step = max(1, (_SHARED - 1) // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        found[start : start + step].copy_(rows[start : start + step])
    return found


def _finish(pending: list[Future[_Result]]) -> None:
    """Let no part run on when its step has failed: what it reads may be closed behind it."""
    wait([one for one in pending if not one.cancel()])


@cache
def _pool() -> ThreadPoolExecutor:
    """Give the threads that help; they start when they are needed, and wait without spinning."""
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), "fgr-step")


if hasattr(os, "register_at_fork"):  # a child has none of its parent's threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
