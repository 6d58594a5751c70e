"""`fgr search` and `fgr trim`: evidence from an index, and from texts without one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from fgr_retriever.cli.highlight import show
from fgr_retriever.cli.options import (
    AsJson,
    Device,
    Fill,
    IndexPlace,
    MaxTokens,
    Model,
    PipelineFile,
    Query,
    Results,
    Tokenizer,
    choose_counter,
    load_encoder,
    open_existing,
)
from fgr_retriever.cli.output import note, terminal, write_json, write_text
from fgr_retriever.cli.reading.files import STDIN, open_text
from fgr_retriever.config import TrimConfig, Unit
from fgr_retriever.errors import InputError
from fgr_retriever.trim.context import Context
from fgr_retriever.types import Passage, Span


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(search)
    app.command()(trim)


def _parse_filter(text: str) -> dict[str, Any]:
    from fgr_retriever.index.filters import compile_filter

    try:
        filter = json.loads(text)
        compile_filter(filter)
    except (ValueError, InputError) as error:
        raise typer.BadParameter(f'{error}. Give a JSON object such as \'{{"year": {{"$gte": 1900}}}}\'') from error
    return dict(filter)


def search(
    place: IndexPlace,
    query: Query,
    k: Results = 5,
    max_tokens: MaxTokens = None,
    fill: Fill = False,
    filter: Annotated[
        Any, typer.Option(parser=_parse_filter, metavar="JSON", help="Which passages count, by their metadata.")
    ] = None,
    pipeline: PipelineFile = None,
    as_json: AsJson = False,
    html: Annotated[Path | None, typer.Option(help="Also write the hits, evidence marked, to this page.")] = None,
    tokenizer: Tokenizer = None,
    model: Model = None,
    device: Device = None,
) -> None:
    """Find passages in an index and show the evidence in them."""
    with open_existing(place, model, device, pipeline) as engine:
        count = choose_counter(tokenizer)
        config = TrimConfig(max_tokens=max_tokens, fill=fill)
        context = engine.retrieve(query, k=k, filter=filter, trim=config, count_tokens=count)
    if html is not None:
        from fgr_retriever.trim.context import page

        html.write_text(page(context), encoding="utf-8")
        note(f"wrote {html}")
    if as_json:
        write_json(_describe(context))
    else:
        show(terminal(), context)
    _note_all(context)


def trim(
    query: Query,
    files: Annotated[list[str] | None, typer.Argument(help="Text files; - or none is stdin.")] = None,
    max_tokens: MaxTokens = None,
    fill: Fill = False,
    unit: Annotated[Unit | None, typer.Option(help="What evidence grows to.")] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Evidence probability from which a token counts.")
    ] = None,
    as_json: AsJson = False,
    tokenizer: Tokenizer = None,
    model: Model = None,
    device: Device = None,
) -> None:
    """Cut texts down to their evidence. With --json, one object a line for each file."""
    from fgr_retriever.trim.trimmer import Trimmer

    names = files or [STDIN]
    texts = [_read(name) for name in names]
    defaults = TrimConfig(threshold=threshold, max_tokens=max_tokens, fill=fill)
    config = replace(defaults, unit=unit or defaults.unit, order="source")
    count = None if max_tokens is None else choose_counter(tokenizer)
    passages = [Passage(name, text) for name, text in zip(names, texts, strict=True)]
    context = Trimmer(load_encoder(model, device), config, count_tokens=count).context(query, passages)
    _note_all(context)
    if not as_json:
        return write_text(context.text)
    notes = list(context.report.notes)
    for name, text, result in zip(names, texts, context.trimmed, strict=True):
        found = {"query": query, "file": name, "text": result.text, "spans": _spans(text, result.spans)}
        write_json({**found, "kept": result.kept, "score": result.score, "tokens": result.tokens, "notes": notes})


def _note_all(context: Context) -> None:
    """Write what the report notes to stderr: results go to stdout alone."""
    for remark in context.report.notes:
        note(remark)


def _read(name: str) -> str:
    with open_text(name) as lines:
        return "".join(lines)


def _describe(context: Context) -> dict[str, Any]:
    """Write a search as `fgr search --json` prints it; spans are what `trimmed` consists of."""
    hits = [
        {
            "id": hit.passage.id,
            "score": hit.score,
            "scores": dict(hit.scores),
            "text": hit.passage.text,
            "trimmed": trimmed.text,
            "spans": _spans(hit.passage.text, trimmed.spans),
            "kept": trimmed.kept,
            "metadata": dict(hit.passage.metadata),
        }
        for hit, trimmed in zip(context.hits, context.trimmed, strict=True)
    ]
    counts = {"tokens_before": context.tokens_before, "tokens_after": context.tokens_after}
    return {"query": context.query, "hits": hits, **counts, "notes": list(context.report.notes)}


def _spans(text: str, spans: Sequence[Span]) -> list[dict[str, Any]]:
    return [
        {"start": span.start, "end": span.end, "score": span.score, "text": text[span.start : span.end]}
        for span in spans
    ]
