"""`fgr mcp`: an index as tools for agents, by the Model Context Protocol."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from fgr_retriever.cli.options import (
    Device,
    IndexPlace,
    Model,
    PipelineFile,
    Results,
    Tokenizer,
    choose_counter,
    open_existing,
)
from fgr_retriever.cli.output import note
from fgr_retriever.cli.serving import DEFAULT, Connections, Grace, Patience, Queue, Searches, TimeLimit, serving
from fgr_retriever.config import TrimConfig
from fgr_retriever.serve.config import ServeConfig


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(mcp)


def mcp(
    place: IndexPlace,
    http: Annotated[
        int | None,
        typer.Option(min=1, max=65535, metavar="PORT", help="Serve streamable HTTP on this port; by default stdio."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address for HTTP; any other than a loopback one is open to all.")] = (
        "127.0.0.1"
    ),
    k: Results = 5,
    max_tokens: Annotated[int, typer.Option(min=0, help="Hard limit of tokens for the evidence of a search.")] = 1_000,
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
    """Offer an index to agents: the tools search_evidence, read_passage and expand_span."""
    from fgr_retriever.agents.evidence_search import EvidenceSearch
    from fgr_retriever.agents.mcp_server import make_server, serve_http

    config = ServeConfig(
        searches=searches, queue=queue, time_limit=time_limit, patience=patience, connections=connections, grace=grace
    )
    trim, count = TrimConfig(max_tokens=max_tokens), choose_counter(tokenizer)
    with serving(config) as slots, open_existing(place, model, device, pipeline) as engine:
        server = make_server(EvidenceSearch.of(engine, k=k, trim=trim, count_tokens=count), slots)
        note(f"fgr: {len(engine)} passages, at " + ("stdio" if http is None else f"http://{host}:{http}/mcp"))
        if http is None:
            with _killed_by_ctrl_c():
                server.run("stdio")
        else:
            serve_http(server, http, host, slots=slots)


@contextmanager
def _killed_by_ctrl_c() -> Iterator[None]:
    """End the process at Ctrl-C, as at SIGTERM: the SDK would first wait for the next line of its client.

    Nothing can be lost, because the server only reads.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
