"""Load on `fgr serve` and `fgr mcp --http`: throughput, times, errors and memory.

    python -m benchmarks.serve [--clients 1 16 64] [--seconds 30] [--index DIR] [--against CHECKOUT ...]

Takes an index, or builds one of the demo corpus and of passages made of its sentences. Then measures each server with
each number of clients, without and with a hostile one, and writes a Markdown table. The code of other checkouts is
measured in turns with this one's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
from pathlib import Path

from benchmarks.serve.load import Measured, measure
from benchmarks.serve.servers import HERE, command, running
from fgr_retriever import demo

_COLUMNS = (
    *("code", "server", "clients", "answers/s", "p50 ms", "p95 ms", "processor ms an answer", "answers", "dropped"),
    *("MB before, peak, after", "threads"),
)
_WARM_UP_S = 2.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--passages", type=int, default=2_000, help="of a new index")
    parser.add_argument("--index", type=Path, help="take this index")
    parser.add_argument("--servers", nargs="+", choices=["serve", "mcp"], default=["serve", "mcp"])
    parser.add_argument("--honest", action="store_true", help="without the hostile client")
    parser.add_argument("--against", type=Path, nargs="*", default=[], help="checkouts with other code")
    given = parser.parse_args()
    codes = {"this": HERE} | {other.name: other.resolve() for other in given.against}
    hostile = [False] if given.honest else [False, True]
    with tempfile.TemporaryDirectory() as folder:
        indexes = {name: given.index or Path(folder) / name for name in codes}
        for name, code in codes.items():
            if given.index is None:
                build(indexes[name], given.passages, code)
        print(f"| {' | '.join(_COLUMNS)} |")
        print("|" + "---|" * len(_COLUMNS))
        for kind in given.servers:
            for clients in given.clients:
                for name, code in codes.items():
                    with running(kind, indexes[name], code=code) as server:
                        asyncio.run(measure(server, demo.questions(), clients, _WARM_UP_S, False))
                        for attacked in hostile:
                            found = asyncio.run(measure(server, demo.questions(), clients, given.seconds, attacked))
                            shown = f"{clients} and a hostile one" if attacked else f"{clients}"
                            print(_row(name, kind, shown, found), flush=True)


def build(index: Path, passages: int, code: Path = HERE) -> None:
    """Index the demo corpus, and passages that are made of its sentences until there are enough.

    Args:
        index: The folder of the index.
        passages: How many.
        code: The checkout whose code makes the index: another one may have another format.
    """
    corpus, dice = demo.passages(), random.Random(1)
    sentences = [sentence for passage in corpus for sentence in passage.text.rstrip(".").split(". ")]
    rows = [{"id": one.id, "text": one.text, **one.metadata} for one in corpus[:passages]]
    for number in range(len(corpus), passages):
        text = ". ".join(dice.sample(sentences, 6)) + "."
        rows.append({"id": f"made-{number}", "text": text, "title": f"Made {number}", "year": 1500 + number % 500})
    lines = "\n".join(map(json.dumps, rows))
    command(code, "index", "-", "--format", "jsonl", "--out", str(index), text=lines)


def _row(code: str, kind: str, clients: str, found: Measured) -> str:
    answers = ", ".join(f"{status}: {count:,}" for status, count in sorted(found.answers.statuses.items()))
    memory = ", ".join(f"{one:,.0f}" for one in found.memory)
    share = 1000 * found.processor / max(1, len(found.answers.seconds))
    times = f"{found.percentile_ms(50):,.0f} | {found.percentile_ms(95):,.0f} | {share:,.1f}"
    cells = (code, f"fgr {kind}", clients, f"{found.rate:,.1f}", times, answers, found.answers.dropped, memory)
    return " | ".join(["", *map(str, cells), f"{found.threads} |"]).strip()


if __name__ == "__main__":
    main()
