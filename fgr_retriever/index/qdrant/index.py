"""The index in a Qdrant collection, with its model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor
from typing_extensions import Self

from fgr_retriever.arguments import whole_number
from fgr_retriever.config import Calibration, IndexConfig, SearchConfig
from fgr_retriever.errors import ConfigError, IndexNotFoundError, InputError
from fgr_retriever.index.filters import Filter
from fgr_retriever.index.match import Match
from fgr_retriever.index.qdrant.aliases import check_current
from fgr_retriever.index.qdrant.centroids import Centroids
from fgr_retriever.index.qdrant.collection import created, opened
from fgr_retriever.index.qdrant.conditions import conditions
from fgr_retriever.index.qdrant.facts import Facts, read_calibration, write_calibration
from fgr_retriever.index.qdrant.layout import MATCH, ROW, matches_of, point_id, score_of
from fgr_retriever.index.qdrant.place import QdrantCollection
from fgr_retriever.index.qdrant.search import Reading, Size, best_points, scored_points
from fgr_retriever.index.qdrant.server import Server
from fgr_retriever.index.qdrant.stored import QdrantStored
from fgr_retriever.index.qdrant.writing import Writer, write
from fgr_retriever.index.search.lookup import checked_ids
from fgr_retriever.index.storage.calibration import StoredCalibration, with_calibration
from fgr_retriever.index.storage.lexicon import new_words
from fgr_retriever.model.mismatch import mismatch
from fgr_retriever.model.tokens import TokenBlock, TokenEncoder, evidence_code_of, telling_importance
from fgr_retriever.types import Added, Passage

_RANK, _MATCH = Reading(("id", ROW), vectors=False), Reading(MATCH, vectors=True)


class QdrantIndex(QdrantStored):
    """An index of passages in a Qdrant collection. Make one with `QdrantIndex.open`.

    You can use it from many threads and processes, also to write. A write is no transaction: each batch counts as
    soon as the server has acknowledged it. Searches see what the server has at that moment.
    """

    def __init__(self, server: Server, facts: Facts, encoder: TokenEncoder) -> None:
        """Join an open collection with the model whose vectors it holds; use `QdrantIndex.open`."""
        super().__init__(server, facts)
        code = evidence_code_of(encoder)
        self._encoder, self._centroids, self._size = encoder, Centroids(server, facts), Size(server)
        self._coded = code is not None and code.fingerprint == facts.evidence
        self._shape = facts.shape(evidence=self._coded)
        self._lacks_codes = code is not None and not self._coded

    @classmethod
    def open(  # type: ignore[override]  # with a model, and perhaps made
        cls, place: QdrantCollection, encoder: TokenEncoder, config: IndexConfig | None = None, *, create: bool = True
    ) -> Self:
        """Open a collection.

        Args:
            place: Which, and how a new one is made.
            encoder: The model.
            config: Of a folder's settings, a collection knows `importance` and `words`; None uses the defaults.
            create: Make the collection if there is none.

        Raises:
            IndexNotFoundError: There is none and `create` is False.
            ModelMismatchError: It was made with another model.
            ConfigError: It was made with another storage or config, or cannot be made like this.
            MissingExtraError: A new one is to keep words, and the stemmer is not installed.
            IndexFormatError: It holds something else, or has a format that this version cannot read.
            IndexServerError: The server does not answer, or refuses.
        """
        _check_config(config)
        server = Server(*place.connected())
        try:
            try:
                facts = opened(server)
            except IndexNotFoundError:
                if not create:
                    raise
                words = new_words(config.words) if config else None
                facts = created(server, _new_facts(place, encoder, config), words)
            made = cls(server, facts, encoder)
            _check_fits(place, facts, encoder, config, made.config)
            return made
        except BaseException:
            server.close()
            raise

    def add(
        self,
        passages: Iterable[Passage],
        *,
        replacing: Iterable[str] = (),
        within: Collection[str] | None = None,
        show_progress: bool = False,
    ) -> Added:
        """Encode and store passages, batch by batch; do it again after an error, and the rest is stored.

        Args:
            passages: The passages to store, read once; each id may occur only once in a call. What is stored with
                the same text is not encoded again.
            replacing: Ids of passages that are deleted in the end, unless they are among `passages`.
            within: Names of sources: a stored passage of another one is not replaced, but by one of its own source.
                None lets a passage replace any.
            show_progress: Show progress bars on stderr.

        Returns:
            How many passages were added, updated, unchanged and deleted.

        Raises:
            InputError: A passage cannot be stored, or its id occurs twice, or is that of another source; or an id is
                not a string. What came before it may be stored.
            IndexServerError: The server does not answer, or refuses. What it acknowledged is stored.
            MissingExtraError: There are enough passages to learn centroids, and faiss is not installed.
        """
        if isinstance(passages, (Passage, str)) or not isinstance(passages, Iterable):
            raise InputError(f"passages must be an iterable of Passage, got {type(passages).__name__}")
        gone = checked_ids(replacing)
        check_current(self._server)
        self._centroids.get(again=True)
        self._words.refresh()
        writer = Writer(self._server, self._centroids.get, self._words, self._facts.dim, within)
        stored = writer.add(passages, partial(self._encode, show_progress=show_progress), show_progress)
        write(writer, self._centroids, stored, show_progress)
        writer.drop(gone)
        self._size.forget()
        return writer.count()

    def search(
        self,
        queries: Sequence[Tensor],
        k: int,
        filter: Filter | None = None,
        config: SearchConfig = SearchConfig(),  # noqa: B008 - immutable
    ) -> list[list[Match]]:
        """Find the best passages for every query in one call; evidence needs no other: vectors come with the hits.

        Args:
            queries: Query token embeddings, (q, d) float32 each; a query without tokens finds nothing.
            k: How many passages to find for each query, at least 1.
            filter: Condition on the metadata of the passages (see `fgr_retriever.index.filters`).
            config: How to search; see `qdrant.search`.

        Raises:
            InputError: The filter is invalid, or cannot be translated exactly.
            ConfigError: `k` is not an integer of at least 1.
            IndexCorruptError: What was found is damaged.
            IndexServerError: The server does not answer, or refuses.
        """
        return [matches_of(points, self._shape) for points in self._best(queries, k, filter, config, _MATCH)]

    def rank(
        self,
        vectors: Tensor,
        k: int,
        filter: Filter | None = None,
        config: SearchConfig = SearchConfig(),  # noqa: B008 - immutable
    ) -> list[tuple[str, float]]:
        """Find ids and MaxSim of the best passages, as `search` does but without reading them."""
        (points,) = self._best([vectors], k, filter, config, _RANK)
        return [(str(one.payload["id"]), score_of(one)) for one in points]

    def score(self, vectors: Tensor, ids: Iterable[str]) -> list[Match]:
        """Score passages by exact MaxSim, in the order of the ids; see `Lookup.score`."""
        return matches_of(self._scored(vectors, ids, _MATCH), self._shape)

    def maxsim(self, vectors: Tensor, ids: Iterable[str]) -> dict[str, float]:
        """Give the exact MaxSim of passages by id, as `score` does but without reading them."""
        return {str(one.payload["id"]): score_of(one) for one in self._scored(vectors, ids, _RANK)}

    @property
    def encoder(self) -> TokenEncoder:
        """The model, as it was given: without the calibration that the collection keeps."""
        return self._encoder

    def add_encoded(
        self,
        folders: Iterable[str | Path],
        *,
        replacing: Iterable[str] = (),
        incomplete: bool = False,
        show_progress: bool = False,
    ) -> Added:
        """Refuse encoded shards: a folder takes them, and is copied.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            f"{self.location} takes no encoded shards: make a folder of them (`fgr index --from-encoded`), and "
            "`fgr copy` it into the collection, which encodes nothing"
        )

    def lacks(self) -> tuple[str, ...]:
        """Name what a new collection would have, if anything."""
        return ("evidence codes of this model",) if self._lacks_codes else ()

    def upgrade(self, *, show_progress: bool = False) -> bool:
        """Refuse to add evidence codes: a new collection has them.

        Raises:
            ConfigError: The collection lacks the codes of this model.
        """
        if self.lacks():
            raise ConfigError(
                f"{self.location} was made without the evidence codes of this model, and cannot get them: `fgr copy` "
                "it into a folder, run `fgr upgrade` there, and copy the folder into a new collection (`--alias`)"
            )
        return False

    def calibrate(self, calibration: Calibration | None) -> None:
        """Keep a calibration with the collection; None removes it."""
        check_current(self._server)
        kept = StoredCalibration(calibration, self._encoder.head_fingerprint) if calibration else None
        write_calibration(self._server, kept)

    def calibrated_model(self) -> TokenEncoder:
        """Give the model with the calibration that the collection keeps, or else with its own."""
        return with_calibration(self._encoder, read_calibration(self._server), self.location)

    def _encode(self, texts: Iterable[str], *, show_progress: bool) -> Iterable[TokenBlock]:
        """Encode texts with all that the collection keeps of a token."""
        options: dict[str, Any] = {"evidence": True} if self._coded else {}
        if not self._facts.importance:
            return self._encoder.encode_passages(texts, show_progress=show_progress, **options)
        encoder = telling_importance(self._encoder)
        return encoder.encode_passages(texts, show_progress=show_progress, importance=True, **options)

    def _best(
        self, queries: Sequence[Tensor], k: int, filter: Filter | None, config: SearchConfig, reading: Reading
    ) -> list[list[Any]]:
        """Search for some queries; one without tokens finds nothing."""
        k = whole_number("k", k, 1)
        allowed, asked = conditions(filter), [query for query in queries if len(query)]
        if not asked:
            return [[] for _ in queries]
        size = 0 if config.exact else self._size(allowed)
        options: dict[str, Any] = {"passages": size, "centroids": self._centroids.get(), "reading": reading}
        found = iter(best_points(self._server, asked, k, allowed, config, **options))
        return [next(found) if len(query) else [] for query in queries]

    def _scored(self, query: Tensor, ids: Iterable[str], reading: Reading) -> list[Any]:
        """Score passages of ids, in their order; unknown ones and those without tokens are left out."""
        points = [point_id(id) for id in dict.fromkeys(checked_ids(ids))]
        if not points:
            return []
        # A query without tokens has no MaxSim on a server: every passage then has the score 0.
        asked = query if len(query) else query.new_zeros((1, self._facts.dim))
        found = scored_points(self._server, asked, points, reading)
        places = {point: place for place, point in enumerate(points)}
        return sorted(found, key=lambda one: places[str(one.id)])


