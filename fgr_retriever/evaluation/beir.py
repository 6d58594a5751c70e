"""Judged retrieval data: folders in BEIR layout, and data sets from `ir_datasets`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from fgr_retriever.errors import InputError
from fgr_retriever.evaluation.text_files import read_jsonl
from fgr_retriever.evaluation.trec import Qrels, read_qrels


@dataclass(frozen=True, slots=True)
class Beir:
    """Passages by id, queries by id, and grades by query and passage id; each query has a relevant passage."""

    passages: dict[str, str]
    queries: dict[str, str]
    qrels: Qrels


class IrDataset(Protocol):
    """What `ir_datasets.load` returns, or anything like it.

    Documents have `doc_id` and `text` or `default_text()`, queries have `query_id` and `text` or
    `default_text()`, judgements have `query_id`, `doc_id` and `relevance`.
    """

    def docs_iter(self) -> Iterable[Any]:
        """Go through the documents."""
        ...

    def queries_iter(self) -> Iterable[Any]:
        """Go through the queries."""
        ...

    def qrels_iter(self) -> Iterable[Any]:
        """Go through the judgements."""
        ...


def take_dataset(dataset: IrDataset, limit_queries: int | None = None) -> Beir:
    """Take passages and judged queries from a data set of `ir_datasets`.

    Args:
        dataset: The data set; its documents are held in memory.
        limit_queries: Take only this many judged queries, in their order.

    Raises:
        InputError: A document or query has no text, or no query has a relevant passage.
    """
    grades: Qrels = {}
    for one in dataset.qrels_iter():
        grades.setdefault(str(one.query_id), {})[str(one.doc_id)] = int(one.relevance)
    queries = ((str(one.query_id), _text_of(one)) for one in dataset.queries_iter())
    relevant = {key for key, judged in grades.items() if max(judged.values()) >= 1}
    taken = dict(islice(((key, text) for key, text in queries if key in relevant), limit_queries))
    if not taken:
        raise InputError("no query of the data set has a relevant passage in its judgements")
    passages = {str(one.doc_id): _text_of(one) for one in dataset.docs_iter()}
    return Beir(passages, taken, {key: grades[key] for key in taken})


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
    qrels = read_qrels(folder / "qrels" / f"{split}.tsv")
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


def _id(record: Mapping[str, Any], where: str) -> str:
    key = record.get("_id")
    if not isinstance(key, (str, int)) or key == "":
        raise InputError(f"{where}: '_id' must be a non-empty string, got {key!r}")
    return str(key)


def _text(record: Mapping[str, Any], where: str) -> str:
    if not isinstance(text := record.get("text"), str):
        raise InputError(f"{where}: 'text' must be a string, got {text!r}")
    return text


def _text_of(record: Any) -> str:
    """Take the text of a document or query of `ir_datasets`, which knows how its fields make one text."""
    whole = getattr(record, "default_text", None)
    text = whole() if callable(whole) else getattr(record, "text", None)
    if not isinstance(text, str):
        raise InputError(f"{record!r:.200} has neither default_text() nor a 'text' that is a string")
    return text
