"""The head stage: the evidence head alone learns on, from the vectors that an index would store.

The encoder is finished and no longer moves, so every text is encoded once; retrieval cannot change.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from fgr_retriever.model.evidence_head import EvidenceHead
from fgr_retriever.model.tokens import StoredTokens, TokenEncoder
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.data import Labelled, Row, pad, token_labels
from fgr_retriever.training.joint import evidence_parts, weighted
from fgr_retriever.training.losses import in_batch_maxsim
from fgr_retriever.training.noise import CodecNoise

_BATCH = 512
_Place: TypeAlias = tuple[int, int, int, NDArray[np.float32]]


class HeadModel(nn.Module):
    """The head with its part of the joint loss.

    Args:
        head: The evidence head to train.
        recipe: The weights of the losses.
    """

    def __init__(self, head: EvidenceHead, recipe: TrainingConfig) -> None:
        super().__init__()
        self.head, self.recipe = head, recipe
        self._noise = CodecNoise(recipe.noise_bits)

    def forward(
        self, queries: Tensor, query_kept: Tensor, passages: Tensor, passage_kept: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """Give the losses of one batch: `loss` is their weighted sum."""
        queries, passages = queries.float(), passages.float()
        scores = in_batch_maxsim(queries, query_kept, passages, passage_kept)
        read = self.head, queries, query_kept, self._noise(passages), passage_kept
        found = evidence_parts(*read, labels, scores, self.recipe.positive_weight)
        return weighted(found, self.recipe)


class StoredVectors(Dataset[Row]):
    """Examples as the vectors of their stored tokens, in a file on disk.

    Args:
        file: All vectors one after another, float16, memory-mapped.
        rows: For each example, where its query begins, where its passage begins and ends, and its labels.
        dim: Width of a vector.
    """

    def __init__(self, file: Path, rows: Sequence[_Place], dim: int) -> None:
        self._vectors = np.memmap(file, dtype=np.float16, mode="r").reshape(-1, dim)
        self._rows = rows

    def __len__(self) -> int:
        """Count the examples."""
        return len(self._rows)

    def __getitem__(self, index: int) -> Row:
        """Give one example: `queries`, `input_ids` (the passage's vectors, named for the sampler), `labels`."""
        first, middle, last, labels = self._rows[index]
        vectors = self._vectors
        return {"queries": vectors[first:middle].copy(), "input_ids": vectors[middle:last].copy(), "labels": labels}


def store_vectors(encoder: TokenEncoder, examples: Sequence[Labelled], file: Path) -> StoredVectors:
    """Encode every example once, as an index would store it: long passages in several windows.

    Args:
        encoder: The finished model.
        examples: What to encode.
        file: Where the vectors go; 2 bytes a dimension of each token.
    """
    rows: list[_Place] = []
    end = 0
    with file.open("wb") as out, tqdm(total=len(examples), desc="Encoding", unit=" examples") as bar:
        for start in range(0, len(examples), _BATCH):
            batch = examples[start : start + _BATCH]
            queries = encoder.encode_queries([example.query for example in batch])
            blocks = groupby(encoder.encode_passages(one.passage for one in batch), key=lambda block: block.passage)
            for example, query, (_, parts) in zip(batch, queries, blocks, strict=True):
                tokens = StoredTokens.of(list(parts))
                out.write(query.half().numpy().tobytes() + tokens.vectors.tobytes())
                middle = end + len(query)
                rows.append((end, middle, middle + len(tokens.vectors), token_labels(tokens.offsets, example.ranges)))
                end = middle + len(tokens.vectors)
            bar.update(len(batch))
    return StoredVectors(file, rows, encoder.dim)


def collate_vectors(rows: Sequence[Row]) -> dict[str, Tensor]:
    """Pad a batch of `StoredVectors`."""
    queries, passages = ([row[side] for row in rows] for side in ("queries", "input_ids"))
    return {
        "queries": pad(queries, 0),
        "query_kept": pad([np.ones(len(one), dtype=np.bool_) for one in queries], 0),
        "passages": pad(passages, 0),
        "passage_kept": pad([np.ones(len(one), dtype=np.bool_) for one in passages], 0),
        "labels": pad([row["labels"] for row in rows], -1),
    }
