"""Kill a process while it writes to a collection in Qdrant's core, and see what is left."""

import multiprocessing
import os
import random
import signal
import time

from fgr_retriever import Engine, Passage, QdrantCollection
from fgr_retriever.testing import WordEncoder
from tests.index.qdrant.core import CoreClient

_BATCH = 7  # passages of one `add`


def lost_after(kills, folder, seed=0):
    """Kill a writer some times, each at another moment; see each time that nothing acknowledged is missing or damaged.

    Args:
        kills: How often.
        folder: Where the core keeps its shard.
        seed: Of the moments.

    Returns:
        How many passages were acknowledged, and the ids of those that are missing.
    """
    moments = random.Random(seed)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fgr_retriever.engine", "fgr_retriever.testing", "tests.index.qdrant.core"])
    acknowledged, missing = 0, set()
    for _ in range(kills):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_write, args=(theirs, str(folder), acknowledged), daemon=True)
        process.start()
        theirs.close()
        acknowledged = ours.recv()  # it has begun
        time.sleep(moments.uniform(0, 0.2))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        while True:
            try:
                acknowledged = ours.recv()
            except EOFError:
                break
        missing |= _missing(folder, acknowledged)
    return acknowledged, missing


def _write(line, folder, first):
    engine = _open(folder)
    while True:
        some = [Passage(str(row), f"passage{row} of a kiln", {"row": row}) for row in range(first, first + _BATCH)]
        engine.add(some)
        first += _BATCH
        line.send(first)


def _missing(folder, acknowledged):
    with _open(folder) as engine:
        engine.verify()
        found = set(engine.ids())
        client = engine._index._server.place.client
    client.close()
    return {str(row) for row in range(acknowledged)} - found


def _open(folder):
    client = CoreClient(folder, log=True)
    return Engine.open(QdrantCollection(client, "p", storage="exact"), encoder=WordEncoder())
