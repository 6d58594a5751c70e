"""Read retrieval data in BEIR layout: `corpus.jsonl`, `queries.jsonl` and `qrels/<split>.tsv`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from fgr_retriever.errors import InputError
from fgr_retriever.evaluation.text_files import read_jsonl


@dataclass(frozen=True, slots=True)
class Beir:
    """Passages by id, queries by id, and grades by query and passage id."""

    passages: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]


def read_beir(folder: Path, split: str = "test", limit_queries: int | None = None) -> Beir:
    """Read passages and judged queries into memory.

    Args:
        folder: `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`) and
            `qrels/<split>.tsv` (query id, passage id, grade).
        split: Which judgements to read.
        limit_queries: Take only this many judged queries, in file order.

    Raises:
        InputError: A file does not fit the layout, or no query has a relevant passage.
        OSError: A file cannot be read.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    qrels = _read_qrels(folder / "qrels" / f"{split}.tsv")
    texts = ((_id(record, where), _text(record, where)) for where, record in read_jsonl(folder / "queries.jsonl"))
    queries = dict(islice(((key, text) for key, text in texts if key in qrels), limit_queries))
    if not queries:
        raise InputError(f"{folder}: no query of queries.jsonl has a relevant passage in qrels/{split}.tsv")
    return Beir(dict(read_passages(folder)), queries, {key: qrels[key] for key in queries})


def read_passages(folder: Path) -> Iterator[tuple[str, str]]:
    """Read the passages of `corpus.jsonl` lazily.

    Yields:
        Id and text; the text is the title and the text with a space between.

    Raises:
        InputError: A line does not fit.
        OSError: The file cannot be read.
    """
    for where, record in read_jsonl(folder / "corpus.jsonl"):
        yield _id(record, where), f"{record.get('title') or ''} {_text(record, where)}".strip()


def _read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read grades by query and passage id, without the queries that have nothing relevant."""
    qrels: dict[str, dict[str, int]] = {}
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            fields = line.rstrip("\n").split("\t")
            if not line.strip() or (number == 1 and fields[-1] == "score"):
                continue
            if len(fields) != 3 or not fields[2].lstrip("-").isdecimal():
                raise InputError(f"{path}:{number}: must be query id, passage id and a whole grade, got {line!r}")
            qrels.setdefault(fields[0], {})[fields[1]] = int(fields[2])
    return {query: grades for query, grades in qrels.items() if max(grades.values()) >= 1}


def _id(record: Mapping[str, Any], where: str) -> str:
    key = record.get("_id")
    if not isinstance(key, (str, int)) or key == "":
        raise InputError(f"{where}: '_id' must be a non-empty string, got {key!r}")
    return str(key)


def _text(record: Mapping[str, Any], where: str) -> str:
    if not isinstance(text := record.get("text"), str):
        raise InputError(f"{where}: 'text' must be a string, got {text!r}")
    return text
