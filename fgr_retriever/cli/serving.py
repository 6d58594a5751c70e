"""What `fgr serve` and `fgr mcp` share: the options that bound what clients may cost, and the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from fgr_retriever.cli.output import note
from fgr_retriever.serve.config import ServeConfig, cores

if TYPE_CHECKING:
    from fgr_retriever.serve.slots import Slots

DEFAULT = ServeConfig()
_LAST_S = 2.0  # that a search which was given up gets to look at the clock

Searches = Annotated[int | None, typer.Option(min=1, help="Searches at once; by default one for each processor core.")]
Queue = Annotated[int, typer.Option(min=0, help="Searches that wait for their turn; one more is refused.")]
TimeLimit = Annotated[float, typer.Option(min=0.001, help="Seconds for a search, its waiting included.")]
Patience = Annotated[float, typer.Option(min=0.001, help="Seconds for a client to send a request or take an answer.")]
Connections = Annotated[int, typer.Option(min=1, help="Connections at once.")]
Grace = Annotated[float, typer.Option(min=0, help="Seconds for running searches to end when the server stops.")]


@contextmanager
def serving(config: ServeConfig) -> Iterator[Slots]:
    """Give the slots for searches, and end the process after the `with` block even if a search does not end."""
    import torch

    from fgr_retriever.serve.slots import Slots

    # Searches at once share the cores. If each took them all, their threads would wait for one another all the time.
    torch.set_num_threads(max(1, cores() // config.at_once))
    slots = Slots(config)
    try:
        yield slots
    finally:
        slots.stop()
    if not slots.wait(_LAST_S):
        note("fgr: a search does not end: stopped without it")
        os._exit(0)  # Python would wait for its thread
