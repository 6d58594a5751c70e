"""Evidence in tables and lists of keys: an entry that has the name in the question comes before those that do not.

A row is short and has few words of its own, so the vectors of its tokens also tell of the rows beside it. What a model
says of "Frankfurt" and of "Eemshaven" hardly depends on whose row it is. The words do: those of the row, of the header
of its table and of the headings above.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache
from math import log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.evidence.sums import EvidenceSums
from fgr_retriever.text.entries import Entry, entries
from fgr_retriever.text.lines import Line
from fgr_retriever.text.query_words import stems
from fgr_retriever.text.sentences import sentences
from fgr_retriever.text.units import Units, as_ranges
from fgr_retriever.types import TokenEvidence

# Natural logarithm of the factor by which the odds of evidence grow in an entry with the name, and shrink in one
# without a word of it. Chosen on 12 questions (in the tests); see decision 24 for questions that it was not chosen on.
_WEIGHT = log(10)
_TINY = 1e-6


class _Part(NamedTuple):
    """A row, or a sentence or record of a section.

    Args:
        start: Its first character.
        end: One past the last one.
        form: Number of the group of its entry, and those of its words that at least half of the entries there have,
            but no numbers. Parts of one form say the same of different things.
    """

    start: int
    end: int
    form: tuple[int, frozenset[str]]


def by_name(text: str, evidence: TokenEvidence, known: frozenset[str], units: Units | None = None) -> TokenEvidence:
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

    @cache
    def borders() -> Sequence[Line]:
        return sentences(text) if units is None else list(map(tuple, units.sentences.tolist()))

    found = entries(text, known, borders)
    shares = _shares(found, known)
    if not shares:
        return evidence
    edges = np.searchsorted(evidence.offsets[:, 1], [one[:2] for one in found], "right").tolist()
    held = [slice(*one) for one in edges]
    shifts = np.zeros(len(evidence))
    for tokens, share in zip(held, shares, strict=True):
        shifts[tokens] = _WEIGHT * (2 * share - 1)
    probabilities = _shifted(evidence.probabilities, shifts)
    _carry_over(probabilities, found, held, shares)
    _carry_across(probabilities, _parts(text, found, borders()), EvidenceSums.of(evidence), shares)
    return TokenEvidence(evidence.offsets, probabilities)


def _carry_over(
    probabilities: NDArray[np.float32], found: Sequence[Entry], held: Sequence[slice], shares: Sequence[float]
) -> None:
    """Let the likeliest of the best rows of a table be as likely as its header, which is asked for its rows' sake."""
    rows: dict[int, tuple[float, float, slice]] = {}
    for one, tokens, share in zip(found, held, shares, strict=True):
        if not one.is_header and tokens.start < tokens.stop:
            mean = float(probabilities[tokens].mean())
            rows[one.group] = max(
                rows.get(one.group, (-1.0, 0.0, tokens)), (share, mean, tokens), key=lambda row: row[:2]
            )
    for one, tokens in zip(found, held, strict=True):
        if one.is_header and tokens.start < tokens.stop and one.group in rows:
            row = rows[one.group][2]
            probabilities[row] = np.maximum(probabilities[row], probabilities[tokens].mean())


def _carry_across(
    probabilities: NDArray[np.float32], parts: Sequence[Sequence[_Part]], sums: EvidenceSums, shares: Sequence[float]
) -> None:
    """Let a part of the entry with the name be as likely as the model took the same part of others to be.

    "The response time is 8 hours" stands in the section before the one that is asked for, and right before its heading.
    """
    known = [(one, share == 1) for some, share in zip(parts, shares, strict=True) for one in some]
    ranges = as_ranges([(one.start, one.end) for one, _ in known])
    likeliest: dict[tuple[int, frozenset[str]], float] = defaultdict(float)
    for (one, is_named), mean in zip(known, sums.means(ranges).tolist(), strict=True):
        if not is_named:
            likeliest[one.form] = max(likeliest[one.form], mean)
    for (one, is_named), (first, last) in zip(known, sums.anchors.searchsorted(ranges).tolist(), strict=True):
        if is_named and one.form in likeliest:
            np.maximum(probabilities[first:last], likeliest[one.form], out=probabilities[first:last])


def _parts(text: str, found: Sequence[Entry], borders: Sequence[Line]) -> list[list[_Part]]:
    """Take entries apart where they hold several sentences or records; headers are left out."""
    starts = [start for start, _ in borders]
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for one in found:
        counts[one.group].update(one.words)
    sizes = Counter(one.group for one in found)
    parts: list[list[_Part]] = []
    for one in found:
        within = borders[bisect_left(starts, one.start) : bisect_left(starts, one.end)]
        if one.is_header or len(within) < 2:
            parts.append([] if one.is_header else [_Part(one.start, one.end, (one.group, frozenset()))])
            continue
        common = {it for it in one.words if 2 * counts[one.group][it] >= sizes[one.group] and not it.isdigit()}
        forms = [frozenset(common.intersection(stems(text[start:end]))) for start, end in within]
        parts.append([_Part(*it, (one.group, form)) for it, form in zip(within, forms, strict=True) if form])
    return parts


def _shares(found: Sequence[Entry], known: frozenset[str]) -> list[float]:
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
        best[one.group] = max(best.get(one.group, 0.0), own)
    most, least = max(best.values()), 0.5 if all(map(str.isdigit, weights)) else 0.0
    shares = [(best[one.group] if one.is_header else own) / most for one, own in zip(found, sums, strict=True)]
    return [least + (1 - least) * share for share in shares]


def _shifted(probabilities: NDArray[np.float32], shifts: NDArray[np.float64]) -> NDArray[np.float32]:
    """Add to the logarithms of the odds, where there is something to add."""
    odds = np.clip(probabilities.astype(np.float64), _TINY, 1 - _TINY)
    moved = (1 / (1 + np.exp(-shifts) * (1 - odds) / odds)).astype(np.float32)
    found: NDArray[np.float32] = np.where(shifts == 0, probabilities, moved)
    return found
