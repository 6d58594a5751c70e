"""Time searches with and without the compiled steps, and with and without evidence, in turns.

    python benchmarks/search/compiled.py INDEX QUERIES.jsonl [--threads N] [--rounds N]

INDEX was made with the embedded model; QUERIES has a line {"text": "..."} for each question, as in BEIR. Prints
medians in milliseconds: what the index takes, what evidence takes, whole searches to ten ranked ids and to ten hits
with spans, and their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch

from fgr_retriever import Encoder, Engine, SearchConfig, TrimConfig
from fgr_retriever.evidence.questions import Questions
from fgr_retriever.evidence.token_evidence import Question, read_hits
from fgr_retriever.index.index import Index
from fgr_retriever.model.kernel.library import NONE, VARIABLE, levels
from fgr_retriever.model.precision import machine

K = 10


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--threads", type=int, default=1, help="of torch and the compiled steps")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    encoder = Encoder.default()
    index = Index.open(asked.index, encoder, create=False)
    engine = Engine(index, encoder, SearchConfig())
    questions = [json.loads(line)["text"] for line in asked.queries.read_text(encoding="utf-8").splitlines()]
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    compiled = (NONE, *levels()[-1:])
    for number in range(asked.rounds + 1):
        for question in questions:
            for level in compiled:
                os.environ[VARIABLE] = level
                (encoded,) = Question.encode(encoder, [question])
                matches = index.search([encoded.vectors], K)[0]
                steps: dict[str, Callable[[], object]] = {
                    "encode": lambda q=question: Question.encode(encoder, [q]),
                    "index": lambda e=encoded: index.search([e.vectors], K),
                    "evidence": lambda e=encoded, m=matches: read_hits(encoder, e, m, TrimConfig()),
                    "ranked ids": lambda q=question: engine.rank(q, k=K),
                    "hits with spans": lambda q=question: engine.search(q, k=K),
                }
                for name, step in steps.items():
                    engine._questions = Questions(encoder)  # it would not encode a question again
                    start = time.perf_counter()
                    step()
                    if number:  # the first round warms up
                        times[level, name].append((time.perf_counter() - start) * 1000)
    info = index.info()
    print(f"{machine()}; {info.passages} passages, {info.tokens} tokens, {info.nbits} bits; threads {asked.threads}")
    for name in steps:
        before, after = (statistics.median(times[level, name]) for level in (compiled[0], compiled[-1]))
        print(f"{name:16} {compiled[0]} {before:7.2f}   {compiled[-1]} {after:7.2f}   ratio {after / before:.2f}")
    for level in compiled:
        _, _, evidence, ranked, hits = (statistics.median(times[level, name]) for name in steps)
        print(
            f"{level}: hits with spans / ranked ids {hits / ranked:.2f}, / hits without {hits / (hits - evidence):.2f}"
        )


if __name__ == "__main__":
    main()
