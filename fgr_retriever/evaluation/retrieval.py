"""Measure retrieval on a BEIR folder, beside BM25 over the same text in the same run.

The numbers are those of trec_eval: nDCG with graded labels; for MRR and recall every label of at
least 1 is relevant. Queries without a relevant passage are left out.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from fgr_retriever.config import SearchConfig
from fgr_retriever.engine import Engine
from fgr_retriever.errors import MissingExtraError
from fgr_retriever.evaluation.beir import Beir, read_beir
from fgr_retriever.index import Index
from fgr_retriever.types import Passage, TokenEncoder

Ranking: TypeAlias = list[str]
_DEPTH = 100
_SHOWN = 10
_BATCH = 32
_WARM_UP = 3
_TIMED = 50


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """Quality and latency of two systems on the same passages and queries.

    Args:
        n_queries: Queries with at least one relevant passage.
        n_passages: Passages searched.
        ours: `ndcg@10`, `mrr@10`, `recall@10`, `recall@50`, `recall@100` in [0, 1], `p50_ms` and
            `p95_ms`: milliseconds of one query for ten results, the encoding of the query and
            the evidence included, after a warm-up.
        bm25: The same keys for BM25.
    """

    n_queries: int
    n_passages: int
    ours: Mapping[str, float]
    bm25: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Write the report as `fgr eval retrieval --json` prints it."""
        return asdict(self)


def evaluate_retrieval(
    encoder: TokenEncoder, folder: Path, *, split: str = "test", limit_queries: int | None = None
) -> RetrievalReport:
    """Index the corpus in a temporary folder and search it with both systems.

    Args:
        encoder: The model.
        folder: BEIR layout: `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`,
            `text`) and `qrels/<split>.tsv` (query id, passage id, grade). A passage's text is its
            title and its text with a space between.
        split: Which judgements to use.
        limit_queries: Take only this many judged queries, in file order.

    Raises:
        MissingExtraError: The libraries for the evaluation are not installed.
        InputError: A file does not fit the layout, or no query has a relevant passage.
        OSError: A file cannot be read.
    """
    _require_extra()
    data = read_beir(folder, split, limit_queries)
    queries = list(data.queries.values())
    with tempfile.TemporaryDirectory() as scratch, Engine.open(Path(scratch) / "index", encoder=encoder) as engine:
        engine.add(Passage(id=key, text=text) for key, text in data.passages.items())
        ours = _measure(data, _rankings(engine.folder, encoder, queries), lambda query: engine.search(query, k=_SHOWN))
    bm25 = bm25_search(data.passages)
    return RetrievalReport(
        n_queries=len(queries),
        n_passages=len(data.passages),
        ours=ours,
        bm25=_measure(data, (bm25(query, _DEPTH) for query in queries), lambda query: bm25(query, _SHOWN)),
    )


def _require_extra() -> None:
    try:
        import bm25s  # noqa: F401
        import pytrec_eval  # noqa: F401
        import Stemmer  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("the evaluation of retrieval", "eval") from error


def _rankings(folder: Path, encoder: TokenEncoder, queries: Sequence[str]) -> Iterator[Ranking]:
    """Rank with the index alone, a few queries at a time: a hundred hits deep, evidence is not asked for."""
    remaining = iter(queries)
    with closing(Index.open(folder, encoder, create=False)) as index:
        while batch := list(islice(remaining, _BATCH)):
            for matches in index.search(encoder.encode_queries(batch), _DEPTH, None, SearchConfig()):
                yield [match.passage.id for match in matches]


def bm25_search(passages: Mapping[str, str]) -> Callable[[str, int], Ranking]:
    """Build BM25 (Lucene's variant, k1=1.5, b=0.75, English stop words and stemmer): (query, k) to ids."""
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    ids = list(passages)
    model = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    model.index(bm25s.tokenize(list(passages.values()), stemmer=stemmer, show_progress=False), show_progress=False)

    def search(query: str, k: int) -> Ranking:
        words = bm25s.tokenize([query], stemmer=stemmer, return_ids=False, show_progress=False)
        found, scores = model.retrieve(words, k=min(k, len(ids)), show_progress=False)
        return [ids[row] for row, score in zip(found[0], scores[0], strict=True) if score > 0]

    return search


def _measure(data: Beir, rankings: Iterable[Ranking], search: Callable[[str], object]) -> dict[str, float]:
    """Score rankings, in the order of the queries, and time `search` on some of the queries."""
    run = dict(zip(data.queries, rankings, strict=True))
    return {**quality(data.qrels, run), **_latency(search, list(data.queries.values()))}


def quality(qrels: Mapping[str, Mapping[str, int]], run: Mapping[str, Ranking]) -> dict[str, float]:
    """Average trec_eval's measures over the queries of `qrels`; a query that found nothing scores 0."""
    import pytrec_eval

    scored = {query: {key: -float(rank) for rank, key in enumerate(ranking)} for query, ranking in run.items()}
    shown = {query: dict(list(ranking.items())[:_SHOWN]) for query, ranking in scored.items()}
    deep = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.10,50,100"}).evaluate(scored)
    first = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(shown)  # cut to 10: MRR@10

    def mean(results: Mapping[str, Mapping[str, float]], measure: str) -> float:
        return sum(values[measure] for values in results.values()) / len(qrels)

    return {
        "ndcg@10": mean(deep, "ndcg_cut_10"),
        "mrr@10": mean(first, "recip_rank"),
        **{f"recall@{cut}": mean(deep, f"recall_{cut}") for cut in (10, 50, 100)},
    }


def _latency(search: Callable[[str], object], queries: Sequence[str]) -> dict[str, float]:
    """Time single queries in milliseconds, after a warm-up."""
    for query in queries[:_WARM_UP]:
        search(query)
    times = [_milliseconds(search, query) for query in queries[:_TIMED]]
    median, tail = np.percentile(times, [50, 95]).tolist()
    return {"p50_ms": median, "p95_ms": tail}


def _milliseconds(search: Callable[[str], object], query: str) -> float:
    started = time.perf_counter()
    search(query)
    return (time.perf_counter() - started) * 1000
