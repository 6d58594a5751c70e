"""What is measured: ours at every size of a vector, and what else one would search token vectors with.

Every system stores the same vectors and answers with numbers of passages. Its settings go from the
cheapest to the most thorough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.index import peers
from benchmarks.index.corpus import Corpus

Query = NDArray[np.float32]
GROWING = "ours, 2 bits"  # what is built at every size
SETTINGS = ("fast", "balanced", "accurate", "exact")


class System(Protocol):
    """An index of token vectors in a folder."""

    @property
    def settings(self) -> Sequence[str]:
        """Name the ways to search, from the cheapest to the most thorough."""
        ...

    def build(self, corpus: Corpus) -> None:
        """Store a corpus durably."""
        ...

    def open(self) -> None:
        """Make ready for searching."""
        ...

    def search(self, query: Query, k: int, setting: str) -> list[int]:
        """Find the k best passages."""
        ...


@dataclass
class Ours:
    """`fgr_retriever.index` at a number of bits, in one or two layers; 16 is float16, searched exactly."""

    folder: Path
    nbits: int
    refine: bool = False

    def __post_init__(self) -> None:
        """Import what is measured, so that opening is not about imports."""
        from benchmarks.index.recorded import Recorded
        from fgr_retriever import SearchConfig
        from fgr_retriever.index.index import Index

        self._index_class, self._model = Index, Recorded
        self._configs = {name: SearchConfig.preset(name) for name in SETTINGS}

    @property
    def settings(self) -> Sequence[str]:
        """The presets; without a codec all are the same."""
        return ["exact"] if self.nbits == 16 else list(SETTINGS)

    def build(self, corpus: Corpus) -> None:
        """Add all passages in one call, with their numbers as texts."""
        from fgr_retriever import IndexConfig, Passage

        config = IndexConfig(nbits=self.nbits, refine=self.refine)
        index = self._index_class.open(self.folder, self._model(corpus), config)
        index.add((Passage(str(row), str(row)) for row in range(len(corpus))), show_progress=True)
        index.compact(show_progress=True)
        index.close()

    def open(self) -> None:
        """Open the index."""
        self._index = self._index_class.open(self.folder, self._model(None), create=False)

    def search(self, query: Query, k: int, setting: str) -> list[int]:
        """Search, reading texts and stored tokens of what was found as the engine does."""
        (matches,) = self._index.search([torch.from_numpy(query)], k, config=self._configs[setting])
        return [int(match.passage.id) for match in matches]


@dataclass
class BruteForce:
    """MaxSim over all passages with torch, from float16 vectors in memory."""

    folder: Path
    settings = ("exact",)

    def build(self, corpus: Corpus) -> None:
        """Copy the vectors into one file."""
        self.folder.mkdir(parents=True)
        with (self.folder / "vectors").open("wb") as file:
            for _, vectors in corpus.chunks():
                vectors.tofile(file)
        np.save(self.folder / "lengths", corpus.lengths)

    def open(self) -> None:
        """Read everything into memory."""
        self._lengths = torch.from_numpy(np.load(self.folder / "lengths.npy"))
        vectors = np.fromfile(self.folder / "vectors", "<f2").reshape(int(self._lengths.sum()), -1)
        self._vectors = torch.from_numpy(vectors)

    def search(self, query: Query, k: int, setting: str) -> list[int]:
        """Score every passage, a few thousand at a time."""
        scores = exact_scores([query], self._pieces())[0]
        return scores.topk(min(k, len(scores))).indices.tolist()

    def _pieces(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        lengths = self._lengths.split(1024)
        sizes = [int(one.sum()) for one in lengths]
        return zip(self._vectors.split(sizes), lengths, strict=True)


def exact_scores(queries: Sequence[Query], pieces: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """Give MaxSim of queries and passages, (queries, passages), a piece of passages after the other."""
    from fgr_retriever.model.maxsim import best_matches

    stacked, sizes = torch.from_numpy(np.concatenate(queries)), [len(query) for query in queries]
    found = []
    for vectors, lengths in pieces:
        best = best_matches(stacked, vectors.float(), lengths)
        found.append(torch.stack([matches.sum(dim=1) for matches in best.split(sizes, dim=1)]))
    return torch.cat(found, dim=1)


SYSTEMS: dict[str, Callable[[Path], System]] = {
    "ours, 2 bits": partial(Ours, nbits=2),
    "ours, 2 + 2 bits": partial(Ours, nbits=2, refine=True),
    "ours, 4 bits": partial(Ours, nbits=4),
    "ours, 1 bit": partial(Ours, nbits=1),
    "ours, float16": partial(Ours, nbits=16),
    "torch, brute force": BruteForce,
    "maxsim-cpu": peers.MaxSimCpu,
    "Qdrant Edge": peers.Qdrant,
    "LanceDB": peers.Lance,
    "tachiom": peers.Tachiom,
    "fast-plaid, 2 bits": partial(peers.Plaid, nbits=2),
    "fast-plaid, 4 bits": partial(peers.Plaid, nbits=4),
}
