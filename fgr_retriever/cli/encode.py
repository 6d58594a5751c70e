"""Encode a corpus in shards, and make an index of them: `fgr encode`, `fgr index --from-encoded`."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from fgr_retriever.cli.options import (
    Device,
    Exclude,
    FormatName,
    Hidden,
    IdField,
    IdsPerFile,
    Model,
    PassageChars,
    TextField,
    TitleField,
    load_encoder,
    note_as_lines,
    note_left_out,
)
from fgr_retriever.cli.output import note
from fgr_retriever.cli.reading.files import Reading, read_passages
from fgr_retriever.cli.reading.folders import Choice
from fgr_retriever.cli.reading.records import Fields
from fgr_retriever.cli.reading.sources import find_sources
from fgr_retriever.config import IndexConfig


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(encode)


def encode(
    files: Annotated[list[str], typer.Argument(help="Files and folders, as for `fgr index`.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the encoded files; made if missing.")],
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Which shard of how many: 0/16 is the first of 16, 15/16 the last.")
    ] = "0/1",
    format: FormatName = "auto",
    id_field: IdField = None,
    ids_per_file: IdsPerFile = False,
    text_field: TextField = None,
    title_field: TitleField = None,
    passage_chars: PassageChars = 1500,
    exclude: Exclude = None,
    hidden: Hidden = False,
    importance: Annotated[
        bool, typer.Option("--importance", help="Also keep how important tokens are, for an index that keeps it.")
    ] = False,
    model: Model = None,
    device: Device = None,
) -> None:
    """Encode one shard of a large corpus, for `fgr index --from-encoded`.

    Passages are read as `fgr index` reads them. Each belongs to one shard, by a hash of its id: run the same command
    for every shard, in any order, on any machines. After an interruption run it again: finished files are not made
    again.
    """
    from fgr_retriever.index.encoded.shard import Shard
    from fgr_retriever.index.encoded.writing import encode_shard

    started = time.perf_counter()
    part = Shard.parse(shard)  # a wrong one shows before the model is loaded
    fields = Fields(id=id_field, per_file=ids_per_file, text=text_field, title=title_field)
    choice = Choice(hidden=hidden, exclude=tuple(exclude or ()))
    reading = Reading(format=format, fields=fields, passage_chars=passage_chars)
    as_lines: set[str] = set()
    sources = find_sources(files, choice)
    passages = read_passages(sources.files, reading, as_lines.add)
    found = encode_shard(
        passages, load_encoder(model, device), out, shard, importance=importance, show_progress=sys.stderr.isatty()
    )
    note_as_lines(sorted(as_lines), text_field)
    note_left_out(sources.left, choice)
    seconds = time.perf_counter() - started
    note(f"shard {part}: {found.passages} passages in {out}, {found.encoded} of them encoded now, in {seconds:.1f} s")


def index_encoded(
    folders: Sequence[str], place: str, config: IndexConfig | None, incomplete: bool, taking_over: Collection[str]
) -> None:
    """Make an index of encoded files, or add them to one; needs no model.

    Args:
        folders: Folders that `encode` wrote.
        place: The folder of the index.
        config: How the index stores vectors; None for that of the index, or the defaults.
        incomplete: Do without the shards that are missing.
        taking_over: Names of stored files whose passages may become those of the encoded ones.
    """
    from fgr_retriever.index.encoded.adding import add_encoded, check_fits
    from fgr_retriever.index.encoded.reading import EncodedCorpus
    from fgr_retriever.index.info import describe
    from fgr_retriever.index.opening import as_collection
    from fgr_retriever.index.sources import source_of
    from fgr_retriever.index.storage.creation import create_store, open_store
    from fgr_retriever.index.storage.folders import MANIFEST

    if as_collection(place) is not None:
        raise typer.BadParameter("makes a folder; `fgr copy` brings it to a collection", param_hint="--from-encoded")
    started, out = time.perf_counter(), Path(place)
    corpus = EncodedCorpus([Path(folder) for folder in folders], incomplete=incomplete)
    encoded = corpus.manifest
    if not (out / MANIFEST).exists():
        made = replace(encoded, config=config or IndexConfig())
        check_fits(out, made, encoded)  # before a folder is made
        create_store(out, made)
    with closing(open_store(out, encoded.model, encoded.dim, config)) as store:
        own = {source_of(passage.metadata) for passage in corpus.passages()} if describe(store).passages else set()
        found = add_encoded(store, corpus, within={*filter(None, own), *taking_over}, progress=sys.stderr.isatty())
        more = f", updated {found.updated}" * bool(found.updated)
        more += f", {found.unchanged} were stored already" * bool(found.unchanged)
        seconds = time.perf_counter() - started
        note(f"added {found.added} passages to {out} in {seconds:.1f} s{more}; it has {describe(store).passages}")
