"""A megabyte of every pattern against a megabyte of prose: the time of `find_spans` and of `Trimmer.trim`.

    python -m benchmarks.hostile.texts [--characters 1000000] [--every 1]

Writes the slowest patterns as a Markdown table, each with its time divided by that of prose in the same run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import regex

from fgr_retriever import TrimConfig, Trimmer
from fgr_retriever.evidence.spans import find_spans
from fgr_retriever.testing import WordEncoder
from fgr_retriever.types import TokenEvidence
from tests.text.patterns import NESTED, nested, patterns

_PROSE = "Marie Curie, born in Warsaw in 1867, won the prize and later discovered radium. She wasn't rich. "
_TOKEN = regex.compile(r"\w+|\p{S}")
_SHOWN = 12


def main() -> None:
    """Measure every pattern."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--characters", type=int, default=1_000_000)
    parser.add_argument("--every", type=int, default=1, help="take only each n-th pattern")
    given = parser.parse_args()
    size = given.characters
    texts = {ascii(before + piece): (before + piece * size)[:size] for before, piece in patterns()}
    texts |= {f"nested {opening}{closing}": nested(opening, closing, size) for opening, closing in NESTED}
    chosen = dict(list(texts.items())[:: given.every])
    trimmer = Trimmer(WordEncoder(), TrimConfig(), count_tokens=len)
    for name, rule in (
        ("find_spans", _spans),
        ("trim to 200 characters", lambda text: trimmer.trim("radium", [text], max_tokens=200)),
    ):
        prose = _seconds(rule, (_PROSE * size)[:size])
        ratios = {label: _seconds(rule, text) / prose for label, text in chosen.items()}
        print(f"\n{name}: {len(ratios)} patterns of {size:,} characters; prose takes {prose:.2f} s\n")
        print("| pattern | times prose |\n|---|---|")
        for label in sorted(ratios, key=lambda one: -ratios[one])[:_SHOWN]:
            print(f"| `{label}` | {ratios[label]:.1f} |", flush=True)


def _spans(text: str) -> None:
    offsets = np.array([token.span() for token in _TOKEN.finditer(text)], dtype=np.int32).reshape(-1, 2)
    chances = np.where(np.arange(len(offsets)) % 7, 0.1, 0.9).astype(np.float32)
    find_spans(text, TokenEvidence(offsets, chances), TrimConfig(), 0.5)


def _seconds(rule: Callable[[str], object], text: str) -> float:
    start = time.thread_time()
    rule(text)
    return time.thread_time() - start


if __name__ == "__main__":
    main()
