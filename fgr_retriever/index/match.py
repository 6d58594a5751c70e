"""The result of a search in an index."""

from __future__ import annotations

from dataclasses import dataclass

from fgr_retriever.model.tokens import StoredTokens
from fgr_retriever.text.units import Units
from fgr_retriever.types import Passage


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """A passage that was found, with the data that evidence needs.

    Args:
        passage: The passage as it was stored.
        score: MaxSim of query and passage.
        tokens: Its stored tokens.
        units: The borders of its sentences, phrases and paragraphs, if the index keeps them; None if they
            must be worked out from the text.
    """

    passage: Passage
    score: float
    tokens: StoredTokens
    units: Units | None = None
