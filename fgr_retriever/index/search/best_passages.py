"""Search over a snapshot: MaxSim of a few promising passages, or of all, in bounded memory.

Coded passages are ranked in two steps. First, the candidates that the inverted lists name are ranked
by MaxSim over only those of their tokens that are near the query. Then the best of these are ranked by
MaxSim over all their tokens, with both layers of residuals where the index keeps two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgr_retriever.calls import check_time
from fgr_retriever.config import SearchConfig
from fgr_retriever.index.search.candidates import Candidates, find_candidates
from fgr_retriever.index.search.ranking import Ranking
from fgr_retriever.index.storage.inverted_lists import ranges
from fgr_retriever.index.storage.snapshot import Snapshot
from fgr_retriever.index.storage.token_reader import TokenReader, Tokens
from fgr_retriever.model.kernel.library import kernel
from fgr_retriever.model.kernel.steps import Kernel
from fgr_retriever.model.kernel.threads import side_by_side
from fgr_retriever.model.maxsim import best_matches

_GROUP_TOKENS = 256  # query tokens scored in one matrix product
_DECIMALS = 5  # of a score: equal passages come out equal, whatever is multiplied beside them
_SCORED = 1 << 16  # passages whose scores are held at once
_SHARE_WHOLE, _SHARE_NEAR = 32, 512  # passages that are worth a thread: by all their tokens, or only those near


def best_passages(
    snapshot: Snapshot, queries: Sequence[Tensor], k: int, allowed: NDArray[np.bool_], config: SearchConfig
) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Find the best passages of every query.

    Args:
        snapshot: The snapshot to search.
        queries: Query token embeddings, (q, d) float32 each, q >= 1.
        k: How many passages to return, at least 1.
        allowed: True where a passage may be returned, (n,) bool like `snapshot.alive`.
        config: How to search.

    Returns:
        For each query the positions in `snapshot.rows` and the scores, best first. A score is MaxSim of
        the vectors as they are stored; among equal scores, the passage that was added earlier comes
        first. There are fewer than k only if fewer are allowed. Passages without tokens are never found.
    """
    allowed = allowed & snapshot.reader.filled

    def search(part: slice) -> list[Ranking]:
        groups = _groups(queries[part])
        return [found for group in groups for found in _search(snapshot, group, k, allowed, config)]

    results = side_by_side(search, len(queries), 1)
    return [(found.positions, found.scores) for part in results for found in part]


def passage_scores(snapshot: Snapshot, query: Tensor, positions: NDArray[np.int64]) -> NDArray[np.float32]:
    """Score passages by exact MaxSim of the vectors as they are stored.

    Args:
        snapshot: The snapshot with the passages.
        query: Query token embeddings, (q, d) float32.
        positions: Positions in `snapshot.rows`, (n,), in any order; each passage has tokens.

    Returns:
        (n,) float32; 0 for a query without tokens.
    """
    scores = np.zeros(len(positions), np.float32)
    if len(query) and len(positions):
        order = positions.argsort()
        scores[order] = _scores(snapshot.reader, positions[order], [query], SearchConfig().chunk_tokens)[0]
    return scores


def _search(
    snapshot: Snapshot, queries: Sequence[Tensor], k: int, allowed: NDArray[np.bool_], config: SearchConfig
) -> list[Ranking]:
    """Score the raw passages and the candidates among the coded ones, or all, and rank them."""
    reader, count = snapshot.reader, max(k, config.candidates)
    found = None if config.exact else find_candidates(snapshot, queries, count, allowed, config.nprobe)
    best = [Ranking.empty()] * len(queries)
    everywhere = np.zeros(0, np.int64)
    if found is None or reader.some_raw:
        everywhere = np.flatnonzero(allowed if found is None else allowed & reader.raw)
    for positions in np.split(everywhere, range(_SCORED, len(everywhere), _SCORED)) if len(everywhere) else ():
        check_time()
        scores = _scores(reader, positions, queries, config.chunk_tokens)
        best = [ranking.merged(positions, row, k) for ranking, row in zip(best, scores, strict=True)]
    for number, candidates in enumerate(found or ()):
        check_time()
        query = [queries[number]]
        positions = _refine(reader, query, candidates, max(2 * k, config.refined), config.chunk_tokens)
        scores = _scores(reader, positions, query, config.chunk_tokens)
        best[number] = best[number].merged(positions, scores[0], k)
    return best


def _refine(
    reader: TokenReader, query: Sequence[Tensor], candidates: Candidates, count: int, chunk_tokens: int
) -> NDArray[np.int64]:
    """Choose the candidates with the best MaxSim over the tokens that are near the query, by ascending position."""
    scores = _scores(reader, candidates.positions, query, chunk_tokens, candidates.near)[0]
    scores = np.maximum(scores, np.finfo(np.float32).min)  # a passage without such a token comes last
    return np.sort(Ranking.empty().merged(candidates.positions, scores, count).positions)


