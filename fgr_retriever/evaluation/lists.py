"""Score evidence over result lists: what is kept of passages that answer, and of passages that only look like it.

A list is a question with the passages that a search returned, each with a grade from 0 (does not help) to 3 (answers)
and the evidence that somebody marked in it. Words count as in `fgr_retriever.evaluation.spans`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from fgr_retriever.calls import Stopwatch
from fgr_retriever.config import TrimConfig
from fgr_retriever.errors import InputError
from fgr_retriever.evaluation.spans import Range, SpanExample, checked_ranges, overlapping, score_ranges, words_of
from fgr_retriever.evaluation.text_files import read_jsonl
from fgr_retriever.model.tokens import TokenEncoder
from fgr_retriever.trim.budget import TokenCounter
from fgr_retriever.trim.context import Context
from fgr_retriever.trim.trimmer import Trimmer, trim_hits
from fgr_retriever.types import Passage, Span

GRADES = range(4)
ANSWERING = 2  # the least grade of a passage that holds an answer or a part of one
BUDGETS = (0.05, 0.1, 0.2, 0.3)


@dataclass(frozen=True, slots=True)
class GradedPassage:
    """One passage of a list.

    Args:
        id: Id of the passage.
        text: Its text.
        grade: From 0 (does not help) to 3 (answers the question).
        spans: Ranges of its evidence; empty if it has none.
    """

    id: str
    text: str
    grade: int
    spans: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class ResultList:
    """A question and the passages that a search returned, in its order."""

    query: str
    passages: tuple[GradedPassage, ...]


@dataclass(frozen=True, slots=True)
class BudgetPoint:
    """What is kept under a budget for a whole list; means over the lists, in [0, 1].

    Args:
        budget: Share of the tokens of all passages of a list.
        evidence_recall: Share of the words of a list's evidence that is kept; None if no list has evidence.
        grade_0: Share of passages of grade 0 in the kept words; None if nothing is kept.
    """

    budget: float
    evidence_recall: float | None
    grade_0: float | None


@dataclass(frozen=True, slots=True)
class ListReport:
    """How a model treats result lists; rates are in [0, 1].

    Args:
        n: Number of lists.
        passages: Number of passages by grade, from 0 to 3.
        f1: Mean word F1 over the passages of grades 2 and 3; None without any.
        kept: Mean share of the words that is kept, by grade; None for a grade without passages.
        budgets: What is kept under budgets, where `fill` spends what the evidence leaves.
    """

    n: int
    passages: tuple[int, ...]
    f1: float | None
    kept: tuple[float | None, ...]
    budgets: tuple[BudgetPoint, ...]

    def to_json(self) -> dict[str, Any]:
        """Write the report as `fgr eval lists --json` prints it."""
        return asdict(self)


def read_lists(path: Path) -> Iterator[ResultList]:
    """Read lists lazily from JSON Lines.

    Each line has `query` and `passages`, a list of objects with `id`, `passage`, `grade` (0 to 3) and `spans` (a list
    of [start, end]). Other keys are ignored.

    Raises:
        InputError: A line is not valid; the message names file and line.
        OSError: The file cannot be read.
    """
    for where, record in read_jsonl(path):
        query, passages = record.get("query"), record.get("passages")
        if not isinstance(query, str) or not isinstance(passages, list) or not passages:
            raise InputError(f"{where}: 'query' must be a string and 'passages' a list that is not empty")
        yield ResultList(query, tuple(_passage(one, f"{where}: passage {i}") for i, one in enumerate(passages, 1)))


def evaluate_lists(
    encoder: TokenEncoder, lists: Iterable[ResultList], count: TokenCounter, *, show_progress: bool = False
) -> ListReport:
    """Measure the default spans on result lists, and trimming of whole lists to budgets.

    The spans come from the model's own cut, without the fallback for passages without evidence.

    Args:
        encoder: The model.
        lists: Lists to measure on; consumed lazily.
        count: Function that counts the tokens of budgets.
        show_progress: Show a bar on stderr.

    Raises:
        InputError: There is no list.
    """
    trimmer = Trimmer(encoder)
    f1: list[float] = []
    kept: list[list[float]] = [[] for _ in GRADES]
    points: list[list[tuple[float, float]]] = []
    for one in tqdm(lists, desc="lists", unit="list", disable=not show_progress):
        found = trimmer.context(one.query, [Passage(passage.id, passage.text) for passage in one.passages])
        for passage, hit in zip(one.passages, found.hits, strict=True):
            example = SpanExample(one.query, passage.text, (passage.spans,))
            agreement, _, _, share, _ = score_ranges(example, _ranges(hit.spans))
            kept[passage.grade].append(share)
            if passage.grade >= ANSWERING:
                f1.append(agreement)
        points.append(list(_under_budgets(one, found, encoder, count)))
    if not points:
        raise InputError("no lists to evaluate: pass at least one")
    means = np.ma.masked_invalid(np.array(points)).mean(axis=0).tolist()  # what no list has becomes None
    return ListReport(
        n=len(points),
        passages=tuple(map(len, kept)),
        f1=float(np.mean(f1)) if f1 else None,
        kept=tuple(float(np.mean(shares)) if shares else None for shares in kept),
        budgets=tuple(BudgetPoint(budget, *pair) for budget, pair in zip(BUDGETS, means, strict=True)),
    )


def _under_budgets(
    one: ResultList, found: Context, encoder: TokenEncoder, count: TokenCounter
) -> Iterator[tuple[float, float]]:
    """Trim a list to each budget and score what is kept."""
    whole = sum(count(passage.text) for passage in one.passages)
    for budget in BUDGETS:
        config = TrimConfig(max_tokens=int(budget * whole), fill=True)
        trimmed = trim_hits(one.query, found.hits, encoder.calibration, config, count, Stopwatch()).trimmed
        yield score_list(one, [_ranges(cut.spans) for cut in trimmed])


def score_list(one: ResultList, kept: Sequence[Sequence[Range]]) -> tuple[float, float]:
    """Score what somebody kept of a list.

    Args:
        one: The list.
        kept: Ranges of each of its passages.

    Returns:
        Share of the words of its evidence that is kept, and share of passages of grade 0 in the kept words, in [0, 1];
        NaN where there are no such words.
    """
    words = [words_of(passage.text) for passage in one.passages]
    gold = [overlapping(mine, passage.spans) for mine, passage in zip(words, one.passages, strict=True)]
    ours = [overlapping(mine, ranges) for mine, ranges in zip(words, kept, strict=True)]
    useless = (passage.grade == 0 for passage in one.passages)
    noise = sum(int(mask.sum()) for mask, bad in zip(ours, useless, strict=True) if bad)
    return _share(_overlap(ours, gold), sum(map(np.sum, gold))), _share(noise, sum(map(np.sum, ours)))


def _overlap(ours: Sequence[NDArray[np.bool_]], gold: Sequence[NDArray[np.bool_]]) -> int:
    return sum(int((mine & theirs).sum()) for mine, theirs in zip(ours, gold, strict=True))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _ranges(spans: Sequence[Span]) -> list[Range]:
    return [(span.start, span.end) for span in spans]


def _passage(value: Any, where: str) -> GradedPassage:
    """Check one passage of a list."""
    if not isinstance(value, dict) or not isinstance(value.get("passage"), str):
        raise InputError(f"{where}: must be an object whose 'passage' is a string")
    text, grade = value["passage"], value.get("grade")
    if type(grade) is not int or grade not in GRADES:
        raise InputError(f"{where}: 'grade' must be an integer from 0 to 3, got {grade!r}")
    return GradedPassage(
        str(value.get("id", "")), text, grade, checked_ranges(value.get("spans") or [], len(text), f"{where}: 'spans'")
    )
