"""Cut one span that is too long for a budget down to its best part that fits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fgr_retriever.evidence.spans import EvidenceSums, Ranges, as_ranges
from fgr_retriever.text.atoms import cuts
from fgr_retriever.text.sentences import phrases, sentences
from fgr_retriever.types import Span, TokenEvidence

# Evidence that a whole sentence or phrase must have, as a share of that of the best run of words.
_WHOLE = 0.8
# Of these, the most with which that is tried: in a long span hundreds have as much evidence as a short run.
_PIECES_TRIED = 32


def shrink(text: str, evidence: TokenEvidence, span: Span, fits: Callable[[Span], bool]) -> Span | None:
    """Find the part of a span that fits and has the most evidence.

    Args:
        text: The passage.
        evidence: Probability and character range of each of its tokens.
        span: The span that is too long.
        fits: Says whether a part is short enough; each call counts the whole context.

    Returns:
        A run of words, or a whole sentence or phrase that has almost as much evidence; None if not
        even the likeliest word fits.
    """
    sums = EvidenceSums.of(evidence)
    whole = [(max(start, span.start), min(end, span.end)) for start, end in sentences(text)]
    parts = [(start, end) for start, end in whole if start < end]
    clauses = [clause for start, end in parts for clause in phrases(text, start, end)]
    run = _richest_run(text, sums, clauses, fits)
    if run is None:
        return None
    pieces = as_ranges([(start, end) for start, end in parts + clauses if end - start < span.end - span.start])
    masses = sums.masses(pieces)
    least = _WHOLE * float(sums.masses(as_ranges([(run.start, run.end)]))[0])
    order = (-masses).argsort(kind="stable")
    found = sums.spans(pieces[order[masses[order] >= least][:_PIECES_TRIED]])
    return next((piece for piece in found if fits(piece)), run)


def _richest_run(
    text: str, sums: EvidenceSums, clauses: list[tuple[int, int]], fits: Callable[[Span], bool]
) -> Span | None:
    """Find by bisection the most words in a row that fit, always those with the most evidence."""
    words = _words(text, clauses)
    mass = np.concatenate([[0.0], np.cumsum(sums.masses(words))])

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


def _words(text: str, clauses: list[tuple[int, int]]) -> Ranges:
    """List what must not be cut within some ranges, without the white space between."""
    edges = [cuts(text, start, end) for start, end in clauses]
    pairs = [pair for found in edges for pair in zip(found[:-1].tolist(), found[1:].tolist(), strict=True)]
    return as_ranges([(start, end) for start, end in pairs if not text[start:end].isspace()])
