"""Training examples as what an index would store of them: each text is encoded once, onto the disk."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from fgr_retriever.model.encoder import Encoder
from fgr_retriever.model.tokens import StoredTokens
from fgr_retriever.training.data import Labelled, Row, pad, token_labels

_BATCH = 512
_VECTORS, _STATES = "vectors.bin", "states.bin"


class Place(NamedTuple):
    """Where an example lies among the vectors of a file, and its labels.

    Args:
        first: Where its query begins.
        middle: Where its passage begins.
        last: Where its passage ends.
        labels: The probability of evidence of each token of the passage, -1 for no label, (t,).
    """

    first: int
    middle: int
    last: int
    labels: NDArray[np.float32]


class StoredVectors(Dataset[Row]):
    """Examples as the vectors of their tokens, in files on disk.

    Args:
        folder: Where the files are.
        places: The examples.
        dim: Width of a vector.
        hidden: Width of a hidden state; 0 if none are stored.
    """

    def __init__(self, folder: Path, places: Sequence[Place], dim: int, hidden: int = 0) -> None:
        self.places, self.hidden = places, hidden
        self._vectors = np.memmap(folder / _VECTORS, dtype=np.float16, mode="r").reshape(-1, dim)
        self._states = np.memmap(folder / _STATES, np.float16, "r").reshape(-1, hidden) if hidden else None

    def relabelled(self, places: Sequence[Place]) -> StoredVectors:
        """Give the same examples with other labels."""
        other = copy(self)
        other.places = places
        return other

    def __len__(self) -> int:
        """Count the examples."""
        return len(self.places)

    def __getitem__(self, index: int) -> Row:
        """Give one example: `queries`, `input_ids` (the passage's vectors, named for the sampler), `labels`.

        Where hidden states are stored, `hidden` has those of the passage.
        """
        first, middle, last, labels = self.places[index]
        vectors = self._vectors
        found = {"queries": vectors[first:middle].copy(), "input_ids": vectors[middle:last].copy(), "labels": labels}
        return found if self._states is None else {**found, "hidden": self._states[middle:last].copy()}


class _HiddenStates:
    """In place of a coder: keeps hidden states as they are, in half precision."""

    def pack(self, hidden: Tensor) -> NDArray[np.uint8]:
        """Give the bytes of hidden states, (..., h) to (..., 2 h)."""
        return hidden.half().cpu().numpy().view(np.uint8)


def store_vectors(
    encoder: Encoder, examples: Sequence[Labelled], folder: Path, *, states: bool = False
) -> StoredVectors:
    """Encode every example once, as an index would store it: long passages in several windows.

    Args:
        encoder: The finished model.
        examples: What to encode.
        folder: A new or existing folder for the vectors, 2 bytes a dimension of each token.
        states: Also store the hidden states of passages, for a head that reads codes of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    places: list[Place] = []
    end = width = 0
    progress = tqdm(total=len(examples), desc="Encoding", unit=" examples")
    with (folder / _VECTORS).open("wb") as out, (folder / _STATES).open("wb") as beside, progress as bar:
        for start in range(0, len(examples), _BATCH):
            batch = examples[start : start + _BATCH]
            queries = encoder.encode_queries([example.query for example in batch])
            texts = (one.passage for one in batch)
            found = encoder.encode_with(_HiddenStates(), texts) if states else encoder.encode_passages(texts)
            blocks = groupby(found, key=lambda block: block.passage)
            for example, query, (_, parts) in zip(batch, queries, blocks, strict=True):
                tokens = StoredTokens.of(list(parts))
                out.write(query.half().numpy().tobytes() + tokens.vectors.tobytes())
                if tokens.evidence is not None:
                    width = tokens.evidence.shape[1]
                    # Rows of a query stay empty, which a sparse file does not store, so that one number finds both.
                    beside.seek(len(query) * width, 1)
                    beside.write(tokens.evidence.tobytes())
                middle = end + len(query)
                last = middle + len(tokens.vectors)
                places.append(Place(end, middle, last, token_labels(tokens.offsets, example.ranges)))
                end = last
            bar.update(len(batch))
    return StoredVectors(folder, places, encoder.dim, width // 2)


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
