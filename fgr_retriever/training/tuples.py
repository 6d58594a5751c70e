"""Retrieval examples: a query and n passages, one of which answers it, with a teacher's scores or without.

They are JSON Lines, read lazily: of a file only the places of its lines are held, 8 bytes each.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from fgr_retriever.errors import InputError
from fgr_retriever.evaluation.text_files import parse_jsonl
from fgr_retriever.model.windows import Windows
from fgr_retriever.training.data import Row, collate, normalised, pad_ids


@dataclass(frozen=True, slots=True)
class PassageTuple:
    """A query with passages to rank.

    Args:
        query: The question.
        passages: The positive first, then at least one negative.
        scores: A teacher's score of each passage, the positive's the highest; None without a teacher.
    """

    query: str
    passages: tuple[str, ...]
    scores: tuple[float, ...] | None = None

    def take(self, ways: int, chance: np.random.Generator) -> PassageTuple:
        """Draw `ways` of the passages: the positive and negatives, repeated only where there are too few."""
        order = chance.permutation(np.arange(1, len(self.passages)))
        return self._only([0, *np.resize(order, ways - 1).tolist()])

    def without(self, secret: Collection[str]) -> PassageTuple | None:
        """Leave out passages that must not be seen, given normalised; None when too little is left."""
        kept = [place for place, passage in enumerate(self.passages) if normalised(passage) not in secret]
        return self._only(kept) if len(kept) >= 2 and kept[0] == 0 else None

    def _only(self, places: Sequence[int]) -> PassageTuple:
        scores = self.scores and tuple(self.scores[place] for place in places)
        return PassageTuple(self.query, tuple(self.passages[place] for place in places), scores)


def parse_tuple(record: Mapping[str, Any], where: str) -> PassageTuple | None:
    """Read one record.

    Args:
        record: `query` and `passages`, with `scores` for all of them or without: the passage with
            the highest score is the positive, or else the first one. Or a triple: `query`,
            `positive` and `negatives`. Other keys are ignored.
        where: File and line, for messages.

    Returns:
        The tuple, or None where there is no negative.

    Raises:
        InputError: The record does not fit.
    """
    query, passages, scores = record.get("query"), record.get("passages"), record.get("scores")
    if passages is None and isinstance(record.get("negatives"), list):
        passages = [record.get("positive"), *record["negatives"]]
    if not isinstance(query, str) or not query.strip():
        raise InputError(f"{where}: 'query' must be a string that is not blank, got {query!r:.100}")
    if not isinstance(passages, list) or not passages:
        raise InputError(f"{where}: must have a list 'passages', or 'positive' and a list 'negatives'")
    if wrong := [passage for passage in passages if not isinstance(passage, str) or not passage.strip()]:
        raise InputError(f"{where}: passages must be strings that are not blank, got {wrong[0]!r:.100}")
    if scores is None:
        return PassageTuple(query, tuple(passages)) if len(passages) >= 2 else None
    if not isinstance(scores, list) or len(scores) != len(passages) or not all(map(_is_score, scores)):
        raise InputError(f"{where}: 'scores' must be {len(passages)} numbers, one a passage, got {scores!r:.100}")
    order = sorted(range(len(scores)), key=lambda place: (place != np.argmax(scores), place))
    ranked = PassageTuple(query, tuple(passages), tuple(map(float, scores)))._only(order)
    return ranked if len(passages) >= 2 else None


class TupleFile(Dataset[PassageTuple]):
    """The tuples of a file, read when they are asked for.

    Args:
        path: JSON lines; see `parse_tuple`. All are checked once, when the file is opened. Tuples
            without a negative are left out.
        secret: Normalised passages that must not be seen: a tuple loses them, or is left out when
            it is its positive or its last negative.

    Raises:
        InputError: The file cannot be read, a line does not fit, or no tuple is left.
    """

    def __init__(self, path: Path, secret: Collection[str] = frozenset()) -> None:
        self._path, self._secret = path, secret
        try:
            self._places = np.fromiter(self._usable(), dtype=np.int64)
        except OSError as error:
            raise InputError(f"cannot read the tuples {path}: {error}") from error
        if not len(self._places):
            raise InputError(f"{path}: no tuple with a negative is left to train on")

    def __len__(self) -> int:
        """Count the tuples."""
        return len(self._places)

    def __getitem__(self, index: int) -> PassageTuple:
        """Read one tuple, in the order of the file."""
        _, found = next(self._read(int(self._places[index])))
        if found is None:
            raise InputError(f"{self._path} was changed while it was in use: start again")
        return found

    def _usable(self) -> Iterator[int]:
        for place, found in tqdm(self._read(0), desc=f"Checking {self._path.name}", unit="tuple", delay=1):
            if found:
                yield place

    def _read(self, place: int) -> Iterator[tuple[int, PassageTuple | None]]:
        """Read on from a place: where each record can be read again, and what it holds."""
        with self._path.open("rb") as file:
            file.seek(place)
            lines = (_decoded(line, self._path) for line in iter(file.readline, b""))
            for where, record in parse_jsonl(lines, str(self._path)):
                found = parse_tuple(record, where)
                yield place, found and found.without(self._secret)
                place = file.tell()


class TupleMixture:
    """Tuples of several files, drawn at random; the same seed and key always draw the same.

    Args:
        files: What to draw from.
        shares: The share of each file in what is drawn; scaled to sum to 1.
        seed: Of all draws.
    """

    def __init__(self, files: Sequence[TupleFile], shares: Sequence[float], seed: int) -> None:
        self._files, self._seed = files, seed
        self._shares = np.array(shares) / np.sum(shares)

    def draw(self, key: Sequence[int], count: int, ways: int) -> list[PassageTuple]:
        """Draw `count` tuples of `ways` passages, with replacement.

        Args:
            key: Whole numbers of at least 0 that name this draw.
            count: How many.
            ways: Passages of each.
        """
        chance = np.random.default_rng([self._seed, *key])
        files = [self._files[place] for place in chance.choice(len(self._files), size=count, p=self._shares)]
        return [file[int(chance.integers(len(file)))].take(ways, chance) for file in files]


class Placed(Dataset[Row]):
    """Rows that know their place, so that a batch of them can name a draw of tuples.

    Args:
        rows: A dataset with a length.
    """

    def __init__(self, rows: Dataset[Row]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._rows)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Row:
        """Give one row with `place`."""
        return {**self._rows[index], "place": index}


@dataclass(frozen=True, slots=True)
class TupleCollate:
    """Makes a batch of labelled rows, and adds tuples where the rows are `Placed`.

    Which tuples come with a batch depends on the rows in it alone, so a run that is resumed sees
    the same as one that never stopped.

    Args:
        mixture: Where the tuples come from.
        queries: Windows with the query marker and length.
        passages: Windows with the passage marker and length; a longer passage is cut to the first.
        count: Tuples a batch.
        ways: Passages a tuple.
    """

    mixture: TupleMixture
    queries: Windows
    passages: Windows
    count: int
    ways: int

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Give the batch of `collate`, and in `tuples` a second one."""
        batch = collate(rows)
        if "place" not in rows[0]:
            return dict(batch)
        drawn = self.mixture.draw([row["place"] for row in rows], self.count, self.ways)
        return {**batch, "tuples": self._batch(drawn)}

    def _batch(self, drawn: Sequence[PassageTuple]) -> dict[str, Tensor]:
        """Pad tuples: `query` (n, …) and `passage` (n * ways, …) ids with masks; `scores` (n, ways), NaN for none."""
        queries = [next(self.queries.of(one.query)).ids for one in drawn]
        passages = [next(self.passages.of(passage)).ids for one in drawn for passage in one.passages]
        scores = [one.scores or (math.nan,) * self.ways for one in drawn]
        return {**pad_ids("query", queries), **pad_ids("passage", passages), "scores": torch.tensor(scores)}


def _is_score(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _decoded(line: bytes, path: Path) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error}): convert it to UTF-8") from error
