"""What the durability trials write, and the law that they check.

A plan of calls is a pure function of a seed, so that the process that checks knows what the process
that was killed was doing. The law: an index that is opened again is exactly as some allowed plan step
left it, in every text, metadata value, vector, offset, evidence code and unit; it passes `verify`, and
can be written to. A plan may begin with an index of format 2, which has neither codes nor units.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from fgr_retriever.config import Calibration, IndexConfig, SearchConfig
from fgr_retriever.index.index import Index
from fgr_retriever.index.match import Match
from fgr_retriever.index.storage import growth
from fgr_retriever.index.storage.creation import create_store
from fgr_retriever.index.storage.manifest import Manifest
from fgr_retriever.testing import WordEncoder
from fgr_retriever.text.units import Units
from fgr_retriever.types import Passage
from tests.index.durability.processes import LawBrokenError

ENCODER = WordEncoder()
SIZES = {"add": 30, "upsert": 12, "refresh": 12, "delete": 12, "flush": 120}  # passages of one call
EXACT = SearchConfig(exact=True)
FLUSH_TOKENS = 2_000  # less than a "flush" adds, more than the other calls of a plan add
CONFIGS = (
    IndexConfig(segment_tokens=3_000, words="plain", importance=True, refine=True),  # all that an index can keep
    IndexConfig(segment_tokens=3_000, nbits=16),
)
_TEXT = (
    "radium curie paris mould dish nobel dynamite stockholm ship sea père naïve Größe 東京 физика light lamp "
    "copper wire engine steam rail bridge river stone tower glass lens star comet orbit moon tide salt"
)
WORDS = _TEXT.split()
# Mean cosine of the vectors of a text and of what two bits a dimension keep of them: measured at least 0.93, and at
# most 0.45 with another text. Single tokens do not tell: a rare word without a centroid of its own kept 0.46.
_ALIKE = 0.8


@dataclass(frozen=True)
class Call:
    """One call of a plan.

    Args:
        kind: `add`, `upsert`, `refresh` (an upsert that also deletes), `flush` (a large add), `delete`, `compact`,
            `upgrade` or `calibrate`.
        passages: What to add.
        ids: What to delete.
        threshold: Of the calibration.
    """

    kind: str
    passages: tuple[Passage, ...] = ()
    ids: tuple[str, ...] = ()
    threshold: float = 0.5

    def run(self, index: Index) -> None:
        """Make the call."""
        if self.passages:
            index.add(self.passages, replacing=self.ids)
        elif self.ids:
            index.delete(self.ids)
        elif self.kind == "compact":
            index.compact()
        elif self.kind == "upgrade":
            index.upgrade()
        else:
            index.calibrate(Calibration(threshold=self.threshold))


@dataclass(frozen=True)
class State:
    """What an index holds after some calls.

    Args:
        passages: By id.
        threshold: Of the calibration that counts.
        lacking: Whether these passages have neither codes nor units.
    """

    passages: Mapping[str, Passage]
    threshold: float = 0.5
    lacking: bool = False

    def after(self, call: Call) -> State:
        """Give what the index holds after one more call."""
        if call.kind == "calibrate":
            return replace(self, threshold=call.threshold)
        kept = {id: passage for id, passage in self.passages.items() if id not in call.ids}
        return replace(self, passages=kept | {passage.id: passage for passage in call.passages})


@dataclass(frozen=True)
class Plan:
    """Calls in order, with what the index holds before the first and after each.

    Args:
        calls: The calls.
        states: One more than calls.
        old: Whether it begins with an empty index of format 2, and not with none.
    """

    calls: tuple[Call, ...]
    states: tuple[State, ...]
    old: bool

    @classmethod
    def draw(cls, kinds: Sequence[str], seed: int, old: bool = False) -> Plan:
        """Draw calls of the given kinds."""
        drawn, calls, states, lacking = random.Random(seed), [], [State({})], old
        for number, kind in enumerate(kinds):
            calls.append(_call(kind, number, states[-1], drawn))
            lacking = lacking and kind != "upgrade"
            state = states[-1].after(calls[-1])
            states.append(replace(state, lacking=lacking and bool(state.passages)))
        return cls(tuple(calls), tuple(states), old)

    def open(self, folder: Path, config: IndexConfig) -> Index:
        """Open the index with which the plan begins."""
        if self.old:
            create_store(folder, Manifest(ENCODER.fingerprint, ENCODER.dim, config, format_version=2))
        return Index.open(folder, ENCODER, config)

    def allowed(self, begun: int, done: int) -> tuple[State, ...]:
        """List the states that an interrupted process may leave, which began and ended so many calls."""
        return self.states[done : begun + 1]


@dataclass(frozen=True)
class Trial:
    """How one trial ended.

    Args:
        kind: What was tried.
        outcome: What the index did.
        failure: Which law it broke; empty when it broke none.
    """

    kind: str
    outcome: str
    failure: str = ""


def attempt(kind: str, check: Callable[[], str], folder: Path) -> Trial:
    """Run one trial; its folder stays when it fails."""
    try:
        outcome = check()
    except Exception as error:  # whatever comes out of the index here is a failure to report
        return Trial(kind, "failed", f"{type(error).__name__}: {error} (see {folder})")
    shutil.rmtree(folder)
    return Trial(kind, outcome)


def verdict(folder: Path, allowed: Sequence[State], config: IndexConfig) -> int:
    """Open an index again and check every law.

    Args:
        folder: The index.
        allowed: What it may hold.
        config: How it was created.

    Returns:
        Which of the allowed states it holds.

    Raises:
        LawBrokenError: It holds something else, or cannot be used.
    """
    with closing(Index.open(folder, ENCODER, config)) as index:
        index.verify()
        found = read(index, {id for state in allowed for id in state.passages})
        if found not in allowed:
            raise LawBrokenError(f"holds {_differences(found, allowed)}")
        later = Passage("later", "the next write works", {"later": True})
        index.add([later])
        now = replace(read(index, [*found.passages, "later"]), lacking=found.lacking)
        if now != found.after(Call("add", (later,))):
            raise LawBrokenError("the next write was not stored as it should be")
        index.verify()
    return allowed.index(found)


def read(index: Index, ids: Iterable[str]) -> State:
    """Read everything that an index holds, by id and by search, and compare the two.

    Raises:
        LawBrokenError: They differ, or vectors are not those of the text.
    """
    passages = {passage.id: passage for passage in index.get(ids)}
    if len(index) != len(passages):
        raise LawBrokenError(f"{len(index)} passages are there and {len(passages)} of them are known")
    everything = ENCODER.encode_queries([WORDS[0]])
    matches = index.search(everything, len(passages) + 1, config=EXACT)[0]
    if {match.passage.id: match.passage for match in matches} != passages:
        raise LawBrokenError("search finds other passages than those that are stored")
    lacking = bool(passages) and bool(index.lacks())
    check_tokens(matches, index.config.importance, lacking)
    if index.config.words:
        _check_words(index, passages)
    return State(passages, index.calibrated_model().calibration.threshold, lacking)


def check_tokens(matches: Sequence[Match], importance: bool, lacking: bool = False) -> None:
    """Compare stored tokens and units with those of the texts: all exactly, but vectors as the codec allows.

    Raises:
        LawBrokenError: They differ.
    """
    texts = [one.passage.text for one in matches]
    blocks = ENCODER.encode_passages(texts, importance=importance, evidence=not lacking)
    for match, right in zip(matches, blocks, strict=True):
        id, found = match.passage.id, match.tokens
        check_units(match, lacking)
        if not np.array_equal(found.evidence, right.evidence):
            raise LawBrokenError(f"passage {id!r} has the evidence codes of another text")
        if not np.array_equal(found.offsets, right.offsets):
            raise LawBrokenError(f"passage {id!r} has the offsets of another text")
        if importance and not np.array_equal(found.importance, right.importance):
            raise LawBrokenError(f"passage {id!r} has the importance of another text")
        likeness = (torch.from_numpy(found.vectors).float() * torch.from_numpy(right.vectors).float()).sum(dim=1)
        if not bool(likeness.mean() > _ALIKE):
            raise LawBrokenError(f"passage {id!r} has the vectors of another text")


def check_units(match: Match, lacking: bool = False) -> None:
    """Compare the units of a passage with those of its text.

    Raises:
        LawBrokenError: They differ, or are there where the index keeps none.
    """
    right = None if lacking else Units.of(match.passage.text).to_bytes()
    if (match.units and match.units.to_bytes()) != right:
        raise LawBrokenError(f"passage {match.passage.id!r} has the units of another text")


def _check_words(index: Index, passages: Mapping[str, Passage]) -> None:
    """Compare what BM25 finds with the texts.

    Raises:
        LawBrokenError: They differ.
    """
    for word in WORDS[::6]:
        found = {id for id, _ in index.words(word, len(passages) + 1)}
        if found != {id for id, passage in passages.items() if word in passage.text.rstrip(".").split()}:
            raise LawBrokenError(f"the word {word!r} is found in other passages than those that have it")


def flush_early() -> None:
    """Let this process code its segments from a few tokens on."""
    growth.FLUSH_TOKENS = FLUSH_TOKENS


def text_of(id: str, call: int, words: int, drawn: random.Random) -> str:
    """Write a text that says where it comes from."""
    return f"{id} of call {call}: {' '.join(drawn.choices(WORDS, k=words))}."


def _call(kind: str, number: int, state: State, drawn: random.Random) -> Call:
    stored = sorted(state.passages)
    if kind in ("add", "flush"):
        return Call(kind, _passages([f"{number}-{part}" for part in range(SIZES[kind])], number, drawn))
    if kind in ("upsert", "refresh"):
        met = drawn.sample(stored, min(SIZES[kind], len(stored)))
        gone = met[: len(met) // 2] if kind == "refresh" else []
        return Call(kind, _passages([*met[len(gone) :], f"{number}-new"], number, drawn), tuple(gone))
    if kind == "delete":
        return Call(kind, ids=tuple(drawn.sample(stored, min(SIZES[kind], len(stored)))))
    return Call(kind, threshold=drawn.randint(1, 99) / 100)


def _passages(ids: Sequence[str], call: int, drawn: random.Random) -> tuple[Passage, ...]:
    return tuple(Passage(id, text_of(id, call, drawn.randint(8, 24), drawn), {"call": call, "id": id}) for id in ids)


def _differences(found: State, allowed: Sequence[State]) -> str:
    """Say how what was found differs from each state that was allowed."""
    return " / ".join(
        f"{len(found.passages.keys() - state.passages.keys())} passages too many, "
        f"{len(state.passages.keys() - found.passages.keys())} missing, "
        f"{sum(found.passages.get(id, passage) != passage for id, passage in state.passages.items())} changed, "
        f"threshold {found.threshold} for {state.threshold}"
        for state in allowed
    )
