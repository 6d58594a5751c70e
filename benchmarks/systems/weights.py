"""How much a hybrid should trust late interaction: nDCG@10 for several weights, as a Markdown table.

    python -m benchmarks.systems.weights --data FOLDER [--sets NAME...] [--work FOLDER]

It takes the indexes that `python -m benchmarks.systems` left in the work folder, or makes them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.systems.__main__ import BASE, SETS
from benchmarks.systems.catalogue import Entry
from benchmarks.systems.indexes import Indexes
from benchmarks.systems.trial import measure_entry
from fgr_retriever import Encoder
from fgr_retriever.evaluation import read_beir
from fgr_retriever.evaluation.tables import markdown_table
from fgr_retriever.search.pipeline import Pipeline
from fgr_retriever.search.stages.fuse import Fuse
from fgr_retriever.search.stages.late import Late
from fgr_retriever.search.stages.words import Words
from fgr_retriever.training.start import locate

WEIGHTS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of late interaction; the rest is BM25's


def hybrid(weight: float) -> Entry:
    """Make the hybrid of one weight."""
    fused = Fuse(stages=(Late(), Words()), method="weighted", weights=(weight, 1 - weight))
    return Entry(f"weight {weight}", "coded", Pipeline((fused,)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of folders in BEIR layout")
    parser.add_argument("--sets", nargs="+", default=SETS, metavar="NAME")
    parser.add_argument("--work", type=Path, default=Path("runs/systems"), help="folder for indexes and runs")
    asked = parser.parse_args()
    rows, encoder = [], Encoder.default()
    for dataset in asked.sets:
        data = read_beir(asked.data / dataset)
        runs = asked.work / dataset / "weights"
        runs.mkdir(parents=True, exist_ok=True)
        indexes = Indexes(data, asked.work / dataset, encoder, locate(BASE))
        found = [measure_entry(str(one), hybrid(one), data, indexes, runs)["ndcg@10"] for one in WEIGHTS]
        rows.append([dataset, *(f"{score:.3f}" for score in found)])
    print(markdown_table(["late interaction", *map(str, WEIGHTS)], rows))


if __name__ == "__main__":
    main()
