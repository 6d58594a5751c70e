"""ColBERT-Att without training: MaxSim against MaxSim modulated by importance, for several weights.

    python -m benchmarks.search.attention DIR...

Each DIR is a data set in BEIR layout. The embedded model's float16 vectors are indexed with importance,
the best 100 passages by MaxSim are ranked anew, and nDCG@10 is printed as the rows of a Markdown table.
"""

import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fgr_retriever import Encoder, IndexConfig, Passage
from fgr_retriever.evaluation.beir import Beir, read_beir
from fgr_retriever.evaluation.comparison import difference
from fgr_retriever.evaluation.measures import query_measures
from fgr_retriever.index.index import Index
from fgr_retriever.index.match import Match
from fgr_retriever.model.importance import dequantise
from fgr_retriever.model.maxsim import attention_maxsim

CANDIDATES = 100
WEIGHTS = [
    (0.0, 0.0),
    (0.1, 0.0),
    (0.2, 0.0),
    (0.3, 0.0),
    (0.5, 0.0),
    (0.0, 0.02),
    (0.0, 0.05),
    (0.0, 0.1),
    (0.2, 0.02),
]


def reranked(
    matches: Sequence[Match], vectors: torch.Tensor, importance: torch.Tensor, weights: tuple[float, float]
) -> list[str]:
    """Rank candidates anew: their ids, best first."""
    tokens = [one.tokens for one in matches]
    stored = np.concatenate([one.importance for one in tokens if one.importance is not None])
    scores = attention_maxsim(
        vectors,
        importance,
        torch.from_numpy(np.concatenate([one.vectors for one in tokens])),
        torch.from_numpy(dequantise(stored)),
        torch.tensor([len(one.vectors) for one in tokens]),
        query_weight=weights[0],
        passage_weight=weights[1],
    )
    return [matches[place].passage.id for place in np.argsort(-scores.numpy().round(5), kind="stable")]


def measure(data: Beir, encoder: Encoder, index: Index) -> list[NDArray[np.float64]]:
    """Give nDCG@10 of each query, for each of `WEIGHTS`."""
    rankings: list[dict[str, list[str]]] = [{} for _ in WEIGHTS]
    for key, query in data.queries.items():
        (vectors,), (importance,) = encoder.encode_queries([query]), encoder.query_importance([query])
        (matches,) = index.search([vectors], CANDIDATES)
        for ranking, weights in zip(rankings, WEIGHTS, strict=True):
            ranking[key] = reranked(matches, vectors, importance, weights)
    return [query_measures(data.qrels, ranking)["ndcg@10"] for ranking in rankings]


def main(folders: Sequence[str]) -> None:
    """Measure each data set and print its rows."""
    encoder = Encoder.default()
    print("| | a | b | nDCG@10 | better / worse | p |\n|---|---|---|---|---|---|")
    for folder in map(Path, folders):
        data = read_beir(folder)
        config = IndexConfig(nbits=16, importance=True)
        with tempfile.TemporaryDirectory() as scratch, closing(Index.open(Path(scratch), encoder, config)) as index:
            index.add((Passage(key, text) for key, text in data.passages.items()), show_progress=sys.stderr.isatty())
            plain, *others = measure(data, encoder, index)
        print(f"| {folder.name} | 0 | 0 | {plain.mean():.4f} | | |")
        for (a, b), found in zip(WEIGHTS[1:], others, strict=True):
            told = difference(plain, found)
            print(f"| | {a} | {b} | {found.mean():.4f} | {told.wins} / {told.losses} | {told.p:.2f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
