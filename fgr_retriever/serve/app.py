"""The web application: one page, its files, and the JSON API, for browsers on this machine.

A browser lets every web site send requests to loopback, so a server there needs care too. Requests
whose Host header is a foreign name are refused (DNS rebinding: a site whose name leads to
127.0.0.1), a body must be JSON (no site can send that without leave from here, and none is given),
and the page runs no script but its own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Callable, Collection
from dataclasses import fields, is_dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fgr_retriever.engine import Engine
from fgr_retriever.errors import (
    ConfigError,
    FgrError,
    IndexNotFoundError,
    InputError,
    ModelMismatchError,
    TimeLimitError,
)
from fgr_retriever.serve.api import MAX_BODY, Problem, SearchRequest, TrimRequest, openapi
from fgr_retriever.serve.searches import ForgottenSearchError, Searches
from fgr_retriever.serve.slots import RETRY_AFTER, BusyError, Slots
from fgr_retriever.serve.wrong_arguments import told
from fgr_retriever.text.valid import without_surrogates
from fgr_retriever.trim.budget import TokenCounter

STATIC = Path(__file__).parent / "static"

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

# What the client is told of our errors; the first that fits counts.
_STATUS: tuple[tuple[type[FgrError] | tuple[type[FgrError], ...], HTTPStatus], ...] = (
    (ForgottenSearchError, HTTPStatus.NOT_FOUND),
    ((InputError, ConfigError), HTTPStatus.UNPROCESSABLE_ENTITY),
    ((IndexNotFoundError, ModelMismatchError), HTTPStatus.SERVICE_UNAVAILABLE),  # the folder was removed or replaced
    (BusyError, HTTPStatus.SERVICE_UNAVAILABLE),
    (TimeLimitError, HTTPStatus.GATEWAY_TIMEOUT),
)
_LEFT = 499  # nobody reads it; so do other servers name a client that has left

_RequestT = TypeVar("_RequestT", bound=BaseModel)


class _Json(JSONResponse):
    """JSON of dataclasses, in valid Unicode."""

    def render(self, content: Any) -> bytes:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_as_dict)
        return without_surrogates(text).encode()


def create_app(
    engine: Engine, count: TokenCounter, *, hosts: Collection[str] = (), slots: Slots | None = None
) -> Starlette:
    """Make the application.

    Args:
        engine: The index; it stays open, and is the caller's to close.
        count: What counts tokens.
        hosts: Names by which browsers may call the server, beside localhost and IP addresses.
        slots: Where searches run; None makes them with the default `ServeConfig`.

    Returns:
        An ASGI application with the page at `/`, the API below `/api`, and its OpenAPI document at
        `/openapi.json`.
    """
    searches, own_slots = Searches(engine, count), slots or Slots()

    async def page(request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def document(request: Request) -> Response:
        return _Json(openapi())

    async def info(request: Request) -> Response:
        return await _while_there(request, own_slots, lambda: _Json(searches.info()))

    async def search(request: Request) -> Response:
        asked = await _body(request, SearchRequest)
        return await _while_there(request, own_slots, lambda: _Json(searches.search(asked)))

    async def trim(request: Request) -> Response:
        asked = await _body(request, TrimRequest)
        return await _while_there(request, own_slots, lambda: _Json(searches.trim(asked)))

    routes = [
        Route("/", page),
        Route("/openapi.json", document),
        Route("/api/info", info),
        Route("/api/search", search, methods=["POST"]),
        Route("/api/trim", trim, methods=["POST"]),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    handlers: dict[Any, Any] = {
        HTTPException: _refused,
        ClientDisconnect: _left,
        FgrError: _failed,
        Exception: _broken,
    }
    guard = Middleware(_Guard, hosts=frozenset(name.lower() for name in (*hosts, "localhost")))
    return Starlette(routes=routes, middleware=[guard], exception_handlers=handlers)


class _Guard:
    """Refuses requests to foreign names, and puts the security headers on every answer.

    An IP address is never the name of a rebound site, so every address is fine.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        host = Headers(scope=scope).get("host", "")
        if not self._is_own(host):
            refused = _problem(HTTPStatus.BAD_REQUEST, f"Host {host!r:.200} is not a name of this server")
            return await refused(scope, receive, send_with_headers)
        await self._app(scope, receive, send_with_headers)

    def _is_own(self, host: str) -> bool:
        """Say whether a Host header names this server, with or without a port."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name.lower() in self._hosts:
            return True
        try:
            ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
        except ValueError:
            return False
        return True


async def _while_there(request: Request, slots: Slots, work: Callable[[], Response]) -> Response:
    """Do some work in a slot, unless the client leaves.

    Raises:
        ClientDisconnect: It has left; its work is given up.
    """
    working, leaving = asyncio.ensure_future(slots.run(work)), asyncio.ensure_future(_leaves(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _leaves(request: Request) -> None:
    """Wait until the client leaves."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request, model: type[_RequestT]) -> _RequestT:
    """Read a request, in bounded memory.

    Raises:
        InputError: It is no JSON, or an argument is unknown, missing or wrong.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Send at most {MAX_BODY} bytes")
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        raise InputError(told(error, request.url.path, model)) from None


def _refused(request: Request, error: HTTPException) -> Response:
    return _problem(HTTPStatus(error.status_code), error.detail, error.headers)


def _failed(request: Request, error: FgrError) -> Response:
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {"Retry-After": str(RETRY_AFTER)} if isinstance(error, BusyError) else None
    return _problem(status, str(error), headers)


def _left(request: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=_LEFT)


def _broken(request: Request, error: Exception) -> Response:
    """Tell the browser nothing of an error that nobody foresaw; the server's log has it.

    Starlette answers these outside of all middleware, so the headers are put on here.
    """
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The server failed; its log says why", _HEADERS)


def _problem(status: HTTPStatus, detail: str, headers: Any = None) -> Response:
    problem = Problem("about:blank", status.phrase, status, detail)
    return _Json(problem, status, headers=headers, media_type="application/problem+json")


def _as_dict(value: Any) -> dict[str, Any]:
    """Give the fields of a dataclass, not of those in it: JSON asks for each in turn."""
    if not is_dataclass(value):
        raise TypeError(f"{type(value).__name__} is not JSON")
    return {field.name: getattr(value, field.name) for field in fields(value)}
