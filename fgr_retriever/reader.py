"""Reads a passage's stored token vectors together with the query's, to see evidence in context.

The paper's head judges every passage token alone. But evidence is a stretch of text, and whether it
answers depends on what stands beside it. A small transformer over the *stored* vectors of query and
passage sees both; nothing is encoded again.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_HEADS = 4


class Reader(nn.Module):
    """A correction of evidence logits from the context of each token.

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
        self.sides = nn.Parameter(torch.randn(2, width) * 0.02)  # query, passage
        self.similarity = nn.Parameter(torch.randn(width) * 0.1)
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
            What to add to the logits, (b, t).
        """
        asked = self.inputs(query * self.gain) + self._places(query_mask) + self.sides[0]
        told = self.inputs(passages * self.gain) + self._places(passage_mask) + self.sides[1]
        told = told + similarity[..., None] * self.similarity
        ignored = ~torch.cat([query_mask, passage_mask], dim=1)
        read = self.layers(torch.cat([asked, told], dim=1), src_key_padding_mask=ignored)
        correction: Tensor = self.output(read[:, query.shape[1] :])[..., 0]
        return correction

    def _places(self, mask: Tensor) -> Tensor:
        """Encode the place of every token among those that count, (b, n) to (b, n, width)."""
        place = (mask.cumsum(dim=1) - 1).clamp(min=0)[..., None]
        rates = torch.exp(torch.arange(0, self.width, 2, device=mask.device) * (-math.log(10_000) / self.width))
        return 0.1 * torch.cat([torch.sin(place * rates), torch.cos(place * rates)], dim=-1)
