"""`fgr serve`: a search page and a JSON API over an index."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import typer

from fgr_retriever.cli.options import (
    Device,
    IndexPlace,
    Model,
    PipelineFile,
    Tokenizer,
    choose_counter,
    open_existing,
)
from fgr_retriever.cli.output import note
from fgr_retriever.cli.serving import DEFAULT, Connections, Grace, Patience, Queue, Searches, TimeLimit, serving
from fgr_retriever.errors import MissingExtraError
from fgr_retriever.serve.config import ServeConfig


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(serve)


def serve(
    place: IndexPlace,
    host: Annotated[
        str, typer.Option(help="Address to listen on; by default only this machine gets in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    pipeline: PipelineFile = None,
    tokenizer: Tokenizer = None,
    model: Model = None,
    device: Device = None,
    searches: Searches = DEFAULT.searches,
    queue: Queue = DEFAULT.queue,
    time_limit: TimeLimit = DEFAULT.time_limit,
    patience: Patience = DEFAULT.patience,
    connections: Connections = DEFAULT.connections,
    grace: Grace = DEFAULT.grace,
) -> None:
    """Show an index in the browser: search, evidence and trimming; with a JSON API."""
    try:
        from fgr_retriever.serve import create_app, http
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("uvicorn", "starlette", "pydantic"):
            raise
        raise MissingExtraError("fgr serve", "serve") from error
    if not _is_loopback(host):
        note(f"fgr: warning: everyone who can reach {host} can read this index: there is no login")
    config = ServeConfig(
        searches=searches, queue=queue, time_limit=time_limit, patience=patience, connections=connections, grace=grace
    )
    with serving(config) as slots, open_existing(place, model, device, pipeline) as engine:
        engine.search("warm up", k=1)  # so that the first search is as quick as the next
        http.serve(create_app(engine, choose_counter(tokenizer), hosts=[host], slots=slots), host, port, slots)


def _is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
