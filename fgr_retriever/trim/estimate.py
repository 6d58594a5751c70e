"""What counts a budget when the default tokenizer cannot be had: an estimate that errs on the safe side."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import regex

from fgr_retriever.config import TrimConfig
from fgr_retriever.errors import TokenCounterError
from fgr_retriever.trim.budget import TokenCounter, token_counter

logger = logging.getLogger(__name__)

MARGIN = 1.25
"""Tokens that the estimate takes for one WordPiece token of an English word."""

# With the space before it: the encodings of tiktoken begin a token there.
_WORD = regex.compile(r" ?(?<![A-Za-z])([A-Za-z][a-z]{0,19})(?![A-Za-z])")
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class EstimatedCounter:
    """Estimates how many tokens a byte-level tokenizer makes of a text, rather too many than too few.

    A word of ASCII letters counts `MARGIN` times its WordPiece tokens, and each text with such words
    one token more. Everything else, such as digits, capitals, other scripts and line ends, counts one
    token for each byte of its UTF-8, which no tokenizer of bytes exceeds.

    Args:
        name: The tokenizer that it stands for.
        words: Counts the WordPiece tokens of words.
    """

    name: str
    words: TokenCounter

    def __call__(self, text: str) -> int:
        """Estimate the tokens of a text."""
        words: list[str] = _WORD.findall(text)
        rest = len(_WORD.sub("", text).encode("utf-8", "surrogatepass"))
        return rest + (ceil(MARGIN * self.words(" ".join(words))) + 1 if words else 0)

    @property
    def note(self) -> str:
        """What the report says about it."""
        return (
            f"the tokens are estimated with a margin of {MARGIN - 1:.0%} for words and one token a byte for all else, "
            f"because {self.name} cannot be loaded: the budget holds fewer words than with the real tokenizer"
        )


def note_of(counter: TokenCounter | None) -> str:
    """What the report says about a counter: that of an `EstimatedCounter`, also behind another one with a `note`."""
    return getattr(counter, "note", "")


def budget_counter(tokenizer: str) -> TokenCounter:
    """Make the counter of a budget.

    Args:
        tokenizer: As in `TrimConfig`.

    Returns:
        The counter of `token_counter`. If the default tokenizer cannot be loaded, an
        `EstimatedCounter`, until the process ends; a warning is logged once.

    Raises:
        TokenCounterError: Another tokenizer than the default one is not available.
    """
    if tokenizer != TrimConfig().tokenizer:
        return token_counter(tokenizer)
    with _lock:  # or two threads warn
        return _default_counter()


@lru_cache(maxsize=1)
def _default_counter() -> TokenCounter:
    """Load the default tokenizer, or what stands for it: nobody waits for the network twice."""
    from fgr_retriever.model.embedded import embedded_model

    name = TrimConfig().tokenizer
    try:
        return token_counter(name)
    except TokenCounterError as error:
        found = EstimatedCounter(name, token_counter(str(embedded_model())))
        logger.warning("%s. Until then, %s", error, found.note)
        return found
