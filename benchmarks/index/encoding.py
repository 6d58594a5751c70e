"""Encode the passages of judged sets, once."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.index.corpus import LENGTHS, OFFSETS, VECTORS, WORDS, Corpus, open_corpus
from fgr_retriever import Encoder
from fgr_retriever.evaluation.beir import read_beir

SETS = "sets.json"


@dataclass(frozen=True)
class RealSet:
    """One folder in BEIR layout among the passages of a corpus.

    Args:
        folder: Where it was read.
        rows: Its passages in the corpus.
        seconds: How long the model took for them.
    """

    folder: Path
    rows: slice
    seconds: float


def encode(folders: Sequence[Path], work: Path, encoder: Encoder) -> tuple[Corpus, list[RealSet]]:
    """Encode the passages of folders in BEIR layout, or take what an earlier run left in `work`."""
    work.mkdir(parents=True, exist_ok=True)
    done = json.loads((work / SETS).read_text()) if (work / SETS).exists() else []
    for folder in folders[len(done) :]:
        done.append(_encode_one(folder, work, encoder, done))
        (work / SETS).write_text(json.dumps(done))
    ends = np.cumsum([entry["passages"] for entry in done])
    sets = [
        RealSet(Path(entry["folder"]), slice(int(end) - entry["passages"], int(end)), entry["seconds"])
        for entry, end in zip(done, ends, strict=True)
    ]
    corpus = open_corpus(work, encoder.dim)
    if len(corpus.words) != len(corpus.offsets):
        _number_words(corpus, sets).tofile(work / WORDS)
        corpus = open_corpus(work, encoder.dim)
    return corpus, sets


def _number_words(corpus: Corpus, sets: Sequence[RealSet]) -> NDArray[np.int64]:
    """Give each different piece of text that a token stands for a number: some engines want to know."""
    known: dict[str, int] = {}
    texts = (text for one in sets for text in read_beir(one.folder).passages.values())
    offsets, found = np.array(corpus.offsets), np.zeros(len(corpus.offsets), "<i8")
    for text, start, length in zip(texts, corpus.starts, corpus.lengths, strict=True):
        tokens = slice(start, start + length)
        found[tokens] = [known.setdefault(text[a:b].lower(), len(known)) for a, b in offsets[tokens].tolist()]
    return found


def _encode_one(folder: Path, work: Path, encoder: Encoder, done: list[dict[str, object]]) -> dict[str, object]:
    """Append one folder to the arrays, over what an interrupted run may have left behind the finished ones."""
    texts = list(read_beir(folder).passages.values())
    sizes = {VECTORS: 2 * encoder.dim, OFFSETS: 8, LENGTHS: 4}
    before = sum(int(entry["tokens"]) for entry in done), sum(int(entry["passages"]) for entry in done)
    files = {}
    for name, size in sizes.items():
        files[name] = (work / name).open("r+b" if (work / name).exists() else "w+b")
        files[name].truncate(size * before[name == LENGTHS])
        files[name].seek(0, 2)
    lengths = np.zeros(len(texts), "<i4")
    start = time.perf_counter()
    for block in encoder.encode_passages(texts, show_progress=True):
        block.vectors.astype("<f2").tofile(files[VECTORS])
        block.offsets.astype("<i4").tofile(files[OFFSETS])
        lengths[block.passage] += len(block.vectors)
    seconds = time.perf_counter() - start
    lengths.tofile(files[LENGTHS])
    for file in files.values():
        file.close()
    return {
        "folder": str(folder),
        "passages": len(texts),
        "tokens": int(lengths.sum()),
        "seconds": round(seconds, 1),
    }
