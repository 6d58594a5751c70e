"""What an index survives: killed writers, power cuts, full disks, damaged files, many readers.

    python benchmarks/index/durability.py [--kills N] [--cuts N] [--bytes N] [--disks N] [--seconds S] [--json FILE]

Prints a table and writes JSON; exits with 1 when a law of `tests/durability` was broken. A count of 0
leaves a stage out. The folders of failed trials stay under --folder.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.index.durability.damage import byte_trials, file_trials
from tests.index.durability.disk import can_mount, limit_trials, mount_trials
from tests.index.durability.kills import kill_trials
from tests.index.durability.powercut import can_trace, powercut_trials
from tests.index.durability.readers import reader_trials
from tests.index.durability.workload import Trial

CUTS_A_RECORDING = 60


def stages(folder: Path, wanted: argparse.Namespace) -> Iterator[tuple[str, int, Iterable[Trial]]]:
    """Go through the stages that are wanted: name, number of trials where it is known, and trials."""
    if wanted.kills:
        yield "kill -9", wanted.kills, kill_trials(_new(folder, "kills"), wanted.kills, wanted.seed)
    if wanted.cuts and _possible(can_trace(), "no power cuts: strace is not here or not allowed"):
        yield "power cut", wanted.cuts, _cuts(_new(folder, "cuts"), wanted)
    if wanted.bytes:
        yield "changed byte", wanted.bytes, byte_trials(_new(folder, "bytes"), wanted.bytes, wanted.seed)
        yield "cut or missing file", 0, file_trials(_new(folder, "files"), wanted.seed)
    if wanted.disks:
        yield "limit on file size", wanted.disks, limit_trials(_new(folder, "limits"), wanted.disks, wanted.seed)
    if wanted.disks and _possible(can_mount(), "no full disks: no small file system may be mounted here"):
        yield "full disk", wanted.disks, mount_trials(_new(folder, "mounts"), wanted.disks, wanted.seed)
    if wanted.seconds:
        yield "readers and a writer", 0, reader_trials(_new(folder, "readers"), wanted.seconds, seed=wanted.seed)


def run(name: str, count: int, trials: Iterable[Trial]) -> dict[str, Any]:
    """Run one stage and sum it up."""
    start = time.perf_counter()
    found = list(tqdm(trials, desc=name, total=count or None, disable=None))
    outcomes = Counter((trial.kind, trial.outcome) for trial in found)
    return {
        "trials": len(found),
        "seconds": round(time.perf_counter() - start, 1),
        "failed": sum(bool(trial.failure) for trial in found),
        "outcomes": [{"kind": kind, "outcome": how, "trials": n} for (kind, how), n in sorted(outcomes.items())],
        "failures": [asdict(trial) for trial in found if trial.failure],
    }


def show(report: dict[str, Any]) -> None:
    """Print a report as a table, and every failure."""
    table = Table("stage", "kind", "outcome", "trials")
    for name, stage in report.items():
        for row in stage["outcomes"]:
            table.add_row(name, row["kind"], row["outcome"], str(row["trials"]))
        table.add_row(name, "all", f"{stage['failed']} failed", str(stage["trials"]), end_section=True)
    console = Console()
    console.print(table)
    for stage in report.values():
        for failure in stage["failures"]:
            console.print(f"{failure['kind']}: {failure['failure']}", markup=False, highlight=False)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--cuts", type=int, default=300)
    parser.add_argument("--bytes", type=int, default=1000)
    parser.add_argument("--disks", type=int, default=40, help="of each of the two kinds")
    parser.add_argument("--seconds", type=float, default=60, help="of reading and writing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to make the indexes; by default a new temporary folder")
    parser.add_argument("--json", type=Path, help="where to write the report")
    wanted = parser.parse_args()
    folder, report = wanted.folder or Path(tempfile.mkdtemp(prefix="durability-")), {}
    for name, count, trials in stages(folder, wanted):
        report[name] = run(name, count, trials)
        if wanted.json:  # after every stage: a whole run is long
            wanted.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    show(report)
    return int(any(stage["failed"] for stage in report.values()))


def _possible(possible: bool, otherwise: str) -> bool:
    if not possible:
        print(otherwise)
    return possible


def _cuts(folder: Path, wanted: argparse.Namespace) -> Iterator[Trial]:
    """Cut the power in one recording after the other, each of another plan; every second one upgrades an old index."""
    most = min(CUTS_A_RECORDING, -(-wanted.cuts // 2))
    for number, start in enumerate(range(0, wanted.cuts, most)):
        count = min(most, wanted.cuts - start)
        yield from powercut_trials(_new(folder, str(number)), count, wanted.seed + number, old=number % 2 == 1)


def _new(folder: Path, name: str) -> Path:
    (folder / name).mkdir(parents=True)
    return folder / name


if __name__ == "__main__":
    sys.exit(main())
