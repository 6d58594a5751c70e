"""What each part of a claim rests on: the sentence of the sources, and the clauses in it, that match its words.

The similarities are those of late interaction: each word of the claim against the tokens of each clause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.agents.likeness import Likeness
from fgr_retriever.agents.statement import Statement, clauses
from fgr_retriever.evidence.support import Support
from fgr_retriever.text.sentences import sentences

LEAST_MATCH = 0.5
"""Cosine from which a word of a claim and a clause have to do with each other."""

_REST = 0.5  # what the words around a clause count when its sentence is looked for
_BACK = 1.0  # what the words of a sentence count that the claim matches
_NEARLY = 0.9
_MOST = 4  # sentences for each part


@dataclass(frozen=True, slots=True)
class Ground:
    """A part of a claim and what it rests on.

    Args:
        part: A clause of the claim.
        sentence: The sentence of the sources that matches it best.
        region: The clauses of this sentence that match its words, joined.
        clauses: Those of them that no "but" parts from `main`, so that a "not" in them may concern it.
        side: The same, joined.
        main: The one of these clauses that matches most words.
        likeness: How alike single words of the claim and of the sources are.
        others: The same as `side` of the other sentences that match the part nearly as well.
    """

    part: Statement
    sentence: Statement
    region: Statement
    clauses: tuple[str, ...]
    side: Statement
    main: Statement
    likeness: Likeness
    others: tuple[Statement, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Clauses:
    """The clauses of the sources.

    Args:
        texts: Their texts.
        owners: Number of the sentence of each, (c,) int64, ascending.
        sentences: The sentences.
        cosines: How well each word of the claim is matched in each, (c, w).
        returned: How well the tokens of each are matched by the claim, (c,).
        likeness: How alike single words of the claim and of the sources are.
    """

    texts: list[str]
    owners: NDArray[np.int64]
    sentences: list[Statement]
    cosines: NDArray[np.float32]
    returned: NDArray[np.float32]
    likeness: Likeness


def find_grounds(
    claim: str, texts: Sequence[str], offsets: Sequence[NDArray[np.int32]], supports: Sequence[Support]
) -> list[Ground]:
    """Find what the parts of a claim rest on.

    Args:
        claim: The claim.
        texts: The texts of its sources.
        offsets: Character ranges of the visible tokens of each text, (t, 2), ascending.
        supports: How these tokens match the claim.

    Returns:
        A ground for each clause of the claim with a content word that something in the sources matches.
    """
    words = supports[0].words if supports else ()
    told = _clauses(texts, offsets, supports) if words else None
    if told is None or not told.texts:
        return []
    ranges = clauses(claim, 0, len(claim))
    starts = np.array([start for start, _ in ranges])
    parts = np.maximum(starts.searchsorted([word.start for word in words], "right") - 1, 0)
    content = np.array([word.is_content for word in words])
    best = np.maximum.reduceat(told.cosines, _firsts(told.owners), axis=0)  # sentences x words
    by_part = np.stack([np.bincount(parts, row * content, len(ranges)) for row in best])
    back = np.maximum.reduceat(told.returned, _firsts(told.owners))[:, None]
    fit = back * _BACK * content.sum() + by_part + _REST * (by_part.sum(axis=1, keepdims=True) - by_part)
    found = []
    for number, (start, end) in enumerate(ranges):
        mine, part = np.flatnonzero(content & (parts == number)), Statement(claim[start:end])
        fit[:, number] += [_anchors(part, one) for one in told.sentences]
        order = fit[:, number].argsort(kind="stable")[::-1][:_MOST]
        near = order[fit[order, number] >= fit[order[0], number] - (1 - _NEARLY) * abs(fit[order[0], number])]
        grounds = [_ground(part, told, np.flatnonzero(told.owners == one), mine) for one in near]
        if grounds[0] is not None:
            found.append(replace(grounds[0], others=tuple(one.side for one in grounds[1:] if one)))
    return found


def _ground(part: Statement, told: _Clauses, rows: NDArray[np.int64], words: NDArray[np.int64]) -> Ground | None:
    """Choose the clauses of a sentence in which words are matched best."""
    cosines = told.cosines[np.ix_(rows, words)]
    matched = cosines.max(axis=0, initial=-1.0) >= LEAST_MATCH
    if not matched.any():
        return None
    counts = np.bincount(cosines[:, matched].argmax(axis=0), minlength=len(rows))
    texts = [told.texts[row] for row in rows]
    main = int(counts.argmax())
    sides = np.cumsum([_opposes(before, text) for before, text in zip(["", *texts], texts, strict=False)])
    region = [(text, side) for text, count, side in zip(texts, counts, sides, strict=True) if count]
    clauses = tuple(text for text, side in region if side == sides[main])
    return Ground(
        part,
        sentence=told.sentences[told.owners[rows[0]]],
        region=Statement(" ".join(text for text, _ in region)),
        clauses=clauses,
        side=Statement(" ".join(clauses)),
        main=Statement(texts[main]),
        likeness=told.likeness,
    )


def _anchors(part: Statement, sentence: Statement) -> int:
    """Count the numbers, months and the like of a part that a sentence has; vectors tell them badly apart."""
    found = sum(one in sentence.amounts for one in part.quantities)
    return found + sum(
        name in sentence.possible.get(kind, {}) for kind, names in part.exclusive.items() for name in names
    )


def _opposes(before: str, text: str) -> bool:
    """Say whether a clause begins a statement of its own, so that a "not" on one side does not reach the other."""
    return before.endswith(";") or text[:4].casefold() in ("but ", "yet ")


def _clauses(texts: Sequence[str], offsets: Sequence[NDArray[np.int32]], supports: Sequence[Support]) -> _Clauses:
    """Cut the sources into clauses, and match each with the words of the claim."""
    pieces: list[str] = []
    owners: list[int] = []
    whole: list[Statement] = []
    cosines: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for text, places, told in zip(texts, offsets, supports, strict=True):
        starts: list[int] = []
        for start, end in sentences(text):
            ranges = clauses(text, start, end)
            pieces += [text[first:last] for first, last in ranges]
            starts += [first for first, _ in ranges]
            owners += [len(whole)] * len(ranges)
            whole.append(Statement(text[start:end]))
        cosines.append(_matches(told, places, starts))
    there, back = (
        np.concatenate(some) if cosines else np.empty((0, 0), np.float32) for some in zip(*cosines, strict=True)
    )
    return _Clauses(pieces, np.array(owners, np.int64), whole, there, back, Likeness(texts, offsets, supports))


def _matches(
    told: Support, places: NDArray[np.int32], starts: Sequence[int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give the best match of each word of the claim in each clause, (c, w), and the mean of those of its tokens, (c,).

    Both are -1 in a clause without tokens.
    """
    returned = np.full(len(starts), -1.0, np.float32)
    best = np.full((len(starts), len(told.owners)), -1.0, np.float32)
    homes = np.maximum(np.array(starts, np.int64).searchsorted(places[:, 0], "right") - 1, 0)
    if len(homes) and len(starts):
        first = _firsts(homes)
        similarities = told.similarities.astype(np.float32)
        best[homes[first]] = np.maximum.reduceat(similarities, first, axis=0)
        sums = np.add.reduceat(similarities.max(axis=1), first)
        returned[homes[first]] = sums / np.diff(np.append(first, len(homes)))
    means = np.stack([np.bincount(told.owners, row, len(told.words)) for row in best]) if len(best) else best[:, :0]
    return (means / np.maximum(np.bincount(told.owners, minlength=len(told.words)), 1)).astype(np.float32), returned


def _firsts(ascending: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the place of the first of each run of equal numbers."""
    return np.flatnonzero(np.append(True, ascending[1:] != ascending[:-1]))
