"""The indexes of a data set: each passage is encoded once a model, and quantised from what is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from benchmarks.systems.catalogue import IndexKind
from fgr_retriever import Encoder, IndexConfig, Passage
from fgr_retriever.evaluation import Beir
from fgr_retriever.index.index import Index
from fgr_retriever.index.storage.store import Store
from fgr_retriever.model.tokens import TokenBlock, TokenEncoder

_AXES_TEXTS = 500
_CHUNK = 256
FLOAT16 = IndexConfig(nbits=16)
CODED = IndexConfig(nbits=2, words="english")


@dataclass(frozen=True)
class Indexes:
    """Makes and opens the indexes of a data set; what is complete is not made again.

    Args:
        data: The passages.
        folder: Where they lie.
        encoder: Our model.
        bi_encoder: Folder of the bi-encoder.
    """

    data: Beir
    folder: Path
    encoder: TokenEncoder
    bi_encoder: str

    def open(self, kind: IndexKind) -> tuple[Index, TokenEncoder]:
        """Open an index, to be closed by the caller, with its model."""
        place = self.folder / kind
        if kind == "bi_encoder":
            encoder = self._late_bi_encoder()
            return self._filled(Index.open(place, encoder, IndexConfig(nbits=2))), encoder
        if kind == "float16":
            return self._filled(Index.open(place, self.encoder, FLOAT16)), self.encoder
        with closing(Index.open(place, self.encoder, CODED)) as index:
            missing = not len(index)
        if missing:
            with closing(Store(place)) as store, closing(self.open("float16")[0]) as source:
                store.add(self._passages(), _played_back(source), progress=True)
        return Index.open(place, self.encoder), self.encoder

    def _filled(self, index: Index) -> Index:
        if not len(index):
            index.add(self._passages(), show_progress=True)
        return index

    def _passages(self) -> Iterator[Passage]:
        return (Passage(key, text) for key, text in self.data.passages.items())

    def _late_bi_encoder(self) -> Encoder:
        kept = self.folder / "bi_encoder_model"
        if kept.exists():
            return Encoder.from_pretrained(kept)
        return Encoder.from_bi_encoder(
            self.bi_encoder, islice(self.data.passages.values(), _AXES_TEXTS), out=kept, show_progress=True
        )


def _played_back(source: Index) -> Callable[[Iterable[str]], Iterator[TokenBlock]]:
    """Give the stored tokens of an index, passage after passage, for its own texts in the same order."""

    def encode(texts: Iterable[str]) -> Iterator[TokenBlock]:
        places = iter(enumerate(texts))
        with source.reading() as (snapshot, _):
            while chunk := [place for place, _ in islice(places, _CHUNK)]:
                for place, found in zip(chunk, snapshot.tokens_at(np.array(chunk)), strict=True):
                    yield TokenBlock(place, found.vectors, found.offsets, last=True)

    return encode


def random_cross_encoder(base: str, folder: Path) -> str:
    """Save a cross-encoder of the size of a bi-encoder, with random weights; its scores say nothing."""
    if not (folder / "config.json").exists():
        torch.manual_seed(0)
        config = AutoConfig.from_pretrained(base, num_labels=1)
        AutoTokenizer.from_pretrained(base).save_pretrained(str(folder))
        AutoModelForSequenceClassification.from_config(config).save_pretrained(str(folder))
    return str(folder)
