"""What the engine and its stages need of an index; no code above knows whether it is a folder or a cluster.

`Stored` needs no model: the command line describes and prunes an index with it. `PassageIndex` adds what the vectors
of a model are for. A folder (`index.index`) and a Qdrant collection (`index.qdrant`) are both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fgr_retriever.config import Calibration, SearchConfig
from fgr_retriever.index.contents import Contents
from fgr_retriever.index.filters import Filter
from fgr_retriever.index.info import IndexInfo
from fgr_retriever.index.match import Match
from fgr_retriever.model.tokens import TokenEncoder
from fgr_retriever.types import Added, Passage

if TYPE_CHECKING:
    from torch import Tensor


class Stored(Protocol):
    """An open index without its model: what can be looked up, planned, deleted and described."""

    @property
    def location(self) -> str:
        """Where the index is, to say in messages: a folder, or a URL without secrets."""

    @property
    def place(self) -> str | Path:
        """Where it is, to open it again in any process; where that is not possible, InputError."""

    @property
    def name(self) -> str:
        """The last part of where it is, to show."""

    @property
    def folder(self) -> Path:
        """The folder of the index; an index that lies in none raises InputError."""

    def get(self, ids: Iterable[str]) -> list[Passage]:
        """Fetch passages by id, in the order of the ids; unknown ids are left out."""

    def ids(self, filter: Filter | None = None) -> list[str]:
        """List the ids of passages, in the order in which they were added."""

    def sources(self) -> dict[str, list[str]]:
        """List the ids of passages by their source (see `fgr_retriever.index.sources`)."""

    def unmet(self, filter: Filter) -> list[str]:
        """Say which keys of a filter no passage has, or has with such a type, though only these can pass it."""

    def plan(
        self, passages: Iterable[Passage], replacing: Iterable[str], within: Collection[str] | None = None
    ) -> Added:
        """Say what `add` would do with the same arguments, without doing it."""

    def delete(self, ids: Iterable[str]) -> int:
        """Delete passages and return how many were deleted; unknown ids are ignored."""

    def info(self) -> IndexInfo:
        """Describe the index."""

    def contents(self) -> Contents:
        """Give all that the index holds, to be written elsewhere without encoding it again."""

    def verify(self, *, show_progress: bool = False) -> None:
        """Check what is stored; raises IndexCorruptError."""

    def compact(self, *, show_progress: bool = False) -> None:
        """Free the space of what was deleted."""

    def close(self) -> None:
        """Let go of files or connections; every later call raises InputError."""

    def __len__(self) -> int:
        """Count the passages."""

    def __contains__(self, id: object) -> bool:
        """Say whether there is a passage with this id."""


class PassageIndex(Stored, Protocol):
    """An open index with its model. The methods of `index.index.Index` say what each takes, gives and raises."""

    @property
    def encoder(self) -> TokenEncoder:
        """The model, as it was given: without the calibration that the index keeps."""

    def add(
        self,
        passages: Iterable[Passage],
        *,
        replacing: Iterable[str] = (),
        within: Collection[str] | None = None,
        show_progress: bool = False,
    ) -> Added:
        """Encode and store passages; what is stored with the same text is not encoded again."""

    def add_encoded(
        self,
        folders: Iterable[str | Path],
        *,
        replacing: Iterable[str] = (),
        incomplete: bool = False,
        show_progress: bool = False,
    ) -> Added:
        """Store passages that `encode_shard` encoded; an index that cannot raises ConfigError."""

    def search(
        self, queries: Sequence[Tensor], k: int, filter: Filter | None = None, config: SearchConfig = ...
    ) -> list[list[Match]]:
        """Find the best passages for every query, with the data that evidence needs."""

    def rank(
        self, vectors: Tensor, k: int, filter: Filter | None = None, config: SearchConfig = ...
    ) -> list[tuple[str, float]]:
        """Find ids and MaxSim of the best passages, without reading them."""

    def score(self, vectors: Tensor, ids: Iterable[str]) -> list[Match]:
        """Score passages by exact MaxSim, in the order of the ids; those without tokens are left out."""

    def maxsim(self, vectors: Tensor, ids: Iterable[str]) -> dict[str, float]:
        """Give the exact MaxSim of passages by id, without reading them."""

    def words(
        self, query: str, k: int, filter: Filter | None = None, *, ids: Iterable[str] | None = None
    ) -> list[tuple[str, float]]:
        """Find the best passages by their words; an index that keeps none raises ConfigError."""

    def lacks(self) -> tuple[str, ...]:
        """Name what `upgrade` would add, if anything."""

    def upgrade(self, *, show_progress: bool = False) -> bool:
        """Add what the index lacks, and say whether that was anything."""

    def calibrate(self, calibration: Calibration | None) -> None:
        """Keep a calibration with the index; None removes it."""

    def calibrated_model(self) -> TokenEncoder:
        """Give the model with the calibration that the index keeps, or else with its own."""
