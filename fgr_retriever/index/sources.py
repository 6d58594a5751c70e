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


def refuse_taking(id: str, source: str | None, owner: str | None, names: Collection[str], *, same: bool) -> None:
    """Refuse a passage whose id a stored passage of another source has, which is not to be replaced.

    One without a source belongs to nobody: it gets one if the text is the same, and else stays.

    Args:
        id: Their id.
        source: The source of the new passage.
        owner: That of the stored one.
        names: The sources, and folders of sources, whose passages may be replaced.
        same: Whether they have the same text.

    Raises:
        InputError: Storing the new one would delete the other.
    """
    if owner == source or (same if owner is None else is_within(owner, names)):
        return
    renamed = f". If {owner!r} is an older name of the same, pass taking_over={owner!r} (`--take-over`)"
    replaced = ", or delete that one first"
    raise InputError(
        f"passage id {id!r:.200} of {_called(source)} is also that of a stored passage of {_called(owner)}, which "
        f"stays as it is: {_another_id(id, source)}{renamed if owner else replaced}"
    )


def twice(id: str, source: str | None, other: str | None) -> InputError:
    """Say that two passages have one id, and of which sources they are."""
    if source == other:
        within = f" in {source!r:.200}" if source else ""
        numbered = ", or let `fgr index --id-field ''` number the records" if source else ""
        return InputError(
            f"passage id {id!r:.200} comes twice{within}: ids must be unique: give each one of its own{numbered}"
        )
    both = f"in {_called(other)} and in {_called(source)}"
    return InputError(f"passage id {id!r:.200} comes twice, {both}: {_another_id(id, source)}")


def _called(source: str | None) -> str:
    return f"{source!r:.200}" if source else "no source"


def _another_id(id: str, source: str | None) -> str:
    example = (
        f", such as {f'{source}#{id}'!r:.200} (`fgr index --ids-per-file` makes such ids of files)" if source else ""
    )
    return f"give it an id of its own{example}"


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
