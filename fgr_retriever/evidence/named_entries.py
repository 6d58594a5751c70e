"""Evidence in tables and lists of keys: an entry that has the name in the question comes before those that do not.

A row is short and has few words of its own, so the vectors of its tokens also tell of the rows beside it. What a model
says of "Frankfurt" and of "Eemshaven" hardly depends on whose row it is. The words do: those of the row, of the header
of its table and of the headings above.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from math import log

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.text.entries import Entry, entries
from fgr_retriever.text.units import Units
from fgr_retriever.types import TokenEvidence

# Natural logarithm of the factor by which the odds of evidence grow in an entry with the name, and shrink in one
# without a word of it. Chosen on 12 questions (in the tests); see decision 24 for questions that it was not chosen on.
_WEIGHT = log(10)
_TINY = 1e-6


def by_name(text: str, evidence: TokenEvidence, known: Set[str], units: Units | None = None) -> TokenEvidence:
    """Raise the evidence in the entries that a question names, and lower that in the entries beside them.

    Args:
        text: The passage.
        evidence: Its tokens.
        known: Stems of the content words of the question.
        units: Those of the passage, where they are known.

    Returns:
        The evidence itself, if the text has no entries, or if the words of the question do not tell them apart.
    """
    if not len(evidence) or not known:
        return evidence
    found = entries(text, None if units is None else list(map(tuple, units.sentences.tolist())))
    shares = _shares(found, known)
    if not shares:
        return evidence
    ends = evidence.offsets[:, 1]
    held = [slice(*np.searchsorted(ends, [one.start, one.end], "right")) for one in found]
    shifts = np.zeros(len(evidence))
    for tokens, share in zip(held, shares, strict=True):
        shifts[tokens] = _WEIGHT * (2 * share - 1)
    probabilities = _shifted(evidence.probabilities, shifts)
    _carry_over(probabilities, found, held, shares)
    return TokenEvidence(evidence.offsets, probabilities)


def _carry_over(
    probabilities: NDArray[np.float32], found: Sequence[Entry], held: Sequence[slice], shares: Sequence[float]
) -> None:
    """Let the likeliest of the best rows of a table be as likely as its header, which is asked for its rows' sake."""
    rows: dict[int, tuple[float, float, slice]] = {}
    for one, tokens, share in zip(found, held, shares, strict=True):
        if not one.is_header and tokens.start < tokens.stop:
            mean = float(probabilities[tokens].mean())
            rows[one.table] = max(
                rows.get(one.table, (-1.0, 0.0, tokens)), (share, mean, tokens), key=lambda row: row[:2]
            )
    for one, tokens in zip(found, held, strict=True):
        if one.is_header and tokens.start < tokens.stop and one.table in rows:
            row = rows[one.table][2]
            probabilities[row] = np.maximum(probabilities[row], probabilities[tokens].mean())


def _shares(found: Sequence[Entry], known: Set[str]) -> list[float]:
    """Say how much of the name in the question each entry has, in [0, 1]; nothing if no word tells entries apart.

    A word belongs to the name if some entries have it and others do not; rare ones count more. A name of numbers alone
    ("since 2018") may as well be a border, so the share is at least one half: no entry falls behind for it.
    """
    rows = [known & one.words for one in found if not one.is_header]
    counts = {stem: sum(stem in words for words in rows) for stem in set().union(*rows)}
    weights = {stem: log(len(rows) / count) for stem, count in counts.items() if count < len(rows)}
    if not weights:
        return []
    sums = [sum(weights.get(stem, 0.0) for stem in known & one.words) for one in found]
    best: dict[int, float] = {}  # of each table, for its header
    for one, own in zip(found, sums, strict=True):
        best[one.table] = max(best.get(one.table, 0.0), own)
    most, least = max(best.values()), 0.5 if all(map(str.isdigit, weights)) else 0.0
    shares = [(best[one.table] if one.is_header else own) / most for one, own in zip(found, sums, strict=True)]
    return [least + (1 - least) * share for share in shares]


def _shifted(probabilities: NDArray[np.float32], shifts: NDArray[np.float64]) -> NDArray[np.float32]:
    """Add to the logarithms of the odds, where there is something to add."""
    odds = np.clip(probabilities.astype(np.float64), _TINY, 1 - _TINY)
    moved = (1 / (1 + np.exp(-shifts) * (1 - odds) / odds)).astype(np.float32)
    found: NDArray[np.float32] = np.where(shifts == 0, probabilities, moved)
    return found
