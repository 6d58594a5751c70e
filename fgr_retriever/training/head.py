"""The head stage: the evidence head alone learns on, from the vectors that an index would store.

The encoder is finished and no longer moves, so every text is encoded once; retrieval cannot change.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import MultiVectorEncoder
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from fgr_retriever.encoder import best_dtype
from fgr_retriever.evidence import EvidenceHead
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.data import Row, TokenLabels, collate, pad
from fgr_retriever.training.joint import encode, evidence_parts, weighted

_BATCH = 32
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


@torch.inference_mode()
def store_vectors(encoder: MultiVectorEncoder, examples: TokenLabels, file: Path) -> StoredVectors:
    """Encode every example once, in the precision of a search.

    Args:
        encoder: The finished encoder; it is not changed.
        examples: What to encode.
        file: Where the vectors go; 2 bytes a dimension of each token.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = copy.deepcopy(encoder).to(device, best_dtype(device)).eval()
    order = sorted(range(len(examples)), key=lambda place: len(examples[place]["input_ids"]))
    rows: dict[int, _Place] = {}
    end = 0
    with file.open("wb") as out:
        for start in tqdm(range(0, len(order), _BATCH), desc="Encoding", unit="batch"):
            places = order[start : start + _BATCH]
            batch = {name: value.to(device) for name, value in collate([examples[place] for place in places]).items()}
            queries = _stored(*encode(encoder, batch["query_ids"], batch["query_mask"], "query"))
            passages, kept = encode(encoder, batch["passage_ids"], batch["passage_mask"], "document")
            labels = [row[mask].cpu().numpy() for row, mask in zip(batch["labels"], kept, strict=True)]
            for place, query, passage, marks in zip(places, queries, _stored(passages, kept), labels, strict=True):
                out.write(query.tobytes() + passage.tobytes())
                rows[place] = (end, end + len(query), end + len(query) + len(passage), marks)
                end += len(query) + len(passage)
    return StoredVectors(file, [rows[place] for place in range(len(examples))], passages.shape[-1])


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


def _stored(vectors: Tensor, kept: Tensor) -> list[NDArray[np.float16]]:
    """Take the vectors of the stored tokens of each text."""
    return [normalize(row[mask].float(), dim=-1).half().cpu().numpy() for row, mask in zip(vectors, kept, strict=True)]
