"""Dense retrieval: one vector for each passage, by an ordinary bi-encoder."""

from __future__ import annotations

import functools
import hashlib
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.arguments import check
from fgr_retriever.errors import CheckpointError, ConfigError, MissingExtraError
from fgr_retriever.index.filters import compile_filter
from fgr_retriever.index.index import Index
from fgr_retriever.index.storage import rows
from fgr_retriever.model.precision import best_dtype
from fgr_retriever.search.stages import Candidate, Request, Stage
from fgr_retriever.search.stages._kept_vectors import PooledVectors
from fgr_retriever.text.valid import without_surrogates

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

FOLDER = "dense"
"""In the folder of an index: what the bi-encoders made, a folder each."""

_opening = threading.Lock()  # else two threads that come at once would load a model each
_DECIMALS = 5  # of a score: equal texts come out equal


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense(Stage):
    """Finds passages by one vector for each, with a sentence-transformers bi-encoder (SBERT, arXiv 1908.10084).

    The score is the cosine, or the dot product for a model that was trained for it. As the first stage
    it searches all passages that match the filter, exactly (faiss, inner product). After another stage
    it ranks the candidates.

    The vectors are made at first use and kept in the folder of the index. Later
    only the vectors of new texts are made. A passage longer than the model's limit is cut there, as
    sentence-transformers does.

    Args:
        model: Its folder, or its id on the Hugging Face hub, such as
            `sentence-transformers/all-MiniLM-L6-v2`.
        count: How many candidates the stage passes on.
        show_progress: Show a progress bar on stderr while the vectors of passages are made.
    """

    kind: ClassVar[str] = "dense"

    model: str
    show_progress: bool = False

    def __post_init__(self) -> None:
        """Check every field."""
        Stage.__post_init__(self)
        check("model", self.model, isinstance(self.model, str) and bool(self.model), "a folder or a hub id")
        check("show_progress", self.show_progress, isinstance(self.show_progress, bool), "true or false")

    def run(self, request: Request, candidates: Sequence[Candidate] | None) -> list[Candidate]:
        """Search, or rank the candidates; see `Stage.run`.

        Raises:
            CheckpointError: The model cannot be opened, or gives no usable vectors.
            MissingExtraError: faiss is not installed.
            InputError: The filter is invalid.
            IndexCorruptError: The stored data is damaged.
            ConfigError: The index lies in no folder.
        """
        index = request.index
        if not isinstance(index, Index):
            raise ConfigError(f"stage 'dense': {index.location} lies in no folder, where its vectors could be kept")
        with _opening:
            model = _open(self.model)
        known = {one.id: one for one in candidates or ()}
        with index.reading() as (snapshot, connection):
            table, query = model.prepare(index, connection, snapshot.generation, request.query, self.show_progress)
            allowed = _allowed(connection, request, candidates)
            found = table.search(query, request.at_least_k(self.count), allowed)
            ids = [(rows.fetch_id(connection, row), score) for row, score in found]
        return [known.get(id, Candidate(id, score)).scored(self.label, score) for id, score in ids]


def _allowed(
    connection: sqlite3.Connection, request: Request, candidates: Sequence[Candidate] | None
) -> NDArray[np.int64] | None:
    """List the rows that may be found; None for all."""
    if candidates is not None:
        numbers = rows.numbers_of(connection, [one.id for one in candidates])
        return np.array([row for row in numbers if row is not None], dtype=np.int64)
    if request.filter is None:
        return None
    return np.array(rows.numbers_where(connection, compile_filter(request.filter)), dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """The vectors of one state of an index.

    Args:
        generation: Of the state.
        rows: Numbers of the live passages, (n,) ascending.
        vectors: A faiss index with their vectors, in the same order.
    """

    generation: int
    rows: NDArray[np.int64]
    vectors: Any

    def search(
        self, query: NDArray[np.float32], count: int, allowed: NDArray[np.int64] | None
    ) -> list[tuple[int, float]]:
        """Find the best rows and their scores, best first, the earlier row first among equals."""
        marked = np.ones(len(self.rows), bool) if allowed is None else np.isin(self.rows, allowed)
        count = min(count, int(marked.sum()))
        if not count:
            return []
        faiss = _faiss()
        bits = np.packbits(marked, bitorder="little")
        params = None if marked.all() else faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))
        scores, places = (found[0] for found in self.vectors.search(query[np.newaxis], count, params=params))
        scores = scores.round(_DECIMALS)
        order = np.lexsort((places, -scores))
        return list(zip(self.rows[places[order]].tolist(), scores[order].tolist(), strict=True))


