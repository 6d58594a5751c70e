"""Make an index of files, and let it follow them: `fgr index`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import chain, islice
from typing import Annotated

import typer

from fgr_retriever.cli.encode import index_encoded
from fgr_retriever.cli.options import (
    Device,
    DryRun,
    FormatName,
    IdField,
    Model,
    PassageChars,
    TextField,
    TitleField,
    load_encoder,
    note_as_lines,
)
from fgr_retriever.cli.output import note
from fgr_retriever.cli.reading.files import Reading, read_passages
from fgr_retriever.cli.reading.records import Fields
from fgr_retriever.cli.reading.sources import Source, Sources, find_sources
from fgr_retriever.config import IndexConfig
from fgr_retriever.errors import InputError
from fgr_retriever.index.sources import is_within
from fgr_retriever.types import Added, Passage

_STORED_AT_ONCE = 10_000  # passages: what an interrupted run loses at most

_Out = Annotated[
    str, typer.Option(metavar="DIR|URL", help="The folder of the index, or qdrant://HOST/COLLECTION; made if missing.")
]
_Words = Annotated[
    str | None,
    typer.Option(metavar="LANGUAGE", help="A new index also keeps words for BM25: english, german, plain, ..."),
]
_KeepMissing = Annotated[
    bool, typer.Option("--keep-missing", help="Keep what the index has of files that are gone from a folder.")
]
_FromEncoded = Annotated[
    bool, typer.Option("--from-encoded", help="FILES are folders of encoded shards: index these, without a model.")
]
_Incomplete = Annotated[
    bool, typer.Option("--incomplete", help="With --from-encoded: do without the shards that are missing.")
]


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
    text_field: TextField = None,
    title_field: TitleField = None,
    passage_chars: PassageChars = 1500,
    words: _Words = None,
    importance: Annotated[
        bool, typer.Option("--importance", help="A new index also keeps how important tokens are, for ColBERT-Att.")
    ] = False,
    refine: Annotated[
        bool, typer.Option("--refine", help="A new index also keeps a second layer of bits, for its last candidates.")
    ] = False,
    from_encoded: _FromEncoded = False,
    incomplete: _Incomplete = False,
    keep_missing: _KeepMissing = False,
    dry_run: DryRun = False,
    model: Model = None,
    device: Device = None,
) -> None:
    """Make the passages of an index equal to those of files: run the same command every day.

    Files that the index does not know are added, 10,000 passages at a time. Then changed files take the place of what
    they were, and files that are gone from a folder are deleted, in one step that happens as a whole or not at all.
    What is stored with the same text is not encoded again. After an interruption, run the same command again.

    With --from-encoded, the passages that `fgr encode` encoded are added in one step, and nothing is deleted.

    In JSON Lines, JSON and CSV every record is a passage, and the fields that are neither id nor text become its
    metadata, also those in an object `metadata`. Where there is no field for the text, a passage is lines of
    `field: value`, as of a row of a sheet.
    """
    fields = Fields(id=id_field, text=text_field, title=title_field)
    reading = Reading(format=format, fields=fields, passage_chars=passage_chars)
    if from_encoded:
        if reading != Reading() or keep_missing or dry_run or model is not None or device is not None:
            others = "--out, --words, --importance, --refine and --incomplete: `fgr encode` settled all else"
            raise typer.BadParameter(f"goes with {others}", param_hint="--from-encoded")
        return index_encoded(files, out, _config(out, words, importance=importance, refine=refine), incomplete)
    if incomplete:
        raise typer.BadParameter("goes with --from-encoded only", param_hint="--incomplete")
    run = _Run(out, find_sources(files), reading, keep_missing)
    if dry_run:
        found = run.planned()
        counts = found.added, found.updated, found.deleted, found.unchanged
        note("would add {} passages, update {}, delete {} and leave {} as they are".format(*counts))
    else:
        run.go(_config(out, words, importance=importance, refine=refine), model, device)
    note_as_lines(sorted(run.as_lines), text_field)
    for name in run.gone:
        note(f"{'would be ' * dry_run}gone: {name}")


class _Run:
    """One run of the command.

    Args:
        out: Where the index is.
        sources: The files.
        reading: How they become passages.
        keep_missing: Keep what is no longer in a folder.

    Attributes:
        gone: Names of stored files that are to be deleted.
        as_lines: Names of files whose records have no field for the text.
    """

    def __init__(self, out: str, sources: Sources, reading: Reading, keep_missing: bool) -> None:
        self._out, self._reading, self._stored = out, reading, _stored(out)
        names = {source.name for source in sources.files}
        self._new = [source for source in sources.files if source.name not in self._stored]
        self._known = [source for source in sources.files if source.name in self._stored]
        missing = [name for name in self._stored if name not in names and is_within(name, sources.folders)]
        self.gone = [] if keep_missing else missing
        self.as_lines: set[str] = set()

    def planned(self) -> Added:
        """Say what `go` would do; needs no model."""
        from fgr_retriever.index.opening import config_of, open_stored

        passages = self._passages([*self._new, *self._known])
        if config_of(self._out) is None:
            return Added(sum(1 for _ in passages), 0, 0)
        with closing(open_stored(self._out)) as stored:
            return stored.plan(passages, chain.from_iterable(self._stored[name] for name in self._replaced))

    def go(self, config: IndexConfig | None, model: str | None, device: str | None) -> None:
        """Bring the index up to date."""
        started = time.perf_counter()
        if config is None and not self._new and not _does_something(found := self.planned()):
            note(f"added 0 passages to {self._out}: nothing is new, {found.unchanged} were stored already")
            return
        from fgr_retriever.engine import Engine

        batches = _batches(self._passages(self._new))
        first = next(batches, [])  # a file that cannot be read ends the run here, before a folder is made
        show = sys.stderr.isatty()
        with Engine.open(self._out, encoder=load_encoder(model, device), config=config) as engine:
            done = [engine.add(batch, show_progress=show) for batch in chain([first], batches)]
            if self._replaced:
                done.append(engine.refresh(self._passages(self._known), self._replaced, show_progress=show))
            added, updated, same, deleted = (
                sum(getattr(one, name) for one in done) for name in ("added", "updated", "unchanged", "deleted")
            )
            more = f", updated {updated}" * bool(updated) + f", deleted {deleted}" * bool(deleted)
            more += f", {same} were stored already" * bool(same)
            seconds = time.perf_counter() - started
            note(f"added {added} passages to {self._out} in {seconds:.1f} s{more}; it has {len(engine)}")

    @property
    def _replaced(self) -> list[str]:
        """Names of stored files whose passages are to be those of now, or none."""
        return [*(source.name for source in self._known), *self.gone]

    def _passages(self, sources: Iterable[Source]) -> Iterator[Passage]:
        """Read passages.

        Raises:
            InputError: An id comes twice.
        """
        seen: set[str] = set()
        for passage in read_passages(sources, self._reading, self.as_lines.add):
            if passage.id in seen:
                raise InputError(f"passage id {passage.id!r} comes twice: ids must be unique in one run")
            seen.add(passage.id)
            yield passage


def _config(out: str, words: str | None, **kept: bool) -> IndexConfig | None:
    """Say how the index is to be: as it is, but with what is asked for; an index that differs is then refused."""
    from fgr_retriever.index.opening import config_of

    asked = {name: True for name, wanted in kept.items() if wanted}
    if words is None and not asked:
        return None
    config = config_of(out) or IndexConfig()
    return replace(config, words=config.words if words is None else words, **asked)


def _stored(out: str) -> dict[str, list[str]]:
    """List the ids that an index has by source; none if there is no index yet."""
    from fgr_retriever.index.opening import config_of, open_stored

    if config_of(out) is None:
        return {}
    with closing(open_stored(out)) as stored:
        return stored.sources()


def _does_something(planned: Added) -> bool:
    return bool(planned.added or planned.updated or planned.deleted)


def _batches(passages: Iterator[Passage]) -> Iterator[list[Passage]]:
    """Cut passages into the runs that are stored at once."""
    while batch := list(islice(passages, _STORED_AT_ONCE)):
        yield batch
