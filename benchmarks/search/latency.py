"""Latency of one search over the demonstration corpus, evidence included, and the speed of encoding passages.

    python benchmarks/search/latency.py [ROUNDS]

Prints JSON: milliseconds per query after warm-up, of a whole search and of its query encoding, and tokens a second.
`FGR_DTYPE=float32` or `FGR_DTYPE=bfloat16` before it sets the precision.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fgr_retriever import Encoder, Engine, demo
from fgr_retriever.model.precision import machine


def milliseconds(call: Callable[[str], object], queries: list[str], rounds: int) -> dict[str, float]:
    """Time a call on every query, in rounds."""
    for query in queries:
        call(query)
    times = []
    for _ in range(rounds):
        for query in queries:
            start = time.perf_counter()
            call(query)
            times.append((time.perf_counter() - start) * 1000)
    return {f"p{share}_ms": round(float(np.percentile(times, share)), 2) for share in (50, 95)}


def tokens_per_second(encoder: Encoder, texts: list[str], times: int = 3) -> float:
    """Encode all texts a few times, and give the best rate of stored tokens."""
    rates = []
    for _ in range(times):
        start = time.perf_counter()
        tokens = sum(len(block.vectors) for block in encoder.encode_passages(texts))
        rates.append(tokens / (time.perf_counter() - start))
    return max(rates)


def main(rounds: int) -> None:
    """Build the index and time it."""
    encoder = Encoder.default()
    with tempfile.TemporaryDirectory() as folder, Engine.open(Path(folder) / "index", encoder=encoder) as engine:
        engine.add(demo.passages())
        queries = demo.questions()
        report = {
            "passages": len(engine),
            "machine": machine(),
            "threads": torch.get_num_threads(),
            "passage_tokens_per_second": round(tokens_per_second(encoder, [one.text for one in demo.passages()])),
            "search": milliseconds(lambda query: engine.search(query, k=5), queries, rounds),
            "encode_query": milliseconds(lambda query: encoder.encode_queries([query]), queries, rounds),
        }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
