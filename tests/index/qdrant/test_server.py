"""Calls are repeated after errors that pass, and end with an error of ours after those that do not."""

import grpc
import httpx
import pytest
from qdrant_client import QdrantClient
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from fgr_retriever import Engine, QdrantCollection
from fgr_retriever.calls import TimeLimit
from fgr_retriever.errors import IndexServerError, InputError, TimeLimitError
from fgr_retriever.index.qdrant import server as calls
from fgr_retriever.index.qdrant.server import Server
from fgr_retriever.testing import WordEncoder


class RpcError(grpc.RpcError):
    def __init__(self, code):
        self.code = lambda: code
        self.details = lambda: f"told {code}"


def answered(status):
    return UnexpectedResponse(status, "reason", b"told", httpx.Headers())


class Failing(QdrantClient):
    """A real client whose first calls fail."""

    def __init__(self, *errors):
        super().__init__(":memory:")
        self.errors, self.tries = list(errors), 0

    def collection_exists(self, collection_name, **options):
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return super().collection_exists(collection_name)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(calls, "WAITS_S", (0.0, 0.0, 0.0))


PASSING = (
    ConnectionRefusedError("refused"),
    ResponseHandlingException(httpx.ConnectError("no route")),
    answered(503),
    answered(429),
    RpcError(grpc.StatusCode.UNAVAILABLE),
    RpcError(grpc.StatusCode.DEADLINE_EXCEEDED),
)
LASTING = (answered(400), answered(500), RpcError(grpc.StatusCode.INVALID_ARGUMENT))
DENIED = (answered(401), answered(403), RpcError(grpc.StatusCode.UNAUTHENTICATED))


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_a_call_is_repeated_and_its_tries_are_bounded(error):
    client = Failing(error, error)
    server = Server(QdrantCollection(client, "p"), owned=False)
    assert server("collection_exists") is False
    assert client.tries == 3
    client.errors = [error] * 9
    with pytest.raises(IndexServerError, match="did not answer in 4 tries"):
        server("collection_exists")
    assert client.tries == 3 + 4


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_a_refusal_is_told_at_once(error):
    client = Failing(error)
    with pytest.raises(IndexServerError, match=r"refused a call.*told"):
        Server(QdrantCollection(client, "p"), owned=False)("collection_exists")
    assert client.tries == 1


@pytest.mark.parametrize("error", DENIED, ids=repr)
def test_who_may_not_in_is_told_where_the_key_belongs(error):
    with pytest.raises(IndexServerError, match="QDRANT_API_KEY"):
        Server(QdrantCollection(Failing(error), "p"), owned=False)("collection_exists")


def test_a_time_limit_ends_the_tries():
    client = Failing(*PASSING)
    limit = TimeLimit(60)
    server = Server(QdrantCollection(client, "p"), owned=False)
    with limit():
        limit.stop()
        with pytest.raises(TimeLimitError):
            server("collection_exists")
    assert client.tries == 0


def test_after_closing_every_call_is_refused_and_ones_own_client_stays_open():
    client = Failing()
    server = Server(QdrantCollection(client, "p"), owned=False)
    server.close()
    with pytest.raises(InputError, match="is closed"):
        server("collection_exists")
    assert client.collection_exists("p") is False


def test_nobody_there():
    with pytest.raises(IndexServerError, match=r"qdrant://127\.0\.0\.1:1/p.* did not answer in 4 tries"):
        Engine.open("qdrant://127.0.0.1:1/p?timeout=1", encoder=WordEncoder())
    with pytest.raises(IndexServerError, match="did not answer in 4 tries"):
        Engine.open("qdrant://127.0.0.1:1/p?timeout=1&protocol=rest", encoder=WordEncoder())
