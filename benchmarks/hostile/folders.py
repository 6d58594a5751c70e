"""Hostile index folders: each is opened, searched, verified, written and repaired in a process of its own.

    python -m benchmarks.hostile.folders [--count 500] [--first 0] [--seed 0] [--folder DIR]

Writes a Markdown table by kind of damage, and every broken law to stderr; exits with 1 if there is one. The folders of
failed trials stay.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from tests.index.hostile.trials import DAMAGES, folder_trials


def main() -> int:
    """Run the trials and show them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="the number of the first folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to make the folders; by default a new temporary one")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="hostile-"))
    start = time.perf_counter()
    trials = []
    for trial in tqdm(folder_trials(folder, given.count, given.seed, given.first), total=given.count, disable=None):
        trials.append(trial)
        if trial.failure:
            tqdm.write(f"{trial.kind}: {trial.failure}\n", file=sys.stderr)
    outcomes = Counter((trial.kind, trial.outcome) for trial in trials)
    columns = ("refused", "seen by a call", "seen by verify", "means nothing", "failed")
    print(f"{len(trials)} folders of seed {given.seed} in {time.perf_counter() - start:.0f} s\n")
    print(f"| damage | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for kind in DAMAGES:
        print(f"| {kind} | {' | '.join(str(outcomes[kind, column]) for column in columns)} |")
    return int(any(trial.failure for trial in trials))


if __name__ == "__main__":
    sys.exit(main())
