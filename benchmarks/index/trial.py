"""One system in a process of its own: `python -m benchmarks.index.trial` builds or measures and prints JSON.

The parent gives a JSON object on stdin: `{"system", "folder", "work", "windows", "passages", "task", "threads",
"settings"}`. Times are in milliseconds, sizes in bytes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from benchmarks.index.corpus import Corpus, open_corpus
from benchmarks.index.systems import SYSTEMS, Query, System
from benchmarks.index.truth import Truth

K = 10
PATIENCE = 20.0  # seconds for the queries of one setting; fewer are asked when it is slow
LEAST_QUERIES = 10
MANY = 1000  # searches after which memory is measured


def corpus_of(asked: dict[str, Any]) -> Corpus:
    """Open the passages that a task is about."""
    corpus = open_corpus(Path(asked["work"]) / "vectors", 128)
    if asked["windows"]:
        return corpus.windows(asked["windows"])
    first, last = asked["passages"]
    return corpus.part(slice(first, last))


def queries_of(asked: dict[str, Any]) -> list[Query]:
    """Read the queries."""
    stored = np.load(Path(asked["work"]) / "queries.npz")
    return np.split(stored["vectors"], np.cumsum(stored["lengths"])[:-1])


def build(system: System, folder: Path, corpus: Corpus) -> dict[str, Any]:
    """Build, and weigh what was built."""
    start = time.perf_counter()
    system.build(corpus)
    seconds = time.perf_counter() - start
    size = sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())
    peak = _peak()
    return {"seconds": round(seconds, 1), "bytes": size, "tokens": corpus.tokens, "peak_rss": peak}


def measure(system: System, queries: Sequence[Query], truth: Truth, settings: Sequence[str]) -> dict[str, Any]:
    """Open, and search with every setting."""
    before = _resident()
    start = time.perf_counter()
    system.open()
    opened = (time.perf_counter() - start) * 1000
    report: dict[str, Any] = {"open_ms": round(opened, 1), "rss_before": before, "rss_open": _resident()}
    report["settings"] = {name: _searched(system, queries, truth, name) for name in settings or system.settings}
    return report


def memory(system: System, queries: Sequence[Query]) -> dict[str, Any]:
    """Open, ask a thousand queries, or as many as 40 s allow, and weigh the process."""
    setting = "balanced" if "balanced" in system.settings else system.settings[0]
    before = _resident()
    system.open()
    opened = _resident()
    begun, done = time.perf_counter(), 0
    while done < MANY and time.perf_counter() - begun < 2 * PATIENCE:
        system.search(queries[done % len(queries)], K, setting)
        done += 1
    return {"rss_before": before, "rss_open": opened, "rss_after": _resident(), "searches": done}


def _searched(system: System, queries: Sequence[Query], truth: Truth, setting: str) -> dict[str, Any]:
    times, recalls = [], []
    for query in queries[:3]:
        system.search(query, K, setting)
    begun = time.perf_counter()
    for number, query in enumerate(queries):
        start = time.perf_counter()
        found = system.search(query, K, setting)
        times.append((time.perf_counter() - start) * 1000)
        recalls.append(truth.recall(number, found, K))
        if number + 1 >= LEAST_QUERIES and time.perf_counter() - begun > PATIENCE:
            break
    p50, p95 = np.percentile(times, [50, 95])
    return {
        "recall@10": round(float(np.mean(recalls)), 4),
        "p50_ms": round(float(p50), 2),
        "p95_ms": round(float(p95), 2),
        "queries": len(times),
    }


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)


def _peak() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Do what stdin asks for."""
    asked = json.load(sys.stdin)
    torch.set_num_threads(asked["threads"])
    folder = Path(asked["folder"])
    system = SYSTEMS[asked["system"]](folder)
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print, in whatever language, is not the answer
    if asked["task"] == "build":
        found = build(system, folder, corpus_of(asked))
    elif asked["task"] == "memory":
        found = memory(system, queries_of(asked))
    else:
        truth = Truth(np.load(asked["truth"], mmap_mode="r"))
        found = measure(system, queries_of(asked), truth, asked["settings"])
    print(json.dumps(found), file=answer, flush=True)
    answer.flush()
    os._exit(0)  # some engines hang while Python takes them down


if __name__ == "__main__":
    main()
