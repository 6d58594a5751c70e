"""Calls to a Qdrant server: again after connection errors, and with our errors in place of the client's."""

from __future__ import annotations

import logging
import time
from typing import Any

from grpc import RpcError, StatusCode
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from fgr_retriever.calls import check_time
from fgr_retriever.errors import IndexServerError, InputError
from fgr_retriever.index.qdrant.place import API_KEY, QdrantCollection

logger = logging.getLogger(__name__)

WAITS_S = (0.25, 0.5, 1.0, 2.0, 4.0)  # before each further try: a node that restarts is back in a few seconds
_BUSY = (429, 502, 503, 504)
_BUSY_CODES = (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.RESOURCE_EXHAUSTED)
_DENIED = (401, 403)
_DENIED_CODES = (StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED)
_RAISED = (ApiException, QdrantException, RpcError, ConnectionError)


class Server:
    """A client with the collection that it is asked for.

    Every write that is asked for can be done twice, so that each call may be repeated. A write counts as soon as the
    call returns: the server has then applied it.

    Args:
        place: The collection, connected.
        owned: Whether the client is closed with this object.

    Attributes:
        place: The collection.
        name: Its own name, where the place has an alias of it (see `aliases`).
    """

    def __init__(self, place: QdrantCollection, owned: bool) -> None:
        self.place, self._owned, self.name = place, owned, place.name
        self._client: Any = place.client

    def __call__(self, method: str, **arguments: Any) -> Any:
        """Call a method of the client for the collection; see `anywhere`."""
        return self.anywhere(method, collection_name=self.name, **arguments)

    def anywhere(self, method: str, **arguments: Any) -> Any:
        """Call a method of the client that is about no collection.

        Raises:
            IndexServerError: The server refused, or could not be reached in some seconds.
            InputError: It was closed.
        """
        if self._client is None:
            raise InputError(f"{self.place.location} is closed: open it again")
        for wait in (*WAITS_S, None):
            check_time()
            try:
                return getattr(self._client, method)(**arguments)
            except _RAISED as error:
                if wait is None or not _is_passing(error):
                    raise self._error(error) from error
                logger.info("%s: %s failed (%s), again in %g s", self.place.location, method, _told(error), wait)
                time.sleep(wait)
        raise AssertionError  # the last try returns or raises

    def close(self) -> None:
        """Let go of the client, and close it if it was made here."""
        client, self._client = self._client, None
        if client is not None and self._owned:
            client.close()

    def _error(self, error: Exception) -> IndexServerError:
        where, status = self.place.location, _status(error)
        if status in (*_DENIED, *_DENIED_CODES):
            return IndexServerError(f"{where}: the server lets nobody in without the right key: set {API_KEY}")
        if _is_passing(error):
            tried = len(WAITS_S) + 1
            return IndexServerError(f"{where} did not answer in {tried} tries ({_told(error)}): see that it runs")
        return IndexServerError(f"{where}: the server refused a call ({_told(error)}): see its log")


def _status(error: Exception) -> Any:
    """Give the code of an answer, of HTTP or of gRPC; None where there is none."""
    if isinstance(error, UnexpectedResponse):
        return error.status_code
    code = getattr(error, "code", None)
    return code() if callable(code) else None


def _is_passing(error: Exception) -> bool:
    """Say whether the same call may succeed a little later."""
    passing = isinstance(error, (ResponseHandlingException, ResourceExhaustedResponse, ConnectionError))
    return passing or _status(error) in (*_BUSY, *_BUSY_CODES)


def _told(error: Exception) -> str:
    """Write what the server or the network said in one line."""
    details = getattr(error, "details", None)
    return " ".join((str(details()) if callable(details) else str(error)).split())[:300]
