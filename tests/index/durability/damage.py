"""Damaged files: changed bytes, cut ends, missing files.

The law: the index refuses to open or `verify` finds the damage, and before that nothing that is read
is wrong without an error. Only in the database may a byte change unseen, and only where it means
nothing: SQLite leaves parts of its pages unused.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from fgr_retriever.config import IndexConfig
from fgr_retriever.errors import FgrError, IndexCorruptError
from fgr_retriever.index.index import Index
from fgr_retriever.index.storage.folders import DATABASE
from tests.index.durability.processes import LawBrokenError, in_process, processes
from tests.index.durability.workload import (
    CONFIGS,
    ENCODER,
    Plan,
    State,
    Trial,
    attempt,
    check_units,
    flush_early,
    read,
)

CALLS = ("flush", "delete", "flush", "add", "upsert", "delete", "calibrate")  # coded, raw, tombstones
_PATIENCE_S = 120.0


def byte_trials(folder: Path, count: int, seed: int = 0) -> Iterator[Trial]:
    """Change one byte in one file of an intact index, file after file.

    Args:
        folder: Where to make the indexes.
        count: How many bytes to change.
        seed: Of places and values.

    Yields:
        One trial a byte, called after the kind of file.
    """
    drawn = random.Random(seed)
    intact, plan = _intact(folder, seed)
    files = _files(intact)
    damages = []
    for number in range(count):
        file = files[number % len(files)]
        damages.append((file, drawn.randrange((intact / file).stat().st_size), drawn.randint(1, 255)))
    yield from _judged(folder, intact, plan.states[-1], damages)


def file_trials(folder: Path, seed: int = 0) -> Iterator[Trial]:
    """Empty, halve, shorten by a byte and remove every file of an intact index.

    Args:
        folder: Where to make the indexes.
        seed: Of the plan.

    Yields:
        One trial for each file and damage.
    """
    intact, plan = _intact(folder, seed)
    damages: list[Damage] = []
    for file in _files(intact):
        size = (intact / file).stat().st_size
        damages += [(file, kept, None) for kept in (0, size // 2, size - 1, None)]
    yield from _judged(folder, intact, plan.states[-1], damages)


# A file, and: a place and what to change there by exclusive or; or how much to keep, None for nothing at all.
Damage = tuple[Path, "int | None", "int | None"]


def _intact(folder: Path, seed: int) -> tuple[Path, Plan]:
    plan = Plan.draw(CALLS, seed)
    in_process(_build, folder / "intact", plan, CONFIGS[0])
    return folder / "intact", plan


def _build(folder: Path, plan: Plan, config: IndexConfig) -> None:
    flush_early()
    with closing(Index.open(folder, ENCODER, config)) as index:
        for call in plan.calls:
            call.run(index)
        if read(index, plan.states[-1].passages) != plan.states[-1]:
            raise LawBrokenError("the intact index is not what was written")


def _files(folder: Path) -> list[Path]:
    """List the files that hold bytes, relative to the index."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    return [path.relative_to(folder) for path in found]


def _judged(folder: Path, intact: Path, state: State, damages: Sequence[Damage]) -> Iterator[Trial]:
    """Judge damages in a process of their own; one that dies of a damage is replaced by the next."""
    waiting = list(damages)
    while waiting:
        context = processes()
        ours, theirs = context.Pipe(duplex=False)
        judge = context.Process(target=_judge, args=(folder, intact, state, waiting, theirs), daemon=True)
        judge.start()
        theirs.close()
        with closing(ours), suppress(EOFError):
            while waiting and ours.poll(_PATIENCE_S):
                trial = ours.recv()
                waiting.pop(0)
                yield trial
        if waiting:
            judge.kill()
            judge.join()
            yield Trial(_kind(waiting[0]), "failed", f"hangs or dies of {waiting[0]}: exit code {judge.exitcode}")
            waiting.pop(0)
            shutil.rmtree(folder / "damaged", ignore_errors=True)
        judge.join()


def _judge(folder: Path, intact: Path, state: State, damages: Sequence[Damage], line: Connection) -> None:
    place = folder / "damaged"
    for damage in damages:
        shutil.copytree(intact, place)
        _apply(place, damage)
        trial = attempt(_kind(damage), lambda: _seen(place, state, damage), place)  # noqa: B023 - runs at once
        shutil.rmtree(place, ignore_errors=True)
        line.send(trial)


def _apply(folder: Path, damage: Damage) -> None:
    file, where, change = damage
    path = folder / file
    if where is None:
        path.unlink()
    elif change is None:
        path.write_bytes(path.read_bytes()[:where])
    else:
        content = bytearray(path.read_bytes())
        content[where] ^= change
        path.write_bytes(content)


def _seen(folder: Path, state: State, damage: Damage) -> str:
    """Say who sees a damage: `opening`, `verify`, or nobody and rightly so."""
    try:
        index = Index.open(folder, ENCODER, create=False)
    except FgrError:
        return "seen by opening"
    with closing(index):
        _read_carefully(index, state, damage)
        try:
            index.verify()
        except IndexCorruptError:
            return "seen by verify"
        if damage[0].name != DATABASE or read(index, state.passages) != state:
            raise LawBrokenError(f"verify does not see {damage}")
    return "means nothing"


def _read_carefully(index: Index, state: State, damage: Damage) -> None:
    """Read what is damaged without `verify`: an error of ours or what was written, nothing else."""
    found = []
    for id in state.passages:
        with suppress(FgrError):
            found += index.get([id])
    for passage in list(state.passages.values())[::10]:
        with suppress(FgrError):
            for match in index.search(ENCODER.encode_queries([passage.text]), 5)[0]:
                check_units(match)
                found.append(match.passage)
        with suppress(FgrError):
            index.words(passage.text, 5)  # what it finds is judged by `verify`
    wrong = [passage for passage in found if state.passages.get(passage.id) != passage]
    if wrong:
        raise LawBrokenError(f"reads a wrong passage after {damage}: {wrong[0]!r:.300}")


def _kind(damage: Damage) -> str:
    return damage[0].name if damage[2] is not None else f"{damage[0].name} cut or missing"
