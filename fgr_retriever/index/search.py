"""Exact MaxSim over a snapshot: every live passage is scored, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgr_retriever.index.segments import Segment
from fgr_retriever.index.store import Snapshot
from fgr_retriever.maxsim import best_matches

_GROUP_TOKENS = 256  # query tokens scored in one matrix product


def best_passages(
    snapshot: Snapshot, queries: Sequence[Tensor], k: int, allowed: NDArray[np.bool_], chunk_tokens: int
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Find the best passages of every query.

    Args:
        snapshot: What to search.
        queries: Query token embeddings, (q, d) float32 each.
        k: How many passages to return, at least 1.
        allowed: True where a passage may be returned, (n,) bool like `snapshot.alive`.
        chunk_tokens: Passage tokens scored at once.

    Returns:
        For each query the positions in `snapshot.rows` and the scores, best first, the passage
        that was added earlier first among equals. Passages without tokens are never found.
    """
    results = []
    for group in _groups(queries):
        best = [(np.zeros(0, np.int64), np.zeros(0, np.float32))] * len(group)
        for segment, part in snapshot.parts():
            scores = _segment_scores(segment, group, chunk_tokens).numpy()
            scores[:, ~allowed[part]] = -np.inf
            positions = np.arange(part.start, part.stop)
            best = [_merge(*found, positions, row, k) for found, row in zip(best, scores, strict=True)]
        results += best
    return results


def _merge(
    positions: NDArray[np.int64],
    scores: NDArray[np.float32],
    more_positions: NDArray[np.int64],
    more_scores: NDArray[np.float32],
    k: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Keep the k best of two lists; equals stay in their order, so `more` must come later."""
    hits = np.flatnonzero(more_scores > -np.inf)
    if len(hits) > k:  # all that reach the k-th best score, ties included
        candidates = more_scores[hits]
        hits = hits[candidates >= np.partition(candidates, -k)[-k]]
    positions = np.concatenate([positions, more_positions[hits]])
    scores = np.concatenate([scores, more_scores[hits]])
    order = np.argsort(-scores, kind="stable")[:k]
    return positions[order], scores[order]


def _segment_scores(segment: Segment, queries: Sequence[Tensor], chunk_tokens: int) -> Tensor:
    """Score every passage of a segment, deleted ones too: (queries, passages) float32."""
    stacked, sizes = torch.cat(list(queries)), [len(query) for query in queries]
    scores = torch.full((len(queries), segment.info.passages), -torch.inf)
    # One buffer for all chunks: fresh memory of this size costs more time than the scoring.
    buffer = torch.empty(min(chunk_tokens, segment.info.tokens), stacked.shape[1])
    scored, cut = 0, torch.empty(0)
    for slots, lengths, tokens in _chunks(segment, chunk_tokens):
        vectors = buffer[: tokens.stop - tokens.start].copy_(torch.from_numpy(segment.vectors[tokens]))
        best = best_matches(stacked, vectors, torch.from_numpy(lengths))
        if slots.start < scored:  # the first passage began in an earlier chunk
            best[0] = torch.maximum(best[0], cut)
        scores[:, slots] = torch.stack([matches.sum(dim=1) for matches in torch.split(best, sizes, dim=1)])
        scored, cut = slots.stop, best[-1]
    return scores


def _chunks(segment: Segment, chunk_tokens: int) -> Iterator[tuple[slice, NDArray[np.int64], slice]]:
    """Cut a segment into runs of tokens, each with the passages in it and their tokens in the run."""
    ends = segment.ends
    starts = ends - segment.lengths
    for start in range(0, segment.info.tokens, chunk_tokens):
        stop = min(start + chunk_tokens, segment.info.tokens)
        first = int(np.searchsorted(ends, start, side="right"))
        last = int(np.searchsorted(ends, stop, side="left"))
        slots = slice(first, last + 1)
        yield slots, np.minimum(ends[slots], stop) - np.maximum(starts[slots], start), slice(start, stop)


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
