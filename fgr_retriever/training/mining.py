"""Hard negatives: what our own index finds for a question that does not answer it.

From a source (`questions`) to tuples: an index of its passages; what lies between two ranks, without
what may answer the question after all; written with a teacher's scores (`scoring`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from fgr_retriever.config import SearchConfig
from fgr_retriever.errors import ConfigError, InputError
from fgr_retriever.index.index import Index
from fgr_retriever.model.tokens import TokenEncoder
from fgr_retriever.training.data import normalised
from fgr_retriever.training.questions import Question, Source
from fgr_retriever.training.resume import written
from fgr_retriever.training.scoring import Searched, Teacher
from fgr_retriever.training.tuples import PassageTuple
from fgr_retriever.types import Passage

_BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class MiningConfig:
    """Which of the passages that a search finds are taken.

    Args:
        first: The first rank to take; what is found before is too likely to be an answer.
        last: The last rank to take.
        negatives: Most negatives of a question, those that people judged included.
        share: A passage that the teacher scores above this share of the positive's score counts as
            an answer that nobody marked, and is left out; in (0, 1].
        as_spans: Write mined negatives as passages without evidence (`spans` empty), in place of tuples.
    """

    first: int = 2
    last: int = 50
    negatives: int = 15
    share: float = 0.95
    as_spans: bool = False

    def __post_init__(self) -> None:
        """Check every field."""
        if not 1 <= self.first <= self.last:
            raise ConfigError(f"first={self.first}, last={self.last}: must be ranks, 1 <= first <= last")
        if self.negatives < 1:
            raise ConfigError(f"negatives={self.negatives}: must be at least 1")
        if not 0 < self.share <= 1:
            raise ConfigError(f"share={self.share}: must be above 0 and at most 1")


@dataclass(slots=True)
class MiningReport:
    """What a run did.

    Args:
        questions: Questions that were looked at.
        resumed: Questions that an earlier run had written.
        unanswered: Questions without a positive, which are left out.
        bare: Questions for which no negative was left.
        written: Questions written.
        negatives: Negatives written, those that people judged included.
        found: Passages found between the two ranks.
        known: Of these, those that people had judged, or that have the same words as another one.
        too_close: Of these, those whose score came too close to the positive's.
    """

    questions: int = 0
    resumed: int = 0
    unanswered: int = 0
    bare: int = 0
    written: int = 0
    negatives: int = 0
    found: int = 0
    known: int = 0
    too_close: int = 0


def hard_negatives(
    scores: NDArray[np.float64], ceiling: float, most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split candidates into negatives and what comes too close to the positive.

    Args:
        scores: The teacher's, in the order in which candidates are preferred, (n,).
        ceiling: The highest score of a negative.
        most: How many negatives to take.

    Returns:
        The places of the negatives, at most `most`, and of all candidates above the ceiling.

    Source: Moreira et al. 2024 (NV-Retriever, arXiv 2407.15831), TopK-PercPos: a negative scores at
    most a share of the positive's score.
    """
    close = scores > ceiling
    return np.flatnonzero(~close)[:most], np.flatnonzero(close)


@dataclass(slots=True)
class Miner:
    """Mines hard negatives.

    Args:
        encoder: The model that searches.
        teacher: The model that scores.
        config: Which passages to take.
        report: What was done so far.
    """

    encoder: TokenEncoder
    teacher: Teacher
    config: MiningConfig = field(default_factory=MiningConfig)
    report: MiningReport = field(default_factory=MiningReport)

    def mine(self, source: Source, out: Path) -> MiningReport:
        """Write the questions of a source with negatives, or go on where an earlier run stopped.

        Args:
            source: Questions and passages.
            out: JSON lines; beside it stays the index of the passages, `<out>.index`.

        Raises:
            InputError: `out` holds something else, or `<out>.index` other passages.
            ModelMismatchError: The index was built with another model.
        """
        done = {query for (query,) in written(out, "query")}
        left = [one for one in source.questions if one.query not in done]
        self.report.questions, self.report.resumed = len(source.questions), len(source.questions) - len(left)
        asked = [one for one in left if one.positives]
        self.report.unanswered = len(left) - len(asked)
        with closing(self._index(source.passages, out)) as index, out.open("a", encoding="utf-8") as file:
            for searched in tqdm(self._search(index, asked), total=len(asked), desc="Mining", unit="question"):
                if found := self._tuple(searched):
                    lines = _spans(found, searched.question) if self.config.as_spans else [_record(found)]
                    file.write("".join(json.dumps(line) + "\n" for line in lines))
                    file.flush()
                    self.report.written += bool(lines)
                    self.report.negatives += len(lines) if self.config.as_spans else len(found.passages) - 1
        return self.report

    def _index(self, passages: Sequence[str], out: Path) -> Index:
        """Open the index of the passages, and add what it lacks."""
        folder = out.with_name(f"{out.name}.index")
        wanted = {hashlib.sha256(passage.encode("utf-8", "surrogatepass")).hexdigest(): passage for passage in passages}
        index = Index.open(folder, self.encoder)
        index.add((Passage(id=id, text=text) for id, text in wanted.items() if id not in index), show_progress=True)
        if len(index) != len(wanted):
            index.close()
            raise InputError(f"{folder} holds passages of another source: choose another file, or delete it")
        return index

    def _search(self, index: Index, questions: Sequence[Question]) -> Iterator[Searched]:
        for start in range(0, len(questions), _BATCH):
            batch = questions[start : start + _BATCH]
            queries = self.encoder.encode_queries([one.query for one in batch])
            results = index.search(queries, self.config.last, None, SearchConfig())
            for question, vectors, matches in zip(batch, queries, results, strict=True):
                yield Searched(question, vectors, {match.passage.text: match.score for match in matches})

    def _tuple(self, searched: Searched) -> PassageTuple | None:
        """Choose the negatives of a question: those that people judged, then those that were found."""
        question, report = searched.question, self.report
        between = list(searched.scores)[self.config.first - 1 :]
        judged = {normalised(passage) for passage in (*question.positives, *question.negatives)}
        fresh = [passage for passage in _distinct(between) if normalised(passage) not in judged]
        known = question.negatives[: self.config.negatives]
        scores = self.teacher.score(searched, [question.positives[0], *known, *fresh])
        positive, people, mined = scores[0], scores[1 : 1 + len(known)], scores[1 + len(known) :]
        ceiling = self.teacher.ceiling(float(positive), self.config.share)
        taken, close = hard_negatives(mined, ceiling, self.config.negatives - len(known))
        report.found += len(between)
        report.known += len(between) - len(fresh)
        report.too_close += len(close)
        negatives = [*known, *(fresh[place] for place in taken)]
        if not negatives:
            report.bare += 1
            return None
        # People outrank the teacher: a passage that they refused gets no score beyond that of a negative.
        kept = (positive, *np.minimum(people, ceiling), *mined[taken])
        return PassageTuple(question.query, (question.positives[0], *negatives), tuple(map(float, kept)))


def _distinct(passages: Sequence[str]) -> list[str]:
    """Keep the first of several passages with the same words."""
    first: dict[str, str] = {}
    for passage in passages:
        first.setdefault(normalised(passage), passage)
    return list(first.values())


def _record(found: PassageTuple) -> dict[str, object]:
    scores = [round(score, 4) for score in found.scores or ()]
    return {"query": found.query, "passages": found.passages, "scores": scores}


def _spans(found: PassageTuple, question: Question) -> list[dict[str, object]]:
    mined = [passage for passage in found.passages[1:] if passage not in question.negatives]
    return [{"query": found.query, "passage": passage, "spans": []} for passage in mined]
