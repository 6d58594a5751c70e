"""`fgr index`, `fgr info`, `fgr verify`: make an index, describe it, check it."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from fgr_retriever.cli.files import Format, Reading, find_files, read_passages
from fgr_retriever.cli.options import AsJson, Device, IndexFolder, Model, load_encoder
from fgr_retriever.cli.output import counted, note, terminal, write_json


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(index)
    app.command()(info)
    app.command()(verify)


def index(
    files: Annotated[
        list[str],
        typer.Argument(help="Text, Markdown, JSON Lines or CSV files, folders of them, or - for stdin."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the index; made if missing, else added to.")],
    format: Annotated[Format, typer.Option(help="What the files are; auto goes by their names.")] = "auto",
    id_field: Annotated[
        str | None, typer.Option(help="Field with a record's id.", show_default="id or _id, else path#n")
    ] = None,
    text_field: Annotated[str, typer.Option(help="Field with a record's text.")] = "text",
    title_field: Annotated[
        str | None, typer.Option(help="Field to put before the text; by default titles stay metadata.")
    ] = None,
    passage_chars: Annotated[
        int, typer.Option(min=1, help="Text files are cut at blank lines into passages of about this size.")
    ] = 1500,
    model: Model = None,
    device: Device = None,
) -> None:
    """Add the passages of files to an index, all of them or none.

    A passage with a stored id replaces the stored one. In JSON Lines and CSV every record is a
    passage, and the fields that are neither id nor text become its metadata.
    """
    from fgr_retriever.engine import Engine

    names = find_files(files)
    reading = Reading(
        format=format, id_field=id_field, text_field=text_field, title_field=title_field, passage_chars=passage_chars
    )
    started = time.perf_counter()
    with Engine.open(out, encoder=load_encoder(model, device)) as engine:
        added = engine.add(counted(read_passages(names, reading), "passages read"))
        note(f"added {added} passages to {out} in {time.perf_counter() - started:.1f} s; it has {len(engine)}")


def info(folder: IndexFolder, as_json: AsJson = False) -> None:
    """Describe an index. Needs no model."""
    from fgr_retriever.index.info import describe
    from fgr_retriever.index.store import Store

    with closing(Store(folder)) as store:
        found = asdict(describe(store))
    if as_json:
        return write_json(found)
    table = Table(box=None, show_header=False)
    for key, value in found.items():
        table.add_row(key, f"{value:.1f}" if isinstance(value, float) else str(value))
    terminal().print(table)


def verify(folder: IndexFolder) -> None:
    """Check every stored byte of an index. Needs no model."""
    from fgr_retriever.index.store import Store

    with closing(Store(folder)) as store:
        store.verify()
    note(f"{folder}: every byte is as it was written")
