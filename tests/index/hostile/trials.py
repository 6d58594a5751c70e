"""Trials with hostile folders: each is damaged in one way, and visited by a process of its own."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

from fgr_retriever.config import IndexConfig
from fgr_retriever.index.index import Index
from tests.index.durability.processes import in_process, processes
from tests.index.durability.workload import ENCODER, Plan, Trial, flush_early
from tests.index.hostile import content_damages, file_damages
from tests.index.hostile.place import Damage, Place
from tests.index.hostile.visit import MEMORY, Task, Visit, visit

DAMAGES: dict[str, Damage] = {**file_damages.DAMAGES, **content_damages.DAMAGES, **content_damages.FORGED}
_CALLS = ("flush", "delete", "add", "upsert", "calibrate")  # coded and raw segments, tombstones
_CONFIG = IndexConfig(segment_tokens=1_500, words="plain", importance=True)  # all that an index can keep
_PATIENCE_S = 300.0  # a process that does not even use its processor time
_SEEDS = (1, 2)  # of the index, and of the other one


def folder_trials(folder: Path, count: int, seed: int = 0, first: int = 0) -> Iterator[Trial]:
    """Damage and visit folders, each kind of damage in turn; without the compiled search every third time.

    Args:
        folder: Where to make them.
        count: How many.
        seed: Of all damages.
        first: The number of the first one, which says its kind.

    Yields:
        One trial a folder, called after the kind of damage.
    """
    plans = [Plan.draw(_CALLS, number) for number in _SEEDS]
    intact = [folder / f"intact-{number}" for number in _SEEDS]
    for plan, place in zip(plans, intact, strict=True):
        in_process(_build, place, plan)
    states = [plan.states[-1].passages for plan in plans]
    both = {id: [state[id] for state in states if id in state] for id in sorted(set().union(*states))}
    own = {id: [passage] for id, passage in states[0].items()}
    kinds = list(DAMAGES)
    for number in range(first, first + count):
        kind, trial = kinds[number % len(kinds)], folder / f"folder-{number}"
        texts = {} if kind in content_damages.FORGED else both if kind == "file of another index" else own
        task = Task(trial / "index", trial / "spare", texts, list(own), kernel=number % 3 != 2)
        yield _try(kind, task, intact, f"{seed} {number}")


def _build(folder: Path, plan: Plan) -> None:
    flush_early()
    with closing(Index.open(folder, ENCODER, _CONFIG)) as index:
        for call in plan.calls:
            call.run(index)


def _try(kind: str, task: Task, intact: list[Path], seed: str) -> Trial:
    """Damage a copy, visit it, and look at what lies beside it."""
    trial, outside, told = task.folder.parent, task.folder.parent / "outside", ""
    _outside(outside)
    for copy in (task.folder, task.spare):  # damaged in the same way: a pipe cannot be copied
        shutil.copytree(intact[0], copy)
        told = DAMAGES[kind](Place(copy, intact[1], outside, random.Random(seed)))
    before = _contents(outside)
    found = _alone(task)
    if _contents(outside) != before:
        found.failures.append("something outside the folder was touched")
    if found.memory > MEMORY:
        found.failures.append(f"took {found.memory / 1e6:.0f} MB")
    if found.failures:
        return Trial(kind, "failed", f"{trial.name}, {told}: " + "; ".join(found.failures))
    shutil.rmtree(trial)
    return Trial(kind, found.outcome)


def _alone(task: Task) -> Visit:
    """Visit a folder in a process that starts with everything imported."""
    context = processes()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(theirs, task), daemon=True)
    process.start()
    theirs.close()
    with closing(ours):
        try:
            if ours.poll(_PATIENCE_S):
                found: Visit = ours.recv()
                process.join()
                return found
        except EOFError:
            process.join()
            code = process.exitcode or 0
            why = "hangs" if -code in (signal.SIGXCPU, signal.SIGKILL) else "dies"
            return Visit(failures=[f"{why}: exit code {code}"])
    process.kill()
    process.join()
    return Visit(failures=["hangs, waiting"])


def _send(line: Connection, task: Task) -> None:
    line.send(visit(task))


def _outside(folder: Path) -> None:
    """Make somebody else's files, some with names like ours."""
    for name in ("photos", "0" * 32, "segments"):
        (folder / name).mkdir(parents=True)
        (folder / name / "precious.txt").write_text("mine")
    (folder / "precious.txt").write_text("mine")


def _contents(folder: Path) -> dict[str, str]:
    """Hash all files and list all folders."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }
