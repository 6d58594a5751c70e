"""Make a collection, and see that one is what it should be."""

from __future__ import annotations

from typing import Any

from qdrant_client import models

from fgr_retriever.errors import ConfigError, IndexFormatError, IndexNotFoundError, IndexServerError
from fgr_retriever.index.qdrant.aliases import resolved
from fgr_retriever.index.qdrant.facets import name_of
from fgr_retriever.index.qdrant.facts import Facts, read_facts, write_facts
from fgr_retriever.index.qdrant.layout import CENTROIDS, MEAN, ROW, TOKENS, WORDS
from fgr_retriever.index.qdrant.server import Server
from fgr_retriever.index.storage.lexicon import KeptWords

_DATATYPES = {"exact": "float16", "balanced": "turbo8", "small": "turbo4"}
_INDEXES = {"eq": "keyword", "in": "keyword", "n": "float", "s0": "float", "s1": "float"}
"""Payload indexes of a field that the user names; two numbers of a string are twelve bytes, as in `2024-12-31`."""


def bytes_per_token(storage: str, dim: int) -> int:
    """Tell how many bytes a token vector takes on the server."""
    return {"exact": 2 * dim, "balanced": dim + 4, "small": dim // 2 + 4}[storage]


def bits(storage: str) -> int:
    """Tell how many bits a dimension takes."""
    return {"exact": 16, "balanced": 8, "small": 4}[storage]


def opened(server: Server) -> Facts:
    """Read what a collection is; an alias is followed once.

    Raises:
        IndexNotFoundError: There is none, or an empty one that is not ours.
        IndexFormatError: It holds something else, or has a format that this version cannot read.
        IndexCorruptError: What it says of itself is damaged.
    """
    if not server("collection_exists"):
        raise IndexNotFoundError(f"{server.place.location}: there is no such collection; Engine.open makes one")
    server.name = resolved(server)
    facts = read_facts(server)
    if facts is None:
        if server("count", exact=True).count:
            raise IndexFormatError(
                f"{server.place.location} was not made by fgr-retriever: it has points, but none that says what it is"
            )
        raise IndexNotFoundError(f"{server.place.location} is empty, and does not say what it is")
    return facts


def created(server: Server, facts: Facts, words: KeptWords | None = None) -> Facts:
    """Make a collection, or take an empty one that is there, and say what it is.

    Args:
        server: The collection.
        facts: What it is to be.
        words: Those that it is to keep; None for none.

    Raises:
        ConfigError: The server refused what it was asked for, or an empty collection does not fit.
    """
    place = server.place
    if not server("collection_exists"):
        try:
            server(
                "create_collection",
                vectors_config={TOKENS: _tokens(facts), MEAN: _mean(facts)},
                sparse_vectors_config=_sparse(words is not None),
                on_disk_payload=True,
                shard_number=place.shards,
                replication_factor=place.replicas,
                write_consistency_factor=place.consistency,
            )
        except (IndexServerError, ValueError) as error:
            if not server("collection_exists"):  # else another process was faster
                raise ConfigError(
                    f"{place.location}: the server cannot make a collection with storage {facts.storage!r} ({error}); "
                    "TurboQuant needs a server as new as qdrant-client 1.20: take storage='exact' with an older one"
                ) from error
    _check(server, facts, words is not None)
    # To list passages in their order, and to tell them from the points that say what the collection is.
    server("create_payload_index", field_name=ROW, field_schema="integer", wait=True)
    for key in place.fields:
        for part, kind in _INDEXES.items():
            server("create_payload_index", field_name=f"f.{name_of(key)}.{part}", field_schema=kind, wait=True)
    write_facts(server, facts, words)
    return facts


def _check(server: Server, facts: Facts, words: bool) -> None:
    """Compare the vectors of a collection with those that are needed.

    Raises:
        ConfigError: They are others.
    """
    params: Any = server("get_collection").config.params
    vectors = params.vectors if isinstance(params.vectors, dict) else {}
    sparse = params.sparse_vectors or {}
    tokens, mean = vectors.get(TOKENS), vectors.get(MEAN)
    sizes = [one.size for one in (tokens, mean) if one is not None]
    if tokens is None or sizes != [facts.dim] * 2 or not tokens.multivector_config or CENTROIDS not in sparse:
        raise ConfigError(
            f"{server.place.location} is an empty collection with other vectors: delete it, and let it be made"
        )
    if tokens.datatype != _DATATYPES[facts.storage]:
        raise ConfigError(
            f"{server.place.location} stores tokens as {tokens.datatype}, not {_DATATYPES[facts.storage]}: the server "
            "may be too old for TurboQuant; delete the empty collection, and take storage='exact'"
        )
    if words and (WORDS not in sparse or sparse[WORDS].modifier != models.Modifier.IDF):
        raise ConfigError(
            f"{server.place.location} is an empty collection without the sparse vector {WORDS!r} with IDF, which words "
            "need: delete it, and let it be made; if it was, the server is older than 1.10 and knows no IDF: leave "
            "words out"
        )


def _tokens(facts: Facts) -> models.VectorParams:
    """Describe the token vectors: they are only compared with candidates, so that they need no graph."""
    return models.VectorParams(
        size=facts.dim,
        distance=models.Distance.DOT,
        multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
        datatype=models.Datatype(_DATATYPES[facts.storage]),
        hnsw_config=models.HnswConfigDiff(m=0),
        on_disk=True,
    )


def _sparse(words: bool) -> dict[str, models.SparseVectorParams]:
    """Describe the sparse vectors."""
    found = {CENTROIDS: models.SparseVectorParams()}
    return {**found, WORDS: models.SparseVectorParams(modifier=models.Modifier.IDF)} if words else found


def _mean(facts: Facts) -> models.VectorParams:
    return models.VectorParams(size=facts.dim, distance=models.Distance.COSINE)
