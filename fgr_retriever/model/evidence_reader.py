"""Read a passage's stored token vectors together with the query's, to see evidence in context.

The paper's head judges every passage token alone. But evidence is a stretch of text, and whether it
answers the query depends on the text around it. The reader is a small transformer over the *stored*
vectors of query and passage, so nothing is encoded again. It also sees how well each token, and the
stretch of text around it, matches the query compared with the rest of the passage.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, max_pool1d

_HEADS = 4
STRETCHES = (17, 49)  # tokens: about a clause, about a sentence; odd, so that a token stands in the middle
SHARPNESS = 20.0  # a match 0.05 below the passage's best one counts 1 / e of it
MATCHES = 3 + 2 * len(STRETCHES)


class EvidenceReader(nn.Module):
    """Corrects evidence logits with the context of each token.

    Args:
        dim: Width of the token embeddings.
        width: Width of the transformer, a multiple of 4.
        layers: Depth of the transformer.
    """

    def __init__(self, dim: int, width: int, layers: int) -> None:
        super().__init__()
        self.width = width
        # Entries of a unit vector are about 1 / sqrt(dim); the layers want entries of about 1.
        self.gain = math.sqrt(dim)
        self.inputs = nn.Linear(dim, width)
        self.sides = nn.Parameter(nn.init.uniform_(torch.empty(2, width), -0.03, 0.03))  # query, passage
        self.similarity = nn.Parameter(nn.init.uniform_(torch.empty(width), -0.2, 0.2))
        self.matches = nn.Linear(MATCHES, width, bias=False)
        layer = nn.TransformerEncoderLayer(
            width, _HEADS, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.output = nn.Linear(width, 1)
        nn.init.zeros_(self.output.weight)  # before training it corrects nothing
        nn.init.zeros_(self.output.bias)

    def forward(
        self, query: Tensor, passages: Tensor, similarity: Tensor, query_mask: Tensor, passage_mask: Tensor
    ) -> Tensor:
        """Give the correction of every passage token.

        Args:
            query: (b, q, d), L2-normalised.
            passages: (b, t, d), L2-normalised.
            similarity: Best match of each passage token among the query tokens, (b, t).
            query_mask: True where a query token is real, (b, q) bool.
            passage_mask: True where a passage token is stored, (b, t) bool.

        Returns:
            Values to add to the logits, (b, t).
        """
        asked = self.inputs(query[query_mask] * self.gain) + self._places(query_mask) + self.sides[0]
        told = self.inputs(passages[passage_mask] * self.gain) + self._places(passage_mask) + self.sides[1]
        told = told + similarity[passage_mask][:, None] * self.similarity
        told = told + self.matches(token_matches(query, passages, query_mask, passage_mask)[passage_mask])
        # Pairs of query and passage lie one after the other: of ten passages of a search, half would be padding,
        # and two thirds of attention, which grows with the square.
        counts = torch.stack([query_mask.sum(dim=1), passage_mask.sum(dim=1)], dim=1)
        pairs = zip(asked.split(counts[:, 0].tolist()), told.split(counts[:, 1].tolist()), strict=True)
        read = self._read(torch.cat([side for pair in pairs for side in pair]), counts.sum(dim=1).tolist())
        corrections = self.output(read)[:, 0].split(counts.flatten().tolist())[1::2]
        found = torch.zeros_like(similarity)
        found[passage_mask] = torch.cat(corrections)
        return found

    def _read(self, tokens: Tensor, lengths: list[int]) -> Tensor:
        """Run the layers, (sum(lengths), width) to the same in float32, in the precision of their weights."""
        stack: Any = self.layers  # torch does not say what its containers hold
        found = tokens.to(stack.norm.weight.dtype)
        for layer in stack.layers:
            found = _layer(layer, found, lengths)
        normal: Tensor = stack.norm(found).float()
        return normal

    def _places(self, mask: Tensor) -> Tensor:
        """Encode the place of every token that counts among those of its row, (b, n) to (tokens, width)."""
        rates = torch.exp(torch.arange(0, self.width, 2, device=mask.device) * (-math.log(10_000) / self.width))
        angles = torch.arange(mask.shape[1], device=mask.device)[:, None] * rates
        waves = 0.1 * torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)
        return waves[(mask.cumsum(dim=1) - 1)[mask]]


def _layer(layer: nn.TransformerEncoderLayer, tokens: Tensor, lengths: list[int]) -> Tensor:
    """Run one layer as its own `forward` would, on sequences that lie one after the other, (sum(lengths), width)."""
    attention = layer.self_attn
    joined = linear(layer.norm1(tokens), attention.in_proj_weight, attention.in_proj_bias)
    heads = joined.view(len(tokens), 3, _HEADS, -1).permute(1, 2, 0, 3)  # (3, heads, tokens, width of a head)
    seen = [_attention(*sequence) for sequence in torch.split(heads, lengths, dim=2)]
    tokens = tokens + attention.out_proj(torch.cat(seen, dim=1).transpose(0, 1).flatten(1))
    hidden = gelu(layer.linear1(layer.norm2(tokens)))
    found: Tensor = tokens + layer.linear2(hidden)
    return found


def _attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Let the tokens of one sequence look at each other, (heads, tokens, width of a head) all.

    On a CPU in bfloat16, 500 tokens take half of the time of torch's `scaled_dot_product_attention`.
    """
    scores = torch.baddbmm(query.new_empty(1), query, key.mT, beta=0, alpha=query.shape[-1] ** -0.5)
    return scores.softmax(dim=-1) @ value


def token_matches(query: Tensor, passages: Tensor, query_mask: Tensor, passage_mask: Tensor) -> Tensor:
    """Describe the part of each passage token in the late interaction of query and passage.

    Args:
        query: (b, q, d), L2-normalised.
        passages: (b, t, d), L2-normalised.
        query_mask: True where a query token is real, (b, q) bool.
        passage_mask: True where a passage token is stored, (b, t) bool.

    Returns:
        (b, t, MATCHES) float32. First, the token's best match among the query tokens. Then two values
        for how near the token comes to being the passage's best match of a query token: the sum over
        the query tokens, and the maximum. Then, for a clause and for a sentence around the token, the
        MaxSim of that stretch (the mean over the query tokens of the best match there), and how far it
        lies below the passage's best stretch.
    """
    asked = query_mask[:, None, :].float()
    similarities = passages.float() @ query.float().mT  # (b, t, q)
    # Where nothing is, -1: the lowest cosine, so that it is never a maximum and never infinite.
    similarities = similarities.masked_fill(~(passage_mask[..., None] & query_mask[:, None, :]), -1)
    nearness = torch.exp(SHARPNESS * (similarities - similarities.amax(dim=1, keepdim=True))) * asked
    found = [similarities.amax(dim=2), nearness.sum(dim=2) / 5, nearness.amax(dim=2)]
    share = asked / asked.sum(dim=2, keepdim=True).clamp(min=1)
    for length in STRETCHES:
        best = max_pool1d(similarities.mT, length, stride=1, padding=length // 2).mT  # (b, t, q)
        local = (best * share).sum(dim=2)
        found += [local, local - local.masked_fill(~passage_mask, -1).amax(dim=1, keepdim=True)]
    return torch.stack(found, dim=-1)
