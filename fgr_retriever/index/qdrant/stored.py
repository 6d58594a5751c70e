"""What can be done with a collection without its model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from torch import Tensor
from tqdm.auto import tqdm
from typing_extensions import Self

from fgr_retriever.arguments import whole_number
from fgr_retriever.config import IndexConfig
from fgr_retriever.errors import IndexNotFoundError, InputError
from fgr_retriever.index.contents import Contents
from fgr_retriever.index.filters import Filter, wanted_conditions
from fgr_retriever.index.info import IndexInfo
from fgr_retriever.index.qdrant.aliases import check_current
from fgr_retriever.index.qdrant.centroids import retrained
from fgr_retriever.index.qdrant.collection import bits, bytes_per_token, opened
from fgr_retriever.index.qdrant.conditions import conditions, exists
from fgr_retriever.index.qdrant.facts import Facts, read_calibration, read_centroids, read_facts, read_words
from fgr_retriever.index.qdrant.layout import (
    MATCH,
    PASSAGE,
    ROW,
    TOKENS,
    damaged,
    in_order,
    passage_of,
    point_id,
    score_of,
    tokens_of,
)
from fgr_retriever.index.qdrant.place import QdrantCollection
from fgr_retriever.index.qdrant.reading import VECTORS_PAGE, all_passages, batches, retrieve, scroll
from fgr_retriever.index.qdrant.search import among
from fgr_retriever.index.qdrant.server import Server
from fgr_retriever.index.qdrant.words import Words, found_by, sampled
from fgr_retriever.index.qdrant.writing import delete, plan
from fgr_retriever.index.search.lookup import checked_ids
from fgr_retriever.index.storage.lexicon import KeptWords
from fgr_retriever.index.storage.passage_row import is_id
from fgr_retriever.index.unmet import without
from fgr_retriever.model.tokens import StoredTokens
from fgr_retriever.types import Added, Passage

_LENGTH_ERROR = 0.05  # of a token vector that was stored in 4 bits a dimension


class QdrantStored:
    """An open collection: look up, plan, delete, describe and check.

    Args:
        server: The collection.
        facts: What it is.
    """

    def __init__(self, server: Server, facts: Facts) -> None:
        """Read nothing yet."""
        self._server, self._facts, self._words = server, facts, Words(server)

    @classmethod
    def open(cls, place: QdrantCollection) -> Self:
        """Open a collection that is there.

        Raises:
            IndexNotFoundError: There is none.
            IndexFormatError: It holds something else, or has a format that this version cannot read.
            IndexServerError: The server does not answer, or refuses.
        """
        server = Server(*place.connected())
        try:
            return cls(server, opened(server))
        except BaseException:
            server.close()
            raise

    @classmethod
    def config_of(cls, place: QdrantCollection) -> IndexConfig | None:
        """Read how a collection stores vectors, as far as a folder could; None if there is none yet."""
        try:
            stored = cls.open(place)
        except IndexNotFoundError:
            return None
        stored.close()
        return stored.config

    @property
    def location(self) -> str:
        """The URL of the collection, without a key."""
        return self._server.place.location

    @property
    def place(self) -> str:
        """The URL, by which any process that has the key opens it.

        Raises:
            InputError: The client is the user's own.
        """
        if not self._server.place.url:
            raise InputError(f"{self.location} was opened with your own client: copy and pickle one that a URL names")
        return self._server.place.url

    @property
    def name(self) -> str:
        """The name of the collection."""
        return self._server.place.name

    @property
    def folder(self) -> Path:
        """Refuse: a collection lies in no folder.

        Raises:
            InputError: Always.
        """
        raise InputError(f"{self.location} lies in no folder; `fgr copy` copies it into one")

    @property
    def config(self) -> IndexConfig:
        """What it keeps, as far as a folder has such a setting."""
        return IndexConfig(importance=self._facts.importance, words=self._words.language)

    def words(
        self, query: str, k: int, filter: Filter | None = None, *, ids: Iterable[str] | None = None
    ) -> list[tuple[str, float]]:
        """Find the best passages by their words, with BM25; see `Lookup.words`.

        Scores differ a little from a folder's: see `docs/scale.md`.

        Raises:
            InputError: The filter is invalid or cannot be translated exactly, or the query or an id is not a string.
            ConfigError: The collection keeps no words, or `k` is not an integer of at least 1.
            MissingExtraError: The stemmer is not installed.
            IndexServerError: The server does not answer, or refuses.
        """
        k = whole_number("k", k, 1)
        if not isinstance(query, str):
            raise InputError(f"query {query!r:.200}: must be a string")
        allowed, asked = conditions(filter), self._words.query(query)
        if ids is not None:
            allowed = among(allowed, [point_id(id) for id in checked_ids(ids)])
        points = in_order(found_by(self._server, asked, k, allowed, ("id", ROW))) if asked else []
        return [(str(one.payload["id"]), score_of(one)) for one in points]

    def get(self, ids: Iterable[str]) -> list[Passage]:
        """Fetch passages by id, in the order of the ids; unknown ids are left out.

        Raises:
            InputError: An id is not a string.
            IndexCorruptError: A passage differs from what was written.
        """
        wanted = checked_ids(ids)
        points = {str(one.id): one for one in retrieve(self._server, map(point_id, wanted), PASSAGE)}
        return [passage_of(points[point].payload) for point in map(point_id, wanted) if point in points]

    def ids(self, filter: Filter | None = None) -> list[str]:
        """List the ids of passages, in the order in which they were added.

        Raises:
            InputError: The filter is invalid, or cannot be translated exactly.
        """
        found = [one.payload for one in scroll(self._server, ["id", ROW], conditions(filter))]
        return [str(one["id"]) for one in sorted(found, key=lambda one: one[ROW])]

    def sources(self) -> dict[str, list[str]]:
        """List the ids of passages by their source, in the order in which they were added."""
        listed = [one.payload for one in scroll(self._server, ["id", ROW, "source"])]
        found: dict[str, list[str]] = {}
        for one in sorted(listed, key=lambda one: one[ROW]):
            if one.get("source") is not None:
                found.setdefault(one["source"], []).append(str(one["id"]))
        return found

    def unmet(self, filter: Filter) -> list[str]:
        """Say which keys of a filter no passage has, though only passages with them can pass it.

        The server counts; values of another type are not told, which would take reading all metadata.
        """
        keys = dict.fromkeys(key for key, _ in wanted_conditions(filter))
        return without([key for key in keys if not all_passages(self._server, exists(key))] if len(self) else [])

    def plan(
        self, passages: Iterable[Passage], replacing: Iterable[str], within: Collection[str] | None = None
    ) -> Added:
        """Say what `add` would do with the same arguments, without doing it.

        Raises:
            InputError: A passage cannot be stored, or its id occurs twice, or is that of another source; or an id is
                not a string.
        """
        return plan(self._server, passages, checked_ids(replacing), within)

    def delete(self, ids: Iterable[str]) -> int:
        """Delete passages and return how many were deleted; unknown ids are ignored.

        Raises:
            InputError: An id is not a string.
            IndexServerError: The server does not answer, or refuses; some may be deleted.
        """
        check_current(self._server)
        return delete(self._server, checked_ids(ids))

    def info(self) -> IndexInfo:
        """Describe the collection. Reads a number of every passage; sizes are those of the token vectors."""
        facts = read_facts(self._server) or self._facts
        tokens = sum(int(one.payload["tokens"]) for one in scroll(self._server, ["tokens"]))
        stored, state = read_calibration(self._server), self._server("get_collection")
        size = bytes_per_token(facts.storage, facts.dim)
        return IndexInfo(
            passages=len(self),
            tokens=tokens,
            nbits=bits(facts.storage),
            bytes=tokens * size,
            bytes_per_token=float(size),
            raw_segments=0,
            coded_segments=state.segments_count or 0,
            centroids=facts.centroids,
            quantisation_error=None,
            drift=None,
            model=facts.model,
            format_version=facts.format_version,
            words=self._words.language,
            importance=facts.importance,
            refine=False,
            evidence="present" if facts.evidence else "missing",
            units=True,
            kernel="qdrant",
            calibration=asdict(stored.calibration) if stored else None,
        )

    def contents(self) -> Contents:
        """Give all that the collection holds, to be written elsewhere."""
        facts = read_facts(self._server) or self._facts
        kept = facts.evidence, facts.evidence_bytes, facts.importance
        found = read_calibration(self._server), read_centroids(self._server, facts)
        return Contents(facts.model, facts.dim, *kept, *found, read_words(self._server), self._passages(facts))

    def retrained(self, *, show_progress: bool = False) -> Tensor | None:
        """Learn centroids from what the collection has now, for a new one; it keeps its own.

        Raises:
            MissingExtraError: faiss is not installed.
        """
        return retrained(self._server, self._facts, progress=show_progress)

    def measured_words(self) -> KeptWords | None:
        """Measure the mean length of the passages that there are now, for a new collection; None without words."""
        return sampled(self._server, self._words.language) if self._words.language else None

    def _passages(self, facts: Facts) -> Iterator[tuple[Passage, StoredTokens]]:
        for some in batches(self.ids(), VECTORS_PAGE):
            wanted = [point_id(id) for id in some]
            points = {str(one.id): one for one in retrieve(self._server, wanted, MATCH, vectors=True)}
            for one in (points[point] for point in wanted if point in points):
                yield passage_of(one.payload), tokens_of(one.payload, one.vector, facts.shape())

    def verify(self, *, show_progress: bool = False) -> None:
        """Compare every text with its checksum and its words, and see that all tokens have vectors, offsets and codes.

        Args:
            show_progress: Show a progress bar on stderr.

        Raises:
            IndexCorruptError: Something is damaged; the message names it.
        """
        facts = read_facts(self._server) or self._facts
        read_centroids(self._server, facts)
        read_calibration(self._server)
        points = scroll(self._server, MATCH, vectors=(TOKENS,))
        for one in tqdm(points, total=len(self), unit=" passages", desc="points", disable=not show_progress):
            id = passage_of(one.payload).id
            tokens = tokens_of(one.payload, one.vector, facts.shape())
            lengths = np.linalg.norm(tokens.vectors.astype(np.float32), axis=1)
            if str(one.id) != point_id(id) or (np.abs(lengths - 1) > _LENGTH_ERROR).any():
                raise damaged(one.payload, "its point or its vectors are others")
        self._words.verify()

    def compact(self, *, show_progress: bool = False) -> None:
        """Do nothing: the server itself rewrites what was deleted."""

    def close(self) -> None:
        """Let go of the connection; every later call raises InputError."""
        self._server.close()

    def __len__(self) -> int:
        """Count the passages."""
        return all_passages(self._server)

    def __contains__(self, id: object) -> bool:
        """Say whether there is a passage with this id."""
        return is_id(id) and any(True for _ in retrieve(self._server, [point_id(str(id))], ["id"]))
