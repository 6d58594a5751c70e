"""Write what another index holds into a collection."""

from __future__ import annotations

from dataclasses import replace

from fgr_retriever.errors import ConfigError, IndexNotFoundError, ModelMismatchError
from fgr_retriever.index.contents import Contents, Playback
from fgr_retriever.index.qdrant.aliases import check_free, switch
from fgr_retriever.index.qdrant.centroids import Centroids
from fgr_retriever.index.qdrant.collection import created, opened
from fgr_retriever.index.qdrant.facts import Facts, write_calibration
from fgr_retriever.index.qdrant.place import QdrantCollection
from fgr_retriever.index.qdrant.server import Server
from fgr_retriever.index.qdrant.words import Words
from fgr_retriever.index.qdrant.writing import Writer, write
from fgr_retriever.index.storage.lexicon import KeptWords, new_words
from fgr_retriever.model.mismatch import called
from fgr_retriever.types import Added


def fill(place: QdrantCollection, contents: Contents, progress: bool, alias: str = "") -> Added:
    """Write contents into a collection, which is made if missing.

    Args:
        place: The collection.
        contents: What is written.
        progress: Show bars on stderr.
        alias: A name that the collection gets when all is written, in the place of the one that had it.

    Raises:
        ModelMismatchError: The collection was made with another model.
        ConfigError: It keeps more of a token than there is, or has another storage than was asked for; or the alias
            is the name of a collection.
        MissingExtraError: A new collection is to keep words, and the stemmer is not installed.
        IndexServerError: The server does not answer, or refuses. What it acknowledged is stored.
    """
    server = Server(*place.connected())
    try:
        if alias:
            check_free(server, alias)
        facts, fresh = _facts(server, contents)
        centroids = Centroids(server, facts)
        if contents.centroids is not None and centroids.get(again=True) is None:
            centroids.put(contents.centroids, told=fresh)
        played = Playback(contents)
        writer = Writer(server, centroids.get, Words(server), facts.dim)
        write(writer, centroids, writer.add(played.passages(), played.encode, progress), progress)
        if contents.calibration is not None:
            write_calibration(server, contents.calibration)
        if alias:
            switch(server, alias)
        return writer.count()
    finally:
        server.close()


def _facts(server: Server, contents: Contents) -> tuple[Facts, bool]:
    """Say what the collection is, and whether it was made now."""
    storage = server.place.storage or "balanced"
    wanted = Facts(
        contents.model, contents.dim, storage, contents.evidence, contents.evidence_bytes, contents.importance
    )
    try:
        facts = opened(server)
    except IndexNotFoundError:
        return created(server, wanted, _prepared_here(contents.words)), True
    if (facts.model, facts.dim) != (wanted.model, wanted.dim):
        raise ModelMismatchError(
            f"{server.place.location} was built with {called(facts.model)}, not with {called(wanted.model)}: "
            "copy elsewhere"
        )
    kept = replace(wanted, storage=server.place.storage or facts.storage)
    if replace(facts, centroids=0, checksum="", told=False, library=kept.library) != kept:
        raise ConfigError(
            f"{server.place.location} has storage {facts.storage!r}, evidence codes {facts.evidence!r} and "
            f"importance={facts.importance}, which is not what is copied: copy into a new collection"
        )
    return facts, False


def _prepared_here(words: KeptWords | None) -> KeptWords | None:
    """Say of words that they are prepared anew; their mean length stays.

    Raises:
        MissingExtraError: The stemmer is not installed.
    """
    made = words and new_words(words.language)
    return made and words and replace(words, lexicon=made.lexicon)
