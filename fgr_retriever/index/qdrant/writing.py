"""Write passages to a collection: batch after batch, each as often as it takes, and nothing twice.

A write is no transaction: each batch counts as soon as the server has acknowledged it. The point of a passage is
named by its id, so that an interrupted write is simply done again. What is stored with the same text is left as it is.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from qdrant_client import models
from torch import Tensor, from_numpy
from tqdm.auto import tqdm

from fgr_retriever.errors import InputError
from fgr_retriever.index.codec.checks import check_vectors
from fgr_retriever.index.qdrant.centroids import Centroids
from fgr_retriever.index.qdrant.layout import ROW, described, point_id, to_point
from fgr_retriever.index.qdrant.reading import PAGE, all_passages, batches, retrieve
from fgr_retriever.index.qdrant.server import Server
from fgr_retriever.index.qdrant.words import Words
from fgr_retriever.index.sources import refuse_taking, source_of, twice
from fgr_retriever.index.storage.passage_row import READ_BYTES, ROW_BYTES, Row, to_row, with_units
from fgr_retriever.model.tokens import StoredTokens, TokenBlock
from fgr_retriever.types import Added, Passage

_LOOKED_UP = 256  # passages at once
_TOKENS, _POINTS = 8192, 256  # of one request: some megabytes


class Writer:
    """Takes the passages of one write.

    Args:
        server: The collection.
        centroids: Gives those of the collection, once there are any.
        words: Those of the collection.
        dim: Width of a token vector.
        within: Names of sources; a stored passage of another one is replaced by one of its own source only. None
            lets a passage replace any.

    Attributes:
        server: The collection.
        words: Its words.
    """

    def __init__(
        self,
        server: Server,
        centroids: Callable[[], Tensor | None],
        words: Words,
        dim: int,
        within: Collection[str] | None = None,
    ) -> None:
        self._within = within
        self.server, self._centroids, self.words, self._dim = server, centroids, words, dim
        self._next = time.time_ns() // 1000  # microseconds: later writes have higher numbers
        self._met: dict[str, str | None] = {}
        self._pending: deque[tuple[Row, int, models.SparseVector | None]] = deque()
        self._points: list[models.PointStruct] = []
        self._tokens = 0
        self._counts: Counter[str] = Counter()

    def add(
        self, passages: Iterable[Passage], encode: Callable[[Iterable[str]], Iterable[TokenBlock]], progress: bool
    ) -> Iterator[int]:
        """Store passages, and give how many were stored after each request.

        Args:
            passages: Read once, as `encode` asks for texts.
            encode: Turns texts into token blocks, in order.
            progress: Show a bar on stderr.
        """
        blocks: list[TokenBlock] = []
        with tqdm(unit=" passages", desc="stored", disable=not progress) as bar:
            for block in encode(self._texts(passages)):
                blocks.append(block)
                if block.last:
                    self._take(StoredTokens.of(blocks))
                    blocks = []
                if self._tokens >= _TOKENS or len(self._points) >= _POINTS:
                    bar.update(len(self._points))
                    yield self._flush()
            bar.update(len(self._points))
            yield self._flush()
        if self._pending:
            raise InputError(f"the encoder gave {len(self._pending)} passages fewer than it took texts")

    def drop(self, ids: Iterable[str]) -> None:
        """Delete stored passages, unless they were among those that were added."""
        self._counts["deleted"] += delete(self.server, [id for id in ids if id not in self._met])

    def count(self) -> Added:
        """Count what was done."""
        counts = self._counts
        return Added(counts["added"], counts["updated"], counts["unchanged"], counts["deleted"])

    def _texts(self, passages: Iterable[Passage]) -> Iterator[str]:
        """Take passages, and give the texts that must be encoded."""
        for some in batches(passages, _LOOKED_UP):
            changed, new = [], []
            for row, stored in _looked_up(self.server, some, self._met, self._within):
                if stored is not None and _has_text(stored, row):
                    same = stored["check"][: 2 * READ_BYTES] == row.checksum[:READ_BYTES].hex()
                    self._counts["unchanged" if same else "updated"] += 1
                    if not same:
                        changed.append((row, stored["check"]))
                    continue
                self._counts["added" if stored is None else "updated"] += 1
                new.append(row)
            texts = [row.text.decode("utf-8", "surrogatepass") for row in new]
            for row, text, words in zip(new, texts, self.words.vectors(texts), strict=True):
                self._pending.append((with_units(row), self._next, words))
                self._next += 1
                yield text
            self._describe(changed)

    def _describe(self, changed: Sequence[tuple[Row, str]]) -> None:
        """Give stored passages other metadata."""
        operations = []
        for row, check in changed:
            payload = {**described(row), "check": row.checksum.hex() + check[2 * ROW_BYTES :]}
            content = models.SetPayload(payload=payload, points=[point_id(row.id)])
            operations.append(models.SetPayloadOperation(set_payload=content))
        if operations:
            self.server("batch_update_points", update_operations=operations, wait=True)

    def _take(self, tokens: StoredTokens) -> None:
        if not self._pending:
            raise InputError("the encoder gave more passages than it took texts")
        if tokens.vectors.shape != (len(tokens.vectors), self._dim):
            raise InputError(f"the encoder gave vectors {tokens.vectors.shape}: must be (t, {self._dim})")
        check_vectors(from_numpy(tokens.vectors))
        row, number, words = self._pending.popleft()
        self._points.append(to_point(row, number, tokens, self._centroids(), words))
        self._tokens += len(tokens.vectors)

    def _flush(self) -> int:
        points, self._points, self._tokens = self._points, [], 0
        if points:
            self.server("upsert", points=points, wait=True)
        return len(points)


def write(writer: Writer, centroids: Centroids, stored: Iterator[int], progress: bool) -> None:
    """Let a write run, and learn centroids and the mean length of passages as soon as they are due.

    Args:
        writer: Which writes.
        centroids: Those of the collection.
        stored: What `writer.add` gives: how many passages were stored after each request.
        progress: Show bars on stderr.
    """
    fresh = 0
    for count in stored:
        fresh += count
        if writer.words.are_due(fresh):
            writer.words.renew()
        if centroids.are_due(fresh):
            centroids.learn(progress=progress)
    if fresh and writer.words.language and writer.words.are_due(all_passages(writer.server)):
        writer.words.renew()
    if fresh and (centroids.get() is not None or centroids.are_due(all_passages(writer.server))):
        centroids.learn(progress=progress)


def plan(
    server: Server, passages: Iterable[Passage], gone: Iterable[str], within: Collection[str] | None = None
) -> Added:
    """Say what a write would do with passages, and with the ids of others that are to go, without doing it.

    Raises:
        InputError: A passage cannot be stored, or its id came before, or is that of another source (see `Writer`).
    """
    counts, met = Counter[str](), dict[str, str | None]()
    for some in batches(passages, _LOOKED_UP):
        for row, stored in _looked_up(server, some, met, within):
            same = stored is not None and stored["check"][: 2 * ROW_BYTES] == row.checksum.hex()
            counts["added" if stored is None else "unchanged" if same else "updated"] += 1
    deleted = sum(1 for _ in retrieve(server, map(point_id, set(gone) - met.keys()), ["id"]))
    return Added(counts["added"], counts["updated"], counts["unchanged"], deleted)


def delete(server: Server, ids: Iterable[str]) -> int:
    """Delete passages and return how many were there."""
    found = 0
    for some in batches(dict.fromkeys(ids), PAGE):
        stored = [one.id for one in retrieve(server, map(point_id, some), ["id"])]
        if stored:
            server("delete", points_selector=models.PointIdsList(points=stored), wait=True)
        found += len(stored)
    return found


def _looked_up(
    server: Server, passages: Sequence[Passage], met: dict[str, str | None], within: Collection[str] | None
) -> list[tuple[Row, dict[str, Any] | None]]:
    """Pair passages with what is stored under their ids.

    Raises:
        InputError: A passage cannot be stored, or its id came before, or is that of another source.
    """
    rows = [to_row(passage, units=False) for passage in passages]
    for passage in passages:
        source = source_of(passage.metadata)
        if passage.id in met:
            raise twice(passage.id, source, met[passage.id])
        met[passage.id] = source
    points = retrieve(server, [point_id(row.id) for row in rows], ["check", ROW, "source"])
    stored = {str(one.id): one.payload for one in points}
    for row in rows:
        if within is not None and (found := stored.get(point_id(row.id))) is not None:
            refuse_taking(row.id, met[row.id], found.get("source"), within, same=_has_text(found, row))
    return [(row, stored.get(point_id(row.id))) for row in rows]


def _has_text(stored: dict[str, Any], row: Row) -> bool:
    """Say whether a stored passage has the text of this row."""
    return bool(stored["check"][2 * READ_BYTES : 2 * ROW_BYTES] == row.checksum[READ_BYTES:ROW_BYTES].hex())
