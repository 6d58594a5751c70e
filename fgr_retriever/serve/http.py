"""Serve an application over HTTP to clients that may be slow, silent or too many.

uvicorn bounds neither how long a client may take to send its request or to take its answer, nor how many
connections are open: its `limit_concurrency` refuses the honest client, because silent ones fill it. So its h11
connection gets a timer here, and the one that has been silent longest makes room.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from socket import SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, getaddrinfo, socket
from typing import Any, cast

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from fgr_retriever.errors import InputError
from fgr_retriever.serve.config import ServeConfig
from fgr_retriever.serve.slots import RETRY_AFTER, Slots

_LAST_S = 1.0  # that connections get beyond the grace, to take their last answer


def serve(app: ASGIApp, host: str, port: int, slots: Slots, **options: Any) -> None:
    """Serve until SIGINT or SIGTERM, then let running searches end, for a bounded time.

    Args:
        app: The application.
        host: The address.
        port: The port; 0 takes a free one.
        slots: Where the application searches, and how long clients are waited for. It is stopped.
        options: Further settings of uvicorn.

    Raises:
        InputError: Nobody can listen there, for example because another program does.
    """
    _check_free(host, port)
    with suppress(KeyboardInterrupt):  # uvicorn sends itself the signal again when all is done
        make_server(app, host, port, slots, **options).run()


def _check_free(host: str, port: int) -> None:
    """Try to listen: uvicorn only logs that it cannot."""
    try:
        family, kind, protocol, _, address = getaddrinfo(host, port, type=SOCK_STREAM)[0]
        with socket(family, kind, protocol) as tried:
            tried.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)  # as asyncio does: the port of a server that has just ended
            tried.bind(address)
    except OSError as error:
        raise InputError(
            f"{host}:{port}: cannot listen there ({error.strerror}): choose another host or port; port 0 is a free one"
        ) from error


def make_server(app: ASGIApp, host: str, port: int, slots: Slots, **options: Any) -> uvicorn.Server:
    """Make the server; see `serve`."""
    connection = cast(Any, partial(_Connection, slots.config))
    grace: Any = slots.config.grace + _LAST_S  # uvicorn says int, and takes any number
    bounds = {"timeout_graceful_shutdown": grace, "http": connection, "ws": "none"}
    config = uvicorn.Config(app, host, port, access_log=False, server_header=False, **bounds, **options)
    return _Server(config, slots)


class _Server(uvicorn.Server):
    """A server whose searches end with it."""

    def __init__(self, config: uvicorn.Config, slots: Slots) -> None:
        super().__init__(config)
        self._slots = slots

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Stop listening, and give up what does not end in time."""
        loop, grace = asyncio.get_running_loop(), self._slots.config.grace
        loop.call_later(grace, self._slots.stop)
        loop.call_later(grace / 2, self._end_connections)  # those that came while the others were told
        await super().shutdown(sockets)
        self._slots.stop()

    def _end_connections(self) -> None:
        for connection in list(self.server_state.connections):
            connection.shutdown()


class _Connection(H11Protocol):
    """A connection that waits for its client for a bounded time.

    A timer runs while the next step is the client's: from the first byte of a request until it is whole, and while an
    answer waits to be taken. Between requests uvicorn's own keep-alive timer runs.
    """

    def __init__(self, bounds: ServeConfig, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._bounds = bounds
        self._timer: asyncio.TimerHandle | None = None
        self._silent_since = math.inf

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request; if there are too many connections, one makes room."""
        super().connection_made(transport)
        self._await_client()
        if len(self.connections) > self._bounds.connections:
            others = (one for one in self.connections if isinstance(one, _Connection))
            silent = [one for one in others if one._is_reading() and not one.transport.is_closing()]
            oldest = min(silent, key=lambda one: one._silent_since)
            if oldest is self:  # all others are being answered
                self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, (b"retry-after", str(RETRY_AFTER).encode()))
            else:
                oldest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._at_work()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Go on with a request, or begin one after a pause."""
        paused = self.timeout_keep_alive_task is not None
        super().data_received(data)
        if self.transport.is_closing() or (paused and self._is_reading()):
            self._await_client()
        elif not self._is_reading():
            self._at_work()

    def on_response_complete(self) -> None:
        """Let the client take what is left, or send the next request."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._await_client()
        else:
            self._silent_since = self.loop.time()

    def pause_writing(self) -> None:
        """Wait for the client to take a part of the answer."""
        super().pause_writing()
        self._await_client()

    def resume_writing(self) -> None:
        """Go on with the answer."""
        super().resume_writing()
        if not self.transport.is_closing() and not self._is_reading():
            self._at_work()

    def shutdown(self) -> None:
        """End the connection, after its answer if it has sent a whole request."""
        if self._is_reading():
            self.transport.close()
        else:
            super().shutdown()

    def _is_reading(self) -> bool:
        """Say whether the client has not sent a whole request."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def _await_client(self) -> None:
        """Start the timer anew."""
        self._at_work()
        self._silent_since = self.loop.time()
        self._timer = self.loop.call_later(self._bounds.patience, self._give_up)

    def _at_work(self) -> None:
        """Stop the timer: the next step is the server's."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        """End the connection of a client that was too slow."""
        if self.transport.is_closing() or self.flow.write_paused:
            self.transport.abort()
        elif self._is_reading():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _refuse(self, status: HTTPStatus, *headers: tuple[bytes, bytes]) -> None:
        """Answer in place of the application, if it has not begun to, and close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            if self.cycle is not None:
                self.cycle.disconnected = True  # what the application still says goes nowhere
            told = [*headers, (b"content-length", b"0"), (b"connection", b"close")]
            events = h11.Response(status_code=status, headers=told, reason=status.phrase.encode()), h11.EndOfMessage()
            self.transport.write(b"".join(self.conn.send(one) or b"" for one in events))
        self.transport.close()
        self._await_client()