def _scores(
    reader: TokenReader,
    positions: NDArray[np.int64],
    queries: Sequence[Tensor],
    chunk_tokens: int,
    near: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Score passages, given by ascending positions: (queries, positions).

    With `near`, (centroids,) bool, all passages are coded, and only tokens of these centroids count. Their vectors are
    as the first layer of residuals gives them, not quite of length 1: that is cheaper and serves as well to choose.
    """
    if compiled := kernel():
        return np.stack([_compiled_scores(compiled, reader, positions, query.numpy(), near) for query in queries])
    stacked, sizes = torch.cat(list(queries)), [len(query) for query in queries]
    scores = torch.full((len(queries), len(positions)), -torch.inf)
    scored, cut = 0, torch.empty(0)
    for part, lengths, tokens in _chunks(reader, positions, chunk_tokens):
        check_time()
        if near is None:
            vectors = reader.decode(tokens)
        else:
            lengths, tokens = _only_near(reader, lengths, tokens, near)
            vectors = reader.decode_first_layer(tokens)
        best = best_matches(stacked, vectors, torch.from_numpy(lengths))
        if part.start < scored:  # the first passage began in an earlier chunk
            best[0] = torch.maximum(best[0], cut)
        scores[:, part] = torch.stack([matches.sum(dim=1) for matches in torch.split(best, sizes, dim=1)])
        scored, cut = part.stop, best[-1]
    rounded: NDArray[np.float32] = scores.numpy().round(_DECIMALS)
    return rounded


def _compiled_scores(
    compiled: Kernel,
    reader: TokenReader,
    positions: NDArray[np.int64],
    query: NDArray[np.float32],
    near: NDArray[np.bool_] | None,
) -> NDArray[np.float32]:
    """Score passages for one query, straight from the files."""
    raw = reader.raw[positions]
    if not (reader.some_raw and raw.any()):
        return _coded_scores(compiled, reader, positions, query, near)
    scores = np.empty(len(positions), np.float32)
    scores[~raw] = _coded_scores(compiled, reader, positions[~raw], query, near)
    places = np.flatnonzero(raw)
    for segment, part, tokens in reader.segments_of(positions[raw]):
        check_time()
        scores[places[part]] = compiled.maxsim16(query, segment.vectors, tokens).round(_DECIMALS)
    return scores


def _coded_scores(
    compiled: Kernel,
    reader: TokenReader,
    positions: NDArray[np.int64],
    query: NDArray[np.float32],
    near: NDArray[np.bool_] | None,
) -> NDArray[np.float32]:
    codec = reader.codec
    if codec is None or not len(positions):
        return np.zeros(0, np.float32)
    centroids, (starts, lengths) = codec.float_centroids.numpy(), reader.ranges_of(positions)
    table = (codec.finest if near is None else codec).residual_table.numpy()

    def score(part: slice) -> NDArray[np.float32]:
        ranges = starts[part], lengths[part]
        if near is None:
            return compiled.maxsim(query, centroids, table, reader.coded, ranges)
        return compiled.near(query, centroids, table, reader.coded, ranges, near)

    parts = side_by_side(score, len(positions), _SHARE_WHOLE if near is None else _SHARE_NEAR)
    rounded: NDArray[np.float32] = np.concatenate(parts).round(_DECIMALS)
    return rounded


def _chunks(
    reader: TokenReader, positions: NDArray[np.int64], chunk_tokens: int
) -> Iterator[tuple[slice, NDArray[np.int64], Tokens]]:
    """Cut passages into runs of tokens, each with its part of `positions`, their tokens in it, and which these are."""
    lengths = reader.lengths[positions]
    ends = np.cumsum(lengths)
    starts = ends - lengths
    shifts = reader.ends[positions] - ends  # from tokens of these passages to those of all
    for start in range(0, int(lengths.sum()), chunk_tokens):
        first = int(np.searchsorted(ends, start, side="right"))
        part = slice(first, int(np.searchsorted(ends, start + chunk_tokens, side="left")) + 1)
        begins = np.maximum(starts[part], start)
        counts = np.minimum(ends[part], start + chunk_tokens) - begins
        yield part, counts, _tokens(begins + shifts[part], counts)


def _only_near(
    reader: TokenReader, lengths: NDArray[np.int64], tokens: Tokens, near: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Leave out the tokens of other centroids: how many are left of each passage, and which."""
    kept = np.flatnonzero(near[reader.codes(tokens)])
    ends = np.searchsorted(kept, np.cumsum(lengths))
    return np.diff(ends, prepend=0), kept + tokens.start if isinstance(tokens, slice) else tokens[kept]


def _tokens(starts: NDArray[np.int64], counts: NDArray[np.int64]) -> Tokens:
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
