"""Ctrl-C at a random moment of a call: it is undone or done, and the index goes on, in this process and in the next."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from fgr_retriever.config import IndexConfig
from fgr_retriever.errors import IndexWriteError
from fgr_retriever.index.storage.folders import DATABASE
from tests.index.durability.kills import SCENARIOS
from tests.index.durability.processes import LawBrokenError, processes
from tests.index.durability.workload import CONFIGS, Plan, Trial, attempt, flush_early, read, verdict

INTERRUPTED = ("compact", "compact coded")


def interrupt_trials(folder: Path, count: int, seed: int = 0) -> Iterator[Trial]:
    """Interrupt writers, scenario after scenario.

    Args:
        folder: Where to make the indexes.
        count: How many writers to interrupt.
        seed: Of plans and moments; the machine's own timing is part of both.

    Yields:
        One trial a writer: `undone` or `kept` says what became of the call, `done` that Ctrl-C came after its end.
    """
    drawn = random.Random(seed)
    waits = dict.fromkeys(INTERRUPTED, 0.02)  # seconds; learned, so that about half of the signals hit the call
    for number in range(count):
        name = INTERRUPTED[number % len(INTERRUPTED)]
        plan = Plan.draw(SCENARIOS[name], drawn.randrange(1 << 30))
        wait, place = drawn.uniform(0, waits[name]), folder / f"interrupt-{number}"
        trial = attempt(f"Ctrl-C in {name}", lambda: _interrupted(place, plan, CONFIGS[0], wait), place)  # noqa: B023
        waits[name] *= 0.7 if trial.outcome == "done" else 1.3
        yield trial


def _interrupted(folder: Path, plan: Plan, config: IndexConfig, wait: float) -> str:
    context = processes()
    ours, theirs = context.Pipe(duplex=False)
    writer = context.Process(target=_write, args=(folder, plan, config, theirs), daemon=True)
    writer.start()
    theirs.close()
    with closing(ours):
        before = heard = ours.recv()
        if isinstance(before, list) and writer.pid:
            time.sleep(wait)
            os.kill(writer.pid, signal.SIGINT)
            heard = ours.recv()
    writer.join()
    if heard not in ("done", "interrupted"):
        raise LawBrokenError(heard)
    after = _segments(folder)
    verdict(folder, plan.states[-2:], config)
    return "done" if heard == "done" else "undone" if after == before else "kept"


def _segments(folder: Path) -> list[str]:
    """Name the segments that the database lists."""
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM segments ORDER BY first_row")]


def _write(folder: Path, plan: Plan, config: IndexConfig, line: Connection) -> None:
    """Make the calls of a plan, and go on with the same index after the last one was interrupted."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    flush_early()
    heard = "interrupted"
    try:
        with closing(plan.open(folder, config)) as index:
            for call in plan.calls[:-1]:
                call.run(index)
            with suppress(KeyboardInterrupt, IndexWriteError):  # SQLite keeps that of a function to itself
                line.send(_segments(folder))
                plan.calls[-1].run(index)
                heard = "done"
                time.sleep(60)  # the signal comes for sure
            index.verify()
            if read(index, plan.states[-1].passages.keys() | plan.states[-2].passages.keys()) not in plan.states[-2:]:
                heard = "mixes two states"
    except Exception as error:  # handed over to the process that judges
        heard = f"{type(error).__name__}: {error}"
    line.send(heard)
