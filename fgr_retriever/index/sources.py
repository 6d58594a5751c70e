"""Which file or document a stored passage came from, so that an index can follow its sources."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from fgr_retriever.errors import InputError
from fgr_retriever.types import Metadata, Passage

SOURCE, FILE = "source", "fgr_file"
"""Metadata keys with the name of a passage's source; the second one counts where a passage has both."""


def source_of(metadata: Metadata) -> str | None:
    """Name the source of a passage; None if its metadata do not."""
    name = metadata.get(FILE, metadata.get(SOURCE))
    return name if isinstance(name, str) and name else None


def checked_names(sources: str | Iterable[str]) -> set[str]:
    """Read the names of sources.

    Raises:
        InputError: One is no name.
    """
    names = [sources] if isinstance(sources, str) or not isinstance(sources, Iterable) else list(sources)
    for name in names:
        if not isinstance(name, str) or not name:
            raise InputError(
                f"sources: must be a name or names of sources, as in engine.sources(), got {name!r:.200}: the passages "
                "come first, as in refresh(passages, 'notes.md')"
            )
    return set(names)


def all_within(passages: Iterable[Passage], names: Collection[str]) -> Iterable[Passage]:
    """Pass passages on, and refuse one that is of none of these sources: a refresh of them would never delete it."""
    if isinstance(passages, (Passage, str)) or not isinstance(passages, Iterable):
        return passages  # the index says what is wrong with it

    def one_by_one() -> Iterator[Passage]:
        for passage in passages:
            source = source_of(passage.metadata) if isinstance(passage, Passage) else None
            if isinstance(passage, Passage) and (source is None or not is_within(source, names)):
                told = f"is of the source {source!r}" if source else f"names no source in its metadata ({SOURCE!r})"
                raise InputError(
                    f"passage {passage.id!r:.200} {told}, but refresh was given {sorted(names)!r:.200}: a later one "
                    "of these would not find it; name its source, too, or correct its metadata"
                )
            yield passage

    return one_by_one()


def is_within(source: str, names: Collection[str]) -> bool:
    """Say whether a source is one of these, or lies in one of these folders: `notes/a.md` lies in `notes`."""
    parts = source.split("/")
    return any("/".join(parts[:count]) in names for count in range(1, len(parts) + 1))
