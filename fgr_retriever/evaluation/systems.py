"""Measure anything that ranks passages. A system is a name and a function; how it works does not matter here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tqdm.auto import tqdm

from fgr_retriever.evaluation.beir import Beir
from fgr_retriever.evaluation.measures import SHOWN, latency, quality
from fgr_retriever.evaluation.trec import Run, Scored

Search: TypeAlias = Callable[[str, int], list[Scored]]
DEPTH = 100


@dataclass(frozen=True, slots=True)
class System:
    """Something that ranks passages.

    Args:
        name: Its name in tables and run files.
        search: Takes a query and how many passages to find at most; gives their ids and scores, best first.
        ask: Function to time, which does all the work for one question of a user; None times `search` for ten
            passages.
    """

    name: str
    search: Search
    ask: Callable[[str], object] | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """The results of a system.

    Args:
        run: What it found for every query, 100 passages deep.
        scores: `ndcg@10`, `mrr@10`, `recall@10`, `recall@50`, `recall@100` in [0, 1], `p50_ms` and `p95_ms`:
            milliseconds of one query, after a warm-up.
    """

    run: Run
    scores: Mapping[str, float]


def measure(data: Beir, system: System, *, show_progress: bool = False) -> Measured:
    """Ask a system every query of judged data, and time some of them.

    Args:
        data: Queries and judgements. The caller makes sure that the system searches the same passages.
        system: The system to measure.
        show_progress: Show a progress bar on stderr.

    Raises:
        MissingExtraError: pytrec_eval is not installed.
    """
    queries = tqdm(data.queries.items(), desc=system.name, unit="query", disable=not show_progress, leave=False)
    run = Run(system.name, {key: system.search(query, DEPTH) for key, query in queries})
    ask = system.ask or (lambda query: system.search(query, SHOWN))
    return Measured(run, {**quality(data.qrels, run.ids()), **latency(ask, list(data.queries.values()))})
