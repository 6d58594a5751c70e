"""The light head: evidence from evidence codes and late interaction, for a few percent of what a reader costs.

An `EvidenceReader` works out with a transformer, at query time, what mostly stands in the encoder's hidden states
already. Where the index keeps that (see `evidence_code`), little is left to do: for each token, compare what late
interaction says of it with what the token is about and what the question asks, and look at the tokens around it.

All passages of a call lie one after the other, so nothing is padded, and no Python loop runs over passages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import relu
from typing_extensions import Self

from fgr_retriever.model.evidence_code import EvidenceCoder, unpack
from fgr_retriever.model.evidence_reader import MATCHES, SHARPNESS, STRETCHES
from fgr_retriever.model.head import READ_TOKENS, Head, HeadConfig
from fgr_retriever.model.kernel.library import compiles, kernel
from fgr_retriever.model.ragged import Ragged

_GROUP_TOKENS = 1 << 15  # read together; bounds the memory of long passages
_ASKED = 10.0  # how sharply a token looks at the query tokens that it matches best
_SUPPORTED = 0.55  # cosine from which a query token counts as supported
_SUMMARY = 3  # numbers that describe a whole passage
_RELEVANCE = 32  # width of what joins the numbers of a passage
_KERNEL = 15  # tokens that a block sees around each


@dataclass(frozen=True, slots=True, kw_only=True)
class LightConfig(HeadConfig):
    """The content of `evidence/config.json` for a light head.

    Args:
        hidden: Width of the encoder's hidden states.
        code: Numbers of a token's evidence code.
        width: Width of the head.
        layers: Number of its blocks.
        branch: Layers of the encoder that evidence has to itself; see `EvidenceCoder`.
        branch_heads: Attention heads of each.
        branch_inner: Width between the dense layers of each.
    """

    hidden: int
    code: int = 16
    width: int = 32
    layers: int = 2
    branch: int = 0
    branch_heads: int = 1
    branch_inner: int = 1


class Interaction(NamedTuple):
    """What late interaction says of the tokens of some passages, without anything learned.

    Args:
        matches: For each token, as `evidence_reader.token_matches` has it, (n, 7): its best match, how near it comes to
            being the passage's best match of a query token (sum and maximum), and the MaxSim of a clause and of a
            sentence around it, each also relative to the passage's best.
        shares: How much each token matches each query token, beside the others, (n, q); a row sums to 1.
        query: The query's vectors, (q, d).
        asked: The mean of the query's vectors, (1, d), or one for each passage, (b, d).
        summary: For each passage its mean MaxSim, the share of the query tokens that it supports and the logarithm of
            its length, (b, 3).
        rows: How tokens belong to passages.
    """

    matches: Tensor
    shares: Tensor
    query: Tensor
    asked: Tensor
    summary: Tensor
    rows: Ragged

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Join the interactions of several queries with one passage each; no token matches another's query."""
        matches, query, asked, summary = (
            torch.cat([getattr(one, name) for one in parts]) for name in ("matches", "query", "asked", "summary")
        )
        shares = torch.block_diag(*(one.shares for one in parts))  # type: ignore[no-untyped-call, unused-ignore]
        lengths = torch.cat([one.rows.lengths for one in parts])
        return cls(matches, shares, query, asked, summary, Ragged(lengths, max(STRETCHES) // 2))


def interact(query: Tensor, vectors: Tensor, lengths: Tensor) -> Interaction:
    """Compare one query with all tokens of some passages.

    Args:
        query: (q, d) float32, L2-normalised, q >= 1.
        vectors: (n, d) float32, L2-normalised.
        lengths: Tokens of each passage, (b,) int64, at least 1 each.
    """
    rows = Ragged(lengths, max(STRETCHES) // 2)
    similarities = vectors @ query.T
    tops = rows.maxima(similarities)
    nearness = torch.exp(SHARPNESS * (similarities - rows.each(tops)))
    best = similarities.amax(dim=1)
    found = [best, nearness.sum(dim=1) / 5, nearness.amax(dim=1)]
    for length in STRETCHES:
        local = rows.stretch_maxima(similarities, length).mean(dim=1)
        found += [local, local - rows.each(rows.maxima(local[:, None]))[:, 0]]
    weights = torch.exp(_ASKED * (similarities - best[:, None]))
    shares = weights / weights.sum(dim=1, keepdim=True)
    supported = (tops > _SUPPORTED).float().mean(dim=1)
    summary = torch.stack([tops.mean(dim=1), supported, lengths.float().log() / 5], dim=1)
    return Interaction(torch.stack(found, dim=1), shares, query, query.mean(dim=0, keepdim=True), summary, rows)


class LightHead(Head):
    """Computes evidence logits from evidence codes and late interaction.

    A logit joins two: how likely a token is evidence if its passage answers, and how likely the passage answers.

    Args:
        config: Sizes and calibration.
    """

    KIND = "light"
    config: LightConfig
    coder: EvidenceCoder

    def __init__(self, config: LightConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        # Entries of a unit vector are about 1 / sqrt(dim); the layers want entries of about 1.
        self._gain = math.sqrt(config.dim)
        branch = config.branch, config.branch_heads, config.branch_inner
        self.coder = EvidenceCoder(config.hidden, config.code, *branch)
        self.content = nn.Linear(config.code, width)
        self.unknown = nn.Parameter(torch.zeros(width))  # the content where an index has no codes
        self.matches = nn.Linear(MATCHES + 1, width)
        self.asked = nn.Linear(config.dim, width, bias=False)
        self.query = nn.Linear(config.dim, width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(config.layers))
        self.attention = nn.Linear(width, 1)
        self.told = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, 1)
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.bias = nn.Parameter(torch.tensor(-5.0))
        self._joined: NDArray[np.float32] | None = None
        last = nn.Linear(_RELEVANCE, 1)
        self.relevance = nn.Sequential(nn.Linear(width + _SUMMARY + 1, _RELEVANCE), nn.ReLU(), last)
        # Before training, evidence is plain similarity, and every passage may answer.
        for layer, bias in ((self.output, 0.0), (last, 2.0)):
            nn.init.zeros_(layer.weight)
            nn.init.constant_(layer.bias, bias)

    def forward(self, found: Interaction, numbers: Tensor | None) -> tuple[Tensor, Tensor]:
        """Score the tokens of some passages.

        Args:
            found: What late interaction says of them.
            numbers: The numbers of their evidence codes, (n, code) in [-1, 1]; None if there are none.

        Returns:
            Evidence logits of the tokens, (n,) float32; and the part of them that is their passage's, (b,) float32.
        """
        rows = found.rows
        level = rows.each(found.summary[:, :1])
        tokens = self.matches(torch.cat([found.matches, level], dim=1))
        tokens = tokens + found.shares @ self.asked(found.query * self._gain)
        query = self.query(found.asked * self._gain)
        tokens = tokens + (query if len(query) == 1 else rows.each(query))
        tokens = tokens + (self.unknown if numbers is None else self.content(numbers))
        passages = torch.empty(0)
        for number, block in enumerate(self.blocks):
            tokens = block(tokens, rows)
            if not number:
                passages = self._passages(tokens, rows)
                tokens = tokens + rows.each(self.told(passages))
        own = self.scale * found.matches[:, 0] + self.bias + self.output(self.norm(tokens))[:, 0]
        strongest = rows.maxima(own[:, None]) / 5
        relevance = self.relevance(torch.cat([self.norm(passages), found.summary, strongest], dim=1))[:, 0]
        return _both(own, relevance.index_select(0, rows.owners)) / self.config.temperature, relevance

    def _passages(self, tokens: Tensor, rows: Ragged) -> Tensor:
        """Summarise each passage as the mean of its tokens, weighted by what they say, (n, width) to (b, width)."""
        weights = self.attention(tokens).clamp(-15, 15).exp()
        mean: Tensor = rows.sums(tokens * weights) / rows.sums(weights)
        return mean

    def in_precision(self, dtype: torch.dtype) -> Self:
        """Give a copy that has its weights ready for the compiled steps; see `Head`."""
        other = copy(self)
        other._joined = self.weights().numpy()
        return other

    @torch.inference_mode()
    def probabilities(
        self, query: Tensor, vectors: Tensor, lengths: Sequence[int], codes: Tensor | None = None
    ) -> Tensor:
        """Give the evidence probability of each token; see `Head`."""
        pieces = [min(READ_TOKENS, length - start) for length in lengths for start in range(0, length, READ_TOKENS)]
        found = [torch.empty(0)]
        start = 0
        for group in _groups(pieces):
            part = slice(start, start + sum(group))
            told = None if codes is None else codes[part]
            found.append(self._read(query, vectors[part].float(), torch.tensor(group), told))
            start = part.stop
        return torch.cat(found)

    def _read(self, query: Tensor, vectors: Tensor, lengths: Tensor, codes: Tensor | None) -> Tensor:
        """Give the evidence probability of each token of passages that are read at once: in C, where that can be."""
        sizes = self.config.code, self.config.width, self.config.layers, self.config.temperature
        compiled = kernel() if query.device.type == "cpu" and compiles(query.shape[1], *sizes[:3]) else None
        if compiled is None:
            logits: Tensor = self(interact(query, vectors, lengths), None if codes is None else unpack(codes))[0]
            return logits.sigmoid()
        asked, told, counts = (one.contiguous().numpy() for one in (query.float(), vectors, lengths))
        numbers = None if codes is None else codes.contiguous().numpy()
        weights = self.weights().numpy() if self._joined is None else self._joined
        return torch.from_numpy(compiled.evidence(asked, told, counts, numbers, weights, sizes))

    def weights(self) -> Tensor:
        """Give all weights in the order in which `kernel/head.c` takes them, (n,) float32."""
        layers = [self.norm, self.matches, self.asked, self.query, self.content, self.attention, self.told, self.output]
        parts: list[Tensor] = [self.scale, self.bias, self.unknown]
        for layer in (*layers, self.relevance):
            parts += layer.parameters()
        for block in self.blocks:
            found = dict(block.named_parameters())
            parts += [found.pop(name) for name in ("norm.weight", "norm.bias", "kernel")] + list(found.values())
        return torch.cat([one.detach().flatten().float() for one in parts])


class _Block(nn.Module):
    """Mixes each token with those around it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.kernel = nn.Parameter(nn.init.uniform_(torch.empty(_KERNEL, width), -0.1, 0.1))
        self.inner = nn.Linear(2 * width, 2 * width)
        self.outer = nn.Linear(2 * width, width)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, tokens: Tensor, rows: Ragged) -> Tensor:
        """Give the tokens with what their surroundings add, (n, width)."""
        normal = self.norm(tokens)
        around = rows.convolve(normal, self.kernel)
        mixed: Tensor = tokens + self.outer(relu(self.inner(torch.cat([normal, around], dim=1))))
        return mixed


def _both(first: Tensor, second: Tensor) -> Tensor:
    """Give the logit of two independent events happening, from the logit of each.

    The odds against both are (1 + e^-a)(1 + e^-b) - 1.
    """
    return -torch.logsumexp(torch.stack([-first, -second, -first - second]), dim=0)


def _groups(pieces: Sequence[int]) -> list[list[int]]:
    """Put pieces together until they have enough tokens."""
    groups: list[list[int]] = []
    tokens = _GROUP_TOKENS
    for piece in pieces:
        if tokens + piece > _GROUP_TOKENS:
            groups.append([])
            tokens = 0
        groups[-1].append(piece)
        tokens += piece
    return groups
