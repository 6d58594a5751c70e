"""Describe an index and look after it: `fgr info`, `copy`, `delete`, `verify`, `compact`, `repair`, `upgrade`."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from dataclasses import asdict, replace
from typing import Annotated, Any

import typer
from rich.table import Table

from fgr_retriever.cli.options import AsJson, Device, DryRun, IndexFolder, IndexPlace, Model, load_encoder
from fgr_retriever.cli.output import note, terminal, write_json
from fgr_retriever.config import IndexConfig


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (info, copy, delete, verify, compact, repair, upgrade):
        app.command()(command)


def copy(
    source: IndexPlace,
    target: Annotated[
        str,
        typer.Argument(metavar="DIR|URL", help="Another folder or collection; made if missing.", show_default=False),
    ],
    nbits: Annotated[
        int | None, typer.Option(help="Bits for each dimension in a new folder: 1, 2, 4, 8 or 16.", show_default="2")
    ] = None,
    words: Annotated[
        str | None,
        typer.Option(
            metavar="LANGUAGE", help="A new index keeps words for BM25: english, ...", show_default="as the other"
        ),
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="From one collection into a new one: learn centroids from all passages.")
    ] = False,
    alias: Annotated[
        str, typer.Option(help="Name that the target collection gets in the end, in the place of another one.")
    ] = "",
) -> None:
    """Copy an index from a folder into a Qdrant collection or back. Needs no model: nothing is encoded again.

    After an interruption, run the same command again.
    """
    from fgr_retriever.index.copying import copy as copy_index

    config = _config(source, target, {"nbits": nbits, "words": words})
    started = time.perf_counter()
    done = copy_index(source, target, config, retrain=retrain, alias=alias, show_progress=sys.stderr.isatty())
    seconds = time.perf_counter() - started
    note(
        f"{target}: {done.added + done.updated} passages copied in {seconds:.1f} s, {done.unchanged} were there already"
    )


def _config(source: str, target: str, options: dict[str, Any]) -> IndexConfig | None:
    """Say how the target is to be: as it is, or as a new one is made, but with what is asked for."""
    from fgr_retriever.index.opening import as_collection, config_of

    asked = {name: value for name, value in options.items() if value is not None}
    if not asked:
        return None
    if as_collection(target) is not None:
        return IndexConfig(**asked)
    new = replace(config_of(source) or IndexConfig(), nbits=IndexConfig().nbits, refine=False)
    return replace(config_of(target) or new, **asked)


def delete(
    place: IndexPlace,
    names: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE|ID...", help="Files as they were indexed, folders of them, or ids of passages."),
    ],
    dry_run: DryRun = False,
) -> None:
    """Delete passages by where they came from, or by id. Needs no model.

    A name that is neither a source nor an id deletes nothing at all.
    """
    from fgr_retriever.index.opening import open_stored
    from fgr_retriever.index.sources import is_within

    with closing(open_stored(place)) as stored:
        found, sources = set[str](), stored.sources()
        for name in names:
            ids = [id for source, inside in sources.items() if is_within(source, {name.rstrip("/")}) for id in inside]
            if not ids and name not in stored:
                raise FileNotFoundError(
                    f"{stored.location} has no source, folder of sources or passage {name!r}: nothing deleted"
                )
            found |= set(ids or [name])
        if dry_run:
            note(f"would delete {len(found)} of {len(stored)} passages")
            return
        note(f"deleted {stored.delete(found)} passages; {stored.location} has {len(stored)}")


def info(place: IndexPlace, as_json: AsJson = False) -> None:
    """Describe an index. Needs no model."""
    from fgr_retriever.index.opening import open_stored

    with closing(open_stored(place)) as stored:
        found = asdict(stored.info())
    if as_json:
        return write_json(found)
    table = Table(box=None, show_header=False)
    for key, value in found.items():
        table.add_row(key, f"{value:.1f}" if isinstance(value, float) else str(value))
    terminal().print(table)


def verify(place: IndexPlace) -> None:
    """Check every stored byte of an index. Needs no model."""
    from fgr_retriever.index.opening import open_stored

    with closing(open_stored(place)) as stored:
        stored.verify(show_progress=sys.stderr.isatty())
    note(f"{place}: every byte is as it was written")


def compact(place: IndexPlace) -> None:
    """Rewrite an index without what was deleted or replaced, into few files. Needs no model."""
    from fgr_retriever.index.opening import open_stored

    with closing(open_stored(place)) as stored:
        before = stored.info().bytes
        stored.compact(show_progress=sys.stderr.isatty())
        note(f"{place}: {before / 1e6:.1f} MB before, {stored.info().bytes / 1e6:.1f} MB now")


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
