"""Measure recall, time and evidence of a collection: `python -m benchmarks.qdrant VECTORS WORK`.

VECTORS is what `python -m benchmarks.index` recorded of real passages, with `sets.json`. WORK keeps the indexes.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from qdrant_client import models

from benchmarks.index.corpus import Corpus, open_corpus
from benchmarks.index.recorded import Recorded
from benchmarks.index.truth import Truth, truth
from fgr_retriever import Engine, IndexConfig, Passage, QdrantCollection, SearchConfig
from fgr_retriever.evaluation.beir import read_beir
from fgr_retriever.index.filters import Filter
from fgr_retriever.index.qdrant.search import candidates_of
from tests.index.qdrant.core import CoreClient

K, CANDIDATES = 10, 400
SHARES: tuple[int, ...] = (100, 50, 10, 1)  # percent of the passages that a filter leaves
QUESTIONS = 60  # of each set


@dataclass(frozen=True)
class Data:
    """Real passages with their recorded vectors, and questions."""

    corpus: Corpus
    texts: list[str]
    questions: list[str]

    @classmethod
    def read(cls, folder: Path, count: int) -> Data:
        """Read the first passages of the sets, and questions of those sets that are among them."""
        texts: list[str] = []
        questions: list[str] = []
        for one in json.loads((folder / "sets.json").read_text()):
            if len(texts) < count:
                data = read_beir(Path(one["folder"]))
                texts += data.passages.values()
                questions += list(data.queries.values())[:QUESTIONS]
        return cls(open_corpus(folder, 128).part(slice(0, count)), texts[:count], questions)

    def passages(self) -> Iterator[Passage]:
        """Give each passage a number by which filters choose a share."""
        for row, text in enumerate(self.texts):
            yield Passage(str(row), text, {"percent": row % 100})


def build(data: Data, work: Path, storage: str | None) -> Engine:
    """Make, or open again, an index: in a folder as float16, or in the core with a storage."""
    name, done = storage or "folder", work / f"{storage or 'folder'}.done"
    encoder = Recorded(None if done.exists() else data.corpus)
    started = time.perf_counter()
    if storage is None:
        engine = Engine.open(work / name, encoder=encoder, config=IndexConfig(nbits=16))
    else:
        client: Any = CoreClient(work / name, log=True)
        place = QdrantCollection(client, "p", storage=storage, fields=("percent",))  # type: ignore[arg-type]
        engine = Engine.open(place, encoder=encoder)
    if not done.exists():
        engine.add(data.passages(), show_progress=True)
        if storage is not None:
            client.optimize()
            client.flush()
        done.write_text(json.dumps({"seconds": time.perf_counter() - started}))
    return engine


def config_for(passages: int) -> SearchConfig:
    """Ask for exactly 400 candidates where a filter leaves so many passages."""
    factor = candidates_of(passages, 1, SearchConfig(candidates=1_000_000)) / 1_000_000
    config = SearchConfig(candidates=math.floor(CANDIDATES / factor) + 1)
    return config


def recall(engine: Engine, right: Truth, queries: list[torch.Tensor], share: int) -> float:
    """Measure recall at 10 of the exact answer where a filter leaves a share of the passages."""
    rows = np.flatnonzero(np.arange(right.scores.shape[1]) % 100 < share)
    kept, config = Truth(np.asarray(right.scores[:, rows])), config_for(len(rows))
    places = {int(row): place for place, row in enumerate(rows)}
    filter: Filter | None = None if share == 100 else {"percent": {"$lt": share}}
    found = [engine._index.rank(query, K, filter, config) for query in queries]
    return float(np.mean([kept.recall(n, [places[int(id)] for id, _ in one]) for n, one in enumerate(found)]))


def times(engine: Engine, client: CoreClient, queries: list[torch.Tensor]) -> dict[str, float]:
    """Time our search, with and without what evidence needs, beside the core's own by the mean vector, in turns."""
    config = config_for(len(engine))

    def mean(query: torch.Tensor) -> object:
        nearest = query.mean(dim=0).tolist()
        first = models.Prefetch(query=nearest, using="mean", limit=CANDIDATES, filter=models.Filter())
        wanted = {"limit": K, "with_payload": ["id"], "with_vector": False}
        request = models.QueryRequest(query=query.tolist(), using="tok", prefetch=[first], **wanted)
        return client.query_batch_points("p", [request])

    steps: dict[str, Callable[[torch.Tensor], object]] = {
        "core, mean vector": mean,
        "ours, ids": lambda query: engine._index.rank(query, K, None, config),
        "ours, hits": lambda query: engine._index.search([query], K, None, config),
    }
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for query in queries:
        for name, step in steps.items():
            started = time.perf_counter()
            step(query)
            taken[name].append(1000 * (time.perf_counter() - started))
    return {f"{name}, ms": float(np.median(one)) for name, one in taken.items()}


def spans(engine: Engine, folder: Engine, questions: list[str]) -> dict[str, float]:
    """Compare hits and spans with those of the folder, which scores every float16 vector."""
    same = both = hits = 0
    for question in questions:
        theirs = {one.passage.id: one for one in folder.search(question, k=K)}
        for one in engine.search(question, k=K):
            hits += 1
            if one.passage.id in theirs:
                both += 1
                same += _ranges(one) == _ranges(theirs[one.passage.id])
    return {"hits of the folder": both / hits, "of these, same spans": same / both}


def _ranges(hit: Any) -> list[tuple[int, int]]:
    return [(span.start, span.end) for span in hit.spans]


def main() -> None:
    """Build what is missing, measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--passages", type=int, default=20_000)
    parser.add_argument("--storage", default="balanced", choices=("exact", "balanced", "small"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.work.mkdir(parents=True, exist_ok=True)
    data = Data.read(given.vectors, given.passages)
    queries = Recorded(None).encode_queries(data.questions)
    folder, engine = build(data, given.work, None), build(data, given.work, given.storage)
    client: Any = engine._index._server.place.client  # type: ignore[attr-defined]
    right = truth(data.corpus, [query.numpy() for query in queries], given.work / "truth.npy")
    config = config_for(len(engine))
    found: dict[str, Any] = {"passages": len(data.corpus), "tokens": data.corpus.tokens, "questions": len(queries)}
    found |= {f"recall@10, {share} %": round(recall(engine, right, queries, share), 4) for share in SHARES}
    found |= times(engine, client, queries)
    engine = Engine(engine._index, engine._index.encoder, config)
    found |= spans(engine, folder, data.questions)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
