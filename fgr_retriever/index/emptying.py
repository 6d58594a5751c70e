"""Nobody empties an index by adding nothing to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from fgr_retriever.errors import InputError
from fgr_retriever.types import Passage


def refuse_emptying(stored: Sequence[str], gone: Iterable[str]) -> None:
    """Refuse to add nothing in exchange for all that is stored.

    Whoever reads a folder that has moved, say, has nothing to add, and does not mean to lose the index.

    Args:
        stored: Ids of all passages of the index.
        gone: Ids of those that would be deleted.

    Raises:
        InputError: Something is stored, and all of it would be deleted.
    """
    if stored and set(gone).issuperset(stored):
        raise InputError(
            f"there is nothing to add, and all {len(stored)} stored passages would be deleted: see why nothing was "
            "read; if the index shall be empty, delete them with delete(engine.ids())"
        )


def unless_emptying(
    passages: Iterable[Passage], gone: Sequence[str], stored: Callable[[], Sequence[str]]
) -> Iterable[Passage]:
    """Pass passages on, and at the end `refuse_emptying` if there were none."""
    if isinstance(passages, (Passage, str)) or not isinstance(passages, Iterable):
        return passages  # the index says what is wrong with it

    def one_by_one() -> Iterator[Passage]:
        some = False
        for passage in passages:
            some = True
            yield passage
        if not some:
            refuse_emptying(stored(), gone)

    return one_by_one()
