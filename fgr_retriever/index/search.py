"""Search over a snapshot: MaxSim of the few passages that are worth it, or of all, in bounded memory.

Coded passages pass two sieves: the candidates that the inverted lists name are ranked by MaxSim over
those of their tokens that are near the query, and the best of these by MaxSim over all tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgr_retriever.config import SearchConfig
from fgr_retriever.index.candidates import Candidates, find_candidates
from fgr_retriever.index.lists import ranges
from fgr_retriever.index.ranking import Ranking
from fgr_retriever.index.segments import Segment
from fgr_retriever.index.snapshot import Snapshot
from fgr_retriever.maxsim import best_matches

_GROUP_TOKENS = 256  # query tokens scored in one matrix product
_LEAST_REFINED = 32  # candidates scored by all tokens, or twice as many as are wanted


def best_passages(
    snapshot: Snapshot, queries: Sequence[Tensor], k: int, allowed: NDArray[np.bool_], config: SearchConfig
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Find the best passages of every query.

    Args:
        snapshot: What to search.
        queries: Query token embeddings, (q, d) float32 each, q >= 1.
        k: How many passages to return, at least 1.
        allowed: True where a passage may be returned, (n,) bool like `snapshot.alive`.
        config: How to search.

    Returns:
        For each query the positions in `snapshot.rows` and the scores, MaxSim of the vectors as
        they are stored, best first, the passage that was added earlier first among equals. They are
        fewer than k only where fewer are allowed. Passages without tokens are never found.
    """
    allowed = allowed.copy()
    for segment, part in snapshot.parts():
        allowed[part] &= segment.lengths > 0
    results = [found for group in _groups(queries) for found in _search(snapshot, group, k, allowed, config)]
    return [(found.positions, found.scores) for found in results]


def _search(
    snapshot: Snapshot, queries: Sequence[Tensor], k: int, allowed: NDArray[np.bool_], config: SearchConfig
) -> list[Ranking]:
    """Score the raw passages and the candidates among the coded ones, or all, and rank them."""
    count = max(k, config.candidates)
    found = None if config.exact else find_candidates(snapshot, queries, count, allowed, config.nprobe)
    chosen = None
    if found is not None:
        refine = partial(_refine, snapshot, count=max(2 * k, _LEAST_REFINED), chunk_tokens=config.chunk_tokens)
        chosen = [refine(query, candidates) for query, candidates in zip(queries, found, strict=True)]
    best = [Ranking.empty()] * len(queries)
    for segment, part in snapshot.parts():
        if chosen is None or segment.codec is None:
            slots = np.flatnonzero(allowed[part])
            rows = iter(_scores(segment, slots, queries, config.chunk_tokens))
            best = [ranking.merged(slots + part.start, next(rows), k) for ranking in best]
            continue
        for number, (query, positions) in enumerate(zip(queries, chosen, strict=True)):
            slots = _slots(positions, part)
            scores = _scores(segment, slots, [query], config.chunk_tokens)[0]
            best[number] = best[number].merged(slots + part.start, scores, k)
    return best


def _refine(
    snapshot: Snapshot, query: Tensor, candidates: Candidates, count: int, chunk_tokens: int
) -> NDArray[np.int64]:
    """Choose the candidates with the best MaxSim over the tokens that are near the query, by ascending position."""
    best = Ranking.empty()
    for segment, part in snapshot.parts():
        if segment.codec is not None:
            slots = _slots(candidates.positions, part)
            scores = _scores(segment, slots, [query], chunk_tokens, candidates.near)[0]
            scores = np.maximum(scores, np.finfo(np.float32).min)  # a passage without such a token comes last
            best = best.merged(slots + part.start, scores, count)
    return np.sort(best.positions)


def _slots(positions: NDArray[np.int64], part: slice) -> NDArray[np.int64]:
    """Take those of ascending positions that are in one segment, as slots of it."""
    first, last = np.searchsorted(positions, [part.start, part.stop]).tolist()
    slots: NDArray[np.int64] = positions[first:last] - part.start
    return slots


def _scores(
    segment: Segment,
    slots: NDArray[np.int64],
    queries: Sequence[Tensor],
    chunk_tokens: int,
    near: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Score some passages of a segment, given by ascending slots: (queries, slots).

    With `near`, (centroids,) bool, only tokens of these centroids count.
    """
    stacked, sizes = torch.cat(list(queries)), [len(query) for query in queries]
    scores = torch.full((len(queries), len(slots)), -torch.inf)
    scored, cut = 0, torch.empty(0)
    for part, lengths, tokens in _chunks(segment, slots, chunk_tokens):
        if near is not None:
            lengths, tokens = _only_near(segment, lengths, tokens, near)
        best = best_matches(stacked, segment.decode(tokens), torch.from_numpy(lengths))
        if part.start < scored:  # the first passage began in an earlier chunk
            best[0] = torch.maximum(best[0], cut)
        scores[:, part] = torch.stack([matches.sum(dim=1) for matches in torch.split(best, sizes, dim=1)])
        scored, cut = part.stop, best[-1]
    return scores.numpy()


def _chunks(
    segment: Segment, slots: NDArray[np.int64], chunk_tokens: int
) -> Iterator[tuple[slice, NDArray[np.int64], slice | NDArray[np.int64]]]:
    """Cut passages into runs of tokens, each with its part of `slots`, their tokens in the run, and which these are."""
    lengths = segment.lengths[slots].astype(np.int64)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    shifts = segment.ends[slots] - ends  # from tokens of these passages to tokens of the segment
    for start in range(0, int(lengths.sum()), chunk_tokens):
        first = int(np.searchsorted(ends, start, side="right"))
        part = slice(first, int(np.searchsorted(ends, start + chunk_tokens, side="left")) + 1)
        begins = np.maximum(starts[part], start)
        counts = np.minimum(ends[part], start + chunk_tokens) - begins
        yield part, counts, _tokens(begins + shifts[part], counts)


def _only_near(
    segment: Segment, lengths: NDArray[np.int64], tokens: slice | NDArray[np.int64], near: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Leave out the tokens of other centroids: how many are left of each passage, and which."""
    kept = np.flatnonzero(near[segment.codes[tokens]])
    ends = np.searchsorted(kept, np.cumsum(lengths))
    return np.diff(ends, prepend=0), kept + tokens.start if isinstance(tokens, slice) else tokens[kept]


def _tokens(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """Number the tokens of ranges; ranges without gaps are one slice, which is read faster."""
    if (starts[1:] == (starts + counts)[:-1]).all():
        return slice(int(starts[0]), int(starts[-1] + counts[-1]))
    return ranges(starts, counts)


def _groups(queries: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Split queries into runs of at most `_GROUP_TOKENS` tokens, or of one longer query."""
    group: list[Tensor] = []
    for query in queries:
        if group and sum(map(len, group)) + len(query) > _GROUP_TOKENS:
            yield group
            group = []
        group.append(query)
    if group:
        yield group