def _check_config(config: IndexConfig | None) -> None:
    """Refuse settings of a folder that a collection does not know."""
    if config is not None and config != IndexConfig(importance=config.importance, words=config.words):
        raise ConfigError(
            f"{config}: of these, a Qdrant collection knows `importance` and `words`; QdrantCollection or its URL says "
            "how it stores vectors"
        )


def _new_facts(place: QdrantCollection, encoder: TokenEncoder, config: IndexConfig | None) -> Facts:
    """Say what a new collection is."""
    code, importance = evidence_code_of(encoder), config is not None and config.importance
    if importance:
        telling_importance(encoder)
    kept = (code.fingerprint, code.nbytes) if code else ("", 0)
    return Facts(encoder.fingerprint, encoder.dim, place.storage or "balanced", *kept, importance)


def _check_fits(
    place: QdrantCollection, facts: Facts, encoder: TokenEncoder, config: IndexConfig | None, kept: IndexConfig
) -> None:
    """Compare a collection with the model and with what was asked for.

    Raises:
        ModelMismatchError: It was made with another model.
        ConfigError: It was made with another storage or config.
    """
    if (facts.model, facts.dim) != (encoder.fingerprint, encoder.dim):
        given = encoder.fingerprint, encoder.dim
        raise mismatch(place.location, (facts.model, facts.dim), given, getattr(encoder, "name", None))
    if place.storage not in (None, facts.storage):
        raise ConfigError(f"{place.location} was created with storage={facts.storage!r}, not {place.storage!r}")
    if config not in (None, kept):
        remedy = "; `fgr copy` with --words copies it into a new one with words" if config.words else ""
        raise ConfigError(
            f"{place.location} was created with importance={kept.importance} and words={kept.words!r}: leave config "
            f"out{remedy}"
        )
