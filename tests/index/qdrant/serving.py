"""Let URLs and folders name collections that are in this process."""

from contextlib import contextmanager
from pathlib import Path

import pytest

from fgr_retriever import QdrantCollection
from fgr_retriever.index import opening
from tests.index.qdrant.core import CoreClient


@contextmanager
def served(client):
    """Inside the `with` block every URL leads to this client, whatever its host."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QdrantCollection, "connected", lambda place: (_over(place, client), False))
        yield


@contextmanager
def moved(root):
    """Inside the `with` block every folder that is opened as an index is a collection of the real core instead.

    Args:
        root: Where the core keeps its files.
    """
    clients = {}

    def as_collection(place):
        url = str(place) if "://" in str(place) else f"qdrant://moved{Path(place).absolute()}"
        if url not in clients:
            clients[url] = CoreClient(Path(root) / str(len(clients)))
        return QdrantCollection(clients[url], url.rpartition("/")[2], "exact", _url=url)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "as_collection", as_collection)
        yield
    for client in clients.values():
        client.close()


def _over(place, client):
    return QdrantCollection(place.client or client, place.name, place.storage, place.fields, _url=place.url)
