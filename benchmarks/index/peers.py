"""Other engines for token vectors, each as its documentation advises; packages are imported when they are used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from benchmarks.index.corpus import Corpus
    from benchmarks.index.systems import Query


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


@dataclass
class MaxSimCpu:
    """MaxSim over all passages with maxsim-cpu, from float32 vectors in memory, which is what it takes."""

    folder: Path
    settings = ("exact",)

    def __post_init__(self) -> None:
        """Import what is measured."""
        self._maxsim = import_module("maxsim_cpu")

    def build(self, corpus: Corpus) -> None:
        """Copy the vectors into one file; it refuses passages without tokens."""
        self.folder.mkdir(parents=True)
        with (self.folder / "vectors").open("wb") as file:
            for _, vectors in corpus.chunks():
                vectors.astype(np.float32).tofile(file)
        rows = np.flatnonzero(corpus.lengths)
        np.savez(self.folder / "rows", rows=rows, lengths=corpus.lengths[rows])

    def open(self) -> None:
        """Read everything into memory."""
        stored = np.load(self.folder / "rows.npz")
        self._rows = stored["rows"]
        vectors = np.fromfile(self.folder / "vectors", np.float32).reshape(int(stored["lengths"].sum()), -1)
        self._passages = np.split(vectors, np.cumsum(stored["lengths"])[:-1])

    def search(self, query: Query, k: int, setting: str) -> list[int]:
        """Score every passage, 32 tokens of the query at a time: with more, version 0.1.0 gives wrong scores."""
        parts = [query[start : start + 32] for start in range(0, len(query), 32)]
        scores = sum(self._maxsim.maxsim_scores_variable(part, self._passages) for part in parts)
        best = np.argpartition(scores, -k)[-k:]
        return self._rows[best[np.argsort(-scores[best])]].tolist()


@dataclass
class Tachiom:
    """tachiom: centroids shared out among the words of the vocabulary, a graph over them, 32 bytes of codes a token."""

    folder: Path
    settings = ("4 centroids, 128 full", "20 centroids, 500 full", "40 centroids, 2000 full", "80 centroids, 4000 full")

    def __post_init__(self) -> None:
        """Import what is measured; its threads are those of this process."""
        os.environ["RAYON_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"]
        self._tachiom = import_module("tachiom")

    def build(self, corpus: Corpus) -> None:
        """Build from arrays; it wants all vectors at once, and the word of each token."""
        self.folder.mkdir(parents=True)
        rows = np.flatnonzero(corpus.lengths)
        parts = [slice(start, start + length) for start, length in zip(corpus.starts, corpus.lengths, strict=True)]
        index = self._tachiom.Tachiom.build_from_arrays(
            np.concatenate([corpus.vectors[parts[row]] for row in rows]).view(np.uint16),
            np.concatenate([corpus.words[parts[row]] for row in rows]).astype(np.uint32),
            corpus.lengths[rows].astype(np.int32),
        )
        index.save(str(self.folder / "index"))
        np.save(self.folder / "rows", rows)

    def open(self) -> None:
        """Load the index."""
        self._rows = np.load(self.folder / "rows.npy")
        self._index = self._tachiom.Tachiom.load(str(self.folder / "index"))

    def search(self, query: Query, k: int, setting: str) -> list[int]:
        """Search with so many centroids and so many passages scored in full, of those that its pruning leaves."""
        centroids, full = (int(word) for word in setting.replace(",", "").split() if word.isdigit())
        _, found = self._index.search(query, k, k_centroids=centroids, k_docs_to_score=full, ef_search=2 * centroids)
        return [int(self._rows[place]) for place in found if place < len(self._rows)]
