"""The index: passages with their token vectors on disk, and search over them.

This is the seam between the engine and how vectors are kept; nothing above it knows segments.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from fgr_retriever.config import Calibration, IndexConfig, SearchConfig
from fgr_retriever.errors import ConfigError, InputError, ModelMismatchError
from fgr_retriever.index import rows
from fgr_retriever.index.calibration import StoredCalibration
from fgr_retriever.index.filters import Filter, compile_filter
from fgr_retriever.index.info import IndexInfo, describe
from fgr_retriever.index.manifest import MANIFEST, Manifest
from fgr_retriever.index.search import best_passages
from fgr_retriever.index.snapshot import Snapshot
from fgr_retriever.index.store import Store, create_store
from fgr_retriever.types import Match, Passage, TokenEncoder

logger = logging.getLogger(__name__)


class Index:
    """A persistent index of passages; make one with `Index.open`.

    Safe to use from many threads and processes: one writes at a time, all others read, and a
    search sees the state at its begin.
    """

    def __init__(self, store: Store, encoder: TokenEncoder) -> None:
        """Join an open store with the model whose vectors it holds; use `Index.open`."""
        self._store = store
        self._encoder = encoder

    @classmethod
    def open(
        cls, path: str | Path, encoder: TokenEncoder, config: IndexConfig | None = None, *, create: bool = True
    ) -> Self:
        """Open the index in a folder.

        Args:
            path: The folder.
            encoder: The model.
            config: How to store vectors in a new index; None takes the defaults. For an existing
                index, None or exactly what it was created with.
            create: Make an empty index when there is none.

        Raises:
            IndexNotFoundError: There is no index and `create` is False, or the folder holds
                something else.
            ModelMismatchError: The index was built with another model.
            ConfigError: The index was created with another config, or its bits do not suit the model's
                width.
            IndexFormatError: The index has a format that this version cannot read.
            IndexCorruptError: A file is damaged, missing or has the wrong size.
            IndexWriteError: The disk refused to create it.
        """
        folder = Path(path)
        if create and not (folder / MANIFEST).exists():
            create_store(folder, Manifest(encoder.fingerprint, encoder.dim, config or IndexConfig()))
        store = Store(folder)
        manifest = store.manifest
        if (manifest.model, manifest.dim) != (encoder.fingerprint, encoder.dim):
            store.close()
            raise ModelMismatchError(
                f"{folder} was built with the model {manifest.model} (dim {manifest.dim}), not {encoder.fingerprint} "
                f"(dim {encoder.dim}): open it with that model, or build a new index"
            )
        if config is not None and config != manifest.config:
            store.close()
            raise ConfigError(f"{folder} was created with {manifest.config}, not {config}: leave config out")
        return cls(store, encoder)

    def add(self, passages: Iterable[Passage], *, progress: bool = False) -> int:
        """Encode and store passages: all of them, or on any error none.

        Reads `passages` once and never holds all of them. A passage whose id is stored already
        replaces the stored one.

        Args:
            passages: What to store; ids are unique within one call.
            progress: Show a progress bar on stderr.

        Returns:
            How many passages were added or replaced.

        Raises:
            InputError: A passage cannot be stored, or its id comes twice.
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused.
        """
        if isinstance(passages, (Passage, str)) or not isinstance(passages, Iterable):
            raise InputError(f"passages must be an iterable of Passage, got {type(passages).__name__}")
        encode = partial(self._encoder.encode_passages, progress=progress)
        return self._store.add(passages, encode, progress=progress)

    def search(
        self,
        queries: Sequence[Tensor],
        k: int,
        filter: Filter | None = None,
        config: SearchConfig = SearchConfig(),  # noqa: B008 - immutable
    ) -> list[list[Match]]:
        """Find the best passages for every query, by exact MaxSim over all that pass the filter.

        Args:
            queries: Query token embeddings, (q, d) float32 each; one without tokens finds nothing.
            k: How many passages to find for each query, at least 1.
            filter: Which passages count, by their metadata (see `fgr_retriever.index.filters`).
            config: How to search.

        Returns:
            For each query its matches, best first; equals in the order in which they were added.

        Raises:
            InputError: The filter is invalid.
            ConfigError: `k` is not an integer of at least 1.
            IndexCorruptError: What is stored is damaged.
        """
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise ConfigError(f"k={k!r}: must be an integer of at least 1")
        matches = None if filter is None else compile_filter(filter)
        with self._store.reading() as (snapshot, connection):
            allowed = snapshot.alive
            if matches is not None:
                allowed = np.isin(snapshot.rows, np.array(rows.numbers_where(connection, matches), dtype=np.int64))
            asked = [query for query in queries if len(query)]
            found = iter(best_passages(snapshot, asked, k, allowed, config))
            empty = np.zeros(0, np.int64), np.zeros(0, np.float32)
            results = [next(found) if len(query) else empty for query in queries]
            return [_matches(connection, snapshot, *hits) for hits in results]

    def get(self, ids: Iterable[str]) -> list[Passage]:
        """Fetch passages by id, in the order of the ids; unknown ids are left out.

        Raises:
            InputError: An id is not a string.
        """
        wanted = _ids(ids)
        with self._store.reading() as (_, connection):
            found = [rows.fetch(connection, id) for id in wanted]
        return [passage for passage in found if passage is not None]

    def delete(self, ids: Iterable[str]) -> int:
        """Delete passages; unknown ids are left out.

        Returns:
            How many passages were deleted.

        Raises:
            InputError: An id is not a string.
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused.
        """
        return self._store.delete(_ids(ids))

    def __len__(self) -> int:
        """Count the passages."""
        with self._store.reading() as (snapshot, _):
            return int(snapshot.alive.sum())

    def __contains__(self, id: object) -> bool:
        """Say whether there is a passage with this id."""
        with self._store.reading() as (_, connection):
            return rows.is_id(id) and rows.fetch(connection, str(id)) is not None

    def calibrate(self, calibration: Calibration | None) -> None:
        """Keep a calibration of the model with the index; whoever opens the index then uses it.

        Args:
            calibration: Fitted with the model of this index; None removes what is kept.

        Raises:
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused.
        """
        kept = StoredCalibration(calibration, self._encoder.head_fingerprint) if calibration else None
        self._store.calibrate(kept)

    def calibrated_model(self) -> TokenEncoder:
        """Give the model with the calibration that the index keeps, or with its own if there is none.

        A calibration that was fitted with another evidence head is left alone, and a warning says so.

        Raises:
            IndexCorruptError: The calibration is damaged.
        """
        kept = self._store.calibration()
        if kept is None:
            return self._encoder
        if kept.head != self._encoder.head_fingerprint:
            logger.warning(
                "%s was calibrated with another evidence head than the model has now: the model's own calibration "
                "is used. Run `fgr calibrate` again.",
                self.folder,
            )
            return self._encoder
        return self._encoder.calibrated(kept.calibration)

    @property
    def folder(self) -> Path:
        """The folder of the index."""
        return self._store.folder

    def info(self) -> IndexInfo:
        """Describe the index."""
        return describe(self._store)

    def verify(self) -> None:
        """Check every stored byte.

        Raises:
            IndexCorruptError: Something is damaged; names it.
        """
        self._store.verify()

    def compact(self, *, progress: bool = False) -> None:
        """Rewrite the live passages into few segments and free what deleted ones take.

        Encodes vectors that are not encoded yet, and all of them anew when the index has outgrown
        its codec.

        Args:
            progress: Show progress bars on stderr.

        Raises:
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused.
        """
        self._store.compact(progress=progress)

    def close(self) -> None:
        """Close the files; every later call raises InputError."""
        self._store.close()


def _matches(
    connection: sqlite3.Connection, snapshot: Snapshot, positions: NDArray[np.int64], scores: NDArray[np.float32]
) -> list[Match]:
    """Read what is stored of the passages that were found."""
    if not len(positions):
        return []
    found = [rows.fetch_number(connection, row) for row in snapshot.rows[positions].tolist()]
    return [Match(*one) for one in zip(found, scores.tolist(), snapshot.tokens_at(positions), strict=True)]


def _ids(ids: Iterable[str]) -> list[str]:
    """List those ids that can be stored, refusing what is no string."""
    if isinstance(ids, str) or not isinstance(ids, Iterable):
        raise InputError(f"ids must be an iterable of strings, got {ids!r:.200}: put one id into a list")
    wanted = list(ids)
    for id in wanted:
        if not isinstance(id, str):
            raise InputError(f"id {id!r:.200}: must be a string")
    return [id for id in wanted if rows.is_id(id)]
