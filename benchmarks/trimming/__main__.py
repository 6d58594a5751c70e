"""Compare trimming side by side, at equal token budgets and as shipped.

    python -m benchmarks.trimming --data FOLDER [--sets NAME...] [-n 300] [--out FOLDER]

FOLDER holds `NAME.dev.jsonl` in the layout of `fgr eval spans`; examples without evidence are left
out. Writes `trimming.json` and `trimming.md` and prints the latter. Budgets are shares of the tokens
of each passage (o200k_base); a system that ranks sentences keeps the best ones and as much of the
next one as fits. LLMLingua-2 is not among them: its token classifier (XLM-R) cannot be had offline.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from benchmarks.trimming.embeddings import warm_up
from benchmarks.trimming.outputs import score
from benchmarks.trimming.systems import Budgeted, Shipped, budgeted, shipped
from benchmarks.trimming.tables import markdown
from fgr_retriever import Encoder
from fgr_retriever.evaluation.spans import SpanExample, read_examples
from fgr_retriever.trim.budget import TokenCounter, token_counter

SETS = (
    "squadshifts_wiki",
    "squadshifts_reddit",
    "squadshifts_amazon",
    "qed",
    "selqa",
    "scifact",
    "expmrc_squad",
    "wice",
)
BUDGETS = (0.1, 0.2, 0.3, 0.5)
Means = dict[str, float]


def sample(path: Path, n: int) -> list[SpanExample]:
    """Draw examples that have evidence, always the same ones, in the order of the file."""
    examples = [example for example in read_examples(path) if all(example.annotations)]
    drawn = random.Random(0).sample(range(len(examples)), min(n, len(examples)))
    return [examples[place] for place in sorted(drawn)]


def at_budgets(system: Budgeted, examples: Iterable[SpanExample], count: TokenCounter) -> dict[str, Means]:
    """Score one system at every budget; `ms` is the mean time of one passage at one budget."""
    rows: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    for example in examples:
        prepared, cut = _timed(lambda one=example: system(one.query, one.passage))
        whole = count(example.passage)
        for share in BUDGETS:
            budget = int(share * whole)
            took, output = _timed(lambda cut=cut, budget=budget: cut(budget))
            scores = score(example, output, count)
            if scores["tokens"] * whole > budget + 1e-6:
                raise AssertionError(f"{scores['tokens'] * whole:.0f} tokens at a budget of {budget}: {example.query}")
            rows[f"{share:.0%}"].append({**scores, "ms": prepared + took})
    return {share: _means(scored) for share, scored in rows.items()}


def as_shipped(system: Shipped, examples: Iterable[SpanExample], count: TokenCounter) -> Means:
    """Score one system with its own settings; `failed` is the share of passages on which it raised."""
    rows: list[Mapping[str, float]] = []
    for example in examples:
        try:
            took, output = _timed(lambda one=example: system(one.query, one.passage))
            rows.append({**score(example, output, count), "ms": took, "failed": 0.0})
        except ValueError:  # "Optimizer returned zero sentences."
            rows.append({"failed": 1.0})
    return _means(rows)


def compare(folder: Path, sets: Iterable[str], n: int) -> Iterator[dict[str, Any]]:
    """Run everything on samples of every set; give the report anew after each."""
    count, encoder = token_counter("o200k_base"), Encoder.default()
    warm_up()
    report: dict[str, Any] = {"sets": {}}
    for name in sets:
        examples = sample(folder / f"{name}.dev.jsonl", n)
        found: dict[str, Any] = {"n": len(examples), "budgets": {}, "shipped": {}}
        for label, system in budgeted(count, encoder).items():
            system(examples[0].query, examples[0].passage)(10)  # warm-up
            found["budgets"][label] = at_budgets(system, tqdm(examples, desc=f"{name}: {label}"), count)
        for label, as_is in shipped(encoder).items():
            found["shipped"][label] = as_shipped(as_is, tqdm(examples, desc=f"{name}: {label}"), count)
        report["sets"][name] = found
        yield report


def main() -> None:
    """Compare, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of NAME.dev.jsonl files")
    parser.add_argument("--sets", nargs="+", default=SETS, metavar="NAME")
    parser.add_argument("-n", type=int, default=300, help="examples of each set")
    parser.add_argument("--out", type=Path, default=Path("runs/trimming"), help="folder for the results")
    asked = parser.parse_args()
    logging.getLogger("langchain_text_splitters").setLevel(logging.ERROR)  # "longer than the specified 1"
    asked.out.mkdir(parents=True, exist_ok=True)
    for report in compare(asked.data, asked.sets, asked.n):
        (asked.out / "trimming.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
        (asked.out / "trimming.md").write_text(markdown(report), encoding="utf-8")
    print((asked.out / "trimming.md").read_text(encoding="utf-8"))


def _timed(call: Any) -> tuple[float, Any]:
    """Call something; give the milliseconds it took, and its result."""
    start = time.perf_counter()
    result = call()
    return 1000 * (time.perf_counter() - start), result


def _means(rows: Iterable[Mapping[str, float]]) -> Means:
    """Average every key over the rows that have it."""
    columns: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for key, value in row.items():
            columns[key].append(value)
    return {key: round(sum(values) / len(values), 4) for key, values in columns.items()}


if __name__ == "__main__":
    main()
