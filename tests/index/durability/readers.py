"""Many readers and one writer: every read is one moment between what was done before it and begun after.

A group of passages is written, replaced and deleted as a whole. Its version counts these calls: after
an odd number its passages are there, all of that version, after an even number none is. A reader notes
which versions are done before it reads and which are begun when it has read; what it sees must lie
between the two.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from fgr_retriever.index.index import Index
from fgr_retriever.types import Passage
from tests.index.durability.processes import LawBrokenError, processes
from tests.index.durability.workload import (
    CONFIGS,
    ENCODER,
    EXACT,
    WORDS,
    Trial,
    check_tokens,
    flush_early,
    text_of,
)

GROUPS, GROUP_SIZE = 8, 10


def reader_trials(folder: Path, seconds: float, threads: int = 8, others: int = 2, seed: int = 0) -> list[Trial]:
    """Let threads of one process and further processes read while another process writes.

    Args:
        folder: Where to make the index.
        seconds: How long.
        threads: Reading threads in the first reading process.
        others: Reading processes besides, with one thread each.
        seed: Of what is written and read.

    Returns:
        One trial for each reading thread, its outcome the number of reads; and one for the writer.
    """
    context, place = processes(), folder / "index"
    done, begun = context.Array("q", GROUPS), context.Array("q", GROUPS)
    stop = context.Event()
    Index.open(place, ENCODER, CONFIGS[0]).close()
    jobs: list[tuple[Any, tuple[Any, ...]]] = [(_write, (place, done, begun, stop, seed))]
    jobs += [(_read, (place, done, begun, stop, size, seed + size)) for size in [threads, *[1] * others]]
    lines, running = [], []
    for target, args in jobs:
        ours, theirs = context.Pipe(duplex=False)
        running.append(context.Process(target=target, args=(*args, theirs), daemon=True))
        running[-1].start()
        theirs.close()
        lines.append(ours)
    for line in lines:
        line.recv()  # it is ready
    time.sleep(seconds)
    stop.set()
    found: list[Trial] = []
    for line in lines:
        try:
            found += line.recv()
        except EOFError:
            found.append(Trial("process", "failed", "died"))
    for process in running:
        process.join()
    return found


def _write(folder: Path, done: Any, begun: Any, stop: Any, seed: int, line: Connection) -> None:
    """Write, replace and delete groups, and compact now and then, until told to stop."""
    flush_early()
    torch.set_num_threads(1)
    line.send("ready")
    drawn, calls, failure = random.Random(seed), 0, ""
    try:
        with closing(Index.open(folder, ENCODER)) as index:
            while not stop.is_set():
                group = drawn.randrange(GROUPS)
                begun[group] += 1
                if begun[group] % 2:
                    index.add(_group(group, begun[group]))
                else:
                    index.delete(_ids(group))
                done[group] = begun[group]
                calls += 1
                if calls % 20 == 0:
                    index.compact()
            index.verify()
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    line.send([Trial("writer", f"{calls} writes", failure)])


def _read(folder: Path, done: Any, begun: Any, stop: Any, threads: int, seed: int, line: Connection) -> None:
    """Read with some threads over one index until told to stop."""
    torch.set_num_threads(1)
    with closing(Index.open(folder, ENCODER)) as index:
        line.send("ready")
        found: list[Trial] = []
        reading = [
            threading.Thread(target=lambda i=i: found.append(_reads(index, done, begun, stop, seed + i)))
            for i in range(threads)
        ]
        for thread in reading:
            thread.start()
        for thread in reading:
            thread.join()
        line.send(found)


def _reads(index: Index, done: Any, begun: Any, stop: Any, seed: int) -> Trial:
    """Read until told to stop or until a law is broken."""
    drawn, reads, failure = random.Random(seed), 0, ""
    try:
        while not stop.is_set():
            _read_once(index, done, begun, drawn)
            reads += 1
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    return Trial("reader", f"{reads} reads", failure or ("" if reads else "read nothing"))


def _read_once(index: Index, done: Any, begun: Any, drawn: random.Random) -> None:
    least = done[:]
    if drawn.random() < 0.5:
        group = drawn.randrange(GROUPS)
        found, groups = index.get(_ids(group)), [group]
    else:
        query = ENCODER.encode_queries([" ".join(drawn.sample(WORDS, 2))])
        matches = index.search(query, GROUPS * GROUP_SIZE, config=EXACT)[0]
        found, groups = [match.passage for match in matches], list(range(GROUPS))
        check_tokens(matches, index.config.importance)
    most = begun[:]
    for group in groups:
        _check_group(group, [one for one in found if one.metadata["group"] == group], least[group], most[group])


def _check_group(group: int, found: Sequence[Passage], least: int, most: int) -> None:
    """Raise LawBrokenError unless a group is there in one version that could be there."""
    if not found:
        if least == most and least % 2:
            raise LawBrokenError(f"group {group} of version {least} is not there")
        return
    version = found[0].metadata["version"]
    right = {passage.id: passage for passage in _group(group, int(str(version)))}
    if {passage.id: passage for passage in found} != right:
        raise LawBrokenError(
            f"group {group} is there by halves: {len(found)} passages, of version {version} and others"
        )
    if not least <= int(str(version)) <= most:
        raise LawBrokenError(f"group {group} is there in version {version}, not in one from {least} to {most}")


def _group(group: int, version: int) -> list[Passage]:
    drawn = random.Random(f"{group} {version}")
    metadata = {"group": group, "version": version}
    return [Passage(id, text_of(id, version, 20, drawn), metadata) for id in _ids(group)]


def _ids(group: int) -> list[str]:
    return [f"{group}-{part}" for part in range(GROUP_SIZE)]
