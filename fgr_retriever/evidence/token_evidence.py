"""Make hits of stored tokens and a question: the evidence in passages and the words that it supports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from fgr_retriever.config import Calibration, TrimConfig
from fgr_retriever.errors import InputError
from fgr_retriever.evidence.hit import Hit
from fgr_retriever.evidence.spans import find_spans
from fgr_retriever.evidence.support import Support
from fgr_retriever.index.match import Match
from fgr_retriever.model.tokens import StoredTokens, TokenEncoder
from fgr_retriever.text.query_words import QueryWord, query_words
from fgr_retriever.types import TokenEvidence

LATE = "late"
"""Under this name `Hit.scores` has MaxSim."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """An encoded question.

    Args:
        text: The question as asked.
        vectors: Its token embeddings, (q, d) float32.
        offsets: Character range of each token in the text, (q, 2).
    """

    text: str
    vectors: Tensor
    offsets: NDArray[np.int32]

    @classmethod
    def encode(cls, encoder: TokenEncoder, texts: Sequence[str]) -> list[Self]:
        """Encode questions.

        Raises:
            InputError: A question is not a string or is blank.
        """
        for text in texts:
            check_query(text)
        encoded = zip(texts, encoder.encode_queries(texts), encoder.query_offsets(texts), strict=True)
        return [cls(*one) for one in encoded]


def read_hits(
    encoder: TokenEncoder, question: Question, found: Sequence[Match], config: TrimConfig, first: int = 1
) -> list[Hit]:
    """Find the evidence in passages.

    Args:
        encoder: The model.
        question: The question.
        found: The passages, in order.
        config: How evidence becomes spans.
        first: Rank of the first passage.
    """
    config, threshold = resolve_cut(encoder.calibration, config)
    tokens = [one.tokens for one in found]
    evidence = evidence_of(encoder, question.vectors, tokens)
    supports = support(question, [one.vectors[_visible(one)] for one in tokens])
    hits = []
    for rank, (one, told, matched) in enumerate(zip(found, evidence, supports, strict=True), start=first):
        spans = find_spans(one.passage.text, told, config, threshold)
        hits.append(Hit(one.passage, one.score, rank, spans, told, matched, {LATE: one.score}))
    return hits


def check_query(query: str) -> None:
    """Raise InputError unless a query is a string that is not blank."""
    if not isinstance(query, str) or not query.strip():
        raise InputError(f"query {query!r:.200}: must be a string that is not blank")


def resolve_cut(own: Calibration, config: TrimConfig) -> tuple[TrimConfig, float]:
    """Decide how evidence is cut: by the config, or else by the model's own calibration.

    Returns:
        The config, with its threshold set if the model's threshold is a fixed cut; and the lowest
        probability in [0, 1] with which a token counts. `find_spans` and `trim` take both.
    """
    if config.threshold is not None:
        return config, config.threshold
    return (replace(config, threshold=own.threshold) if own.cut == "threshold" else config), own.threshold


def evidence_of(encoder: TokenEncoder, query: Tensor, passages: Sequence[StoredTokens]) -> list[TokenEvidence]:
    """Compute the evidence probability of every token of some passages, all at once.

    Args:
        encoder: The model.
        query: Query token embeddings, (q, d) float32.
        passages: The stored tokens of each passage. Special tokens, whose range is empty, are read but
            left out of the result, because they have no characters to show.
    """
    lengths = [len(passage.vectors) for passage in passages]
    if len(query) and sum(lengths):
        vectors = torch.from_numpy(np.concatenate([passage.vectors for passage in passages]))
        probabilities = encoder.evidence(query, vectors, lengths).float().numpy()
    else:
        probabilities = np.zeros(sum(lengths), np.float32)
    ends = np.cumsum(lengths).tolist()
    found = []
    for passage, length, end in zip(passages, lengths, ends, strict=True):
        visible = _visible(passage)
        found.append(TokenEvidence(passage.offsets[visible], probabilities[end - length : end][visible]))
    return found


def _visible(tokens: StoredTokens) -> NDArray[np.bool_]:
    """Say which tokens have characters to show, (t,)."""
    shown: NDArray[np.bool_] = tokens.offsets[:, 1] > tokens.offsets[:, 0]
    return shown


def support(question: Question, passages: Sequence[NDArray[np.float16]]) -> list[Support]:
    """Compare the words of a question with the tokens of all passages, in one matrix product.

    Args:
        question: The question.
        passages: Token embeddings of each passage, (t, d), without its special tokens.
    """
    if not passages:
        return []
    words, owners, rows = _words(question.text, question.offsets)
    vectors = torch.from_numpy(np.concatenate(passages)).float()
    similarities = (vectors @ question.vectors[rows].T).half().numpy()
    ends = np.cumsum([len(one) for one in passages])[:-1]
    return [Support(words, owners, part) for part in np.split(similarities, ends)]


def _words(
    question: str, offsets: NDArray[np.int32]
) -> tuple[tuple[QueryWord, ...], NDArray[np.int64], NDArray[np.int64]]:
    """Find the words that have tokens, the word of each of these tokens, and the rows of the tokens."""
    found = query_words(question)
    ranges = np.array([(word.start, word.end) for word in found], dtype=np.int64).reshape(-1, 2)
    owner = ranges[:, 0].searchsorted(offsets[:, 0], "right") - 1
    visible = (offsets[:, 1] > offsets[:, 0]) & (owner >= 0)
    rows = np.flatnonzero(visible)
    rows = rows[offsets[rows, 0] < ranges[owner[rows], 1]] if len(ranges) else rows[:0]
    used, owners = np.unique(owner[rows], return_inverse=True)
    return tuple(found[i] for i in used.tolist()), owners.astype(np.int64), rows
