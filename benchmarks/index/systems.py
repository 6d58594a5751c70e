"""What is measured: ours at every size of a vector, and what else one would search token vectors with.

Every system stores the same vectors and answers with numbers of passages. Its settings go from the
cheapest to the most thorough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

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


@dataclass
class Qdrant:
    """Qdrant's engine in this process: the mean vector proposes through HNSW, MaxSim over float16 decides.

    Token vectors have no graph of their own, as Qdrant's documentation advises.
    """

    folder: Path
    settings = ("prefetch 100", "prefetch 400", "prefetch 1600", "prefetch 6400", "exact")

    def __post_init__(self) -> None:
        """Import what is measured."""
        self._qe = import_module("qdrant_edge")

    def build(self, corpus: Corpus) -> None:
        """Upsert in batches, then let the optimiser build the graph."""
        self.folder.mkdir(parents=True)
        rows = self._qe.MultiVectorConfig(self._qe.MultiVectorComparator.MaxSim)
        none = self._qe.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000)
        half = self._qe.VectorStorageDatatype.Float16
        tokens = self._qe.EdgeVectorParams(
            128, self._qe.Distance.Dot, on_disk=True, multivector_config=rows, datatype=half, hnsw_config=none
        )
        mean = self._qe.EdgeVectorParams(128, self._qe.Distance.Cosine)
        shard = self._qe.EdgeShard.create(str(self.folder), self._qe.EdgeConfig({"tokens": tokens, "mean": mean}))
        for start in range(0, len(corpus), 256):
            points = []
            for row in filter(corpus.lengths.__getitem__, range(start, min(start + 256, len(corpus)))):
                vectors = corpus[row].astype(np.float32)
                points.append(self._qe.Point(row, {"tokens": vectors.tolist(), "mean": vectors.mean(axis=0).tolist()}))
            shard.update(self._qe.UpdateOperation.upsert_points(points))
        shard.optimize()
        shard.flush()
        shard.close()

    def open(self) -> None:
        """Load the shard."""
        self._shard = self._qe.EdgeShard.load(str(self.folder))

    def search(self, query: Query, k: int, setting: str) -> list[int]:
        """Search in one or two stages."""
        best = self._qe.Query.Nearest(query.tolist(), using="tokens")
        if setting == "exact":
            request = self._qe.QueryRequest(k, query=best, params=self._qe.SearchParams(exact=True))
        else:
            count = int(setting.split()[1])
            mean = self._qe.Query.Nearest(query.mean(axis=0).tolist(), using="mean")
            first = self._qe.Prefetch(count, query=mean, params=self._qe.SearchParams(hnsw_ef=max(128, count)))
            request = self._qe.QueryRequest(k, query=best, prefetches=[first])
        return [int(point.id) for point in self._shard.query(request)]


@dataclass
class Lance:
    """LanceDB with a multivector column of float16 and its IVF_PQ index, 32 bytes a token."""

    folder: Path
    settings = ("4 probes", "16 probes", "16 probes, refine 4", "64 probes, refine 16")

    def __post_init__(self) -> None:
        """Import what is measured."""
        self._lancedb = import_module("lancedb")

    def build(self, corpus: Corpus) -> None:
        """Write the table in batches and build the index."""
        import pyarrow as pa

        schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.list_(pa.float16(), 128)))])

        def batches() -> Iterator[Any]:
            for rows, vectors in corpus.chunks():
                ends = np.cumsum(corpus.lengths[rows.start : rows.stop])
                inner = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), 128)
                lists = pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]).astype(np.int32)), inner)
                yield pa.RecordBatch.from_arrays([pa.array(rows), lists], schema=schema)

        table = self._lancedb.connect(self.folder).create_table("passages", data=batches(), schema=schema)
        table.create_index(metric="cosine", vector_column_name="vector", index_type="IVF_PQ", num_sub_vectors=32)

    def open(self) -> None:
        """Open the table."""
        self._table = self._lancedb.connect(self.folder).open_table("passages")

    def search(self, query: Query, k: int, setting: str) -> list[int]:
        """Search with so many probes of partitions and refining of so many times k results."""
        numbers = [int(word) for word in setting.replace(",", "").split() if word.isdigit()]
        search = self._table.search(query, vector_column_name="vector").limit(k).nprobes(numbers[0])
        if len(numbers) > 1:
            search = search.refine_factor(numbers[1])
        return [row["id"] for row in search.select(["id"]).to_list()]


@dataclass
class Plaid:
    """fast-plaid, the PLAID engine of PyLate, at a number of bits."""

    folder: Path
    nbits: int
    settings = ("4 probes, 512 full", "8 probes, 4096 full", "32 probes, 8192 full")

    def __post_init__(self) -> None:
        """Import what is measured."""
        self._search = import_module("fast_plaid.search")

    def build(self, corpus: Corpus) -> None:
        """Create the index; it wants all vectors at once."""
        index = self._search.FastPlaid(index=str(self.folder), device="cpu")
        rows = np.flatnonzero(corpus.lengths)  # it refuses passages without tokens
        passages = [torch.from_numpy(np.array(corpus[row])) for row in rows]
        index.create(documents_embeddings=passages, nbits=self.nbits)
        np.save(self.folder / "rows", rows)

    def open(self) -> None:
        """Load the index."""
        self._rows = np.load(self.folder / "rows.npy")
        self._index = self._search.FastPlaid(index=str(self.folder), device="cpu")

    def search(self, query: Query, k: int, setting: str) -> list[int]:
        """Search with so many probes of centroids and so many passages scored in full."""
        probes, full = (int(word) for word in setting.replace(",", "").split() if word.isdigit())
        (found,) = self._index.search(
            queries_embeddings=torch.from_numpy(query)[None],
            top_k=k,
            n_ivf_probe=probes,
            n_full_scores=full,
            show_progress=False,
        )
        return [int(self._rows[place]) for place, _ in found]


SYSTEMS: dict[str, Callable[[Path], System]] = {
    "ours, 2 bits": partial(Ours, nbits=2),
    "ours, 2 + 2 bits": partial(Ours, nbits=2, refine=True),
    "ours, 4 bits": partial(Ours, nbits=4),
    "ours, 1 bit": partial(Ours, nbits=1),
    "ours, float16": partial(Ours, nbits=16),
    "torch, brute force": BruteForce,
    "Qdrant Edge": Qdrant,
    "LanceDB": Lance,
    "fast-plaid, 2 bits": partial(Plaid, nbits=2),
    "fast-plaid, 4 bits": partial(Plaid, nbits=4),
}
