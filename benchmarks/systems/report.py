"""The table, the comparisons and the plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.systems.catalogue import BASELINE, NOT_RUN
from fgr_retriever.evaluation import compare, read_run
from fgr_retriever.evaluation.plots import draw_trade
from fgr_retriever.evaluation.tables import markdown_table
from fgr_retriever.evaluation.trec import Qrels

Found = Mapping[str, Mapping[str, Mapping[str, Any]]]
_MEASURES = {"ndcg@10": "nDCG@10", "recall@50": "R@50", "mrr@10": "MRR@10"}


def table(found: Found, labels: Mapping[str, str], said: str) -> str:
    """Write one table: systems by data sets.

    Args:
        found: By data set and system.
        labels: What to call the systems, in order.
        said: What was limited, to stand above the table; may be empty.
    """
    heads = ["system", *(f"{name}: {head}" for name in found for head in _MEASURES.values()), "p50 ms", "bytes a token"]
    rows = [
        [label, *_cells(found, name)] for name, label in labels.items() if any(name in one for one in found.values())
    ]
    rows += [[label, why, *[""] * (len(heads) - 2)] for label, why in NOT_RUN.items()]
    return "\n\n".join(part for part in (said, markdown_table(heads, rows)) if part)


def comparisons(runs: Mapping[str, tuple[Qrels, Path]]) -> str:
    """Compare the runs of each data set with late interaction on the same passages.

    Args:
        runs: By data set, the judgements and the folder of the run files.
    """
    parts = []
    for name, (qrels, folder) in runs.items():
        files = sorted(folder.glob("*.run"), key=lambda file: (file.stem != BASELINE, file.stem))
        if files and files[0].stem == BASELINE:
            parts.append(f"**{name}**\n\n{compare(qrels, [read_run(file) for file in files]).to_markdown()}")
    return "\n\n".join(parts)


def plot(found: Found, labels: Mapping[str, str], file: Path) -> None:
    """Draw nDCG@10 by latency, means over the data sets; systems that lack one are left out."""
    points = {}
    for name, label in labels.items():
        rows = [one[name] for one in found.values() if "ndcg@10" in one.get(name, {})]
        if len(rows) == len(found):
            points[label] = _mean(rows, "p50_ms"), _mean(rows, "ndcg@10")
    file.parent.mkdir(parents=True, exist_ok=True)
    draw_trade(points, ("milliseconds a query, median", f"nDCG@10, mean of {len(found)} data sets"), file)


def _cells(found: Found, name: str) -> list[str]:
    rows = [one.get(name, {}) for one in found.values()]
    scores = [f"{row[measure]:.3f}" if measure in row else "-" for row in rows for measure in _MEASURES]
    sizes = [row for row in rows if row.get("bytes_per_token") is not None]
    there = [row for row in rows if row]
    return [*scores, f"{_mean(there, 'p50_ms'):.1f}", f"{_mean(sizes, 'bytes_per_token'):.1f}" if sizes else "-"]


def _mean(rows: Sequence[Mapping[str, Any]], key: str) -> float:
    return float(np.mean([row[key] for row in rows]))
