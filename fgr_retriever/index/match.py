"""What an index finds."""

from __future__ import annotations

from dataclasses import dataclass

from fgr_retriever.model.tokens import StoredTokens
from fgr_retriever.types import Passage


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """A passage that something found, with what evidence needs.

    Args:
        passage: The passage as it was stored.
        score: MaxSim of query and passage.
        tokens: Its tokens as they are stored.
    """

    passage: Passage
    score: float
    tokens: StoredTokens
