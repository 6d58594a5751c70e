"""Time of segmentation and of spans by kind of text, divided by that of another checkout of this project.

    python -m benchmarks.text.speed --against CHECKOUT [--megabytes 1] [--kinds code list] [--cuts]

Each kind is the texts with marked cuts of that kind, again and again with other numbers, in texts of 20,000 characters.
Both checkouts run in turns, each in a process of its own; the fastest of three turns counts. With `--cuts` nothing is
timed: it says whether both cut every text in the same places.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from tests.text.marked_cuts import marked_texts

_SIZE = 20_000
_TURNS = 3
_WORKER = """
import hashlib, json, sys, time
import numpy as np
import regex
from fgr_retriever.config import TrimConfig
from fgr_retriever.evidence.spans import find_spans
from fgr_retriever.text.units import Units
from fgr_retriever.types import TokenEvidence

def evidence(text):
    offsets = np.array([match.span() for match in regex.finditer(r"\\w+", text)], dtype=np.int32).reshape(-1, 2)
    return TokenEvidence(offsets, np.where(np.arange(len(offsets)) % 37 < 3, 0.9, 0.05).astype(np.float32))

config = TrimConfig()
for line in sys.stdin:
    texts = json.loads(open(json.loads(line), encoding="utf-8").read())
    told = [evidence(text) for text in texts]
    begin = time.process_time()
    units = [Units.of(text) for text in texts]
    middle = time.process_time()
    spans = [find_spans(text, one, config, 0.5) for text, one in zip(texts, told)]
    end = time.process_time()
    cuts = [[one.sentences.tolist(), one.phrases.tolist(), one.breaks.tolist()] for one in units]
    found = hashlib.sha256(json.dumps([cuts, [[(s.start, s.end) for s in one] for one in spans]]).encode()).hexdigest()
    print(json.dumps([middle - begin, end - middle, found]), flush=True)
"""


class _Checkout:
    """A process that measures one checkout."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        command = [sys.executable, "-c", _WORKER]
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": str(folder)},
        )

    def measure(self, texts: Path) -> tuple[float, float, str]:
        """Give the seconds of segmentation and of spans, and a hash of the cuts."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process has no pipes")
        print(json.dumps(str(texts)), file=self._process.stdin, flush=True)
        units, spans, cuts = json.loads(self._process.stdout.readline())
        return units, spans, cuts


def main() -> None:
    """Measure all kinds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, required=True, help="folder of the other checkout")
    parser.add_argument("--megabytes", type=float, default=1.0, help="of each kind")
    parser.add_argument("--kinds", nargs="*", help="only these")
    parser.add_argument("--cuts", action="store_true", help="compare the cuts in place of the times")
    given = parser.parse_args()
    both = [_Checkout(Path.cwd()), _Checkout(given.against)]
    print(
        "| kind | same cuts |\n|---|---|" if given.cuts else "| kind | MB/s | segmentation | spans |\n|---|---|---|---|"
    )
    for kind in sorted({one.kind for one in marked_texts()}):
        if given.kinds and kind not in given.kinds:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "texts.json"
            path.write_text(json.dumps(list(_texts(kind, int(given.megabytes * 1e6)))), "utf-8")
            turns = [[one.measure(path) for one in both] for _ in range(1 if given.cuts else _TURNS)]
        if given.cuts:
            print(f"| {kind} | {'yes' if turns[0][0][2] == turns[0][1][2] else 'NO'} |", flush=True)
            continue
        (units, spans), (units_before, spans_before) = (
            (min(turn[place][0] for turn in turns), min(turn[place][1] for turn in turns)) for place in range(2)
        )
        speed = given.megabytes / units
        print(f"| {kind} | {speed:.2f} | {units / units_before:.2f} | {spans / spans_before:.2f} |", flush=True)


def _texts(kind: str, size: int) -> Iterator[str]:
    """Make texts of a kind."""
    marked = [one.text for one in marked_texts() if one.kind == kind]
    number, made = count(1), 0
    while made < size:
        text = ""
        while len(text) < _SIZE:
            digits = str(next(number) % 10)
            text += marked[int(digits) % len(marked)].replace("7", digits) + "\n\n"
        made += len(text)
        yield text


if __name__ == "__main__":
    main()
