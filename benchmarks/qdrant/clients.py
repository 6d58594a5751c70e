"""`fgr serve` and `fgr mcp` over a folder and over a collection, with many clients at once.

    OMP_NUM_THREADS=1 python -m benchmarks.qdrant.clients [--clients 16] [--seconds 20] [--passages 2000]

Copies an index of the demo corpus and of passages made of its sentences into Qdrant's core, which then runs in the
process of the server. Each client asks again as soon as it has its answer. If waiting in line cost nothing, an answer
would take clients x service time / servers. The service time is the median answer to one client alone. Servers are the
processors, where a search is one thread (OMP_NUM_THREADS=1). The core in the process is one server: its Python binding
holds the interpreter's lock while it searches. Writes a Markdown table.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.serve.__main__ import build
from benchmarks.serve.load import Measured, measure
from benchmarks.serve.servers import running
from fgr_retriever import demo

_URL = "qdrant://localhost/passages?storage=exact"
_COLUMNS = ("index", "server", "clients", "answers/s", "p50 ms", "p95 ms", "ideal ms", "p95 / ideal", "not 200")
_WARM_UP_S = 2.0
_SERVERS = {"folder": os.cpu_count() or 1, "collection": 1}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--passages", type=int, default=2_000)
    parser.add_argument("--servers", nargs="+", choices=["serve", "mcp"], default=["serve", "mcp"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        index, core = Path(folder) / "index", Path(folder) / "core"
        build(index, given.passages)
        program = (sys.executable, "-m", "benchmarks.qdrant.served", str(core))
        subprocess.run([*program, "copy", str(index), _URL], check=True)
        print(f"| {' | '.join((*_COLUMNS, 'MB before, peak, after'))} |")
        print("|" + "---|" * (len(_COLUMNS) + 1))
        fgr = (sys.executable, "-m", "fgr_retriever.cli")
        for kind in given.servers:
            for name, place, how in (("folder", str(index), fgr), ("collection", _URL, program)):
                with running(kind, place, program=how) as server:
                    asyncio.run(measure(server, demo.questions(), given.clients, _WARM_UP_S, False))
                    alone = asyncio.run(measure(server, demo.questions(), 1, given.seconds / 2, False))
                    found = asyncio.run(measure(server, demo.questions(), given.clients, given.seconds, False))
                for clients, one in ((1, alone), (given.clients, found)):
                    ideal = max(clients / _SERVERS[name], 1) * alone.percentile_ms(50)
                    print(_row(name, kind, clients, one, ideal), flush=True)


def _row(name: str, kind: str, clients: int, found: Measured, ideal: float) -> str:
    p95, answers = found.percentile_ms(95), found.answers
    wrong = sum(answers.statuses.values()) - answers.statuses["200"] + answers.dropped
    times = f"{found.percentile_ms(50):,.0f} | {p95:,.0f} | {ideal:,.0f} | {p95 / ideal:.1f}"
    memory = ", ".join(f"{one:,.0f}" for one in found.memory)
    cells = (name, f"fgr {kind}", clients, f"{found.rate:,.1f}", times, wrong, f"{memory} |")
    return " | ".join(["", *map(str, cells)]).strip()


if __name__ == "__main__":
    main()
