"""schemathesis against a running `fgr serve`: does it do what its OpenAPI document says?

    python -m benchmarks.serve.fuzz [--examples 1000]

Writes the report of schemathesis, and ends with its exit code.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.serve.__main__ import build
from benchmarks.serve.servers import Server, running

_PASSAGES = 200


def main() -> None:
    """Build an index, serve it, and let schemathesis ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=1_000, help="requests for each route and phase")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        build(index, _PASSAGES)
        with running("serve", index) as server:
            done = fuzz(server, given.examples)
    print(done.stdout)
    sys.exit(done.returncode)


def fuzz(server: Server, examples: int) -> subprocess.CompletedProcess[str]:
    """Run schemathesis.

    Args:
        server: A running `fgr serve`.
        examples: How many requests to make up for each route.
    """
    words = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{server.port}/openapi.json"]
    options = ["--max-examples", str(examples), "--phases", "coverage,fuzzing", "--checks", "all", "--no-color"]
    with tempfile.TemporaryDirectory() as folder:  # it keeps what it found where it runs
        return subprocess.run(
            [*words, *options], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


if __name__ == "__main__":
    main()
