"""Open an index wherever it is: a folder, or a Qdrant collection."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from fgr_retriever.arguments import check
from fgr_retriever.config import IndexConfig
from fgr_retriever.errors import InputError
from fgr_retriever.index.qdrant.place import QdrantCollection, is_url
from fgr_retriever.index.seam import PassageIndex, Stored

if TYPE_CHECKING:
    from fgr_retriever.model.tokens import TokenEncoder

Place: TypeAlias = str | Path | QdrantCollection
"""A folder, a URL such as `qdrant://localhost/passages`, or a collection with a client of one's own."""


def open_index(place: Place, encoder: TokenEncoder, config: IndexConfig | None, *, create: bool) -> PassageIndex:
    """Open an index with its model; see `Engine.open`."""
    check("config", config, config is None or isinstance(config, IndexConfig), "None or an IndexConfig")
    if (collection := as_collection(place)) is not None:
        from fgr_retriever.index.qdrant.index import QdrantIndex

        return QdrantIndex.open(collection, encoder, config, create=create)
    from fgr_retriever.index.index import Index

    return Index.open(_path(place), encoder, config, create=create)


def open_stored(place: Place) -> Stored:
    """Open an index that is there, without its model.

    Raises:
        IndexNotFoundError: There is none.
        IndexFormatError: The index has a format that this version cannot read.
        IndexCorruptError: What is stored is damaged.
    """
    if (collection := as_collection(place)) is not None:
        from fgr_retriever.index.qdrant.stored import QdrantStored

        return QdrantStored.open(collection)
    from fgr_retriever.index.storage.store import Store
    from fgr_retriever.index.stored import StoredIndex

    return StoredIndex(Store(_path(place)))


def config_of(place: Place) -> IndexConfig | None:
    """Read how an index stores vectors, without its model; None if there is no index yet."""
    if (collection := as_collection(place)) is not None:
        from fgr_retriever.index.qdrant.stored import QdrantStored

        return QdrantStored.config_of(collection)
    from fgr_retriever.index.storage.folders import MANIFEST
    from fgr_retriever.index.storage.manifest import read_manifest

    folder = _path(place)
    return read_manifest(folder).config if (folder / MANIFEST).exists() else None


def as_collection(place: Place) -> QdrantCollection | None:
    """Give the collection that a place names; None for a folder."""
    if isinstance(place, QdrantCollection):
        return place
    return QdrantCollection.at(str(place)) if is_url(place) else None


def _path(place: Place) -> Path:
    if not isinstance(place, (str, PathLike)) or not str(place):
        raise InputError(
            f"path={place!r:.200}: must be the folder of an index, the URL of a collection (qdrant://HOST/NAME), or a "
            "QdrantCollection"
        )
    return Path(place)
