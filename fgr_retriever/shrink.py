"""Cut one span that is too long for a budget down to its best part that fits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fgr_retriever.atoms import cuts
from fgr_retriever.sentences import phrases, sentences
from fgr_retriever.spans import EvidenceSums, Ranges, as_ranges
from fgr_retriever.types import Span, TokenEvidence

# Sentences, and phrases, that are tried before going down to words; each try counts tokens.
PIECES_TRIED = 32
# Words on either side of the best word that may be kept.
MOST_WORDS = 256


def shrink(text: str, evidence: TokenEvidence, span: Span, fits: Callable[[Span], bool]) -> Span | None:
    """Find the best part of a span that fits: a sentence, else a phrase, else a few words.

    Args:
        text: The passage.
        evidence: Probability and character range of each of its tokens.
        span: What is too long.
        fits: Says whether a part is short enough.

    Returns:
        The sentence, or else the phrase, with the most evidence; or else as many words around the
        likeliest one as fit; None when not even that word does.
    """
    sums = EvidenceSums.of(evidence)
    whole = [(max(start, span.start), min(end, span.end)) for start, end in sentences(text)]
    parts = [(start, end) for start, end in whole if start < end]
    clauses = [clause for start, end in parts for clause in phrases(text, start, end)]
    for pieces in (parts, clauses):
        for piece in _richest(sums, as_ranges(pieces)):
            if piece.end - piece.start < span.end - span.start and fits(piece):
                return piece
    return _words(text, sums, as_ranges(clauses), fits)


def _richest(sums: EvidenceSums, ranges: Ranges) -> tuple[Span, ...]:
    """Order ranges by the evidence in them, the most first."""
    order = (-sums.masses(ranges)).argsort(kind="stable")[:PIECES_TRIED]
    return sums.spans(ranges[order])


def _words(text: str, sums: EvidenceSums, clauses: Ranges, fits: Callable[[Span], bool]) -> Span | None:
    """Find the most words around the likeliest one, within its phrase, that fit."""
    edges = [cuts(text, start, end) for start, end in clauses.tolist()]
    words = [np.stack([found[:-1], found[1:]], axis=1) for found in edges]
    peaks = [float(sums.means(found).max(initial=-1.0)) for found in words]
    if not peaks:
        return None
    ranges = words[int(np.argmax(peaks))]
    windows = _windows(text, ranges, sums.means(ranges))
    fitting, too_many = 0, len(windows) + 1
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        if fits(sums.spans(as_ranges([windows[middle - 1]]))[0]):
            fitting = middle
        else:
            too_many = middle
    return sums.spans(as_ranges([windows[fitting - 1]]))[0] if fitting else None


def _windows(text: str, words: Ranges, means: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[tuple[int, int]]:
    """Grow a window word by word from the likeliest one, towards the likelier neighbour."""
    visible = [place for place, (start, end) in enumerate(words.tolist()) if not text[start:end].isspace()]
    words, scores = words[visible], means[visible]
    first = last = int(scores.argmax())
    found = [(int(words[first, 0]), int(words[last, 1]))]
    while len(found) < 2 * MOST_WORDS and (first > 0 or last + 1 < len(words)):
        left = scores[first - 1] if first > 0 else -1.0
        right = scores[last + 1] if last + 1 < len(words) else -1.0
        first, last = (first - 1, last) if left > right else (first, last + 1)
        found.append((int(words[first, 0]), int(words[last, 1])))
    return found
