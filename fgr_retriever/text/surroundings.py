"""What stands around a range of a text."""

from __future__ import annotations

import numpy as np

from fgr_retriever.arguments import is_count
from fgr_retriever.errors import InputError
from fgr_retriever.text.sentences import sentences


def widen(text: str, start: int, end: int, count: int) -> tuple[int, int]:
    """Grow a range to whole sentences, and by some more on either side.

    Args:
        text: Any text.
        start: First character of the range.
        end: One past its last character.
        count: Sentences to add before and behind those that the range touches.

    Returns:
        The wider range; it contains the given one.

    Raises:
        InputError: There is no such range in the text, or `count` is no integer of at least 0.
    """
    if not 0 <= start <= end <= len(text):
        raise InputError(f"span ({start}, {end}): the passage has the characters 0 to {len(text)}")
    if not is_count(count, 0):
        raise InputError(f"sentences={count!r}: must be an integer of at least 0")
    ranges = np.array(sentences(text), dtype=np.int64).reshape(-1, 2)
    if not len(ranges):
        return start, end
    first = int(ranges[:, 1].searchsorted(start, "right"))
    last = int(ranges[:, 0].searchsorted(max(end, start + 1), "left")) - 1
    edges = np.clip([first - count, last + count], 0, len(ranges) - 1)
    return min(start, int(ranges[edges[0], 0])), max(end, int(ranges[edges[1], 1]))
