"""What only our index has: quality on judged questions, and evidence with every hit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.index.corpus import Corpus
from benchmarks.index.encoding import RealSet
from benchmarks.index.recorded import Recorded
from benchmarks.index.systems import Ours
from fgr_retriever import Engine, SearchConfig
from fgr_retriever.evaluation.beir import read_beir
from fgr_retriever.evaluation.measures import quality
from fgr_retriever.index.index import Index

ROUNDS = 200


def ranked(corpus: Corpus, real: RealSet, work: Path, nbits: int) -> dict[str, dict[str, float]]:
    """Build an index of one judged set and rank its questions with two presets."""
    data = read_beir(real.folder)
    keys = list(data.passages)
    system = Ours(work / "quality" / f"{real.folder.name}-{nbits}", nbits)
    if not system.folder.exists():
        system.build(corpus.part(real.rows))
    model = Recorded(None)
    index = Index.open(system.folder, model, create=False)
    queries = model.encode_queries(list(data.queries.values()))
    found = {}
    for preset in ("exact",) if nbits == 16 else ("fast", "balanced", "exact"):
        results = index.search(queries, 100, config=SearchConfig.preset(preset))
        ranking = {
            query: [keys[int(match.passage.id)] for match in matches]
            for query, matches in zip(data.queries, results, strict=True)
        }
        found[preset] = quality(data.qrels, ranking)
    index.close()
    return found


def evidence(folder: Path, questions: Sequence[str]) -> dict[str, Any]:
    """Time whole searches, from text to hits, with and without evidence, in turns."""
    model = Recorded(None)
    index = Index.open(folder, model, create=False)
    engine = Engine(index, model, SearchConfig())
    steps: dict[str, Callable[[str], object]] = {
        "encode": lambda question: model.encode_queries([question]),
        "search": lambda question: index.search(model.encode_queries([question]), 10),
        "with evidence": lambda question: engine.search(question, k=10),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(ROUNDS + 10):
        for name, step in steps.items():
            start = time.perf_counter()
            step(questions[number % len(questions)])
            times[name].append((time.perf_counter() - start) * 1000)
    return {name: round(float(np.median(taken[10:])), 2) for name, taken in times.items()}
