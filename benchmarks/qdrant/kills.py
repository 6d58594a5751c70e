"""Kill a writer many times and count what is missing: `python -m benchmarks.qdrant.kills [KILLS]`."""

from __future__ import annotations

import sys
import tempfile

from tests.index.qdrant.kills import lost_after


def main(kills: int) -> None:
    """Print what was acknowledged and what is missing."""
    with tempfile.TemporaryDirectory() as folder:
        acknowledged, missing = lost_after(kills, f"{folder}/core")
    print(f"{kills} kills, {acknowledged} passages acknowledged, {len(missing)} missing")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
