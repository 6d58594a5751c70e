"""Processes of the durability trials: each starts fresh, with everything imported."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from typing import Any

import torch


class LawBrokenError(Exception):
    """The index broke a promise."""


def processes() -> ForkServerContext:
    """Give the context whose processes start with everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fgr_retriever.index.index", "fgr_retriever.testing"])
    return context


def in_process(call: Callable[..., Any], *args: Any) -> Any:
    """Run a function in a process of its own and give its result.

    Raises:
        LawBrokenError: The process died.
    """
    context = processes()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(theirs, call, args), daemon=True)
    process.start()
    theirs.close()
    try:
        result = ours.recv()
    except EOFError:
        process.join()
        raise LawBrokenError(f"{call.__name__} died with exit code {process.exitcode}") from None
    process.join()
    if isinstance(result, Exception):
        raise result
    return result


def _send_result(line: Connection, call: Callable[..., Any], args: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    try:
        result = call(*args)
    except Exception as error:  # handed over to the process that asked
        result = LawBrokenError(f"{type(error).__name__}: {error}")
    line.send(result)
