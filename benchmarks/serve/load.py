"""One measurement: so many clients for so long, with or without a hostile one."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.serve.clients import Answers, honest, hostile
from benchmarks.serve.servers import Server

_SAMPLE_S = 0.1


@dataclass(frozen=True)
class Measured:
    """What came of it.

    Args:
        answers: What the honest clients got.
        hostile: What the hostile one got; empty if there was none.
        seconds: How long it took.
        processor: Seconds of processor time that the server took.
        memory: Resident memory of the server before, at most and after, in MB.
        threads: Most threads of the server.
    """

    answers: Answers
    hostile: Counter[str]
    seconds: float
    processor: float
    memory: tuple[float, float, float]
    threads: int

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.answers.seconds) / self.seconds

    def percentile_ms(self, share: float) -> float:
        """Give the time in which a share, in percent, of the honest clients' answers came."""
        return float(1000 * np.percentile(self.answers.seconds or [np.nan], share))


async def measure(
    server: Server, questions: Sequence[str], clients: int, seconds: float, with_hostile: bool
) -> Measured:
    """Let clients ask.

    Args:
        server: A running server.
        questions: Each client begins at another one.
        clients: How many honest ones.
        seconds: How long.
        with_hostile: Whether there is a hostile one.
    """
    answers, before, begun, start = Answers(), server.megabytes(), server.processor_s(), time.perf_counter()
    until = start + seconds
    asking = [
        honest(server.kind, server.port, [*questions[one % len(questions) :], *questions], until, answers)
        for one in range(clients)
    ]
    attack = asyncio.ensure_future(hostile(server.kind, server.port, until)) if with_hostile else None
    watch = asyncio.ensure_future(_watch(server))
    await asyncio.gather(*asking)
    took = time.perf_counter() - start
    seen = await attack if attack else Counter()
    watch.cancel()
    peak, threads = (await asyncio.gather(watch))[0]
    processor = server.processor_s() - begun
    return Measured(answers, seen, took, processor, (before, max(before, peak), server.megabytes()), threads)


async def _watch(server: Server) -> tuple[float, int]:
    """Watch memory and threads of the server, until cancelled."""
    peak, threads = 0.0, 0
    try:
        while True:
            peak = max(peak, server.megabytes())
            threads = max(threads, server.process.num_threads())
            await asyncio.sleep(_SAMPLE_S)
    except asyncio.CancelledError:
        return peak, threads
