"""Measure one system on one data set."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.systems.catalogue import Entry
from benchmarks.systems.indexes import Indexes
from fgr_retriever import Engine, TrimConfig
from fgr_retriever.calls import Stopwatch
from fgr_retriever.evaluation import Beir, System, bm25, measure, write_run
from fgr_retriever.evaluation.measures import SHOWN, latency
from fgr_retriever.evaluation.systems import Search
from fgr_retriever.evaluation.trec import Scored
from fgr_retriever.index.index import Index
from fgr_retriever.model.tokens import TokenEncoder
from fgr_retriever.search.stages import Request
from fgr_retriever.search.stages.dense import Dense

Found = dict[str, Any]


def measure_bm25(name: str, data: Beir, runs: Path) -> Found:
    """Measure BM25 in memory."""
    measured = measure(data, bm25(data.passages), show_progress=True)
    write_run(measured.run, runs / f"{name}.run")
    return {**measured.scores, "bytes_per_token": None}


def measure_entry(name: str, entry: Entry, data: Beir, indexes: Indexes, runs: Path) -> Found:
    """Measure a pipeline and write its run, unless its scores are noise."""
    index, encoder = indexes.open(entry.index)
    with (
        closing(index),
        Engine.open(index.folder, encoder=encoder, search=entry.search, pipeline=entry.pipeline) as engine,
    ):
        search = _search(entry, index, encoder)
        ask = (lambda query: engine.search(query, k=SHOWN)) if entry.spans else (lambda query: search(query, SHOWN))
        if entry.random:
            scores = latency(ask, list(data.queries.values()))
        else:
            measured = measure(data, System(name, search, ask), show_progress=True)
            write_run(measured.run, runs / f"{name}.run")
            scores = dict(measured.scores)
        # After the search: pooled vectors are made by the first one.
        return {**scores, "bytes_per_token": _bytes_per_token(name, entry, index)}


def _search(entry: Entry, index: Index, encoder: TokenEncoder) -> Search:
    """Make the search of a pipeline without evidence; the encoding of the query is part of it."""

    def search(query: str, k: int) -> list[Scored]:
        (vectors,) = encoder.encode_queries([query])
        watch = Stopwatch()
        request = Request(query, vectors, None, index, encoder, k, TrimConfig(), watch, entry.search)
        return [(one.id, one.score) for one in entry.pipeline.run(request)]

    return search


def _bytes_per_token(name: str, entry: Entry, index: Index) -> float:
    """Count what a system needs of an index that serves several."""
    info = index.info()
    pooled = [stage for stage in entry.pipeline.stages if isinstance(stage, Dense)]
    vectors = sum(file.stat().st_size for file in (index.folder / "dense").rglob("*") if file.is_file())
    late = 0.0 if name == "sbert" else info.bytes_per_token
    return late + (vectors / max(info.tokens, 1) if pooled else 0)
