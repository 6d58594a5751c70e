"""What an engine does with its stored passages besides searching.

Fetch, refresh, add what is encoded already, delete, check, compact, upgrade.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from fgr_retriever.arguments import strict_arguments
from fgr_retriever.calls import Closing, in_thread
from fgr_retriever.index.filters import Filter
from fgr_retriever.index.info import IndexInfo
from fgr_retriever.index.seam import PassageIndex
from fgr_retriever.index.sources import all_within, checked_names, is_within
from fgr_retriever.types import Added, Passage

logger = logging.getLogger(__name__)


@strict_arguments()
class Upkeep(Closing):
    """The part of an engine that needs its index alone.

    Args:
        index: An open index.

    Attributes:
        last_added: What the latest `add`, `refresh` or `add_encoded` of this engine did, also one that an adapter
            made; None before. A framework that finds by itself that nothing is new calls none of them.
        closed: Whether `close` was called.
    """

    def __init__(self, index: PassageIndex) -> None:
        """Join nothing yet."""
        self._index = index
        self.last_added: Added | None = None
        self.closed = False

    def get(self, ids: Iterable[str]) -> list[Passage]:
        """Fetch passages by id, in the order of the ids; unknown ids are left out.

        Raises:
            InputError: An id is not a string.
        """
        return self._index.get(ids)

    def ids(self, filter: Filter | None = None) -> list[str]:
        """List the ids of passages, in the order in which they were added.

        Args:
            filter: Condition on their metadata (see `Engine.search`); None lists all.

        Raises:
            InputError: The filter is invalid.
            IndexCorruptError: The stored data is damaged.
        """
        return self._index.ids(filter)

    def delete(self, ids: Iterable[str]) -> int:
        """Delete passages and return how many were deleted; unknown ids are ignored.

        Raises:
            InputError: An id is not a string.
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused the write.
        """
        return self._index.delete(ids)

    def sources(self) -> dict[str, list[str]]:
        """List the ids of passages by where they came from: the metadata `fgr_file`, or else `source`.

        Returns:
            Names of sources and their ids, in the order in which they were added. Passages without a source are left
            out.

        Raises:
            IndexCorruptError: The stored data is damaged.
        """
        return self._index.sources()

    def refresh(
        self,
        passages: Iterable[Passage],
        sources: str | Iterable[str],
        *,
        taking_over: str | Iterable[str] = (),
        delete_missing: bool = True,
        dry_run: bool = False,
        show_progress: bool = False,
    ) -> Added:
        """Make what is stored of some sources equal to these passages: all of it or, on any error, nothing.

        What is stored with the same text is not encoded again. Passages of these sources that are not among
        `passages` are deleted. Passages of other sources stay as they are: an id that one of them has is refused.

        Args:
            passages: All passages of the sources, with these in their metadata.
            sources: Names of sources, as in `sources()`, or of folders of sources: `notes` stands for `notes/a.md`.
                They are compared as they are written: `notes/` and `./notes` name nothing of `notes`.
            taking_over: Names of other sources whose passages become those of these where they have the same ids, as
                of a file that was renamed; nothing else of them is changed.
            delete_missing: Delete passages of these sources that are not among `passages`. With False you can give
                a large source in parts.
            dry_run: Only say what would be done.
            show_progress: Show progress bars on stderr.

        Returns:
            How many passages were added, updated, unchanged and deleted.

        Raises:
            InputError: A passage cannot be stored, its id occurs twice, or it is of another source; or its id is that
                of a stored passage of another source, or of none and with another text.
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused the write.
        """
        names = checked_names(sources)
        passages, within = all_within(passages, names), names | checked_names(taking_over)
        stored = self.sources() if delete_missing else {}
        gone = [id for source, ids in stored.items() if is_within(source, names) for id in ids]
        if dry_run:
            return self._index.plan(passages, gone, within)
        return self._noted(self._index.add(passages, replacing=gone, within=within, show_progress=show_progress))

    def add_encoded(
        self,
        folders: str | Path | Iterable[str | Path],
        *,
        replacing: Iterable[str] = (),
        incomplete: bool = False,
        show_progress: bool = False,
    ) -> Added:
        """Index passages that `encode_shard` or `fgr encode` encoded: all of them or, if there is an error, none.

        The model does not run. The result is as if you had passed the same passages to `add`, in the same order.

        Args:
            folders: The folder with the files of all shards, or several that together have every shard once.
            replacing: Ids of passages that are deleted in the same transaction, unless they are among those
                that are added. `replacing=engine.ids()` makes the index exactly the encoded corpus.
            incomplete: Do without the shards that are missing.
            show_progress: Show progress bars on stderr.

        Returns:
            How many passages there were, added, updated, unchanged and deleted.

        Raises:
            InputError: A shard is missing, or comes twice; or the shards are not of one corpus. Or they have no
                passages, and all that is stored would be deleted.
            ModelMismatchError: They were encoded with another model than that of the index.
            IndexCorruptError: A file is damaged or missing.
            IndexFormatError: A file has a format that this version cannot read.
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused the write.
        """
        given = [folders] if isinstance(folders, (str, Path)) else folders
        return self._noted(
            self._index.add_encoded(given, replacing=replacing, incomplete=incomplete, show_progress=show_progress)
        )

    def _noted(self, found: Added) -> Added:
        """Keep what a write did, and log it."""
        self.last_added = found
        counts = found.added, found.updated, found.unchanged, found.deleted
        logger.info("%s: %d added, %d updated, %d unchanged, %d deleted", self.location, *counts)
        return found

    def __len__(self) -> int:
        """Count the passages."""
        return len(self._index)

    def __contains__(self, id: object) -> bool:
        """Say whether there is a passage with this id."""
        return id in self._index

    @property
    def folder(self) -> Path:
        """The folder of the index. To back up the index, copy the folder while nobody writes to it.

        Raises:
            InputError: The index lies in no folder.
        """
        return self._index.folder

    @property
    def location(self) -> str:
        """Where the index is: its folder, or the URL of its collection."""
        return self._index.location

    @property
    def name(self) -> str:
        """The name of its folder or collection, to show."""
        return self._index.name

    @property
    def model(self) -> str | None:
        """Folder or hub id of its model; None for the embedded one, and where such a name alone does not open it."""
        return getattr(self._index.encoder, "known_as", None)

    def info(self) -> IndexInfo:
        """Describe the index in JSON-safe values."""
        return self._index.info()

    def verify(self, *, show_progress: bool = False) -> None:
        """Check every stored byte; `show_progress` shows progress bars on stderr.

        Raises:
            IndexCorruptError: Something is damaged; the message names it.
        """
        self._index.verify(show_progress=show_progress)

    def compact(self, *, show_progress: bool = False) -> None:
        """Rewrite the index into few files, without what was deleted or replaced.

        `show_progress` shows progress bars on stderr.

        Raises:
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused the write.
        """
        self._index.compact(show_progress=show_progress)

    def upgrade(self, *, show_progress: bool = False) -> bool:
        """Add what an index lacks that was made by an older version, or with other evidence codes.

        These are the evidence codes of this model, if it makes any, and the borders of sentences, phrases
        and paragraphs. The stored texts are encoded once more, in bounded memory, and stored vectors stay
        as they are. It is one transaction, like every other write. An index that lacks nothing is left
        alone. `show_progress` shows progress bars on stderr.

        Returns:
            Whether something was missing.

        Raises:
            IndexCorruptError: The stored data is damaged, or a passage has not as many tokens as the model
                gives its text.
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused the write.
        """
        return self._index.upgrade(show_progress=show_progress)

    def close(self) -> None:
        """Close the files; every later call raises InputError."""
        self.closed = True
        self._index.close()

    aget = in_thread(get)
    aids = in_thread(ids)
    adelete = in_thread(delete)
    ainfo = in_thread(info)
    averify = in_thread(verify)
    asources = in_thread(sources)
    arefresh = in_thread(refresh)
    aadd_encoded = in_thread(add_encoded)
    acompact = in_thread(compact)
    aupgrade = in_thread(upgrade)
    aclose = in_thread(close)
