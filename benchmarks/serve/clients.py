"""Clients: honest ones, who ask and wait, and one who does all that a server should survive.

They speak HTTP over plain sockets, so that they take little of the processor, and can stop in the middle of a word.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

_HOST = "127.0.0.1"
_PATHS = {"serve": "/api/search", "mcp": "/mcp"}
_MCP_HEADERS = "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-06-18\r\n"
_HALF_OPEN = 20  # connections that the hostile client leaves half-sent in each round
_LEAVERS = 8
_HUGE = 8 << 20


@dataclass
class Answers:
    """What honest clients got.

    Attributes:
        seconds: How long each answer took.
        statuses: How many answers had each HTTP status, or were errors of a tool.
        dropped: Connections that ended before an answer.
    """

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    dropped: int = 0


def request(kind: str, port: int, question: str, **values: Any) -> bytes:
    """Write a search: a request of the JSON API, or a call of a tool."""
    asked: dict[str, Any] = {"query": question, **values}
    if kind == "mcp":
        params = {"name": "search_evidence", "arguments": asked}
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    body = json.dumps(asked).encode()
    return head(kind, port, len(body)) + body


def head(kind: str, port: int, length: int) -> bytes:
    """Write the head of a search whose body has so many bytes."""
    extra = _MCP_HEADERS if kind == "mcp" else ""
    start = f"POST {_PATHS[kind]} HTTP/1.1\r\nHost: {_HOST}:{port}\r\nContent-Type: application/json\r\n"
    return f"{start}{extra}Content-Length: {length}\r\n\r\n".encode()


async def honest(kind: str, port: int, questions: Iterable[str], until: float, answers: Answers) -> None:
    """Ask one question after the other, each when the one before is answered.

    Args:
        kind: `serve` or `mcp`.
        port: Where the server listens.
        questions: Asked again and again.
        until: When to stop, by `time.perf_counter`.
        answers: Where to note what came.
    """
    asked = cycle(list(questions))
    while time.perf_counter() < until:
        async with _connected(port) as (reader, writer):
            keeps = True
            while keeps and time.perf_counter() < until:
                start = time.perf_counter()
                try:
                    writer.write(request(kind, port, next(asked)))
                    status, keeps, body = await _response(reader)
                except (OSError, asyncio.IncompleteReadError):
                    answers.dropped += 1
                    break
                answers.seconds.append(time.perf_counter() - start)
                answers.statuses["tool error" if b'"isError":true' in body else str(status)] += 1


@asynccontextmanager
async def _connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect, and close at the end."""
    reader, writer = await asyncio.open_connection(_HOST, port)
    try:
        yield reader, writer
    finally:
        await _abort(writer)


async def _abort(writer: asyncio.StreamWriter) -> None:
    """Close a connection without a word."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


async def _response(reader: asyncio.StreamReader) -> tuple[int, bool, bytes]:
    """Read an answer: its status, whether the connection stays open, and its body."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(lines[0].split()[1]), headers.get("connection") != "close", body


async def hostile(kind: str, port: int, until: float) -> Counter[str]:
    """Do what a server should survive, round after round, without a pause.

    Returns:
        How many answers of each status there were, by what was done.
    """
    left_open: list[asyncio.StreamWriter] = []
    seen: Counter[str] = Counter()
    # The tool of the MCP server takes no filter.
    many = {"filter": {"year": {"$in": [*range(8_000)]}}} if kind == "serve" else {}
    terms = {"filter": {"$or": [{f"k{number}": {"$gte": number}} for number in range(100)]}} if kind == "serve" else {}
    rounds: list[tuple[str, Callable[[], bytes], int]] = [
        ("half a head", lambda: head(kind, port, 10)[:60], 0),
        ("half a body", lambda: head(kind, port, 100) + b'{"query": "', 0),
        ("leaves at once", lambda: request(kind, port, "radium " * 200, k=50), 1),
        ("a huge body", lambda: head(kind, port, _HUGE) + b"x" * _HUGE, 2),
        ("a filter of 8,000 values", lambda: request(kind, port, "radium", **many), 2),
        ("a filter of 100 terms", lambda: request(kind, port, "radium", **terms), 2),
        ("a question at the bound", lambda: request(kind, port, ("radium " * 300)[:2_000], k=50), 2),
        ("a question beyond it", lambda: request(kind, port, "radium " * 3_000), 2),
        ("no HTTP", lambda: b"\x16\x03\x01\r\n\r\n", 2),
    ]
    while time.perf_counter() < until:
        for name, sent, waits in rounds:
            for _ in range((_HALF_OPEN, _LEAVERS, 1)[waits]):
                writer, status = await _attack(port, sent(), until if waits == 2 else None)
                seen[f"{name}: {status}"] += 1
                if waits:
                    await _abort(writer)
                else:
                    left_open.append(writer)
        for writer in left_open[: -16 * _HALF_OPEN]:
            await _abort(writer)
        del left_open[: -16 * _HALF_OPEN]
    for writer in left_open:
        await _abort(writer)
    return seen


async def _attack(port: int, sent: bytes, until: float | None) -> tuple[asyncio.StreamWriter, str]:
    """Send something and, with a time, wait so long for the answer."""
    reader, writer = await asyncio.open_connection(_HOST, port)
    writer.write(sent)
    if until is None:
        return writer, "-"
    try:
        left = max(1.0, until - time.perf_counter())
        status, _, _ = await asyncio.wait_for(_response(reader), left)
        return writer, str(status)
    except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
        return writer, type(error).__name__
