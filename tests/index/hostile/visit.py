"""What is done with a hostile folder, in a process of its own: open, read, search, verify, write, compact, repair.

The law: whatever lies there, only errors of this library come out of it; a text that is read without an error is what
was stored; and what could be read before a write can be read after it.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from fgr_retriever.config import Calibration, SearchConfig, TrimConfig
from fgr_retriever.engine import Engine
from fgr_retriever.errors import FgrError, IndexCorruptError
from fgr_retriever.index.index import Index
from fgr_retriever.index.storage.repair import repair
from fgr_retriever.testing import WordEncoder
from fgr_retriever.types import Passage
from tests.index.durability.workload import WORDS, flush_early

CPU_SECONDS = 10
MEMORY = 2_000_000_000  # bytes beyond what is taken before anything is opened
_NEW = Passage("new", "radium in the ship of the comet", {"call": 99})


@dataclass(frozen=True)
class Task:
    """What to visit.

    Args:
        folder: The hostile folder.
        spare: A copy of it, to be repaired.
        texts: What may be read under each id; empty where anything may be.
        ids: What is there if nothing is damaged.
        kernel: Whether search may be compiled.
    """

    folder: Path
    spare: Path
    texts: Mapping[str, Collection[Passage]]
    ids: Collection[str]
    kernel: bool


@dataclass
class Visit:
    """What happened.

    Args:
        outcome: Who saw the damage.
        failures: Broken laws.
        memory: The most that was resident, in bytes.
    """

    outcome: str = ""
    failures: list[str] = field(default_factory=list)
    memory: int = 0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Take one step, which only an error of this library may end."""
        try:
            yield
        except FgrError:
            pass
        except BaseException as error:  # whatever else comes out is what is looked for
            frames = traceback.extract_tb(error.__traceback__)
            where = " < ".join(f"{Path(one.filename).name}:{one.lineno}" for one in reversed(frames[-4:]))
            self.failures.append(f"{name}: {type(error).__name__}: {error!s:.200} ({where})")


def visit(task: Task) -> Visit:
    """Do everything with one folder, and say what happened."""
    _bound()
    os.environ["FGR_KERNEL"] = "" if task.kernel else "none"
    if task.kernel:
        del os.environ["FGR_KERNEL"]
    torch.set_num_threads(1)
    flush_early()
    found = Visit()
    _use(task, found)
    _repair(task, found)
    found.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return found


def _bound() -> None:
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _use(task: Task, found: Visit) -> None:
    encoder = WordEncoder()
    found.outcome = "refused"
    engine = None
    with found.step("open"):
        engine = Engine.open(task.folder, encoder=encoder, create=not (task.folder / "manifest.json").exists())
    if engine is None:
        return
    with closing(engine):
        found.outcome = "seen by a call"
        before = _read(engine, task, found)
        is_intact = False
        with found.step("verify"):
            try:
                engine.verify()
                is_intact, found.outcome = True, "means nothing"
            except IndexCorruptError:
                found.outcome = "seen by verify"
        if is_intact and task.texts:
            _check_all(engine, task, found)
        are_pages_sound = _are_pages_sound(task.folder)
        gone = _write(engine, found)
    with found.step("open again"), closing(Engine.open(task.folder, encoder=encoder, create=False)) as engine:
        after = _read(engine, task, found)
        if task.texts and are_pages_sound and (lost := before.keys() - after.keys() - gone):
            found.failures.append(f"a write lost {len(lost)} passages of {len(before)}, such as {sorted(lost)[0]!r}")
        if is_intact and task.texts:
            engine.verify()
            return
    if is_intact and task.texts and not found.failures:
        with suppress(FgrError), closing(Engine.open(task.folder, encoder=encoder, create=False)):
            return
        found.failures.append("an intact index cannot be opened after a write")


