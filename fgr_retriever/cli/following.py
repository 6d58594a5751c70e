"""How `fgr index` makes the passages of an index equal to those of files."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from itertools import chain, islice
from typing import TYPE_CHECKING

from fgr_retriever.cli.output import note
from fgr_retriever.cli.reading.files import STDIN, Reading, read_passages
from fgr_retriever.cli.reading.folders import some_of
from fgr_retriever.cli.reading.sources import Source, Sources
from fgr_retriever.config import IndexConfig
from fgr_retriever.index.sources import is_within, twice
from fgr_retriever.types import Added, Passage

if TYPE_CHECKING:
    from fgr_retriever.index.seam import Stored
    from fgr_retriever.model.encoder import Encoder

_STORED_AT_ONCE = 10_000  # passages: what an interrupted run loses at most


class Run:
    """One run of the command.

    Args:
        out: Where the index is.
        sources: The files.
        reading: How they become passages.
        keep_missing: Keep what is no longer in a folder, or is left out of it.
        taking_over: Names of stored files, or folders of them, whose passages may become those of these files.

    Attributes:
        gone: Names of stored files that are to be deleted, since they are no longer in their folder.
        dropped: The same, of files that are there and are not read any more.
        as_lines: Names of files, new or changed, whose records have no field for the text.
    """

    def __init__(
        self, out: str, sources: Sources, reading: Reading, keep_missing: bool, taking_over: Collection[str]
    ) -> None:
        self._out, self._reading, self._sources, self._stored = out, reading, sources, _stored(out)
        self._taking_over = list(taking_over)
        names = {source.name for source in sources.files}
        self._new = [source for source in sources.files if source.name not in self._stored]
        self._known = [source for source in sources.files if source.name in self._stored]
        folders = {folder.name for folder in sources.folders}
        missing = [name for name in self._stored if name not in names and is_within(name, folders)]
        missing = [] if keep_missing else missing
        there = {name: any(folder.has(name) for folder in sources.folders) for name in missing}
        self.gone = [name for name, still in there.items() if not still]
        self.dropped = [name for name, still in there.items() if still]
        self.as_lines: set[str] = set()
        self._unchanged: set[str] = set()

    def tell_plan(self) -> None:
        """Say what `go` would do; needs no model."""
        found = self._plan([*self._new, *self._known], {})
        counts = found.added, found.updated, found.deleted, found.unchanged
        note("would add {} passages, update {}, delete {} and leave {} as they are".format(*counts))

    def go(self, config: IndexConfig | None, load_encoder: Callable[[], Encoder]) -> None:
        """Bring the index up to date."""
        started = time.perf_counter()
        met: dict[str, str] = {}  # ids of the files that the index knows: a new file must not take one
        again = [source for source in self._known if str(source.path) != STDIN]  # stdin can be read but once
        found = self._plan(again, met)
        if config is None and not self._new and len(again) == len(self._known) and not _does_something(found):
            note(f"added 0 passages to {self._out}: nothing is new, {found.unchanged} were stored already")
            return
        from fgr_retriever.engine import Engine

        batches = _batches(self._passages(self._new, met))
        first = next(batches, [])  # a file that cannot be read ends the run here, before a folder is made
        names = [source.name for source in self._new]
        options = {"show_progress": sys.stderr.isatty()}
        with Engine.open(self._out, encoder=load_encoder(), config=config) as engine:
            older = [*(name for name in self._replaced if name != STDIN), *self._taking_over]
            done = [
                engine.refresh(batch, names, taking_over=older, delete_missing=False, **options)
                for batch in chain([first], batches)
            ]
            if self._replaced:
                known = self._passages(self._known, {})
                done.append(engine.refresh(known, self._replaced, taking_over=self._taking_over, **options))
            added, updated, same, deleted = (
                sum(getattr(one, name) for one in done) for name in ("added", "updated", "unchanged", "deleted")
            )
            more = f", updated {updated}" * bool(updated) + f", deleted {deleted}" * bool(deleted)
            more += f", {same} were stored already" * bool(same)
            seconds = time.perf_counter() - started
            note(f"added {added} passages to {self._out} in {seconds:.1f} s{more}; it has {len(engine)}")
            self._tell_leftovers(engine.sources() if self._taking_over else {})

    @property
    def twins(self) -> tuple[str, str] | None:
        """Name a stored folder, and a new one whose files are all new and have the same names."""
        for folder in self._sources.folders:
            names = [source.name for source in self._sources.files if is_within(source.name, {folder.name})]
            ends = {name[: -len(names[0])] for name in self._stored if name.endswith(f"/{names[0]}")}
            for before in sorted(ends) if not any(name in self._stored for name in names) else ():
                if all(before + name in self._stored for name in names):
                    return before + folder.name, folder.name
        return None

    @property
    def _replaced(self) -> list[str]:
        """Names of stored files whose passages are to be those of now, or none."""
        return [*(source.name for source in self._known), *self.gone, *self.dropped]

    def _plan(self, sources: Iterable[Source], met: dict[str, str]) -> Added:
        """Say what these files would change in the index, and put their ids into `met`."""
        from fgr_retriever.index.opening import config_of, open_stored

        passages = self._passages(sources, met)
        if config_of(self._out) is None:
            return Added(sum(1 for _ in passages), 0, 0)
        within = [*(source.name for source in self._new), *self._replaced, *self._taking_over]
        with closing(open_stored(self._out)) as stored:
            ids = chain.from_iterable(self._stored[name] for name in self._replaced)
            found = stored.plan(passages, ids, set(within))
            known = [] if self._names_no_field else self._known
            sheets = [source for source in known if source.name in self.as_lines]
            changed = _does_something(found)
            self._unchanged = {one.name for one in sheets if not (changed and self._is_changed(one, stored))}
            self.as_lines -= self._unchanged
            return found

    @property
    def _names_no_field(self) -> bool:
        """Say whether the field for the text was named, and no file has it: somebody mistyped it, perhaps."""
        records = {source.name for source in self._sources.files if self._reading.has_records(source.path)}
        return self._reading.fields.text is not None and records <= self.as_lines

    def _is_changed(self, source: Source, stored: Stored) -> bool:
        """Say whether a file that the index knows is another now."""
        passages = read_passages([source], self._reading)
        return str(source.path) == STDIN or _does_something(stored.plan(passages, self._stored[source.name]))

    def _passages(self, sources: Iterable[Source], met: dict[str, str]) -> Iterator[Passage]:
        """Read passages.

        Args:
            sources: The files.
            met: The ids that came already, and of which files; those of these files are added.

        Raises:
            InputError: An id comes twice.
        """
        for source in sources:
            for passage in read_passages([source], self._reading, self._note_as_lines):
                if passage.id in met:
                    raise twice(passage.id, source.name, met[passage.id])
                met[passage.id] = source.name
                yield passage

    def _note_as_lines(self, name: str) -> None:
        if name not in self._unchanged:
            self.as_lines.add(name)

    def _tell_leftovers(self, sources: dict[str, list[str]]) -> None:
        """Say what is left of files whose passages were taken over."""
        left = [name for name in sources if is_within(name, set(self._taking_over))]
        if left:
            count = sum(len(sources[name]) for name in left)
            note(f"{count} passages are still those of {some_of(left)}: `fgr delete` deletes them")


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
