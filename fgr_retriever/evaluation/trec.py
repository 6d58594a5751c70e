"""The files of TREC evaluations: judgements (qrels), topics and runs. Reading is strict and names file and line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from fgr_retriever.errors import InputError
from fgr_retriever.evaluation.text_files import read_lines

Scored: TypeAlias = tuple[str, float]
Qrels: TypeAlias = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Run:
    """The results of a system for all queries.

    Args:
        name: Name of the system.
        rankings: For each query id, passage ids with their scores, best first.
    """

    name: str
    rankings: Mapping[str, Sequence[Scored]]

    def ids(self) -> dict[str, list[str]]:
        """Give the rankings without their scores."""
        return {query: [passage for passage, _ in ranking] for query, ranking in self.rankings.items()}


def read_qrels(path: Path) -> Qrels:
    """Read grades by query and passage id, without the queries that have nothing relevant.

    Args:
        path: TREC's four columns (query id, iteration, passage id, grade), or BEIR's three with tabs between
            (query id, passage id, grade), with or without a head line.

    Raises:
        InputError: A line is not valid, or judges a passage again.
        OSError: The file cannot be read.
    """
    qrels: Qrels = {}
    for number, line in _lines(path):
        fields = line.split("\t") if "\t" in line else line.split()
        if number == 1 and fields[-1] == "score":
            continue
        fits = len(fields) == 4 or (len(fields) == 3 and "\t" in line)
        if not fits or not fields[-1].lstrip("-").isdecimal():
            raise InputError(
                f"{path}:{number}: must be query id, passage id and a whole grade with tabs between, or TREC's four "
                f"columns, got {line!r:.200}"
            )
        query, passage, grade = fields[0], fields[-2], int(fields[-1])
        if passage in qrels.setdefault(query, {}):
            raise InputError(f"{path}:{number}: passage {passage!r} is judged twice for query {query!r}")
        qrels[query][passage] = grade
    return {query: grades for query, grades in qrels.items() if max(grades.values()) >= 1}


def read_topics(path: Path) -> dict[str, str]:
    """Read queries by id from lines of id, tab, text.

    Raises:
        InputError: A line does not fit, or an id occurs twice.
        OSError: The file cannot be read.
    """
    topics: dict[str, str] = {}
    for number, line in _lines(path):
        key, tab, text = line.partition("\t")
        if not tab or not key.strip() or not text.strip():
            raise InputError(f"{path}:{number}: must be a query id, a tab and a text, got {line!r:.200}")
        if key in topics:
            raise InputError(f"{path}:{number}: query {key!r} comes twice")
        topics[key] = text
    return topics


def read_run(path: Path) -> Run:
    """Read a run of one system: query id, `Q0`, passage id, rank, score, name of the system.

    The score orders the passages of a query. The rank orders only passages of equal score.

    Raises:
        InputError: A line is not valid, a passage occurs twice for a query, or the file has several systems or none.
        OSError: The file cannot be read.
    """
    found: dict[str, dict[str, tuple[float, int]]] = {}
    names: set[str] = set()
    for number, line in _lines(path):
        where = f"{path}:{number}"
        query, passage, score, rank, name = _run_line(line.split(), where)
        if passage in found.setdefault(query, {}):
            raise InputError(f"{where}: passage {passage!r} comes twice for query {query!r}")
        found[query][passage] = -score, rank
        names.add(name)
    if len(names) != 1:
        raise InputError(f"{path}: must be a run of one system, has {sorted(names)[:5]}")
    rankings = {
        query: [(passage, -key[0]) for passage, key in sorted(keys.items(), key=lambda item: item[1])]
        for query, keys in found.items()
    }
    return Run(names.pop(), rankings)


def write_run(run: Run, path: Path) -> None:
    """Write a run in TREC's six columns, ranks from 1.

    trec_eval orders passages of equal score by their ids, whatever the rank.

    Raises:
        InputError: A name or an id is empty or has white space, or a score is not a finite number. Such a line
            could not be read again.
        OSError: The disk refused the write.
    """
    name = _word(run.name, "the name of the system")
    lines = [
        f"{_word(query, 'query id')} Q0 {_word(passage, 'passage id')} {rank} {_finite(score, passage)!r} {name}\n"
        for query, ranking in run.rankings.items()
        for rank, (passage, score) in enumerate(ranking, start=1)
    ]
    path.write_text("".join(lines), encoding="utf-8")


def _run_line(fields: Sequence[str], where: str) -> tuple[str, str, float, int, str]:
    """Check the columns of a run: query id, passage id, score, rank, name."""
    if len(fields) != 6 or fields[1].upper() != "Q0":
        raise InputError(f"{where}: must be query id, Q0, passage id, rank, score and name, got {fields!r:.200}")
    query, _, passage, rank, score, name = fields
    try:
        value, place = float(score), int(rank)
    except ValueError as error:
        raise InputError(f"{where}: rank {rank!r} must be a whole number and score {score!r} a number") from error
    return query, passage, _finite(value, where), place, name


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read the lines that are not blank, without their ends, and number them."""
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(read_lines(file, str(path)), start=1):
            if line.strip():
                yield number, line.rstrip("\n")


def _finite(score: float, where: str) -> float:
    if not math.isfinite(score):
        raise InputError(f"{where}: score {score!r} must be a finite number")
    return float(score)


def _word(text: str, name: str) -> str:
    if not text or text.split() != [text]:
        raise InputError(f"{name} {text!r:.200}: must have no white space in a run file")
    return text
