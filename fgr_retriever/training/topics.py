"""The order of training: a batch holds questions about one topic, so that their passages are hard to tell apart.

Among passages drawn at random a ranking teaches nothing, and no foreign passage looks like evidence.

Source: Hofstätter et al. 2021 (TAS-B, arXiv 2104.06967), section 3.1: topic-aware sampling. The
topics are found by Boley 1998, "Principal direction divisive partitioning".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import MultiVectorEncoder
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from fgr_retriever.training.data import Row, pad_ids
from fgr_retriever.training.joint import Untrained

_BATCHES = 8  # most batches of one topic: within it they are made of passages of similar length
_ENCODED = 256  # questions at once


def by_topic(
    encoder: MultiVectorEncoder, rows: Dataset[Row], passes: Sequence[Sequence[int]], batch_size: int, seed: int
) -> list[int]:
    """Order examples so that every `batch_size` of them in a row have one topic and similar length.

    Args:
        encoder: The untrained model; the topic of a question is its mean token vector.
        rows: All examples, with `query_ids` and `input_ids`.
        passes: Places of examples; what is in one pass twice may be in one batch twice.
        batch_size: Examples of a batch.
        seed: Of the order of the batches.

    Returns:
        The places of all passes, in a new order.
    """
    vectors = question_vectors(encoder, rows)
    lengths = np.array([len(rows[place]["input_ids"]) for place in range(len(vectors))])
    full: list[NDArray[np.int64]] = []
    rest: list[NDArray[np.int64]] = []
    for places in map(np.array, passes):
        for topic in topics(vectors, places, batch_size):
            batches = np.split(topic[lengths[topic].argsort(kind="stable")], range(batch_size, len(topic), batch_size))
            for batch in batches:
                (full if len(batch) == batch_size else rest).append(batch)
    order = np.random.default_rng(seed).permutation(len(full))
    return [int(place) for batch in [*(full[one] for one in order), *rest] for place in batch]


@torch.inference_mode()
def question_vectors(encoder: MultiVectorEncoder, rows: Dataset[Row]) -> NDArray[np.float32]:
    """Encode the questions of rows as the bi-encoder did that the untrained model was, (n, h), L2-normalised."""
    questions = [rows[place]["query_ids"] for place in range(len(rows))]  # type: ignore[arg-type]
    order = np.argsort([len(question) for question in questions], kind="stable")
    found = []
    for start in tqdm(range(0, len(order), _ENCODED), desc="Topics", unit="batch"):
        batch = pad_ids("query", [questions[place] for place in order[start : start + _ENCODED]])
        found.append(Untrained.of(encoder, batch["query_ids"], batch["query_mask"]).pooled)
    vectors = torch.cat(found).numpy()
    return vectors[order.argsort()]


def topics(vectors: NDArray[np.float32], places: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Halve a set of examples along its strongest direction until few enough are left.

    Args:
        vectors: One a row for every example, (n, h).
        places: The examples to divide, (m,).
        batch_size: All parts but the last are a multiple of it.

    Yields:
        The parts of `places`, of at most eight batches each.
    """
    if len(places) <= _BATCHES * batch_size:
        yield places
        return
    centred = vectors[places] - vectors[places].mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    order = places[(centred @ axes[:, -1]).argsort(kind="stable")]
    middle = len(order) // batch_size // 2 * batch_size
    yield from topics(vectors, order[:middle], batch_size)
    yield from topics(vectors, order[middle:], batch_size)
