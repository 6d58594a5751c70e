"""Our index beside others, on token vectors of the embedded model.

    python -m benchmarks.index DIR... --work FOLDER [--systems NAME...] [--json FILE] [--plots FOLDER]

Each DIR is a folder in BEIR layout; all passages together make the real corpus, windows of them a larger one.
Every system is built and measured in a process of its own. What is in --work already is not done again. Systems
whose packages are not installed here run in the virtual environments under --peers, which are made when missing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.index import ours, report
from benchmarks.index.corpus import Corpus
from benchmarks.index.encoding import RealSet, encode
from benchmarks.index.systems import GROWING, SYSTEMS
from benchmarks.index.truth import truth
from fgr_retriever import Encoder
from fgr_retriever.evaluation.beir import read_beir

QUERIES = 25  # of each set
GROWTH = (10_000, 30_000, 100_000, 300_000)
JUDGED = ("scifact", "trec_dl19_pool", "npl_vaswani")
BUILD_LIMIT = 3600  # seconds
PEERS = {
    "maxsim-cpu": ["maxsim-cpu"],
    "Qdrant Edge": ["qdrant-edge-py"],
    "LanceDB": ["lancedb"],
    # Its wheel is tagged for glibc 2.39, and pip refuses it on older systems. It runs with 2.36 all the same.
    "tachiom": ["--no-deps", "--only-binary=:all:", "--platform=manylinux_2_39_x86_64", "--target={}", "tachiom"],
    "fast-plaid": ["fast-plaid"],
}
OWN_TORCH = {"fast-plaid"}


class Bench:
    """The state of a run: where things are, and what was found so far."""

    def __init__(self, work: Path, peers: Path, file: Path) -> None:
        self.work, self._peers, self._file = work, peers, file
        self.found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}

    def once(self, keys: Sequence[str], measure: Callable[[], Any]) -> Any:
        """Measure what is not in the file yet, and write it there."""
        place = self.found
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        if keys[-1] not in place:
            print(*keys, sep=" · ", file=sys.stderr, flush=True)
            place[keys[-1]] = measure()
            self._file.write_text(json.dumps(self.found, indent=2) + "\n")
        return place[keys[-1]]

    def trial(self, task: str, system: str, **asked: Any) -> dict[str, Any]:
        """Run one task in a process of its own."""
        given = {"task": task, "system": system, "work": str(self.work), "windows": 0, "settings": [], "threads": 2}
        python = self._python(system)
        if python is None:
            return {"failed": "its packages cannot be installed here"}
        root = str(Path(__file__).parents[2])
        environment = {"PYTHONPATH": root, "OMP_NUM_THREADS": str(asked.get("threads", 2)), "PATH": "/usr/bin:/bin"}
        try:
            done = subprocess.run(
                [python, "-m", "benchmarks.index.trial"],
                input=json.dumps(given | asked),
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
                cwd=root,
                timeout=BUILD_LIMIT,
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"not done after {BUILD_LIMIT} s"}
        if done.returncode:
            return {"failed": f"exit status {done.returncode}"}
        return dict(json.loads(done.stdout))

    def _python(self, system: str) -> str | None:
        """Find the interpreter that has a system's packages, making a virtual environment for a peer."""
        name = system.split(",")[0]
        if name not in PEERS:
            return sys.executable
        folder = self._peers / name.replace(" ", "-").lower()
        python = folder / "bin" / "python"
        if not python.exists():
            venv.create(folder, with_pip=True)
            beside, own = sysconfig.get_paths()["purelib"], next(folder.glob("lib/python*/site-packages"))
            if name not in OWN_TORCH:
                (own / "main.pth").write_text(beside + "\n")
            packages = [one.format(own) for one in PEERS[name]] + (["psutil", "tqdm"] if name in OWN_TORCH else [])
            if subprocess.run([python, "-m", "pip", "install", "-q", *packages]).returncode:
                return None
        return str(python)


def sample_queries(sets: Sequence[RealSet], work: Path, encoder: Encoder) -> tuple[list[str], list[Any]]:
    """Take some judged questions of every set, evenly, and encode them."""
    questions = []
    for one in sets:
        known = list(read_beir(one.folder).queries.values())
        questions += [known[at] for at in np.linspace(0, len(known) - 1, min(QUERIES, len(known))).astype(int)]
    vectors = [found.numpy() for found in encoder.encode_queries(questions)]
    np.savez(work / "queries.npz", vectors=np.concatenate(vectors), lengths=[len(one) for one in vectors])
    return questions, vectors


def compare(bench: Bench, key: str, corpus: Corpus, vectors: list[Any], systems: Sequence[str], **asked: Any) -> None:
    """Build and measure systems on one corpus."""
    exact = bench.work / f"{key}.npy"
    truth(corpus, vectors, exact)
    for system in systems:
        folder = bench.work / "built" / f"{key} {system}"
        given = {"folder": str(folder), "truth": str(exact), **asked}
        built = bench.once([key, system, "build"], lambda s=system, g=given: bench.trial("build", s, **g))
        if "failed" in built:
            continue
        for threads in (1, 2):
            name = f"{threads} threads"
            bench.once(
                [key, system, name],
                lambda s=system, g=given, t=threads: bench.trial("measure", s, threads=t, **g),
            )
        bench.once([key, system, "memory"], lambda s=system, g=given: bench.trial("memory", s, **g))


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--work", type=Path, required=True, help="vectors and indexes; about 30 GB for 50,000 passages")
    parser.add_argument("--peers", type=Path, help="virtual environments of the peers; WORK/peers by default")
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS), choices=list(SYSTEMS), metavar="NAME")
    parser.add_argument("--judged", nargs="*", default=JUDGED, help="sets on which quality is measured")
    parser.add_argument("--growth", nargs="*", type=int, default=list(GROWTH), help="windows of the other corpora")
    parser.add_argument("--growing", nargs="*", default=[GROWING], choices=list(SYSTEMS), help="systems on these")
    parser.add_argument("--json", type=Path, help="what was found; WORK/found.json by default")
    parser.add_argument("--report", type=Path, help="where to write tables.md and plots")
    asked = parser.parse_args()
    encoder = Encoder.default()
    corpus, sets = encode([folder.resolve() for folder in asked.folders], asked.work / "vectors", encoder)
    bench = Bench(asked.work, asked.peers or asked.work / "peers", asked.json or asked.work / "found.json")
    bench.found["corpus"] = {
        "passages": len(corpus),
        "tokens": corpus.tokens,
        "encoding_seconds": sum(one.seconds for one in sets),
        "threads": torch.get_num_threads(),
    }
    questions, vectors = sample_queries(sets, asked.work, encoder)
    compare(bench, "real", corpus, vectors, asked.systems, passages=[0, len(corpus)])
    for one in sets:
        for nbits in (16, 4, 2, 1) if one.folder.name in asked.judged else ():
            bench.once(
                ["quality", one.folder.name, str(nbits)],
                lambda one=one, nbits=nbits: ours.ranked(corpus, one, asked.work, nbits),
            )
    folder = asked.work / "built" / f"real {GROWING}"
    bench.once(["evidence"], lambda: ours.evidence(folder, questions))
    for count in asked.growth:
        compare(bench, f"windows {count}", corpus.windows(count), vectors, asked.growing, windows=count)
    if asked.report:
        report.write(bench.found, asked.report)


if __name__ == "__main__":
    main()