def _are_pages_sound(folder: Path) -> bool:
    """Let SQLite check its pages: what a write does with damaged ones is not in our hands."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(folder / "passages.sqlite")) as connection:
        return connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",)
    return False


def _read(engine: Engine, task: Task, found: Visit) -> dict[str, Passage]:
    """Read in every way, and give what can be read by id."""
    config = TrimConfig(max_tokens=60)
    kept: dict[str, Passage] = {}
    ids = list(task.texts)
    with found.step("ids"):
        ids = [*dict.fromkeys([*ids, *engine.ids()])]
    for id in ids:
        with found.step("get"):
            kept.update((passage.id, passage) for passage in engine.get([id]))
    hits: list[Passage] = []
    questions = [" ".join(WORDS[:4]), " ".join(WORDS[20:23])]
    for question in questions:
        with found.step("search"):
            for hit in engine.search(question, k=8):
                hits.append(hit.passage)
                if any(not 0 <= span.start < span.end <= len(hit.passage.text) for span in hit.spans):
                    found.failures.append(f"a span leaves the text of {hit.passage.id!r}")
                hit.to_html()
        with found.step("retrieve"):
            context = engine.retrieve(question, k=5, trim=config, count_tokens=len, filter={"call": {"$gte": 1}})
            context.to_html()
        with found.step("rank"):
            engine.rank(question, k=5)
        with found.step("words"):
            engine._index.words(question, 5)
    with found.step("exact"):
        vectors = WordEncoder().encode_queries(questions)
        hits += [match.passage for match in engine._index.search(vectors, 5, config=SearchConfig(exact=True))[0]]
    for name, call in _FACTS.items():
        with found.step(name):
            call(engine)
    if task.texts:
        wrong = [one for one in (*kept.values(), *hits) if one not in task.texts.get(one.id, ()) and one != _NEW]
        found.failures.extend(f"reads a wrong text: {one!r:.200}" for one in wrong[:1])
    return kept


_FACTS: dict[str, Callable[[Engine], object]] = {
    "info": Engine.info,
    "len": len,
    "in": lambda engine: "0-1" in engine,
    "lacks": lambda engine: engine._index.lacks(),
    "score": lambda engine: engine._index.maxsim(torch.ones(1, 128) / 128**0.5, ["0-1", "0-2", "1-3"]),
}


def _check_all(engine: Engine, task: Task, found: Visit) -> None:
    """After `verify` has found nothing, everything is there."""
    with found.step("get all"):
        there = {passage.id: passage for passage in engine.get(task.texts)}
        if missing := {*task.ids} - there.keys():
            found.failures.append(f"verify is content, and {len(missing)} passages are missing")


def _write(engine: Engine, found: Visit) -> set[str]:
    """Write in every way, and give the ids that were replaced or removed."""
    some = Passage("0-1", "nobel in stockholm", {})
    with found.step("add"):
        engine.add([_NEW])
    with found.step("replace"):
        engine.add([some])
    with found.step("delete"):
        engine.delete(["0-2"])
    with found.step("calibrate"):
        engine._index.calibrate(Calibration(threshold=0.4))
    with found.step("upgrade"):
        engine.upgrade()
    with found.step("compact"):
        engine.compact()
    with found.step("put back"):
        engine.delete(["0-1", "new"])
    return {"0-1", "0-2", "new"}


def _repair(task: Task, found: Visit) -> None:
    """Repair a copy: what is there afterwards is intact, or nothing could be saved."""
    report = None
    with found.step("repair"):
        report = repair(task.spare)
    if report is None:
        return
    intact = False
    with found.step("verify what was repaired"), closing(Index.open(task.spare, WordEncoder(), create=False)) as index:
        try:
            index.verify()
            intact = True
        except IndexCorruptError as error:
            found.failures.append(f"repair left damage: {error!s:.200}")
        passages = index.get(task.texts)
        if any(passage not in task.texts[passage.id] for passage in passages):
            found.failures.append("repair saved a wrong text")
    if not intact and not found.failures:
        found.failures.append("what was repaired cannot be opened")
