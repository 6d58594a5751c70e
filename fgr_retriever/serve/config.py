"""What a server does at once, and how long it waits."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from fgr_retriever.arguments import check, is_count, is_number, strict_arguments
from fgr_retriever.config import Strict
from fgr_retriever.errors import ConfigError


@strict_arguments(ConfigError)
@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig(Strict):
    """What a server does at once, what it lets wait, and how long it waits itself.

    Args:
        searches: Searches at once; None means one for each processor core.
        queue: Searches that wait for their turn; one more is refused. While every client waits for its
            answer before it asks again, up to `searches + queue` clients are never refused.
        time_limit: Seconds for a search, its waiting included.
        patience: Seconds in which a client must send a whole request, or take the next part of its answer.
        connections: Connections at once; one more takes the place of the one that has been silent longest.
        grace: Seconds that running searches get when the server stops.
    """

    searches: int | None = None
    queue: int = 128
    time_limit: float = 30.0
    patience: float = 10.0
    connections: int = 512
    grace: float = 5.0

    def __post_init__(self) -> None:
        """Check every field."""
        check("searches", self.searches, self.searches is None or is_count(self.searches, 1), "None or at least 1")
        check("queue", self.queue, is_count(self.queue, 0), "an integer of at least 0")
        check("connections", self.connections, is_count(self.connections, 1), "an integer of at least 1")
        for name in ("time_limit", "patience"):
            value = getattr(self, name)
            check(name, value, is_number(value) and 0 < value < math.inf, "a number of seconds above 0")
        check("grace", self.grace, is_number(self.grace) and 0 <= self.grace < math.inf, "a number of seconds")

    @property
    def at_once(self) -> int:
        """How many searches run at once."""
        return self.searches or cores()


def cores() -> int:
    """Count the processor cores that this process may use; in a container they are fewer than the machine has."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1
