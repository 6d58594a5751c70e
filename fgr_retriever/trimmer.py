"""Trim texts to their evidence on the fly, without an index."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from fgr_retriever.budget import TokenCounter, token_counter
from fgr_retriever.config import Calibration, TrimConfig
from fgr_retriever.errors import InputError
from fgr_retriever.maxsim import best_matches
from fgr_retriever.trim import Scored, trim
from fgr_retriever.types import StoredTokens, TokenBlock, TokenEncoder, TokenEvidence, Trimmed

_GROUP_TOKENS = 8_192  # passage tokens after which their evidence is computed


class Trimmer:
    """Cuts texts down to what supports a question, verbatim.

    Args:
        encoder: The model.
        config: How to trim.
        count_tokens: What counts the tokens of the budget; None takes `config.tokenizer`.
    """

    def __init__(
        self,
        encoder: TokenEncoder,
        config: TrimConfig = TrimConfig(),  # noqa: B008 - immutable
        *,
        count_tokens: TokenCounter | None = None,
    ) -> None:
        """Keep the model and the settings; nothing is computed yet."""
        self._encoder = encoder
        self._config = config
        self._count_tokens = count_tokens

    def trim(self, query: str, texts: Sequence[str], *, max_tokens: int | None = None) -> list[Trimmed]:
        """Trim every text to its evidence for the query.

        Args:
            query: The question, not blank.
            texts: Any texts; an empty one gives an empty result with a reason.
            max_tokens: Hard limit for all texts together; None takes that of the config.

        Returns:
            One result for each text, in the same order.

        Raises:
            InputError: The query is blank, or the query or a text is not a string.
            ConfigError: `max_tokens` is negative or not an integer.
            TokenCounterError: There is a limit, and the tokenizer of the config cannot be had.
        """
        config = self._config if max_tokens is None else replace(self._config, max_tokens=max_tokens)
        scored = self._scored(query, texts)
        return trim(scored, *resolve_cut(self._encoder.calibration, config), self._counter(config))

    async def atrim(self, query: str, texts: Sequence[str], *, max_tokens: int | None = None) -> list[Trimmed]:
        """Trim every text in a worker thread; see `trim`."""
        return await asyncio.to_thread(self.trim, query, texts, max_tokens=max_tokens)

    def evidence(self, query: str, texts: Sequence[str]) -> list[TokenEvidence]:
        """Give the evidence probability of every token of every text.

        Args:
            query: The question, not blank.
            texts: Any texts; an empty one has no tokens.

        Raises:
            InputError: The query is blank, or the query or a text is not a string.
        """
        return [scored.evidence for scored in self._scored(query, texts)]

    def _counter(self, config: TrimConfig) -> TokenCounter | None:
        """Find what counts the budget, and only if there is one: a tokenizer may be a download."""
        if config.max_tokens is None:
            return None
        return self._count_tokens or token_counter(config.tokenizer)

    def _scored(self, query: str, texts: Sequence[str]) -> list[Scored]:
        """Score every text and its tokens."""
        check_query(query)
        _check_texts(texts)
        (vectors,) = self._encoder.encode_queries([query])
        return _score(self._encoder, vectors, texts)


def check_query(query: str) -> None:
    """Raise InputError unless a query is a string that is not blank."""
    if not isinstance(query, str) or not query.strip():
        raise InputError(f"query {query!r:.200}: must be a string that is not blank")


def resolve_cut(own: Calibration, config: TrimConfig) -> tuple[TrimConfig, float]:
    """Settle how evidence is cut: as the config says, or else by the model's own calibration.

    Returns:
        The settings, whose threshold is now set if the model's is fixed, and the probability in
        [0, 1] from which a token counts: both as `find_spans` and `trim` take them.
    """
    if config.threshold is not None:
        return config, config.threshold
    return (replace(config, threshold=own.threshold) if own.cut == "threshold" else config), own.threshold


def evidence_of(encoder: TokenEncoder, query: Tensor, passages: Sequence[StoredTokens]) -> list[TokenEvidence]:
    """Compute the evidence probability of every token of some passages, all at once.

    Args:
        encoder: The model.
        query: Query token embeddings, (q, d) float32.
        passages: What an index stores of each. Special tokens, whose range is empty, are read but
            left out of the result: there is nothing to show for them.
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
        visible = passage.offsets[:, 1] > passage.offsets[:, 0]
        found.append(TokenEvidence(passage.offsets[visible], probabilities[end - length : end][visible]))
    return found


def _score(encoder: TokenEncoder, query: Tensor, texts: Sequence[str]) -> list[Scored]:
    """Score texts and their tokens, a few texts at a time."""
    scored: list[Scored] = []
    for group in _groups(encoder, texts):
        passages = [StoredTokens.of(blocks) for blocks in group]
        found = zip(group, evidence_of(encoder, query, passages), strict=True)
        scored += [Scored(texts[blocks[0].passage], told, _maxsim(query, blocks)) for blocks, told in found]
    return scored


def _groups(encoder: TokenEncoder, texts: Sequence[str]) -> Iterator[list[list[TokenBlock]]]:
    """Encode texts lazily, in groups of at least `_GROUP_TOKENS` tokens."""
    group: list[list[TokenBlock]] = []
    for _, blocks in groupby(encoder.encode_passages(texts), key=lambda block: block.passage):
        group.append(list(blocks))
        if sum(len(block.vectors) for text in group for block in text) >= _GROUP_TOKENS:
            yield group
            group = []
    if group:
        yield group


def _maxsim(query: Tensor, blocks: Sequence[TokenBlock]) -> float:
    """Score one text, block by block; one without tokens, whose score is -inf, gets the least that JSON knows."""
    best = [best_matches(query, torch.from_numpy(one.vectors), torch.tensor([len(one.vectors)])) for one in blocks]
    return max(float(torch.cat(best).amax(dim=0).sum()), -float(len(query)))


def _check_texts(texts: Sequence[str]) -> None:
    """Raise InputError unless texts are a sequence of strings."""
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise InputError(f"texts must be a sequence of strings, got {type(texts).__name__}: put one text into a list")
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"text {position}: must be a string, got {type(text).__name__}")
