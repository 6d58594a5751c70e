"""What is compared. A system is a pipeline over one of three indexes; adding or removing one changes this file only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fgr_retriever.config import SearchConfig
from fgr_retriever.evaluation.measures import SHOWN
from fgr_retriever.search.pipeline import Pipeline
from fgr_retriever.search.stages.attention import Attention
from fgr_retriever.search.stages.cross_encoder import CrossEncoder
from fgr_retriever.search.stages.dense import Dense
from fgr_retriever.search.stages.fuse import Fuse
from fgr_retriever.search.stages.late import Late
from fgr_retriever.search.stages.words import Words

IndexKind = Literal["float16", "coded", "bi_encoder"]
BASELINE = "colbertv2"
BM25 = "bm25"
NOT_RUN = {"Cohere Rerank": "not run: the benchmark has no network and no key"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One system of the table.

    Args:
        label: What the table calls it.
        index: Which index of a data set it searches.
        pipeline: Its stages.
        search: How the index is searched.
        spans: Time the whole search, evidence included; else the ranking alone.
        random: Its second stage has random weights: only its time is measured, quality would be noise.
    """

    label: str
    index: IndexKind
    pipeline: Pipeline
    search: SearchConfig = field(default_factory=SearchConfig)
    spans: bool = False
    random: bool = False


def entries(bi_encoder: str, cross_encoder: str) -> dict[str, Entry]:
    """List the systems by name.

    Args:
        bi_encoder: Folder of the bi-encoder.
        cross_encoder: Folder of a cross-encoder with random weights.
    """
    late = Pipeline((Late(count=SHOWN),))  # the same as no pipeline
    both = (Late(), Words())
    pooled = Dense(model=bi_encoder)
    return {
        "colbert": Entry("ColBERT, float16, exact", "float16", late, SearchConfig.preset("exact")),
        BASELINE: Entry("ColBERTv2, 2 bits", "coded", late),
        "fgr": Entry("FGR-ColBERT, 2 bits, with spans", "coded", late, spans=True),
        "attention": Entry("ColBERT-Att, 2 bits", "coded", Pipeline((Attention(),))),
        "bi_encoder": Entry("bi-encoder as late interaction, untrained, 2 bits", "bi_encoder", late),
        "sbert": Entry("SBERT, pooled", "coded", Pipeline((pooled,))),
        "sbert_late": Entry("SBERT first stage, late interaction", "coded", Pipeline((pooled, Late()))),
        "hybrid_rrf": Entry("hybrid, reciprocal rank", "coded", Pipeline((Fuse(stages=both),))),
        "hybrid_weighted": Entry(
            "hybrid, weighted 0.8 and 0.2",
            "coded",
            Pipeline((Fuse(stages=both, method="weighted", weights=(0.8, 0.2)),)),
        ),
        "cross_encoder": Entry(
            "cross-encoder over 20, random weights",
            "coded",
            Pipeline((Late(), CrossEncoder(model=cross_encoder))),
            random=True,
        ),
    }
