"""What a system kept of a passage, and the checks that every output goes through."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fgr_retriever.evaluation.spans import Range, SpanExample, holds_answer, score_ranges
from fgr_retriever.text.sentences import sentences
from fgr_retriever.trim.budget import TokenCounter

METADATA = {"source": "notes.txt", "page": 7}
ID = "passage-7"
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Output:
    """What a system made of one passage.

    Args:
        text: What a language model would read.
        ranges: What of the passage that is, in ascending order.
        metadata: Metadata of the passage came back.
        id: Its id came back.
    """

    text: str
    ranges: Sequence[Range]
    metadata: bool = True
    id: bool = True


def locate(text: str, passage: str) -> list[Range]:
    """Find the sentences of a passage that stand in an output whole."""
    return [(start, end) for start, end in sentences(passage) if passage[start:end] in text]


def joined(passage: str, ranges: Sequence[Range]) -> list[Range]:
    """Join ranges with only white space between them, in ascending order."""
    found: list[Range] = []
    for start, end in sorted(ranges):
        if found and not passage[found[-1][1] : start].strip():
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def cut_at(budget: int, passage: str, ranked: Sequence[Range], count: TokenCounter) -> Output:
    """Keep the best ranges that fit, and as many first words of the next one as still do.

    Args:
        budget: Most tokens of the output.
        passage: The passage.
        ranked: Ranges of it, best first, disjoint.
        count: What counts tokens.
    """

    def write(ranges: Sequence[Range]) -> Output:
        kept = joined(passage, ranges)
        return Output(" ".join(passage[start:end] for start, end in kept), kept)

    chosen: list[Range] = []
    for start, end in ranked:
        if count(write([*chosen, (start, end)]).text) <= budget:
            chosen.append((start, end))
            continue
        ends = [start + word.end() for word in re.finditer(r"\S+", passage[start:end])]
        fitting, too_many = 0, len(ends)
        while too_many - fitting > 1:
            middle = (fitting + too_many) // 2
            fits = count(write([*chosen, (start, ends[middle - 1])]).text) <= budget
            fitting, too_many = (middle, too_many) if fits else (fitting, middle)
        if fitting:
            chosen.append((start, ends[fitting - 1]))
        break
    return write(chosen)


def score(example: SpanExample, output: Output, count: TokenCounter) -> dict[str, float]:
    """Score one output; `answer` is absent where nobody marked answers, every value is in [0, 1].

    Returns:
        `tokens`: tokens kept; `answer`: an answer is in one piece of it; `evidence`: share of the
        words of the evidence that are kept; `verbatim`: it has no word more often than the passage;
        `ordered`: its words are in the passage's order; `metadata` and `id`: they came back.
    """
    words, there = _WORD.findall(output.text), _WORD.findall(example.passage)
    found = {
        "tokens": count(output.text) / max(count(example.passage), 1),
        "evidence": score_ranges(example, output.ranges)[2],
        "verbatim": float(Counter(words) <= Counter(there)),
        "ordered": float(_is_subsequence(words, there)),
        "metadata": float(output.metadata),
        "id": float(output.id),
    }
    answered = holds_answer(example, joined(example.passage, output.ranges))
    return found if answered is None else {**found, "answer": float(answered)}


def _is_subsequence(words: Sequence[str], of: Sequence[str]) -> bool:
    remaining = iter(of)
    return all(word in remaining for word in words)
