"""Make an index, describe it, look after it: `fgr index`, `info`, `verify`, `compact`, `repair`, `upgrade`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from fgr_retriever.cli.files import Format, Reading, find_files, read_passages
from fgr_retriever.cli.options import AsJson, Device, IndexFolder, Model, load_encoder
from fgr_retriever.cli.output import note, terminal, write_json
from fgr_retriever.config import IndexConfig
from fgr_retriever.errors import InputError
from fgr_retriever.types import Passage

_STORED_AT_ONCE = 10_000  # passages: what an interrupted run loses at most


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(index)
    app.command()(info)
    app.command()(verify)
    app.command()(compact)
    app.command()(repair)
    app.command()(upgrade)


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
    words: Annotated[
        str | None,
        typer.Option(metavar="LANGUAGE", help="A new index also keeps words for BM25: english, german, plain, ..."),
    ] = None,
    importance: Annotated[
        bool, typer.Option("--importance", help="A new index also keeps how important tokens are, for ColBERT-Att.")
    ] = False,
    model: Model = None,
    device: Device = None,
) -> None:
    """Add the passages of files to an index.

    A passage with a stored id replaces the stored one. In JSON Lines and CSV every record is a
    passage, and the fields that are neither id nor text become its metadata.

    What is stored already with the same text is not encoded again, also if its metadata changed: run
    the same command every day. Passages are stored 10,000 at a time. After an interruption, run the
    same command again.
    """
    from fgr_retriever.engine import Engine

    names = find_files(files)
    reading = Reading(
        format=format, id_field=id_field, text_field=text_field, title_field=title_field, passage_chars=passage_chars
    )
    started = time.perf_counter()
    with Engine.open(out, encoder=load_encoder(model, device), config=_config(out, words, importance)) as engine:
        added = updated = same = 0
        for batch in _batches(read_passages(names, reading)):
            found = engine.add(batch, show_progress=sys.stderr.isatty())
            added, updated, same = added + found.added, updated + found.updated, same + found.unchanged
        changed = f", updated {updated}" if updated else ""
        skipped = f", {same} were stored already" if same else ""
        seconds = time.perf_counter() - started
        note(f"added {added} passages to {out} in {seconds:.1f} s{changed}{skipped}; it has {len(engine)}")


def _config(out: Path, words: str | None, importance: bool) -> IndexConfig | None:
    """Say how the index is to be: as it is, but with what is asked for; an index that differs is then refused."""
    from fgr_retriever.index.storage.folders import MANIFEST
    from fgr_retriever.index.storage.manifest import read_manifest

    if words is None and not importance:
        return None
    config = read_manifest(out).config if (out / MANIFEST).exists() else IndexConfig()
    words = config.words if words is None else words
    return replace(config, words=words, importance=importance or config.importance)


def _batches(passages: Iterable[Passage]) -> Iterator[list[Passage]]:
    """Cut passages into the runs that are stored at once.

    Raises:
        InputError: An id comes twice.
    """
    seen: set[str] = set()
    following = iter(passages)
    while batch := list(islice(following, _STORED_AT_ONCE)):
        for passage in batch:
            if passage.id in seen:
                raise InputError(f"passage id {passage.id!r} comes twice: ids must be unique in one run")
            seen.add(passage.id)
        yield batch


def info(folder: IndexFolder, as_json: AsJson = False) -> None:
    """Describe an index. Needs no model."""
    from fgr_retriever.index.info import describe
    from fgr_retriever.index.storage.store import Store

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
    from fgr_retriever.index.storage.store import Store

    with closing(Store(folder)) as store:
        store.verify(progress=sys.stderr.isatty())
    note(f"{folder}: every byte is as it was written")


def compact(folder: IndexFolder) -> None:
    """Rewrite an index without what was deleted or replaced, into few files. Needs no model."""
    from fgr_retriever.index.info import describe
    from fgr_retriever.index.storage.store import Store

    with closing(Store(folder)) as store:
        before = describe(store).bytes
        store.compact(progress=sys.stderr.isatty())
        note(f"{folder}: {before / 1e6:.1f} MB before, {describe(store).bytes / 1e6:.1f} MB now")


def repair(folder: IndexFolder) -> None:
    """Save what can be saved of a damaged index, and name what is lost. Needs no model.

    Exits with 0 when all was saved, with 4 when something was lost. Lost passages whose text can be
    read are written to DIR/lost.jsonl: index that file again.
    """
    from fgr_retriever.index.storage.repair import repair as repair_index
    from fgr_retriever.index.storage.salvage import LOST

    report = repair_index(folder, progress=sys.stderr.isatty())
    for remark in report.notes:
        note(remark)
    for lost in report.lost:
        where = f"row {lost.row}" if lost.id is None else f"passage {lost.id!r}"
        note(f"lost {where}: {lost.reason}")
    kept = sum(lost.kept for lost in report.lost)
    note(f"{folder}: {report.saved} passages saved, {len(report.lost)} lost, {kept} of them with their text in {LOST}")
    if report.lost:
        raise typer.Exit(4)


def upgrade(folder: IndexFolder, model: Model = None, device: Device = None) -> None:
    """Add what an index lacks that was made by an older version: evidence codes and sentence borders.

    The stored texts are encoded once more, with the model that made the index. All is added or nothing:
    after an interruption, run the command again. An index that lacks nothing is left alone.
    """
    from fgr_retriever.index.index import Index
    from fgr_retriever.index.storage.manifest import read_manifest

    read_manifest(folder)  # that there is none shows before the model is loaded
    started = time.perf_counter()
    with closing(Index.open(folder, load_encoder(model, device), create=False)) as opened:
        lacking = ", ".join(opened.lacks())
        changed = opened.upgrade(show_progress=sys.stderr.isatty())
    seconds = time.perf_counter() - started
    note(f"{folder}: added {lacking} in {seconds:.1f} s" if changed else f"{folder}: nothing is missing")
