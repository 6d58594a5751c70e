"""How good rankings are, by trec_eval, and how long a search takes.

nDCG uses graded labels; for MRR and recall every label of at least 1 is relevant.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.errors import MissingExtraError

Ranking: TypeAlias = list[str]
MEASURES = ("ndcg@10", "mrr@10", "recall@10", "recall@50", "recall@100")
SHOWN = 10
_WARM_UP = 3
_TIMED = 50


def query_measures(
    qrels: Mapping[str, Mapping[str, int]], rankings: Mapping[str, Sequence[str]]
) -> dict[str, NDArray[np.float64]]:
    """Measure the ranking of each query of `qrels`, in their order.

    A query that found nothing scores 0.

    Args:
        qrels: Grades by query and passage id, at least one of them 1 or more for each query.
        rankings: Passage ids by query id, best first. Other queries may be there, too; they do not count.

    Returns:
        For each of `MEASURES` an array (queries,) in [0, 1].

    Raises:
        MissingExtraError: pytrec_eval is not installed.
    """
    try:
        import pytrec_eval
    except ImportError as error:
        raise MissingExtraError("the evaluation of retrieval", "eval") from error
    judged = {query: dict(grades) for query, grades in qrels.items()}
    scored = {
        query: {key: -float(rank) for rank, key in enumerate(ranking)}
        for query, ranking in rankings.items()
        if query in judged
    }
    shown = {query: dict(list(ranking.items())[:SHOWN]) for query, ranking in scored.items()}
    deep = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut.10", "recall.10,50,100"}).evaluate(scored)
    first = pytrec_eval.RelevanceEvaluator(judged, {"recip_rank"}).evaluate(shown)  # cut to 10: MRR@10
    names = {"ndcg@10": "ndcg_cut_10", "mrr@10": "recip_rank"} | {
        f"recall@{cut}": f"recall_{cut}" for cut in (10, 50, 100)
    }
    both = {query: {**deep.get(query, {}), **first.get(query, {})} for query in judged}
    return {measure: np.array([both[query].get(names[measure], 0.0) for query in judged]) for measure in MEASURES}


def quality(qrels: Mapping[str, Mapping[str, int]], rankings: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Average `query_measures` over the queries of `qrels`."""
    return {measure: float(values.mean()) for measure, values in query_measures(qrels, rankings).items()}


def latency(search: Callable[[str], object], queries: Sequence[str]) -> dict[str, float]:
    """Time single queries, at most 50, after a warm-up: `p50_ms` and `p95_ms` in milliseconds.

    Args:
        search: The function that a user waits for.
        queries: At least one query.
    """
    for query in queries[:_WARM_UP]:
        search(query)
    times = [_milliseconds(search, query) for query in queries[:_TIMED]]
    median, tail = np.percentile(times, [50, 95]).tolist()
    return {"p50_ms": median, "p95_ms": tail}


def _milliseconds(search: Callable[[str], object], query: str) -> float:
    started = time.perf_counter()
    search(query)
    return (time.perf_counter() - started) * 1000
