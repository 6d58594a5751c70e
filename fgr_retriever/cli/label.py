"""`fgr label`: let a large language model mark the evidence in pairs, to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fgr_retriever.cli.output import note


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(label)


def label(
    pairs: Annotated[Path, typer.Argument(help="JSON lines with `query` and `passage`.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Where the labelled pairs go; run again to resume.", show_default=False)],
    teacher: Annotated[
        str, typer.Option(help="A chat model as LangChain names it: openai:gpt-5-mini.", show_default=False)
    ],
    base_url: Annotated[str | None, typer.Option(help="Another endpoint of the same protocol.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests at the same time.")] = 8,
    attempts: Annotated[int, typer.Option(min=1, help="How often a pair is asked for.")] = 5,
    input_price: Annotated[float, typer.Option(min=0, help="Price of a million tokens read.")] = 0.0,
    output_price: Annotated[float, typer.Option(min=0, help="Price of a million tokens written.")] = 0.0,
) -> None:
    """Label (query, passage) pairs with a large language model; what it quotes must be in the passage."""
    from fgr_retriever.errors import MissingExtraError

    try:
        from langchain.chat_models import init_chat_model

        from fgr_retriever.training.teacher import Teacher, TeacherConfig
    except ImportError as error:
        raise MissingExtraError("labelling with a language model", "teacher") from error
    from fgr_retriever.training.data import read_unlabelled

    # Attempts are counted, and waited for, by the teacher alone.
    settings: dict[str, Any] = {"temperature": 0, "max_retries": 0, **({"base_url": base_url} if base_url else {})}
    model = init_chat_model(teacher, **settings)
    asked = Teacher(model, TeacherConfig(concurrency=concurrency, attempts=attempts))
    report = asked.label(read_unlabelled(pairs), out)
    note(
        f"{report.labelled} pairs labelled ({report.empty} without evidence), {report.resumed} were already, "
        f"{report.rejected} rejected; {report.requests} answers, {report.input_tokens} tokens read and "
        f"{report.output_tokens} written, cost {report.cost(input_price, output_price):.2f}"
    )
    if report.rejected:
        note(f"the rejected pairs and why: {out.with_suffix('.rejected.jsonl')}")
