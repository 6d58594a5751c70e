"""Let URLs name collections of a client that is in this process."""

from contextlib import contextmanager

import pytest

from fgr_retriever import QdrantCollection


@contextmanager
def served(client):
    """Inside the `with` block every URL leads to this client, whatever its host."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QdrantCollection, "connected", lambda place: (_over(place, client), False))
        yield


def _over(place, client):
    return QdrantCollection(place.client or client, place.name, place.storage, place.fields, _url=place.url)
