"""`fgr demo`: the shipped passages and questions, indexed and asked on the spot."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from fgr_retriever.cli.highlight import show
from fgr_retriever.cli.options import Device, MaxTokens, Model, Results, Tokenizer, choose_counter, load_encoder
from fgr_retriever.cli.output import counted, terminal
from fgr_retriever.config import TrimConfig
from fgr_retriever.text.html import printable
from fgr_retriever.trim.context import Context, saving


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(demo)


def demo(
    query: Annotated[
        list[str] | None, typer.Option("--query", "-q", help="Ask this instead of the shipped questions; repeatable.")
    ] = None,
    k: Results = 3,
    max_tokens: MaxTokens = None,
    tokenizer: Tokenizer = None,
    model: Model = None,
    device: Device = None,
) -> None:
    """Index the shipped passages in a temporary folder and ask the shipped questions."""
    from fgr_retriever.demo import passages, questions
    from fgr_retriever.engine import Engine

    count = choose_counter(tokenizer)
    options: dict[str, Any] = {"k": k, "trim": TrimConfig(max_tokens=max_tokens), "count_tokens": count}
    encoder = load_encoder(model, device)
    with tempfile.TemporaryDirectory() as scratch, Engine.open(Path(scratch) / "index", encoder=encoder) as engine:
        started = time.perf_counter()
        added = engine.add(counted(passages(), "passages read"))
        terminal().print(Text(f"{added} passages indexed in {time.perf_counter() - started:.1f} s", style="italic"))
        _ask(partial(engine.retrieve, **options), query or questions())


def _ask(retrieve: Callable[[str], Context], queries: Sequence[str]) -> None:
    """Answer each question and print what was found, what it cost and what trimming saved."""
    console = terminal()
    contexts: list[Context] = []
    retrieve(queries[0])  # warm up, so that the first time is like the others
    for query in queries:
        started = time.perf_counter()
        contexts.append(retrieve(query))
        elapsed = (time.perf_counter() - started) * 1000
        console.print()
        head = Text(f"? {printable(query)}", style="bold cyan")
        console.print(head.append(f"  {elapsed:.0f} ms", style="not bold dim"))
        show(console, contexts[-1])
    before = sum(context.tokens_before or 0 for context in contexts)
    after = sum(context.tokens_after or 0 for context in contexts)
    console.print()
    console.print(Text(f"{len(queries)} questions: {saving(before, after)}", style="bold"))
