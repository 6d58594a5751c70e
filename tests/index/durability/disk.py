"""A disk that is full: limits on the size of files, and a file system of a few megabytes.

The law: a call that the disk refuses raises IndexWriteError and changes nothing, and the same call
works as soon as there is room.
"""

from __future__ import annotations

import logging
import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from fgr_retriever.config import IndexConfig
from fgr_retriever.errors import IndexWriteError
from fgr_retriever.index.index import Index
from fgr_retriever.index.storage.folders import DATABASE
from fgr_retriever.types import Passage
from tests.index.durability.processes import LawBrokenError, in_process
from tests.index.durability.workload import CONFIGS, ENCODER, Plan, Trial, attempt, flush_early, read, verdict

_CALLS = ("add", "flush", "refresh", "delete", "calibrate", "compact", "flush", "add", "upgrade", "compact")
_SMALLEST, _LARGEST = 1 << 14, 1 << 21  # bytes: from less than an empty index to most of a full one
LARGE = 6_000_000  # bytes: more than SQLite keeps in memory
_INSIDE = (
    "import sys; from pathlib import Path; from tests.index.durability import disk; "
    "disk.fill_mounts(Path(sys.argv[1]), *map(int, sys.argv[2:]))"
)

_COMPACT = (
    "import sys; from pathlib import Path; from tests.index.durability import disk; "
    "disk.compact_here(Path(sys.argv[1]))"
)


def limit_trials(folder: Path, count: int, seed: int = 0) -> Iterator[Trial]:
    """Fill indexes under a limit on the size of each file.

    Args:
        folder: Where to make the indexes.
        count: How many to fill.
        seed: Of plans and limits.

    Yields:
        One trial an index, called after the call that was refused.
    """
    drawn = random.Random(seed)
    for number in range(count):
        plan = Plan.draw(_CALLS, drawn.randrange(1 << 30), old=number % 2 == 1)
        limit = int(_SMALLEST * (_LARGEST / _SMALLEST) ** drawn.random())
        place = folder / f"limit-{number}"
        yield attempt("file size", lambda: in_process(_fill_limited, place, plan, limit), place)  # noqa: B023 - runs at once


def can_mount() -> bool:
    """Say whether this user may make a small file system, in a namespace of its own."""
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def mount_trials(folder: Path, count: int, seed: int = 0) -> list[Trial]:
    """Fill indexes on small file systems, which only `can_mount` makes possible.

    Args:
        folder: Where to mount them.
        count: How many to fill.
        seed: Of plans and sizes.

    Returns:
        One trial an index.
    """
    command = ["unshare", "-rm", sys.executable, "-c", _INSIDE, str(folder), str(count), str(seed)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return [Trial(*line.split("\t")) for line in done.stdout.splitlines()]


def fill_mounts(folder: Path, count: int, seed: int) -> None:
    """Run the trials of `mount_trials` inside the namespace and print them."""
    drawn = random.Random(seed)
    flush_early()
    for number in range(count):
        plan = Plan.draw(_CALLS, drawn.randrange(1 << 30), old=number % 2 == 1)
        size = int(2 * _SMALLEST * (2 * _LARGEST / _SMALLEST) ** drawn.random())
        place = folder / f"mount-{number}"
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "tmpfs", str(place)]
        subprocess.run([*mount, "-o", f"size={size}"], check=True)
        room = [*mount, "-o", "remount,size=256m"]
        trial = attempt(
            "small file system",
            lambda: _fill(place / "index", plan, CONFIGS[0], lambda: subprocess.run(room, check=True)),  # noqa: B023
            place / "index",
        )
        sys.stdout.write("\t".join([trial.kind, trial.outcome, trial.failure.replace("\n", " ")]) + "\n")
        subprocess.run(["umount", str(place)], check=True)


def _fill_limited(folder: Path, plan: Plan, limit: int) -> str:
    flush_early()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited[1]))
    return _fill(folder, plan, CONFIGS[0], lambda: resource.setrlimit(resource.RLIMIT_FSIZE, unlimited))


def _fill(folder: Path, plan: Plan, config: IndexConfig, make_room: Callable[[], object]) -> str:
    """Make calls until the disk refuses one; check, make room, and go on to the end."""
    try:
        index = plan.open(folder, config)
    except IndexWriteError:
        make_room()
        verdict(folder, plan.states[:1], config)
        return "refused create"
    refused = ""
    with closing(index):
        for number, call in enumerate(plan.calls):
            try:
                call.run(index)
            except IndexWriteError:
                refused = call.kind
                make_room()
                _unchanged(index, plan, number)
                call.run(index)
    verdict(folder, plan.states[-1:], config)
    return f"refused {refused}" if refused else "had room"


def _unchanged(index: Index, plan: Plan, calls: int) -> None:
    index.verify()
    if read(index, plan.states[-1].passages.keys() | plan.states[calls].passages.keys()) != plan.states[calls]:
        raise LawBrokenError(f"a refused {plan.calls[calls].kind} changed the index")


def compact_without_room(folder: Path) -> tuple[int, str]:
    """Compact an index where the temporary folder is full, which only `can_mount` makes possible.

    Args:
        folder: Where to make the index.

    Returns:
        The size of the database then, and what was logged.
    """
    (folder / "full").mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    environment["SQLITE_TMPDIR"] = str(folder / "full")  # which SQLite reads when it is loaded
    command = ["unshare", "-rm", sys.executable, "-c", _COMPACT, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return (folder / "index" / DATABASE).stat().st_size, done.stderr


def compact_here(folder: Path) -> None:
    """Do what `compact_without_room` does, inside the namespace."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder / "full"), "-o", "size=16k"], check=True)
    logging.basicConfig()
    with closing(Index.open(folder / "index", ENCODER)) as index:
        index.add([Passage("kept", "a" * LARGE), Passage("gone", "b" * LARGE)])
        index.delete(["gone"])
        index.compact()
        index.verify()
        if index.ids() != ["kept"]:
            raise LawBrokenError("compact lost a passage")