class _Model:
    """A bi-encoder with the vectors of the indexes that are open; used by one thread at a time.

    Args:
        model: The bi-encoder.
    """

    def __init__(self, model: SentenceTransformer) -> None:
        from fgr_retriever.model.checkpoint import fingerprint  # imports sentence-transformers

        self._model = model
        self._name = hashlib.sha256(f"{fingerprint(model)} {model.max_seq_length}".encode()).hexdigest()[:32]
        self._lock = threading.Lock()  # a tokenizer is not made for several threads
        self._tables: WeakKeyDictionary[Index, _Table] = WeakKeyDictionary()

    def prepare(
        self, index: Index, connection: sqlite3.Connection, generation: int, query: str, show_progress: bool
    ) -> tuple[_Table, NDArray[np.float32]]:
        """Bring the vectors of an index up to date and encode a query, (d,)."""
        with self._lock:
            table = self._tables.get(index)
            if table is None or table.generation != generation:
                table = self._tables[index] = self._make(index, connection, generation, show_progress)
            (vector,) = self._encode([query], self._model.encode_query)
            return table, vector

    def _make(self, index: Index, connection: sqlite3.Connection, generation: int, show_progress: bool) -> _Table:
        """Look up the vectors of all live passages, making those that are new."""
        stored = rows.text_digests(connection)
        numbers = np.array([row for row, _ in stored], dtype=np.int64)
        dim = self._model.get_embedding_dimension()
        if dim is None:
            raise CheckpointError("the bi-encoder does not say how wide its vectors are: its last module must")

        def encode(places: Sequence[int]) -> NDArray[np.float16]:
            texts = [rows.fetch_number(connection, row).text for row in numbers[list(places)].tolist()]
            return self._encode(texts, self._model.encode_document).astype(np.float16)

        store = PooledVectors(index.folder / FOLDER / self._name, dim)
        vectors = store.of([digest for _, digest in stored], encode, show_progress=show_progress)
        flat = _faiss().IndexFlatIP(dim)
        flat.add(vectors.astype(np.float32))
        return _Table(generation, numbers, flat)

    def _encode(self, texts: list[str], encode: Any) -> NDArray[np.float32]:
        """Encode texts, (n, d), L2-normalised where the model is for the cosine."""
        cosine = self._model.similarity_fn_name == "cosine"
        known = [without_surrogates(text) for text in texts]
        found = np.asarray(encode(known, normalize_embeddings=cosine, show_progress_bar=False), np.float32)
        if not np.isfinite(found).all():
            raise CheckpointError("the bi-encoder gave vectors that are not finite")
        return found


@functools.cache
def _open(name: str) -> _Model:
    """Load a model, once a process.

    Raises:
        CheckpointError: Nothing there, damaged files, or another kind of model.
    """
    from fgr_retriever.model.checkpoint import read_model_json  # imports sentence-transformers
    from fgr_retriever.model.hub import locate_model
    from fgr_retriever.model.linear import use_packed
    from fgr_retriever.model.loading import loading

    place = locate_model(name)
    settings = read_model_json(place, "config_sentence_transformers.json") or {}
    config = read_model_json(place, "config.json") or {}
    ranks = any(str(one).endswith("ForSequenceClassification") for one in config.get("architectures") or ())
    if ranks or settings.get("model_type", "SentenceTransformer") != "SentenceTransformer":
        kind = settings.get("model_type") or "CrossEncoder"
        raise CheckpointError(f"{name!r} is no bi-encoder ({kind}): use one that was saved as a SentenceTransformer")
    from sentence_transformers import SentenceTransformer  # only where it is used

    with loading(f"the bi-encoder {name!r}", place):
        model = SentenceTransformer(place)
    if model.similarity_fn_name not in ("cosine", "dot"):
        raise CheckpointError(f"{name!r} compares vectors by {model.similarity_fn_name}: only cosine and dot work here")
    found = _Model(model)  # the fingerprint is that of the weights as they are stored
    model.to(best_dtype(model.device)).eval()
    use_packed(model)
    return found


def _faiss() -> Any:
    """Import faiss, which is optional because two distributions own the module."""
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("the stage dense", "cpu") from error
    return faiss
