"""Training examples as what an index would store of them: each text is encoded once, onto the disk."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from fgr_retriever.model.encoder import Encoder
from fgr_retriever.training.data import Labelled, Row, pad, token_labels

_BATCH = 512
_VECTORS, _STATES = "vectors.bin", "states.bin"


class PlacedWindows(NamedTuple):
    """Where the hidden states of a passage lie: those of all tokens that the encoder saw.

    Args:
        first: Where they begin.
        lengths: Tokens of each window, (w,).
        kept: Which of the tokens are kept, (n,); an index stores vectors of these only.
    """

    first: int
    lengths: NDArray[np.int64]
    kept: NDArray[np.bool_]


class Place(NamedTuple):
    """Where an example lies among the vectors of a file, and its labels.

    Args:
        first: Where its query begins.
        middle: Where its passage begins.
        last: Where its passage ends.
        labels: The probability of evidence of each token of the passage, -1 for no label, (t,).
        windows: The windows of the passage with all their tokens, where hidden states are stored.
    """

    first: int
    middle: int
    last: int
    labels: NDArray[np.float32]
    windows: PlacedWindows | None = None


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

        Where hidden states are stored, `hidden` has those of all tokens of the passage's windows, (n, h), `kept` says
        which tokens have a vector, (n,), and `windows` has the tokens of each window, (w,).
        """
        first, middle, last, labels, windows = self.places[index]
        vectors = self._vectors
        found = {"queries": vectors[first:middle].copy(), "input_ids": vectors[middle:last].copy(), "labels": labels}
        if self._states is None or windows is None:
            return found
        hidden = self._states[windows.first : windows.first + len(windows.kept)].copy()
        return {**found, "hidden": hidden, "kept": windows.kept, "windows": windows.lengths}


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
    end = shown = width = 0
    progress = tqdm(total=len(examples), desc="Encoding", unit=" examples")
    with (folder / _VECTORS).open("wb") as out, (folder / _STATES).open("wb") as beside, progress as bar:
        for start in range(0, len(examples), _BATCH):
            batch = examples[start : start + _BATCH]
            queries = encoder.encode_queries([example.query for example in batch])
            found = groupby(encoder.encode_whole(one.passage for one in batch), key=itemgetter(0))
            for example, query, (_, parts) in zip(batch, queries, found, strict=True):
                windows = [one for _, one in parts]
                vectors, offsets, hidden, kept = (np.concatenate(side) for side in zip(*windows, strict=True))
                out.write(query.half().numpy().tobytes() + vectors.tobytes())
                middle = end + len(query)
                last = middle + len(vectors)
                placed = None
                if states:
                    beside.write(hidden.tobytes())
                    placed = PlacedWindows(shown, np.array([len(one.kept) for one in windows]), kept)
                    shown, width = shown + len(kept), hidden.shape[1]
                places.append(Place(end, middle, last, token_labels(offsets, example.ranges), placed))
                end = last
            bar.update(len(batch))
    return StoredVectors(folder, places, encoder.dim, width)


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
