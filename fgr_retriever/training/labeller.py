"""The labeller: a cross-encoder that reads query and passage together and labels every token.

Phrase-level labels of a large teacher are the scarcest thing in training. The labeller learns from
all of them what they look like, and then writes such labels, as probabilities, on pairs that have
coarse labels or none. It sees the query from its first layer on, so it judges better than a model
that encodes passages before the query is known; that model then learns from its labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm
from transformers import AutoModelForTokenClassification, AutoTokenizer, PreTrainedTokenizerBase

from fgr_retriever.model.precision import autocast
from fgr_retriever.training.data import Labelled, Row, pad, token_labels
from fgr_retriever.training.losses import evidence_loss
from fgr_retriever.training.stage import Stage, run_stage, without_dropout

_WINDOW = 320  # most tokens of query and passage that are read at once
_ASKED_SHARE = 0.3  # most of a window that a query takes
_OVERLAP_SHARE = 0.2  # of a window, in passage tokens that it shares with the next
_BATCH = 64


class Labeller(nn.Module):
    """A token classifier over (query, passage) pairs.

    Args:
        folder: A BERT-like model to start from, or a trained labeller.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForTokenClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32)
        self.model = without_dropout(model)
        self.window = min(_WINDOW, model.config.max_position_embeddings)

    def forward(self, labels: Tensor, **tokens: Tensor) -> dict[str, Tensor]:
        """Give `logits` (b, t) of every token, and the `loss` over those whose label is not -1."""
        logits = self.model(**tokens).logits[..., 0]
        return {"loss": evidence_loss(logits, labels, labels >= 0), "logits": logits}

    def save(self, folder: Path) -> None:
        """Write the model and its tokenizer."""
        self.model.save_pretrained(str(folder))
        self.tokenizer.save_pretrained(str(folder))


class _Pairs(Dataset[Row]):
    """Query-passage pairs as token ids with labels; a long passage gives several rows."""

    def __init__(self, examples: Sequence[Labelled], labeller: Labeller) -> None:
        self.rows = [row for place, example in enumerate(examples) for row in _rows(place, example, labeller)]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]


def _rows(place: int, example: Labelled, labeller: Labeller) -> Iterator[Row]:
    """Cut one pair into windows: `[CLS] query [SEP] part of the passage [SEP]`."""
    tokenizer = labeller.tokenizer
    asked = tokenizer(example.query, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
    told = tokenizer(
        example.passage, add_special_tokens=False, truncation=False, return_offsets_mapping=True, verbose=False
    )
    offsets = np.array(told["offset_mapping"], dtype=np.int32).reshape(-1, 2)
    asked = asked[: int(_ASKED_SHARE * labeller.window)]
    before = np.array([tokenizer.cls_token_id, *asked, tokenizer.sep_token_id], dtype=np.int64)
    after = np.array([tokenizer.sep_token_id], dtype=np.int64)
    room, overlap = labeller.window - len(before) - len(after), int(_OVERLAP_SHARE * labeller.window)
    for start in range(0, max(1, len(offsets) - overlap), room - overlap):
        window = slice(start, start + room)
        labels = token_labels(offsets[window], example.ranges)
        outside = [np.full(len(part), -1, dtype=np.float32) for part in (before, after)]
        yield {
            "place": place,
            "offsets": offsets[window],
            "first": len(before),
            "input_ids": np.concatenate([before, np.array(told["input_ids"][window], dtype=np.int64), after]),
            "labels": np.concatenate([outside[0], labels, outside[1]]),
        }


def _collate(rows: Sequence[Row]) -> dict[str, Tensor]:
    ids = [row["input_ids"] for row in rows]
    return {
        "input_ids": pad(ids, 0),
        "attention_mask": pad([np.ones_like(one) for one in ids], 0),
        "token_type_ids": pad([(np.arange(len(row["input_ids"])) >= row["first"]).astype(np.int64) for row in rows], 0),
        "labels": pad([row["labels"] for row in rows], -1),
    }


def train_labeller(start: str, examples: Sequence[Labelled], stage: Stage, out: Path) -> Path:
    """Train a labeller, or resume.

    Args:
        start: Folder of the model to start from.
        examples: Pairs with labels.
        stage: How long and how fast.
        out: Folder of this stage; the model goes into `model/` in it.

    Returns:
        The folder of the trained labeller.
    """
    done = out / "model"
    if not done.exists():
        torch.manual_seed(stage.seed)  # its last layer starts from chance
        labeller = Labeller(start)
        run_stage(labeller, _Pairs(examples, labeller), _collate, stage, out)
        unfinished = out / "unfinished"
        labeller.save(unfinished)
        unfinished.rename(done)
    return done


@torch.inference_mode()
def label(folder: Path, examples: Sequence[Labelled]) -> list[Labelled]:
    """Write a labeller's probabilities on pairs, in place of their labels.

    Args:
        folder: A trained labeller.
        examples: The pairs.

    Returns:
        The same pairs in the same order, with one range a token.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    labeller = Labeller(str(folder)).eval().to(device)
    rows = sorted(_Pairs(examples, labeller).rows, key=lambda row: len(row["input_ids"]))
    found = []
    for start in tqdm(range(0, len(rows), _BATCH), desc="Labelling", unit="batch"):
        batch = rows[start : start + _BATCH]
        tokens = {name: value.to(device) for name, value in _collate(batch).items()}
        with autocast(device):
            chances = labeller(**tokens)["logits"].float().sigmoid().cpu().numpy()
        found += [(row["place"], _ranges(row, chance)) for row, chance in zip(batch, chances, strict=True)]
    found.sort(key=lambda pair: pair[0])
    merged = {
        place: [one for _, part in parts for one in part] for place, parts in groupby(found, lambda pair: pair[0])
    }
    return [Labelled(example.query, example.passage, tuple(merged[place])) for place, example in enumerate(examples)]


def _ranges(row: Row, chances: NDArray[np.float32]) -> list[tuple[int, int, float]]:
    """Give the tokens of a row their probabilities."""
    told = chances[row["first"] : row["first"] + len(row["offsets"])].tolist()
    return [(start, end, chance) for (start, end), chance in zip(row["offsets"].tolist(), told, strict=True)]
