"""Training examples: a query, a passage, and the character spans in it that answer the query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from fgr_retriever.errors import InputError
from fgr_retriever.evaluation.spans import SpanExample, read_examples
from fgr_retriever.windows import Windows


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


def split(examples: Sequence[SpanExample], held_out: float, seed: int) -> tuple[list[SpanExample], list[SpanExample]]:
    """Keep a share of the examples aside, never a passage on both sides."""
    passages = sorted({example.passage for example in examples})
    drawn = np.random.default_rng(seed).random(len(passages)) < held_out
    aside = {passage for passage, out in zip(passages, drawn, strict=True) if out}
    return (
        [example for example in examples if example.passage not in aside],
        [example for example in examples if example.passage in aside],
    )


class TokenLabels(Dataset[dict[str, Any]]):
    """Examples as token ids with one label a passage token.

    Args:
        examples: What to train on.
        queries: Windows with the query marker and length.
        passages: Windows with the passage marker and length; a longer passage is cut to the first.
    """

    def __init__(self, examples: Sequence[SpanExample], queries: Windows, passages: Windows) -> None:
        self._rows = [self._row(example, queries, passages) for example in examples]

    def __len__(self) -> int:
        """Count the examples."""
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Give one example: `query_ids`, `input_ids` of the passage, `labels` (-1: no label)."""
        return self._rows[index]

    @staticmethod
    def _row(example: SpanExample, queries: Windows, passages: Windows) -> dict[str, Any]:
        query, passage = next(queries.of(example.query)), next(passages.of(example.passage))
        marked = [span for annotation in example.annotations for span in annotation]
        labels = token_labels(passage.offsets, marked)
        # transformers' length-grouped sampler looks for `input_ids`.
        return {"query_ids": query.ids, "input_ids": passage.ids, "labels": labels}


def token_labels(offsets: NDArray[np.int32], spans: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
    """Label tokens: 1 inside a span, 0 outside, -1 for special tokens (empty ranges).

    Args:
        offsets: (t, 2) int32.
        spans: Half-open character ranges.

    Returns:
        (t,) float32.
    """
    starts, ends = offsets[:, :1], offsets[:, 1:]
    edges = np.array(spans, dtype=np.int32).reshape(-1, 2)
    inside = ((starts < edges[:, 1]) & (ends > edges[:, 0])).any(axis=1)
    return np.where(starts[:, 0] == ends[:, 0], -1, inside).astype(np.float32)


def collate(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    """Pad a batch: `query` and `passage` ids with masks, and `labels`."""
    batch = {}
    for name, key in (("query", "query_ids"), ("passage", "input_ids")):
        batch[f"{name}_ids"] = _pad([row[key] for row in rows], 0)
        batch[f"{name}_mask"] = _pad([np.ones(len(row[key]), dtype=np.int64) for row in rows], 0)
    return {**batch, "labels": _pad([row["labels"] for row in rows], -1)}


def _pad(rows: Sequence[NDArray[Any]], value: float) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], True, value)
