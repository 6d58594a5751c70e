"""Measure what tiny budgets keep of prose with one marked answer each, and how many of the kept pieces are scraps.

    python -m benchmarks.trimming.tiny [--budgets 5 8 12 16 20 25 30] [--beside 3] [--show BUDGET]

The 44 texts are `tests/trim/prose_answers.txt`; what a scrap is says the module beside it. Tokens are those of
o200k_base.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from fgr_retriever import Encoder, Trimmer
from fgr_retriever.trim.budget import token_counter
from fgr_retriever.types import Span
from tests.trim.prose_answers import Marked, marked_prose, scrap

BUDGETS = (5, 8, 12, 16, 20, 25, 30)
KINDS = ("empty", "short", "torn")

Piece: TypeAlias = tuple[Marked, Span]
"""What is kept, with the text of which it is a part."""


def kept(trimmer: Trimmer, texts: Sequence[Marked], place: int, budget: int, beside: int) -> list[Piece]:
    """Trim a text, and some that follow it, for its question; the pieces of all, its own first."""
    question, passages = texts[place].question, [*texts[place:], *texts[:place]][: beside + 1]
    trimmed = trimmer.trim(question, [one.text for one in passages], max_tokens=budget)
    marked = [passages[0], *(replace(one, question=question, answer="") for one in passages[1:])]
    return [(one, span) for one, cut in zip(marked, trimmed, strict=True) for span in cut.spans]


def measure(trimmer: Trimmer, texts: Sequence[Marked], budget: int, beside: int) -> Counter[str]:
    """Count answers that are kept whole, pieces, questions for which nothing is kept, and scraps of each kind."""
    found = Counter[str]()
    for place in range(len(texts)):
        pieces = kept(trimmer, texts, place, budget, beside)
        found["answers"] += has_answer(pieces)
        found["pieces"] += len(pieces)
        found["nothing"] += not pieces
        found.update(kind for one, span in pieces if (kind := scrap(one, span)))
    return found


def has_answer(pieces: Sequence[Piece]) -> bool:
    """Say whether one piece holds the answer."""
    return any(one.answer and one.answer in one.text[span.start : span.end] for one, span in pieces)


def main() -> None:
    """Measure at every budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budgets", type=int, nargs="+", default=BUDGETS, metavar="N")
    parser.add_argument("--beside", type=int, default=0, metavar="N", help="trim as many other texts along with each")
    parser.add_argument("--show", type=int, metavar="BUDGET", help="print what is kept of each text, and nothing else")
    asked = parser.parse_args()
    texts = list(marked_prose())
    trimmer = Trimmer(Encoder.default(), count_tokens=token_counter("o200k_base"))
    if asked.show is not None:
        for place in range(len(texts)):
            _show(texts[place], kept(trimmer, texts, place, asked.show, asked.beside))
        return
    print(f"| tokens | answers kept % | scraps % | {' | '.join(KINDS)} | pieces | nothing kept |")
    print(f"|---{'|---' * (len(KINDS) + 4)}|")
    for budget in asked.budgets:
        found = measure(trimmer, texts, budget, asked.beside)
        scraps = 100 * sum(found[kind] for kind in KINDS) / max(found["pieces"], 1)
        answers = 100 * found["answers"] / len(texts)
        kinds = " | ".join(str(found[kind]) for kind in KINDS)
        counts = f"{found['pieces']} | {found['nothing']}"
        print(f"| {budget} | {answers:.1f} | {scraps:.1f} | {kinds} | {counts} |", flush=True)


def _show(asked: Marked, pieces: Sequence[Piece]) -> None:
    print("+" if has_answer(pieces) else "-", asked.question, "=>", asked.answer)
    for one, span in pieces:
        print(f"    {scrap(one, span):6}{one.text[span.start : span.end]!r} {span.score:.2f}")


if __name__ == "__main__":
    main()
