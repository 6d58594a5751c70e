"""Aliases: names that can be switched from one collection to another, at once for all who open them.

Whoever opens an alias keeps the collection that it named then: centroids and evidence codes that were read when it was
opened belong to that one. After a switch, writing is refused until it is opened again.
"""

from __future__ import annotations

from qdrant_client import models

from fgr_retriever.errors import ConfigError, IndexServerError, InputError
from fgr_retriever.index.qdrant.server import Server


def resolved(server: Server) -> str:
    """Give the collection that the place names now."""
    try:
        return _aliases(server).get(server.place.name, server.place.name)
    except IndexServerError:  # a key for one collection may not list aliases
        return server.name


def check_current(server: Server) -> None:
    """See that the place names what it named when it was opened.

    Raises:
        InputError: The alias was switched.
    """
    if (now := resolved(server)) != server.name:
        raise InputError(f"{server.place.location} is {now!r} now, and was {server.name!r}: open it again to write")


def check_free(server: Server, alias: str) -> None:
    """See that a name can be an alias of the collection.

    Raises:
        ConfigError: A collection has this name.
    """
    if alias not in _aliases(server) and server.anywhere("collection_exists", collection_name=alias):
        raise ConfigError(
            f"alias {alias!r}: a collection has this name; give another one, and open the index by that from now on"
        )


def switch(server: Server, alias: str) -> None:
    """Let an alias name the collection, in the place of what it named."""
    create = models.CreateAlias(collection_name=server.name, alias_name=alias)
    changes: list[models.AliasOperations] = [models.CreateAliasOperation(create_alias=create)]
    if alias in _aliases(server):
        changes.insert(0, models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)))
    server.anywhere("update_collection_aliases", change_aliases_operations=changes)


def _aliases(server: Server) -> dict[str, str]:
    return {one.alias_name: one.collection_name for one in server.anywhere("get_aliases").aliases}
