"""Compare trimming of whole result lists: all passages of a question under one token budget.

    python -m benchmarks.trimming.lists LISTS [-n 143]

LISTS is a file in the layout of `fgr eval lists`. Budgets are shares of the tokens of a list (o200k_base). A system
that ranks sentences ranks those of all passages together, keeps the best and as much of the next one as fits; ours and
trimwise get the budget. Prints a Markdown table: the share of a list's evidence that is kept, the share of passages of
grade 0 in what is kept, both means over the lists in percent, and the median time of one list at one budget. trimwise
is measured if it is installed.
"""

from __future__ import annotations

import argparse
import logging
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from langchain_core.documents import Document
from tqdm.auto import tqdm

from benchmarks.trimming.embeddings import warm_up
from benchmarks.trimming.outputs import cut_at
from benchmarks.trimming.systems import Rank, bm25_ranking, filter_pipeline, optimizer_ranking
from fgr_retriever import Encoder, Passage, TrimConfig, Trimmer
from fgr_retriever.evaluation.lists import BUDGETS, ResultList, read_lists, score_list
from fgr_retriever.evaluation.spans import Range
from fgr_retriever.text.sentences import sentences
from fgr_retriever.trim.budget import TokenCounter, token_counter

Kept: TypeAlias = list[list[Range]]
System: TypeAlias = Callable[[ResultList, int], Kept]
"""Gives the ranges that it keeps of each passage of a list, within a number of tokens."""

_BETWEEN = "\n\n"


def systems(encoder: Encoder, count: TokenCounter) -> dict[str, System]:
    """Make the systems that are compared."""
    found = {
        "fgr": _ours(encoder, count),
        "fgr, fill": _ours(encoder, count, fill=True),
        "SentenceEmbeddingOptimizer": _ranking(optimizer_ranking(), count),
        "EmbeddingsFilter": _ranked_by_filter(count),
        "BM25 sentences": _ranking(bm25_ranking, count),
        "lead": _ranking(lambda _, text: sentences(text), count),
    }
    return found | ({"trimwise": _trimwise(count)} if find_spec("trimwise") else {})


def main() -> None:
    """Compare all systems on a file of lists."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", type=Path, metavar="LISTS")
    parser.add_argument("-n", type=int, default=143, help="take only the first n lists")
    asked = parser.parse_args()
    logging.getLogger("langchain_text_splitters").setLevel(logging.ERROR)  # a warning for every sentence
    count = token_counter("o200k_base")
    lists = list(read_lists(asked.lists))[: asked.n]
    warm_up()
    shares = " | ".join(f"{budget:.0%}" for budget in BUDGETS)
    print(f"| system | evidence kept at {shares} | grade 0 at {shares} | ms |\n|---{'|---' * (2 * len(BUDGETS) + 1)}|")
    for name, system in systems(Encoder.default(), count).items():
        points, times = [], []
        for one in tqdm(lists, desc=name):
            begin = time.perf_counter()
            points.append([_at(system, one, share, count) for share in BUDGETS])
            times.append((time.perf_counter() - begin) / len(BUDGETS) * 1000)
        means = np.ma.masked_invalid(np.array(points)).mean(axis=0) * 100
        cells = [f"{value:.1f}" for value in means.T.ravel().tolist()]
        print(f"| {name} | {' | '.join(cells)} | {np.median(times):.0f} |", flush=True)


def _at(system: System, one: ResultList, share: float, count: TokenCounter) -> tuple[float, float]:
    """Score one system on one list at one budget."""
    budget = int(share * sum(count(passage.text) for passage in one.passages))
    kept = system(one, budget)
    written = _BETWEEN.join(
        " ".join(passage.text[start:end] for start, end in ranges)
        for passage, ranges in zip(one.passages, kept, strict=True)
        if ranges
    )
    if count(written) > budget + 2 * len(one.passages):  # what stands between passages is not counted by all
        raise AssertionError(f"{count(written)} tokens at a budget of {budget}: {one.query}")
    return score_list(one, kept)


def _ours(encoder: Encoder, count: TokenCounter, **settings: Any) -> System:
    trimmer = Trimmer(encoder, TrimConfig(**settings), count_tokens=count)

    def system(one: ResultList, budget: int) -> Kept:
        passages = [Passage(passage.id, passage.text) for passage in one.passages]
        found = trimmer.context(one.query, passages, max_tokens=budget)
        return [[(span.start, span.end) for span in cut.spans] for cut in found.trimmed]

    return system


def _ranking(rank: Rank, count: TokenCounter) -> System:
    """Rank the sentences of all passages as those of one text."""

    def system(one: ResultList, budget: int) -> Kept:
        text = _BETWEEN.join(passage.text for passage in one.passages)
        return _of_passages(one, cut_at(budget, text, rank(one.query, text), count).ranges)

    return system


def _ranked_by_filter(count: TokenCounter) -> System:
    """Rank with the real pipeline of LangChain, which takes a list of documents."""
    pipeline = filter_pipeline()

    def system(one: ResultList, budget: int) -> Kept:
        firsts = _firsts(one)
        documents = [
            Document(passage.text, metadata={"at": at}) for passage, at in zip(one.passages, firsts, strict=True)
        ]
        found = pipeline.compress_documents(documents, one.query)
        starts = [document.metadata["at"] + document.metadata["start_index"] for document in found]
        ranked = [(start, start + len(piece.page_content)) for start, piece in zip(starts, found, strict=True)]
        text = _BETWEEN.join(passage.text for passage in one.passages)
        return _of_passages(one, cut_at(budget, text, ranked, count).ranges)

    return system


def _trimwise(count: TokenCounter) -> System:
    from trimwise import Trimmer as Trimwise  # another project, not among the packages of this one

    trimmer = Trimwise()

    def system(one: ResultList, budget: int) -> Kept:
        texts = [passage.text for passage in one.passages]
        found = trimmer.trim_context(texts, max(budget, 1), query=one.query, token_counter=count)
        return [[(span.start, span.end) for span in source.spans] for source in found.sources]

    return system


def _firsts(one: ResultList) -> list[int]:
    """Give where each passage begins in the text of all."""
    return list(accumulate((len(passage.text) + len(_BETWEEN) for passage in one.passages[:-1]), initial=0))


def _of_passages(one: ResultList, ranges: Sequence[Range]) -> Kept:
    """Cut ranges of the text of all passages at their borders."""
    firsts, kept = _firsts(one), [list[Range]() for _ in one.passages]
    for start, end in ranges:
        for place in range(bisect_right(firsts, start) - 1, bisect_right(firsts, end - 1)):
            low, high = max(start - firsts[place], 0), min(end - firsts[place], len(one.passages[place].text))
            if low < high:
                kept[place].append((low, high))
    return kept


if __name__ == "__main__":
    main()
