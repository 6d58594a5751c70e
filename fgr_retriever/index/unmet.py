"""Why a filter lets nothing through: keys that no passage has, and keys whose values are of another type."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from fgr_retriever.index.filters import Filter, operators_of, values_at, wanted_conditions
from fgr_retriever.types import Metadata

logger = logging.getLogger(__name__)

LETS_NOTHING = "the filter lets nothing through"
"""How the note of a report begins that gives these reasons."""

_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),  # before the numbers, of which Python says it is one
    ((int, float), "a number"),
    (str, "text"),
    ((list, tuple), "a list"),
    (Mapping, "an object"),
)
_COMPARING = ("$eq", "$gt", "$gte", "$lt", "$lte")
_MOST_LOOKED_AT = 1000
_Found = TypeVar("_Found", bound=Sequence[object])


class _Index(Protocol):
    def unmet(self, filter: Filter) -> list[str]: ...

    def __len__(self) -> int: ...


class UnmetFilters:
    """Says of the filters of searches that found nothing why they let nothing through.

    Args:
        index: What is searched.
    """

    def __init__(self, index: _Index) -> None:
        """Look at nothing yet."""
        self._index = index
        self._looked_at: set[frozenset[tuple[str, str, frozenset[str]]]] = set()

    def notes(self, filter: Filter | None, found: Sequence[object]) -> list[str]:
        """Give the note for the report of a search; none if it found something or its filter could be met."""
        unmet = self._index.unmet(filter) if filter is not None and not found else []
        return [f"{LETS_NOTHING}: {'; '.join(unmet)}"] if unmet else []

    def logged(self, filter: Filter | None, found: _Found) -> _Found:
        """Pass on what was found; of nothing, the note goes to the log.

        This is done once for filters with the same keys, operators and kinds of values, so that a search that finds
        nothing seldom reads the metadata of all passages.
        """
        if filter is not None and not any(found) and len(self._index):
            self._log(filter)
        return found

    def _log(self, filter: Filter) -> None:
        asked = frozenset(
            (key, name, frozenset(_wanted(name, operand)))
            for key, condition in wanted_conditions(filter)
            for name, operand in operators_of(condition).items()
        )
        if asked in self._looked_at:
            return
        if len(self._looked_at) == _MOST_LOOKED_AT:  # the clients of a server may think of any number of keys
            self._looked_at.clear()
        self._looked_at.add(asked)
        for note in self.notes(filter, ()):
            logger.warning("%s", note)


def unmet(filter: Filter, stored: Iterable[Metadata]) -> list[str]:
    """Say what a filter asks for that no passage has, as far as keys and types tell.

    Args:
        filter: The filter.
        stored: The metadata of all passages; of none, nothing is unmet.

    Returns:
        Reasons, such as `no passage has 'year' as text; it is a number`.

    Raises:
        InputError: The filter is invalid.
    """
    conditions, empty = wanted_conditions(filter), True
    seen: dict[str, dict[str, None]] = {key: {} for key, _ in conditions}  # kinds in the order in which they were met
    for metadata in stored:
        empty = False
        for key, kinds in seen.items():
            kinds.update((_kind(value), None) for value in values_at(metadata, key))
    if empty:
        return []
    reasons = without([key for key, kinds in seen.items() if not kinds])
    for key, condition in conditions:
        for name, operand in operators_of(condition).items():
            wanted = _wanted(name, operand)
            if wanted and seen[key] and not wanted & seen[key].keys():
                asked, found = (" or ".join(kinds) for kinds in (sorted(wanted), seen[key]))
                reasons.append(f"no passage has {key!r} as {asked}; it is {found}")
    return list(dict.fromkeys(reasons))


def without(keys: Sequence[str]) -> list[str]:
    """Say that no passage has these keys, if there are any."""
    return [f"no passage has the metadata {', '.join(map(repr, keys))}"] if keys else []


def _wanted(name: str, operand: Any) -> set[str]:
    """List the kinds of values that an operator can let through; none if any can."""
    if name == "$in":
        return {_kind(one) for one in operand}
    if name == "$contains":
        return {"a list", "text"} if isinstance(operand, str) else {"a list"}
    if name == "$icontains":
        return {"text"}
    return {_kind(operand)} if name in _COMPARING else set()


def _kind(value: Any) -> str:
    return next((name for types, name in _KINDS if isinstance(value, types)), "null")
