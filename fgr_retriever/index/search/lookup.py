"""Find passages of an index by their vectors, their words or their ids."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fgr_retriever.arguments import whole_number
from fgr_retriever.config import SearchConfig
from fgr_retriever.errors import InputError
from fgr_retriever.index.filters import Filter, compile_filter
from fgr_retriever.index.match import Match
from fgr_retriever.index.search.best_passages import best_passages, passage_scores
from fgr_retriever.index.sources import source_of
from fgr_retriever.index.storage import rows
from fgr_retriever.index.storage.passage_row import is_id
from fgr_retriever.index.storage.snapshot import Snapshot
from fgr_retriever.index.storage.store import Store
from fgr_retriever.index.unmet import unmet
from fgr_retriever.types import Passage

_Found = tuple[NDArray[np.int64], NDArray[np.float32]]  # positions in a snapshot's rows, best first, and scores


class Lookup:
    """Reads an open index. Every call sees the index as it was when the call began.

    Args:
        store: The index.
        evidence: Fingerprint of the evidence codes that the model at hand understands; empty for none.
    """

    def __init__(self, store: Store, evidence: str = "") -> None:
        """Read nothing yet."""
        self._store, self._evidence = store, evidence

    def reading(self) -> AbstractContextManager[tuple[Snapshot, sqlite3.Connection]]:
        """Open one state of the index, for a stage that keeps data of its own next to the index.

        Raises:
            IndexCorruptError: The stored data is damaged.
        """
        return self._store.reading()

    def search(
        self,
        queries: Sequence[Tensor],
        k: int,
        filter: Filter | None = None,
        config: SearchConfig = SearchConfig(),  # noqa: B008 - immutable
    ) -> list[list[Match]]:
        """Find the best passages for every query, by exact MaxSim of those that are worth scoring.

        Args:
            queries: Query token embeddings, (q, d) float32 each; a query without tokens finds nothing.
            k: How many passages to find for each query, at least 1.
            filter: Condition on the metadata of the passages (see `fgr_retriever.index.filters`).
            config: How to search.

        Returns:
            For each query its matches, best first. Matches with equal scores are in the order in which
            they were added.

        Raises:
            InputError: The filter is invalid.
            ConfigError: `k` is not an integer of at least 1.
            IndexCorruptError: The stored data is damaged.
        """
        with self._store.reading() as (snapshot, connection):
            found = _best(snapshot, connection, queries, k, filter, config)
            return [self._matches(connection, snapshot, *one) for one in found]

    def rank(
        self,
        vectors: Tensor,
        k: int,
        filter: Filter | None = None,
        config: SearchConfig = SearchConfig(),  # noqa: B008 - immutable
    ) -> list[tuple[str, float]]:
        """Find ids and MaxSim of the best passages, as `search` does but without reading them."""
        with self._store.reading() as (snapshot, connection):
            ((positions, scores),) = _best(snapshot, connection, [vectors], k, filter, config)
            ids = [rows.fetch_id(connection, row) for row in snapshot.rows[positions].tolist()]
            return list(zip(ids, scores.tolist(), strict=True))

    def score(self, vectors: Tensor, ids: Iterable[str]) -> list[Match]:
        """Score passages by exact MaxSim.

        Args:
            vectors: Query token embeddings, (q, d) float32; without tokens every score is 0.
            ids: Ids of the passages.

        Returns:
            Their matches in the order of the ids. Unknown ids, and ids of passages without tokens, are
            left out.

        Raises:
            InputError: An id is not a string.
            IndexCorruptError: The stored data is damaged.
        """
        wanted = checked_ids(ids)
        with self._store.reading() as (snapshot, connection):
            return self._matches(connection, snapshot, *_scored(snapshot, connection, vectors, wanted)[1:])

    def maxsim(self, vectors: Tensor, ids: Iterable[str]) -> dict[str, float]:
        """Give the exact MaxSim of passages by id, as `score` does but without reading them."""
        wanted = checked_ids(ids)
        with self._store.reading() as (snapshot, connection):
            known, _, scores = _scored(snapshot, connection, vectors, wanted)
            return dict(zip(known, scores.tolist(), strict=True))

    def words(
        self, query: str, k: int, filter: Filter | None = None, *, ids: Iterable[str] | None = None
    ) -> list[tuple[str, float]]:
        """Find the best passages by their words, with BM25.

        The parameters are k1 = 1.2 and b = 0.75; Robertson and Zaragoza 2009.

        Args:
            query: The question; a question without words that count finds nothing.
            k: How many passages to find, at least 1.
            filter: Condition on the metadata of the passages; see `search`.
            ids: Find only passages with these ids; None means all passages.

        Returns:
            Ids and scores above 0, best first. Passages with equal scores are in the order in which
            they were added. All have at least one word of the query.

        Raises:
            InputError: The filter is invalid, or the query or an id is not a string.
            ConfigError: The index keeps no words, or `k` is not an integer of at least 1.
            MissingExtraError: The stemmer is not installed.
            IndexCorruptError: The stored data is damaged.
        """
        k = whole_number("k", k, 1)
        if not isinstance(query, str):
            raise InputError(f"query {query!r:.200}: must be a string")
        wanted = None if ids is None else checked_ids(ids)
        with self._store.reading() as (_, connection):
            allowed = None if filter is None else set(rows.numbers_where(connection, compile_filter(filter)))
            if wanted is not None:
                among = {row for row in rows.numbers_of(connection, wanted) if row is not None}
                allowed = among if allowed is None else allowed & among
            found = self._store.words.search(connection, query, k, allowed)
            return [(rows.fetch_id(connection, row), score) for row, score in found]

    def get(self, ids: Iterable[str]) -> list[Passage]:
        """Fetch passages by id, in the order of the ids; unknown ids are left out.

        Raises:
            InputError: An id is not a string.
        """
        wanted = checked_ids(ids)
        with self._store.reading() as (_, connection):
            found = [rows.fetch(connection, id) for id in wanted]
        return [passage for passage in found if passage is not None]

    def ids(self, filter: Filter | None = None) -> list[str]:
        """List the ids of passages, in the order in which they were added.

        Args:
            filter: Condition on their metadata; None lists all.

        Raises:
            InputError: The filter is invalid.
            IndexCorruptError: The stored data is damaged.
        """
        with self._store.reading() as (_, connection):
            listed = rows.numbers_where(connection, compile_filter(filter or {}))
            return [rows.fetch_id(connection, row) for row in sorted(listed)]

    def sources(self) -> dict[str, list[str]]:
        """List the ids of passages by their source (see `fgr_retriever.index.sources`).

        Returns:
            Names of sources and ids, in the order in which they were added; passages without a source are left out.

        Raises:
            IndexCorruptError: The stored data is damaged.
        """
        found: dict[str, list[str]] = {}
        with self._store.reading() as (_, connection):
            for _, id, metadata in rows.each(connection):
                if (source := source_of(metadata)) is not None:
                    found.setdefault(source, []).append(id)
        return found

    def unmet(self, filter: Filter) -> list[str]:
        """Say which keys of a filter no passage has, or has with such a type, though only these can pass it.

        All metadata are read. In an empty index nothing is unmet.

        Raises:
            InputError: The filter is invalid.
            IndexCorruptError: The stored data is damaged.
        """
        with self._store.reading() as (_, connection):
            return unmet(filter, (metadata for _, _, metadata in rows.each(connection)))

    def __len__(self) -> int:
        """Count the passages."""
        with self._store.reading() as (snapshot, _):
            return int(snapshot.alive.sum())

    def __contains__(self, id: object) -> bool:
        """Say whether there is a passage with this id."""
        with self._store.reading() as (_, connection):
            return is_id(id) and rows.fetch(connection, str(id)) is not None

    def _matches(
        self,
        connection: sqlite3.Connection,
        snapshot: Snapshot,
        positions: NDArray[np.int64],
        scores: NDArray[np.float32],
    ) -> list[Match]:
        """Read what is stored of the passages that were found."""
        if not len(positions):
            return []
        found = rows.fetch_with_units(connection, snapshot.rows[positions].tolist(), snapshot.manifest.units)
        tokens = snapshot.tokens_at(positions, self._evidence)
        return [
            Match(passage, score, stored, units)
            for (passage, units), score, stored in zip(found, scores.tolist(), tokens, strict=True)
        ]


def checked_ids(ids: Iterable[str]) -> list[str]:
    """List the ids that can be stored, and refuse ids that are not strings.

    Raises:
        InputError: An id is not a string.
    """
    if isinstance(ids, str) or not isinstance(ids, Iterable):
        raise InputError(f"ids must be an iterable of strings, got {ids!r:.200}: put one id into a list")
    wanted = list(ids)
    for id in wanted:
        if not isinstance(id, str):
            raise InputError(f"id {id!r:.200}: must be a string")
    return [id for id in wanted if is_id(id)]


def _best(
    snapshot: Snapshot,
    connection: sqlite3.Connection,
    queries: Sequence[Tensor],
    k: int,
    filter: Filter | None,
    config: SearchConfig,
) -> list[_Found]:
    """Search one state of the index; a query without tokens finds nothing."""
    k = whole_number("k", k, 1)
    allowed = snapshot.alive
    if filter is not None:
        matching = rows.numbers_where(connection, compile_filter(filter))
        allowed = np.isin(snapshot.rows, np.array(matching, dtype=np.int64))
    found = iter(best_passages(snapshot, [query for query in queries if len(query)], k, allowed, config))
    empty = np.zeros(0, np.int64), np.zeros(0, np.float32)
    return [next(found) if len(query) else empty for query in queries]


def _scored(
    snapshot: Snapshot, connection: sqlite3.Connection, vectors: Tensor, ids: Sequence[str]
) -> tuple[list[str], NDArray[np.int64], NDArray[np.float32]]:
    """Score the passages of ids in one state of the index: known ids, their positions and their scores."""
    numbers = dict(zip(ids, rows.numbers_of(connection, ids), strict=True))
    listed = {id: row for id, row in numbers.items() if row is not None}
    positions = snapshot.positions_of(list(listed.values()))
    has_tokens = snapshot.reader.lengths[positions] > 0
    known = [id for id, one in zip(listed, has_tokens.tolist(), strict=True) if one]
    positions = positions[has_tokens]
    return known, positions, passage_scores(snapshot, vectors, positions)
