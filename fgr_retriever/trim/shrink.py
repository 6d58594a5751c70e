"""Cut one span that is too long for a budget down to its best part that fits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.evidence.spans import EvidenceSums, Ranges, as_ranges
from fgr_retriever.text.atoms import cuts
from fgr_retriever.text.query_words import query_words, stems
from fgr_retriever.text.units import Units
from fgr_retriever.types import Span, TokenEvidence

# Evidence that a whole sentence or phrase must have, as a share of that of the best run of words.
_WHOLE = 0.8
# Of these, the most with which that is tried: in a long span hundreds have as much evidence as a short run.
_PIECES_TRIED = 32
# Share of its evidence with which a word counts that tells the reader nothing new: a word of the question or a
# function word. Otherwise the run that repeats the question wins, and the answer beside it is cut off. Answers kept
# at 5 % of the tokens and at 12, 16, 22 tokens, against 1: qed and two of SQuADShifts (1,000 passages)
# 0.5: +5.4 +2.2 +2.1 +0.9; 0.3: +6.8 +2.7 +2.0 +0.9; 0.1: +6.9 +2.6 +1.7 +0.9. Words kept of whole marked
# sentences, which function words count for, fall by 0.4 to 0.9 with 0.5 and by 1.2 to 1.6 with 0.3.
_NOTHING_NEW = 0.5
# Function words that turn a statement round: they always count in full.
_NEGATIONS = frozenset(("no", "not", "never", "nor", "neither", "without"))


def shrink(
    text: str, evidence: TokenEvidence, span: Span, fits: Callable[[Span], bool], known: frozenset[str]
) -> Span | None:
    """Find the part of a span that fits and has the most evidence.

    Args:
        text: The passage.
        evidence: Probability and character range of each of its tokens.
        span: The span that is too long.
        fits: Says whether a part is short enough; each call counts the whole context.
        known: Stems of the content words of the question.

    Returns:
        A run of words, or a whole sentence or phrase that has almost as much evidence; None if not
        even the likeliest word fits.
    """
    sums = EvidenceSums.of(evidence)
    units = Units.near(text, np.arange(span.start, span.end))
    parts, clauses = (_clipped(ranges, span) for ranges in (units.sentences, units.phrases))
    words = _words(text, clauses)
    worths = sums.masses(words) * _news(text, words, known)
    mass = np.concatenate([[0.0], np.cumsum(worths)])
    run = _richest_run(sums, words, mass, fits)
    if run is None:
        return None
    pieces = as_ranges([(start, end) for start, end in parts + clauses if end - start < span.end - span.start])
    masses = _between(mass, words, pieces)
    least = _WHOLE * float(_between(mass, words, as_ranges([(run.start, run.end)]))[0])
    order = (-masses).argsort(kind="stable")
    found = sums.spans(pieces[order[masses[order] >= least][:_PIECES_TRIED]])
    return next((piece for piece in found if fits(piece)), run)


def _clipped(ranges: Ranges, span: Span) -> list[tuple[int, int]]:
    """List what lies in a span of some ranges that ascend."""
    first, last = ranges[:, 1].searchsorted(span.start, "right"), ranges[:, 0].searchsorted(span.end)
    return [(max(start, span.start), min(end, span.end)) for start, end in ranges[first:last].tolist()]


def _richest_run(
    sums: EvidenceSums, words: Ranges, mass: NDArray[np.float64], fits: Callable[[Span], bool]
) -> Span | None:
    """Find by bisection the most words in a row that fit, always those with the most evidence."""

    def run(count: int) -> Span:
        first = int((mass[count:] - mass[:-count]).argmax())
        return sums.spans(as_ranges([(int(words[first, 0]), int(words[first + count - 1, 1]))]))[0]

    fitting, too_many = 0, len(words) + 1
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        if fits(run(middle)):
            fitting = middle
        else:
            too_many = middle
    return run(fitting) if fitting else None


def _between(mass: NDArray[np.float64], words: Ranges, ranges: Ranges) -> NDArray[np.float64]:
    """Sum the words in each range, given the running sum over all words, (w + 1,): (n, 2) to (n,)."""
    first, last = words[:, 0].searchsorted(ranges[:, 0]), words[:, 1].searchsorted(ranges[:, 1], "right")
    return np.subtract(mass[last], mass[first])


def _news(text: str, words: Ranges, known: frozenset[str]) -> NDArray[np.float64]:
    """Weigh words by whether they tell a reader who knows the question anything, (n, 2) to (n,)."""
    found = np.ones(len(words))
    for place, (start, end) in enumerate(words.tolist()):
        parts = query_words(text[start:end])
        told = (
            known.issuperset(stems(part.text)) if part.is_content else part.text.casefold() not in _NEGATIONS
            for part in parts
        )
        if parts and all(told):
            found[place] = _NOTHING_NEW
    return found


def _words(text: str, clauses: list[tuple[int, int]]) -> Ranges:
    """List what must not be cut within some ranges, without the white space between."""
    edges = [cuts(text, start, end) for start, end in clauses]
    pairs = [pair for found in edges for pair in zip(found[:-1].tolist(), found[1:].tolist(), strict=True)]
    return as_ranges([(start, end) for start, end in pairs if not text[start:end].isspace()])
