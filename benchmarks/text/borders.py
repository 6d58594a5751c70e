"""Errors at sentence borders, by genre and language: missed and invented ones, divided by all borders.

python -m benchmarks.text.borders [--wrong]
"""

from __future__ import annotations

import argparse
from collections import Counter

from tests.text.sentence_borders import judged


def main() -> None:
    """Measure all files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wrong", action="store_true", help="also write what is wrong")
    given = parser.parse_args()
    borders: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for one in judged():
        for name in (one.genre, one.language, "**all**"):
            borders[name] += one.borders
            wrong[name] += len(one.wrong)
        if given.wrong:
            for place in one.wrong:
                print(f"{one.genre}.{one.language}: {place!r}")
    print("| texts | borders | errors |\n|---|---|---|")
    for name, count in borders.items():
        print(f"| {name} | {count} | {wrong[name] / count:.1%} |")


if __name__ == "__main__":
    main()
