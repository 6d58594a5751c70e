"""Power cuts: what a disk holds if the power goes at a random moment of a writer's work.

A writer runs under `strace`; `disk_model` replays its calls up to a random one and composes the folder
as the disk would hold it. The law is that of a killed writer. The shared-memory file of SQLite is left
out: nobody relies on it after a start of the machine.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.index.durability.disk_model import CALLS, Cut, Disk, SystemCall, parse
from tests.index.durability.processes import LawBrokenError
from tests.index.durability.workload import (
    CONFIGS,
    Plan,
    State,
    Trial,
    attempt,
    flush_early,
    verdict,
)

CUTS: tuple[Cut, ...] = ("strict", "torn", "written")
_KINDS = ("add", "upsert", "delete", "calibrate", "compact", "flush", "refresh", "delete", "flush", "compact")
_OLD_KINDS = ("add", "flush", "delete", "add", "upgrade", "upsert", "upgrade", "flush", "compact")  # from format 2 on
_LINE = re.compile(rb"(begun|done) (\d+)\s*")  # what the writer prints
_SHARED_MEMORY = "-shm"
_WRITER = (
    "import sys; from pathlib import Path; from tests.index.durability import powercut; "
    "powercut.write(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == 'old')"
)


def can_trace() -> bool:
    """Say whether `strace` is here and allowed to work."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0


def powercut_trials(folder: Path, count: int, seed: int = 0, old: bool = False) -> Iterator[Trial]:
    """Cut the power at random moments of one writer's work.

    Args:
        folder: Where to make the indexes.
        count: How many cuts.
        seed: Of the plan and the moments.
        old: Begin with an index of format 2, whose creation is not cut, and upgrade it.

    Yields:
        One trial a cut, called after what the cut leaves; `undone` or `kept` says what became of the
        call that was under way.
    """
    root, drawn = folder / "recorded", random.Random(seed)
    root.mkdir()
    calls = _record(root, seed, folder / "calls.txt", old)
    disk, plan = Disk(root), _plan(seed, old)
    first = next(moment for moment, call in enumerate(calls) if _said(call)[0]) if old else 0
    moments = sorted(drawn.sample(range(first, len(calls)), min(count, len(calls) - first)))
    begun = done = number = 0
    for moment, call in enumerate(calls):
        disk.replay(call)
        what, told = _said(call)
        begun, done = (told if what == "begun" else begun), (told if what == "done" else done)
        while number < len(moments) and moments[number] == moment:
            cut, place = CUTS[number % len(CUTS)], folder / f"cut-{number}"
            left, allowed = disk.left(cut, drawn), plan.allowed(begun, done)
            yield attempt(cut, lambda: _survived(place, left, allowed), place)  # noqa: B023 - runs at once
            number += 1
    _check_recording(root, disk.left("written", drawn))


def write(folder: Path, seed: int, old: bool) -> None:
    """Make the calls of the plan, telling on stdout of each before it begins and after its return."""
    flush_early()
    plan = _plan(seed, old)
    index = plan.open(folder, CONFIGS[0])
    for number, call in enumerate(plan.calls, start=1):
        os.write(1, f"begun {number}\n".encode())
        call.run(index)
        os.write(1, f"done {number}\n".encode())
    index.close()


def _plan(seed: int, old: bool) -> Plan:
    return Plan.draw(_OLD_KINDS if old else _KINDS, seed, old)


def _record(root: Path, seed: int, log: Path, old: bool) -> list[SystemCall]:
    """Run the writer and list its calls that concern the index, and what it said."""
    trace = ["strace", "-f", "-y", "-xx", "-s", str(1 << 24), "--seccomp-bpf", "-e", f"trace={CALLS}", "-o", str(log)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [*trace, sys.executable, "-c", _WRITER, str(root / "index"), str(seed), "old" if old else "new"]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    disk = Disk(root)
    return [call for call in parse(log) if _said(call)[0] or disk.replay(call)]


def _said(call: SystemCall) -> tuple[str, int]:
    """Read a line that the writer printed: `begun` or `done`, and the number of its call.

    Programs that libraries start (`ldconfig -p`, say) are traced, too, and write to their own stdout.
    """
    if call.name != "write" or call.descriptor != 1:
        return "", 0
    said = _LINE.fullmatch(call.texts[0])
    return (said[1].decode(), int(said[2])) if said else ("", 0)


def _survived(folder: Path, left: Mapping[str, bytes | None], allowed: Sequence[State]) -> str:
    """Compose what a cut left and check it."""
    folder.mkdir()
    for path, content in left.items():
        if content is None:
            (folder / path).mkdir()
        elif not path.endswith(_SHARED_MEMORY):
            (folder / path).write_bytes(content)
    found = verdict(folder / "index", allowed, CONFIGS[0])
    return "between calls" if len(allowed) == 1 else "kept" if found else "undone"


def _check_recording(root: Path, written: Mapping[str, bytes | None]) -> None:
    """Raise LawBrokenError unless the replayed calls explain every byte that the writer left."""
    found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    replayed = {path: content for path, content in written.items() if content is not None}
    wrong = [path for path in found.keys() | replayed.keys() if found.get(path) != replayed.get(path)]
    if any(not path.endswith(_SHARED_MEMORY) for path in wrong):
        raise LawBrokenError(f"the recorded calls do not explain {sorted(wrong)}")
