"""`kill -9` at a random moment of every kind of call."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from fgr_retriever.config import IndexConfig
from tests.index.durability.processes import processes
from tests.index.durability.workload import CONFIGS, Plan, Trial, attempt, flush_early, verdict

# The last call is the one that is killed; with none, the creation of the index is.
SCENARIOS: dict[str, tuple[str, ...]] = {
    "create": (),
    "add": ("add", "upsert", "delete", "add"),
    "upsert": ("add", "delete", "upsert"),
    "refresh": ("add", "delete", "refresh"),
    "delete": ("add", "upsert", "delete"),
    "calibrate": ("add", "calibrate", "calibrate"),
    "compact": ("add", "upsert", "delete", "compact"),
    "flush": ("add", "delete", "flush"),
    "merge": ("flush", "delete", "flush"),
    "compact coded": ("flush", "delete", "compact"),
    "upgrade": ("flush", "add", "delete", "upgrade"),
}


def kill_trials(folder: Path, count: int, seed: int = 0) -> Iterator[Trial]:
    """Kill writers, scenario after scenario.

    Args:
        folder: Where to make the indexes.
        count: How many writers to kill.
        seed: Of plans and moments; the machine's own timing is part of both.

    Yields:
        One trial a writer: `undone` or `kept` says what became of the killed call, `done` that the
        kill came after its end.
    """
    drawn = random.Random(seed)
    waits = dict.fromkeys(SCENARIOS, 0.02)  # seconds; learned, so that about half of the kills hit the call
    for number in range(count):
        name = list(SCENARIOS)[number % len(SCENARIOS)]
        plan = Plan.draw(SCENARIOS[name], drawn.randrange(1 << 30), old="upgrade" in SCENARIOS[name])
        config = CONFIGS[number // len(SCENARIOS) % len(CONFIGS)]
        wait, place = drawn.uniform(0, waits[name]), folder / f"kill-{number}"
        trial = attempt(name, lambda: _killed(place, plan, config, wait), place)  # noqa: B023 - runs at once
        waits[name] *= 0.7 if trial.outcome == "done" else 1.3
        yield trial


def _killed(folder: Path, plan: Plan, config: IndexConfig, wait: float) -> str:
    """Kill one writer in the last call of its plan and check what it left."""
    context = processes()
    ours, theirs = context.Pipe(duplex=False)
    writer = context.Process(target=_write, args=(folder, plan, config, theirs), daemon=True)
    writer.start()
    theirs.close()
    last, heard = len(plan.calls), []
    with closing(ours), suppress(EOFError):
        while ("begun", last) not in heard:
            heard.append(ours.recv())
        time.sleep(wait)
        writer.kill()
        while True:
            heard.append(ours.recv())
    writer.join()
    begun, done = (max((number for what, number in heard if what == one), default=0) for one in ("begun", "done"))
    if begun < last:
        raise RuntimeError(f"the writer ended by itself with exit code {writer.exitcode}: {heard}")
    left = verdict(folder, plan.allowed(begun, done), config)
    return "done" if ("done", last) in heard else "kept" if left else "undone"


def _write(folder: Path, plan: Plan, config: IndexConfig, line: Connection) -> None:
    """Make the calls of a plan, telling of each before it begins and after it has returned."""
    flush_early()
    line.send(("begun", 0))
    index = plan.open(folder, config)
    line.send(("done", 0))
    for number, call in enumerate(plan.calls, start=1):
        line.send(("begun", number))
        call.run(index)
        line.send(("done", number))
