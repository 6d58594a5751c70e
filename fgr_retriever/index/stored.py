"""What can be done with an index in a folder without its model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np

from fgr_retriever.index.contents import Contents
from fgr_retriever.index.info import IndexInfo, describe
from fgr_retriever.index.search.lookup import Lookup, checked_ids
from fgr_retriever.index.storage import rows
from fgr_retriever.index.storage.intake import plan
from fgr_retriever.model.tokens import StoredTokens
from fgr_retriever.types import Added, Passage

_COPIED = 128  # passages whose vectors are decoded at once


class StoredIndex(Lookup):
    """An open index folder: look up, plan, delete, describe, check and compact.

    Args:
        store: The index.
        evidence: Fingerprint of the evidence codes that the model at hand understands; empty for none.
    """

    @property
    def folder(self) -> Path:
        """The folder of the index."""
        return self._store.folder

    @property
    def location(self) -> str:
        """The folder, as it was given."""
        return str(self.folder)

    @property
    def place(self) -> Path:
        """The folder, from wherever it is opened."""
        return self.folder.absolute()

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.resolve().name

    def plan(
        self, passages: Iterable[Passage], replacing: Iterable[str], within: Collection[str] | None = None
    ) -> Added:
        """Say what `add` would do with the same arguments, without doing it.

        Raises:
            InputError: As `add` does.
            IndexCorruptError: The stored data is damaged.
        """
        gone = checked_ids(replacing)
        with self._store.reading() as (_, connection):
            return plan(connection, passages, gone, within)

    def delete(self, ids: Iterable[str]) -> int:
        """Delete passages; unknown ids are ignored.

        Returns:
            How many passages were deleted.

        Raises:
            InputError: An id is not a string.
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused the write.
        """
        return self._store.delete(checked_ids(ids))

    def info(self) -> IndexInfo:
        """Describe the index."""
        return describe(self._store)

    def contents(self) -> Contents:
        """Give all that the index holds, to be written elsewhere; vectors as they are decoded.

        Raises:
            IndexCorruptError: The stored data is damaged.
        """
        with self._store.reading() as (snapshot, connection):
            manifest, codec, words = snapshot.manifest, snapshot.codec, self._store.words.kept(connection)
            kept = (snapshot.evidence, manifest.evidence_bytes) if snapshot.evidence else ("", 0)
        found = self._store.calibration(), codec.float_centroids if codec else None
        importance = manifest.config.importance
        return Contents(manifest.model, manifest.dim, *kept, importance, *found, words, self._passages())

    def _passages(self) -> Iterator[tuple[Passage, StoredTokens]]:
        with self._store.reading() as (snapshot, connection):
            live = np.flatnonzero(snapshot.alive)
            for positions in np.split(live, range(_COPIED, len(live), _COPIED)):
                tokens = snapshot.tokens_at(positions, snapshot.evidence)
                for number, stored in zip(snapshot.rows[positions].tolist(), tokens, strict=True):
                    yield rows.fetch_number(connection, number), stored

    def verify(self, *, show_progress: bool = False) -> None:
        """Check every stored byte.

        Args:
            show_progress: Show progress bars on stderr.

        Raises:
            IndexCorruptError: Something is damaged; the message names it.
        """
        self._store.verify(progress=show_progress)

    def compact(self, *, show_progress: bool = False) -> None:
        """Rewrite the live passages into few segments and free the space of deleted ones.

        Vectors that the codec has not encoded yet are encoded. If the index has outgrown its codec, all
        vectors are encoded again.

        Args:
            show_progress: Show progress bars on stderr.

        Raises:
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused the write.
        """
        self._store.compact(progress=show_progress)

    def close(self) -> None:
        """Close the files; every later call raises InputError."""
        self._store.close()
