"""Make hits of stored tokens and a question: the evidence in passages and the words that it supports."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from fgr_retriever.config import Calibration, TrimConfig
from fgr_retriever.errors import InputError
from fgr_retriever.evidence.hit import Hit
from fgr_retriever.evidence.named_entries import by_name
from fgr_retriever.evidence.spans import find_spans_of
from fgr_retriever.evidence.support import Support
from fgr_retriever.index.match import Match
from fgr_retriever.model.kernel.threads import converted
from fgr_retriever.model.tokens import StoredTokens, TokenEncoder, makes_codes
from fgr_retriever.text.query_words import QueryWord, naming_stems, query_words
from fgr_retriever.types import TokenEvidence

_SURROGATE = re.compile("[\ud800-\udfff]")

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
        found: The passages, in order. Where one has units, its text is not cut into sentences again.
        config: How evidence becomes spans.
        first: Rank of the first passage.
    """
    if not found:
        return []
    config, threshold = resolve_cut(encoder.calibration, config)
    tokens = _Tokens.of([one.tokens for one in found])
    texts, units = [one.passage.text for one in found], [one.units for one in found]
    known = naming_stems(question.text)
    told_by_model = tokens.evidence(encoder, question.vectors)
    evidence = [by_name(text, one, known, own) for text, one, own in zip(texts, told_by_model, units, strict=True)]
    supports = tokens.support(question)
    spans = find_spans_of(texts, evidence, config, threshold, units)
    return [
        Hit(one.passage, one.score, rank, kept, told, words, {LATE: one.score})
        for rank, (one, kept, told, words) in enumerate(zip(found, spans, evidence, supports, strict=True), start=first)
    ]


def check_query(query: str) -> None:
    """Raise InputError unless a query is a string of Unicode text that is not blank."""
    if not isinstance(query, str) or not query.strip():
        raise InputError(f"query {query!r:.200}: must be a string that is not blank")
    if lone := _SURROGATE.search(query):
        raise InputError(
            f"query {query!r:.200}: has a lone surrogate at position {lone.start()}, which is no character: "
            "give the question in the encoding in which it was written, UTF-8 on the command line"
        )


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
    return _Tokens.of(passages).evidence(encoder, query) if passages else []


def support(question: Question, passages: Sequence[NDArray[np.float16]]) -> list[Support]:
    """Compare the words of a question with the tokens of all passages, in one matrix product.

    Args:
        question: The question.
        passages: Token embeddings of each passage, (t, d), without its special tokens.
    """
    if not passages:
        return []
    words, owners, rows = _words(question.text, question.offsets)
    similarities = _cosines(question.vectors[rows], _joined(passages)).T
    edges = accumulate(map(len, passages), initial=0)
    return [Support(words, owners, similarities[start:end]) for start, end in pairwise(edges)]


@dataclass(frozen=True, slots=True, eq=False)
class _Tokens:
    """The tokens of some passages, one after the other.

    Args:
        lengths: Number of tokens of each passage.
        vectors: The embeddings of all tokens, (t, d) float32.
        visible: Numbers of the tokens that have characters to show, (v,) int64; special tokens have none.
        offsets: The character ranges of the visible tokens, (v, 2) int32.
        edges: Where the visible tokens of each passage begin, and their number at the end, (p + 1).
        codes: The evidence codes of all tokens, (t, n) uint8; None if a passage has none.
    """

    lengths: list[int]
    vectors: Tensor
    visible: NDArray[np.int64]
    offsets: NDArray[np.int32]
    edges: list[int]
    codes: NDArray[np.uint8] | None

    @classmethod
    def of(cls, passages: Sequence[StoredTokens]) -> Self:
        """Join the tokens of at least one passage."""
        lengths = [len(passage.vectors) for passage in passages]
        vectors = _joined([passage.vectors for passage in passages])
        offsets = np.concatenate([passage.offsets for passage in passages])
        (visible,) = (offsets[:, 1] > offsets[:, 0]).nonzero()
        edges = visible.searchsorted(list(accumulate(lengths, initial=0))).tolist()
        codes = [passage.evidence for passage in passages if passage.evidence is not None]
        joined = np.concatenate(codes) if len(codes) == len(passages) else None
        return cls(lengths, vectors, visible, offsets.take(visible, axis=0), edges, joined)

    def evidence(self, encoder: TokenEncoder, query: Tensor) -> list[TokenEvidence]:
        """Compute the evidence probability of every visible token."""
        if query.shape[0] and self.vectors.shape[0]:
            probabilities = self._probabilities(encoder, query).float().numpy().take(self.visible)
        else:
            probabilities = np.zeros(self.edges[-1], np.float32)
        return [TokenEvidence(self.offsets[start:end], probabilities[start:end]) for start, end in pairwise(self.edges)]

    def _probabilities(self, encoder: TokenEncoder, query: Tensor) -> Tensor:
        """Ask the model; one that makes no codes takes none."""
        if self.codes is not None and makes_codes(encoder):
            return encoder.evidence(query, self.vectors, self.lengths, self.codes)
        return encoder.evidence(query, self.vectors, self.lengths)

    def support(self, question: Question) -> list[Support]:
        """Compare the words of a question with every visible token."""
        words, owners, rows = _words(question.text, question.offsets)
        similarities = _cosines(question.vectors[rows], self.vectors).take(self.visible, axis=1).T
        return [Support(words, owners, similarities[start:end]) for start, end in pairwise(self.edges)]


def _joined(passages: Sequence[NDArray[np.float16]]) -> Tensor:
    """Put the vectors of passages one after the other, (t, d) float32."""
    return converted(torch.from_numpy(np.concatenate(passages)), torch.float32)


def _cosines(asked: Tensor, told: Tensor) -> NDArray[np.float16]:
    """Compare query tokens with passage tokens, (q, d) and (t, d) to (q, t): twice as fast as the other way round."""
    found: NDArray[np.float16] = (asked @ told.T).half().numpy()
    return found


def _words(
    question: str, offsets: NDArray[np.int32]
) -> tuple[tuple[QueryWord, ...], NDArray[np.int64], NDArray[np.int64]]:
    """Find the words that have tokens, the word of each of these tokens, and the rows of the tokens."""
    found = query_words(question)
    starts = [word.start for word in found]
    owner, rows = [], []
    for row, (start, end) in enumerate(offsets.tolist()):
        number = bisect_left(starts, end) - 1  # a token may begin before its word, as "£1" does
        if start < end and number >= 0 and start < found[number].end:
            owner.append(number)
            rows.append(row)
    used = sorted(set(owner))
    places = {number: place for place, number in enumerate(used)}
    owners = np.array([places[number] for number in owner], dtype=np.int64)
    return tuple(found[number] for number in used), owners, np.array(rows, dtype=np.int64)
