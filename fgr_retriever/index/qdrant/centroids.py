"""The centroids of a collection: learned once, from what is stored, when there is enough of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from qdrant_client import models
from torch import Tensor, from_numpy

from fgr_retriever.index.codec.kmeans import MOST_POINTS, centroid_count, spherical_kmeans
from fgr_retriever.index.qdrant.facts import Facts, read_centroids, read_facts, write_centroids, write_facts
from fgr_retriever.index.qdrant.layout import CENTROIDS, TOKENS, Shape, sparse, tokens_of
from fgr_retriever.index.qdrant.reading import VECTORS_PAGE, all_passages, batches, scroll
from fgr_retriever.index.qdrant.server import Server

LEARNED_FROM = 5000
"""Passages from which on there are centroids; with fewer, the mean vectors alone find candidates."""
_EXPECTED = 1 << 20  # tokens: a collection is made to grow, so that there are 4,096 centroids if the sample has enough
_MOST_SAMPLED = 1 << 19


class Centroids:
    """Gives the centroids, and learns them when they are due.

    Args:
        server: The collection.
        facts: What it was when it was opened.
    """

    def __init__(self, server: Server, facts: Facts) -> None:
        self._server, self._facts = server, facts
        self._found: Tensor | None = None

    def get(self, *, again: bool = False) -> Tensor | None:
        """Give the centroids, (k, d) float32; None while there are none.

        Args:
            again: Ask the server, in case another process has learned them since.
        """
        if self._found is None and (again or self._facts.centroids):
            self._facts = read_facts(self._server) or self._facts
            self._found = read_centroids(self._server, self._facts)
        return self._found

    def are_due(self, passages: int) -> bool:
        """Say whether there are none yet, and enough passages to learn them from."""
        return passages >= LEARNED_FROM and self.get() is None

    def put(self, centroids: Tensor, *, told: bool) -> None:
        """Keep centroids.

        Args:
            centroids: (k, d).
            told: Whether no passage was stored before.
        """
        self._facts = write_centroids(self._server, replace(self._facts, told=told), centroids)
        self._found = read_centroids(self._server, self._facts)

    def learn(self, *, progress: bool = False) -> None:
        """Learn centroids from a sample of what is stored, and tell all passages theirs, unless that is done.

        After an interruption, those that were not told are told by the next call.

        Raises:
            MissingExtraError: faiss is not installed.
        """
        if self.get() is None:
            vectors, _ = _sample(self._server, self._facts.dim)
            if not len(vectors):
                return
            self.put(_learned(vectors, _EXPECTED, progress), told=False)
        if not self._facts.told:
            self._tell()
            self._facts = replace(self._facts, told=True)
            write_facts(self._server, self._facts)

    def _tell(self) -> None:
        """Give every passage that has tokens but no centroids its own."""
        centroids = self.get()
        if centroids is None:
            return
        lacking = models.Filter(
            must=[models.HasVectorCondition(has_vector=TOKENS)],
            must_not=[models.HasVectorCondition(has_vector=CENTROIDS)],
        )
        # A page begins at an id, so that it does not matter that what was told no longer passes the filter.
        for some in batches(scroll(self._server, _PAYLOAD, lacking, vectors=(TOKENS,)), VECTORS_PAGE):
            points = [_told(one, centroids) for one in some]
            self._server("update_vectors", points=points, wait=True)


_PAYLOAD = ("id", "tokens", "offsets")


def retrained(server: Server, facts: Facts, *, progress: bool) -> Tensor | None:
    """Learn centroids from what a collection has, as many as so many tokens should have; None without tokens.

    Raises:
        MissingExtraError: faiss is not installed.
    """
    vectors, sampled = _sample(server, facts.dim)
    if not len(vectors):
        return None
    tokens = len(vectors) * all_passages(server) // sampled
    return _learned(vectors, max(_EXPECTED, tokens), progress)


def _sample(server: Server, dim: int) -> tuple[Tensor, int]:
    """Read the vectors of the first passages by their points' ids, which are hashes: that is as good as chance.

    Returns:
        The vectors, (t, dim) float32, and of how many passages they are.
    """
    found, tokens = [np.zeros((0, dim), np.float16)], 0
    for one in scroll(server, _PAYLOAD, vectors=(TOKENS,)):
        found.append(tokens_of(one.payload, one.vector, Shape(dim)).vectors)
        tokens += len(found[-1])
        if tokens >= _MOST_SAMPLED:
            break
    return from_numpy(np.concatenate(found).astype(np.float32)), len(found) - 1


def _learned(vectors: Tensor, expected: int, progress: bool) -> Tensor:
    count = centroid_count(expected, len(vectors))
    order = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(0))
    return spherical_kmeans(vectors[order[: count * MOST_POINTS]], count, progress=progress)


def _told(point: Any, centroids: Tensor) -> models.PointVectors:
    vectors = tokens_of(point.payload, point.vector, Shape(centroids.shape[1])).vectors
    return models.PointVectors(id=point.id, vector={CENTROIDS: sparse(vectors, centroids)})
