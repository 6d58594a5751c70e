"""The exact answer to every query, and how much of it was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.index.corpus import Corpus
from benchmarks.index.systems import Query, exact_scores

TIE = 1e-3  # scores that differ by less are equal: windows overlap, and float16 rounds


@dataclass(frozen=True)
class Truth:
    """MaxSim of all queries and passages of a corpus, in full precision.

    Args:
        scores: (queries, passages) float32.
    """

    scores: NDArray[np.float32]

    def recall(self, query: int, found: Sequence[int], k: int = 10) -> float:
        """Count how many of the passages found are among the k best, ties included, divided by k."""
        scores = self.scores[query]
        least = np.partition(scores, -k)[-k] - TIE
        return float((scores[list(found)[:k]] >= least).sum()) / k


def truth(corpus: Corpus, queries: Sequence[Query], file: Path) -> Truth:
    """Score everything, or take what an earlier run left in `file`."""
    if not file.exists():
        pieces = (
            (torch.from_numpy(vectors), torch.from_numpy(corpus.lengths[rows.start : rows.stop]))
            for rows, vectors in tqdm(corpus.chunks(), desc="exact scores", unit="chunk")
        )
        np.save(file, exact_scores(queries, pieces).numpy())
    return Truth(np.load(file, mmap_mode="r"))
