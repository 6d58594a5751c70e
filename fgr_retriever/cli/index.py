"""Make an index of files, and let it follow them: `fgr index`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated

import typer

from fgr_retriever.cli.encode import index_encoded
from fgr_retriever.cli.following import Run
from fgr_retriever.cli.options import (
    Device,
    DryRun,
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
from fgr_retriever.cli.reading.files import Reading
from fgr_retriever.cli.reading.folders import Choice, some_of
from fgr_retriever.cli.reading.records import Fields
from fgr_retriever.cli.reading.sources import find_sources
from fgr_retriever.config import IndexConfig

_Out = Annotated[
    str, typer.Option(metavar="DIR|URL", help="The folder of the index, or qdrant://HOST/COLLECTION; made if missing.")
]
_Words = Annotated[
    str | None,
    typer.Option(metavar="LANGUAGE", help="A new index also keeps words for BM25: english, german, plain, ..."),
]
_Importance = Annotated[
    bool, typer.Option("--importance", help="A new index also keeps how important tokens are, for ColBERT-Att.")
]
_Refine = Annotated[
    bool, typer.Option("--refine", help="A new index also keeps a second layer of bits, for its last candidates.")
]
_KeepMissing = Annotated[
    bool, typer.Option("--keep-missing", help="Keep what the index has of files that are gone from a folder.")
]
_TakeOver = Annotated[
    list[str] | None,
    typer.Option(
        "--take-over",
        metavar="SOURCE",
        help="An older name of a file or folder in the index: records with the same ids move. Repeatable.",
    ),
]
_FromEncoded = Annotated[
    bool, typer.Option("--from-encoded", help="FILES are folders of encoded shards: index these, without a model.")
]
_Incomplete = Annotated[
    bool, typer.Option("--incomplete", help="With --from-encoded: do without the shards that are missing.")
]

_FITTING = "--out, --words, --importance, --refine, --take-over and --incomplete: `fgr encode` settled all else"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(index)


def index(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Text, Markdown, HTML, PDF, Office, code, JSON, JSON Lines or CSV files, folders, or - for stdin; or "
            "folders that `fgr encode` wrote."
        ),
    ],
    out: _Out,
    format: FormatName = "auto",
    id_field: IdField = None,
    ids_per_file: IdsPerFile = False,
    text_field: TextField = None,
    title_field: TitleField = None,
    passage_chars: PassageChars = 1500,
    exclude: Exclude = None,
    hidden: Hidden = False,
    words: _Words = None,
    importance: _Importance = False,
    refine: _Refine = False,
    from_encoded: _FromEncoded = False,
    incomplete: _Incomplete = False,
    keep_missing: _KeepMissing = False,
    take_over: _TakeOver = None,
    dry_run: DryRun = False,
    model: Model = None,
    device: Device = None,
) -> None:
    """Make the passages of an index equal to those of files: run the same command every day.

    Files that the index does not know are added, 10,000 passages at a time. Then changed files take the place of what
    they were, and files that are gone from a folder are deleted, in one step that happens as a whole or not at all.
    What is stored with the same text is not encoded again. After an interruption, run the same command again.

    Of a folder, names that begin with a dot, node_modules, __pycache__, virtual environments and files of unknown kinds
    are left out, which one line says. A file that cannot be read ends the run: --exclude leaves it out.

    With --from-encoded, the passages that `fgr encode` encoded are added in one step, and nothing is deleted.

    In JSON Lines, JSON and CSV every record is a passage, and the fields that are neither id nor text become its
    metadata, also those in an object `metadata`. Where there is no field for the text, a passage is lines of
    `field: value`, as of a row of a sheet. An id that a record of another file has is refused: --ids-per-file makes ids
    `FILE#ID`.
    """
    fields = Fields(id=id_field, per_file=ids_per_file, text=text_field, title=title_field)
    choice = Choice(hidden=hidden, exclude=tuple(exclude or ()))
    taken = tuple(take_over or ())
    reading = Reading(format=format, fields=fields, passage_chars=passage_chars)
    if from_encoded:
        settled = reading, choice, keep_missing, dry_run, model, device
        if settled != (Reading(), Choice(), False, False, None, None):
            raise typer.BadParameter(f"goes with {_FITTING}", param_hint="--from-encoded")
        return index_encoded(files, out, _config(out, words, importance=importance, refine=refine), incomplete, taken)
    if incomplete:
        raise typer.BadParameter("goes with --from-encoded only", param_hint="--incomplete")
    sources = find_sources(files, choice)
    run = Run(out, sources, reading, keep_missing, taken)
    if dry_run:
        run.tell_plan()
    else:
        run.go(_config(out, words, importance=importance, refine=refine), partial(load_encoder, model, device))
    note_as_lines(sorted(run.as_lines), text_field)
    note_left_out(sources.left, choice)
    _tell(run, dry_run)


def _tell(run: Run, dry_run: bool) -> None:
    """Say what of the index is gone with its files, or seems to be there twice."""
    for name in run.gone:
        note(f"{'would be ' * dry_run}gone: {name}")
    if run.dropped:
        note(f"{'would be ' * dry_run}gone, since they are left out now: {some_of(run.dropped)}")
    if run.twins:
        old, new = run.twins
        note(f"the index has files of the same names in {old}: if {new} is that folder, `fgr delete` one of the two")


def _config(out: str, words: str | None, **kept: bool) -> IndexConfig | None:
    """Say how the index is to be: as it is, but with what is asked for; an index that differs is then refused."""
    from fgr_retriever.index.opening import config_of

    asked = {name: True for name, wanted in kept.items() if wanted}
    if words is None and not asked:
        return None
    config = config_of(out) or IndexConfig()
    return replace(config, words=config.words if words is None else words, **asked)
