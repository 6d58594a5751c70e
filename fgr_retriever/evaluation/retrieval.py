"""Measure a model on judged retrieval data, together with BM25 over the same text in the same run.

The numbers are computed by trec_eval; queries without a relevant passage are left out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgr_retriever.config import SearchConfig
from fgr_retriever.engine import Engine
from fgr_retriever.evaluation.beir import Beir, read_beir
from fgr_retriever.evaluation.bm25 import bm25
from fgr_retriever.evaluation.measures import SHOWN
from fgr_retriever.evaluation.systems import Measured, Search, System, measure
from fgr_retriever.evaluation.trec import Scored
from fgr_retriever.index.index import Index
from fgr_retriever.model.tokens import TokenEncoder
from fgr_retriever.types import Passage


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """Quality and latency of a model and of BM25 on the same passages and queries.

    Args:
        n_queries: Number of queries with at least one relevant passage.
        n_passages: Number of passages searched.
        bytes_per_token: Bytes in the index for each token; see `IndexInfo`.
        systems: By name: the model, `fgr`, and `bm25`. The latency of the model is for ten results, including
            the encoding of the query and the evidence.
    """

    n_queries: int
    n_passages: int
    bytes_per_token: float
    systems: Mapping[str, Measured]

    @property
    def ours(self) -> Mapping[str, float]:
        """The scores of the model; see `Measured`."""
        return self.systems["fgr"].scores

    @property
    def bm25(self) -> Mapping[str, float]:
        """The scores of BM25; see `Measured`."""
        return self.systems["bm25"].scores

    def to_json(self) -> dict[str, Any]:
        """Write the report as `fgr eval retrieval --json` prints it."""
        counts = {name: getattr(self, name) for name in ("n_queries", "n_passages", "bytes_per_token")}
        return {**counts, "ours": dict(self.ours), "bm25": dict(self.bm25)}


def evaluate_retrieval(
    encoder: TokenEncoder,
    folder: Path,
    *,
    split: str = "test",
    limit_queries: int | None = None,
    show_progress: bool = False,
) -> RetrievalReport:
    """Measure on a folder in BEIR layout; see `evaluate_judged`.

    Args:
        encoder: The model.
        folder: BEIR layout: `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`,
            `text`) and `qrels/<split>.tsv` (query id, passage id, grade). A passage's text is its
            title and its text with a space between.
        split: Which judgements to use.
        limit_queries: Take only this many judged queries, in file order.
        show_progress: Show bars on stderr.

    Raises:
        MissingExtraError: The libraries for the evaluation are not installed.
        InputError: A file does not fit the layout, or no query has a relevant passage.
        OSError: A file cannot be read.
    """
    return evaluate_judged(encoder, read_beir(folder, split, limit_queries), show_progress=show_progress)


def evaluate_judged(encoder: TokenEncoder, data: Beir, *, show_progress: bool = False) -> RetrievalReport:
    """Index the passages in a temporary folder, and search them with the model and with BM25.

    Args:
        encoder: The model.
        data: From `read_beir`, or `take_dataset`.
        show_progress: Show bars on stderr.

    Raises:
        MissingExtraError: The libraries for the evaluation are not installed.
    """
    found = [measure(data, bm25(data.passages))]  # first: it fails at once where a library is missing
    with tempfile.TemporaryDirectory() as scratch, Engine.open(Path(scratch) / "index", encoder=encoder) as engine:
        engine.add((Passage(id=key, text=text) for key, text in data.passages.items()), show_progress=show_progress)
        bytes_per_token = engine.info().bytes_per_token
        with closing(Index.open(engine.folder, encoder, create=False)) as index:
            # Rankings are a hundred deep and without evidence; a user asks for ten with it.
            ours = System("fgr", index_search(index, encoder), lambda query: engine.search(query, k=SHOWN))
            found.append(measure(data, ours, show_progress=show_progress))
    systems = {one.run.name: one for one in found}
    return RetrievalReport(len(data.queries), len(data.passages), bytes_per_token, systems)


def index_search(index: Index, encoder: TokenEncoder, config: SearchConfig | None = None) -> Search:
    """Make a search by MaxSim alone, without evidence.

    Args:
        index: An open index.
        encoder: Its model.
        config: How to search; None uses the defaults.
    """
    settings = config or SearchConfig()

    def search(query: str, k: int) -> list[Scored]:
        (vectors,) = encoder.encode_queries([query])
        return index.rank(vectors, k, None, settings)

    return search
