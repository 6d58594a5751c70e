"""Questions with what people said of passages: where the mining of negatives begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fgr_retriever.evaluation.beir import read_beir
from fgr_retriever.evaluation.spans import read_examples
from fgr_retriever.training.data import normalised


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what people said of passages.

    Args:
        query: The question.
        positives: Passages that answer it, the best first; may be empty.
        negatives: Passages that people judged not to answer it.
    """

    query: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Questions, and the passages among which negatives are looked for."""

    questions: list[Question]
    passages: list[str]


def read_source(path: Path, split: str) -> Source:
    """Read questions and passages, from a BEIR folder or a file of examples with spans.

    A passage of a BEIR folder answers a question from grade 1 on; a passage of a spans file does
    when somebody marked evidence in it.

    Args:
        path: The folder or the file.
        split: Which judgements of a BEIR folder to use.

    Raises:
        InputError: A file does not fit.
        OSError: A file cannot be read.
    """
    passages: Iterable[str]
    if path.is_dir():
        data = read_beir(path, split)
        judged = (
            (query, data.passages[passage], grade)
            for key, query in data.queries.items()
            for passage, grade in sorted(data.qrels[key].items(), key=lambda pair: -pair[1])
            if passage in data.passages
        )
        passages = data.passages.values()
    else:
        examples = list(read_examples(path))
        judged = ((one.query, one.passage, int(any(one.annotations))) for one in examples)
        passages = dict.fromkeys(one.passage for one in examples)
    questions: dict[str, dict[str, int]] = {}
    for query, passage, grade in judged:
        grades = questions.setdefault(query, {})
        if normalised(passage):
            grades[passage] = max(grade, grades.get(passage, grade))
    return Source([_question(*one) for one in questions.items()], [one for one in passages if normalised(one)])


def _question(query: str, grades: Mapping[str, int]) -> Question:
    positives = tuple(passage for passage, grade in grades.items() if grade >= 1)
    return Question(query, positives, tuple(passage for passage in grades if passage not in positives))
