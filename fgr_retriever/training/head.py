"""The head stage: the evidence head alone learns on, from the vectors that an index would store.

The encoder is finished and no longer moves, so every text is encoded once; retrieval cannot change.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import MultiVectorEncoder
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from fgr_retriever.encoder import best_dtype
from fgr_retriever.evidence import EvidenceHead
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.data import Row, TokenLabels, collate, pad
from fgr_retriever.training.joint import encode, evidence_parts, weighted

_BATCH = 64


class HeadModel(nn.Module):
    """The head with its part of the joint loss.

    Args:
        head: The evidence head to train.
        recipe: The weights of the losses.
    """

    def __init__(self, head: EvidenceHead, recipe: TrainingConfig) -> None:
        super().__init__()
        self.head, self.recipe = head, recipe

    def forward(
        self, queries: Tensor, query_kept: Tensor, passages: Tensor, passage_kept: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """Give the losses of one batch: `loss` is their weighted sum."""
        found = evidence_parts(self.head, queries.float(), query_kept, passages.float(), passage_kept, labels)
        return weighted(found, self.recipe)


class StoredVectors(Dataset[Row]):
    """Examples as the vectors of their stored tokens, in a file on disk.

    Args:
        file: All vectors one after another, float16, memory-mapped.
        rows: For each example, where its query begins, its passage begins and ends, and its labels.
        dim: Width of a vector.
    """

    def __init__(self, file: Path, rows: Sequence[tuple[int, int, int, NDArray[np.float32]]], dim: int) -> None:
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


@torch.inference_mode()
def store_vectors(encoder: MultiVectorEncoder, examples: TokenLabels, file: Path) -> StoredVectors:
    """Encode every example once.

    Args:
        encoder: The finished encoder.
        examples: What to encode.
        file: Where the vectors go; 2 bytes a dimension of each token.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder.to(device).eval()
    rows, place = [], 0
    with file.open("wb") as out:
        for start in tqdm(range(0, len(examples), _BATCH), desc="Encoding", unit="batch"):
            batch = collate([examples[at] for at in range(start, min(start + _BATCH, len(examples)))])
            tokens = {name: value.to(device) for name, value in batch.items() if name != "labels"}
            with torch.autocast(device.type, best_dtype(device)):
                asked = _stored(*encode(encoder, tokens["query_ids"], tokens["query_mask"], "query"))
                passages, kept = encode(encoder, tokens["passage_ids"], tokens["passage_mask"], "document")
            labels = [row[mask].numpy() for row, mask in zip(batch["labels"], kept.cpu(), strict=True)]
            for query, passage, marks in zip(asked, _stored(passages, kept), labels, strict=True):
                out.write(query.tobytes() + passage.tobytes())
                rows.append((place, place + len(query), place + len(query) + len(passage), marks))
                place = rows[-1][2]
    return StoredVectors(file, rows, passages.shape[-1])


def collate_vectors(rows: Sequence[Row]) -> dict[str, Tensor]:
    """Pad a batch of `StoredVectors`."""
    batch = {}
    for name, key in (("query", "queries"), ("passage", "input_ids")):
        batch["queries" if name == "query" else "passages"] = pad([row[key] for row in rows], 0)
        batch[f"{name}_kept"] = pad([np.ones(len(row[key]), dtype=np.bool_) for row in rows], 0)
    return {**batch, "labels": pad([row["labels"] for row in rows], -1)}


def _stored(vectors: Tensor, kept: Tensor) -> list[NDArray[np.float16]]:
    """Take the vectors of the stored tokens of each text."""
    return [row[mask].half().cpu().numpy() for row, mask in zip(vectors, kept, strict=True)]
