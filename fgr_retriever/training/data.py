"""Training examples: a query, a passage, and the character ranges in it that answer the query.

From files to batches: `read_spans`, `read_pairs` → `split` and `without` (no leaks) → `sample` and
`mismatched` (the mixture) → `TokenLabels` and `collate` (token ids with one label a token).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from fgr_retriever.errors import InputError
from fgr_retriever.evaluation.beir import read_beir
from fgr_retriever.evaluation.lists import read_lists
from fgr_retriever.evaluation.spans import SpanExample, read_examples
from fgr_retriever.evaluation.text_files import read_jsonl
from fgr_retriever.model.windows import Windows

Row: TypeAlias = Mapping[str, Any]
Ranges: TypeAlias = tuple[tuple[int, int, float], ...]

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Labelled:
    """A query and a passage with the evidence in it, certain or probable.

    Args:
        query: The question.
        passage: The text that the ranges point into.
        ranges: Start, end and probability of each stretch of evidence; text outside has none. None
            where nobody has said yet what is evidence.
        times: How often it is seen in a pass over the examples.
    """

    query: str
    passage: str
    ranges: Ranges | None = ()
    times: int = 1


def read_spans(paths: Iterable[Path]) -> list[SpanExample]:
    """Read the training examples of several files.

    Raises:
        InputError: A file cannot be read, or a line does not fit; the message names both.
    """
    found: list[SpanExample] = []
    for path in paths:
        try:
            found += read_examples(path)
        except OSError as error:
            raise InputError(f"cannot read the training spans {path}: {error}") from error
    return found


def read_pairs(folder: Path) -> list[Labelled]:
    """Pair every judged query of a BEIR folder with each of its judged passages, good or bad.

    Passages of grade 0 hold no evidence; of the others nobody has said what is evidence.

    Raises:
        InputError: A file cannot be read or does not fit the layout.
    """
    try:
        data = read_beir(folder)
    except OSError as error:
        raise InputError(f"cannot read the training pairs {folder}: {error}") from error
    return [
        Labelled(data.queries[query], data.passages[passage], None if grade > 0 else ())
        for query, grades in data.qrels.items()
        for passage, grade in grades.items()
        if passage in data.passages
    ]


def read_list_pairs(file: Path) -> list[Labelled]:
    """Pair the question of every result list with each of its passages; the marked spans are certain.

    Raises:
        InputError: The file cannot be read, or a line does not fit; the message names both.
    """
    try:
        lists = list(read_lists(file))
    except OSError as error:
        raise InputError(f"cannot read the training lists {file}: {error}") from error
    return [
        Labelled(one.query, passage.text, tuple((*span, 1.0) for span in passage.spans))
        for one in lists
        for passage in one.passages
    ]


def read_unlabelled(file: Path) -> Iterator[Labelled]:
    """Read pairs lazily from JSON lines with `query` and `passage`; other keys are ignored.

    Raises:
        InputError: A line does not fit; the message names file and line.
        OSError: The file cannot be read.
    """
    for where, record in read_jsonl(file):
        query, passage = record.get("query"), record.get("passage")
        if not isinstance(query, str) or not isinstance(passage, str):
            raise InputError(f"{where}: 'query' and 'passage' must be strings")
        yield Labelled(query, passage, None)


def labelled(examples: Iterable[SpanExample]) -> list[Labelled]:
    """Take marked spans as certain evidence; of several annotators, what any of them marked."""
    return [
        Labelled(example.query, example.passage, tuple((*span, 1.0) for spans in example.annotations for span in spans))
        for example in examples
    ]


def write_labelled(examples: Iterable[Labelled], file: Path) -> None:
    """Write examples as JSON lines: `query`, `passage` and `ranges` of [start, end, probability].

    The file appears when it is complete.
    """
    unfinished = file.with_suffix(".unfinished")
    with unfinished.open("w", encoding="utf-8") as out:
        for example in examples:
            ranges = [(start, end, round(chance, 4)) for start, end, chance in example.ranges or ()]
            out.write(json.dumps({"query": example.query, "passage": example.passage, "ranges": ranges}) + "\n")
    unfinished.replace(file)


def read_labelled(file: Path) -> list[Labelled]:
    """Read what `write_labelled` wrote."""
    records = (record for _, record in read_jsonl(file))
    return [Labelled(one["query"], one["passage"], tuple(map(tuple, one["ranges"]))) for one in records]


def split(examples: Sequence[SpanExample], held_out: float, seed: int) -> tuple[list[SpanExample], list[SpanExample]]:
    """Keep a share of the examples aside, never a passage on both sides."""
    passages = sorted({example.passage for example in examples})
    drawn = np.random.default_rng(seed).random(len(passages)) < held_out
    aside = {passage for passage, out in zip(passages, drawn, strict=True) if out}
    return (
        [example for example in examples if example.passage not in aside],
        [example for example in examples if example.passage in aside],
    )


def without(examples: Sequence[Labelled], passages: Iterable[str]) -> list[Labelled]:
    """Leave out the examples whose passage is among `passages`, whatever its case, spaces and marks, or has no word.

    Of a passage without words no token is stored: there is nothing to learn, and its score is infinite.
    """
    seen = {"", *map(normalised, passages)}
    return [example for example in examples if normalised(example.passage) not in seen]


def sample(examples: Sequence[Labelled], share: float, seed: int) -> list[Labelled]:
    """Draw a share of the examples, in (0, 1], without replacement."""
    order = np.random.default_rng(seed).permutation(len(examples))
    return [examples[place] for place in order[: round(share * len(examples))]]


def mismatched(examples: Sequence[Labelled], share: float, seed: int) -> list[Labelled]:
    """Give a share of the passages the question of another example: nothing there is evidence."""
    drawn = sample(examples, share, seed)
    queries = [example.query for example in drawn[1:] + drawn[:1]]
    return [Labelled(query, example.passage) for query, example in zip(queries, drawn, strict=True)]


class TokenLabels(Dataset[Row]):
    """Examples as token ids with one label a passage token.

    Args:
        examples: What to train on.
        queries: Windows with the query marker and length.
        passages: Windows with the passage marker and length; a longer passage is cut to the first.
    """

    def __init__(self, examples: Sequence[Labelled], queries: Windows, passages: Windows) -> None:
        self._rows = [self._row(example, queries, passages) for example in examples]

    def __len__(self) -> int:
        """Count the examples."""
        return len(self._rows)

    def __getitem__(self, index: int) -> Row:
        """Give one example: `query_ids`, `input_ids` of the passage, `labels` (-1: no label)."""
        return self._rows[index]

    @staticmethod
    def _row(example: Labelled, queries: Windows, passages: Windows) -> Row:
        query, passage = next(queries.of(example.query)), next(passages.of(example.passage))
        labels = token_labels(passage.offsets, example.ranges)
        # transformers' length-grouped sampler looks for `input_ids`.
        return {"query_ids": query.ids, "input_ids": passage.ids, "labels": labels}


def token_labels(offsets: NDArray[np.int32], ranges: Ranges | None) -> NDArray[np.float32]:
    """Label tokens with the highest probability of the ranges that they touch.

    Args:
        offsets: (t, 2) int32.
        ranges: Half-open character ranges with the probability of evidence in each; None for no labels.

    Returns:
        (t,) float32: 0 outside all ranges, -1 for special tokens (empty offsets) and without labels.
    """
    if ranges is None:
        return np.full(len(offsets), -1, dtype=np.float32)
    starts, ends = offsets[:, :1], offsets[:, 1:]
    table = np.array(ranges, dtype=np.float64).reshape(-1, 3)
    touched = (starts < table[:, 1]) & (ends > table[:, 0])
    best = np.where(touched, table[:, 2], 0).max(axis=1, initial=0)
    return np.where(starts[:, 0] == ends[:, 0], -1, best).astype(np.float32)


def collate(rows: Sequence[Row]) -> dict[str, Tensor]:
    """Pad a batch: `query` and `passage` ids with masks, and `labels`."""
    return {
        **pad_ids("query", [row["query_ids"] for row in rows]),
        **pad_ids("passage", [row["input_ids"] for row in rows]),
        "labels": pad([row["labels"] for row in rows], -1),
    }


def pad_ids(name: str, rows: Sequence[NDArray[np.int64]]) -> dict[str, Tensor]:
    """Stack token ids as `<name>_ids`, (n, longest) int64, and say in `<name>_mask` which are real."""
    return {f"{name}_ids": pad(rows, 0), f"{name}_mask": pad([np.ones_like(row) for row in rows], 0)}


def pad(rows: Iterable[NDArray[Any]], value: float) -> Tensor:
    """Stack rows of unequal length, (n, longest, …)."""
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], True, value)


def normalised(text: str) -> str:
    """Reduce a text to its words, whatever their case and what stands between them: texts with the same are one."""
    return " ".join(_WORD.findall(text.lower()))
