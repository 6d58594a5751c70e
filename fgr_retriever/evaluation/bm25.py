"""BM25 over passages in memory: the system with which every other system is compared."""

from __future__ import annotations

from collections.abc import Mapping

from fgr_retriever.errors import MissingExtraError
from fgr_retriever.evaluation.systems import System
from fgr_retriever.evaluation.trec import Scored


def bm25(passages: Mapping[str, str]) -> System:
    """Build Lucene's variant of BM25 with k1=1.5, b=0.75, English stop words and stemmer.

    Args:
        passages: Texts by id.

    Raises:
        MissingExtraError: bm25s or PyStemmer is not installed.
    """
    try:
        import bm25s
        import Stemmer
    except ImportError as error:
        raise MissingExtraError("BM25", "eval") from error
    stemmer = Stemmer.Stemmer("english")
    ids = list(passages)
    model = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    model.index(bm25s.tokenize(list(passages.values()), stemmer=stemmer, show_progress=False), show_progress=False)

    def search(query: str, k: int) -> list[Scored]:
        words = bm25s.tokenize([query], stemmer=stemmer, return_ids=False, show_progress=False)
        found, scores = model.retrieve(words, k=min(k, len(ids)), show_progress=False)
        pairs = zip(found[0].tolist(), scores[0].tolist(), strict=True)
        return [(ids[row], score) for row, score in pairs if score > 0]

    return System("bm25", search)
