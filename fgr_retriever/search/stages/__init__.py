"""The base class of all stages of a pipeline, and how the settings of a stage become JSON and back.

There is one module for each kind of stage in this package. The module's name is the `kind`, and it
holds exactly one stage class. There is no list of the kinds: a kind is imported when a pipeline
names it. So if you add or remove one, you touch only its module and its tests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ClassVar

from torch import Tensor

from fgr_retriever.arguments import check, whole_number
from fgr_retriever.calls import Stopwatch
from fgr_retriever.config import SearchConfig, TrimConfig
from fgr_retriever.errors import ConfigError
from fgr_retriever.index.filters import Filter, compile_filter
from fgr_retriever.index.seam import PassageIndex
from fgr_retriever.model.tokens import TokenEncoder
from fgr_retriever.types import Json


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage that may become a hit.

    Args:
        id: Id of the passage.
        score: The score from the stage that ranked it last; higher is better.
        scores: The score from each stage, by the label of the stage.
    """

    id: str
    score: float
    scores: Mapping[str, float] = field(default_factory=dict)

    def scored(self, label: str, score: float) -> Candidate:
        """Give the same candidate with the score from one more stage."""
        return replace(self, score=score, scores={**self.scores, label: score})


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One question, and what the stages need to answer it.

    Args:
        query: The question as asked, not blank.
        vectors: Its token embeddings, (q, d) float32.
        filter: Condition on the metadata of the passages; None means all passages.
        index: The index with the passages.
        encoder: The model of the index.
        k: How many hits are wanted.
        trim: How evidence becomes spans.
        watch: Adds up the time that each stage takes.
        search: How the index is searched.

    Raises:
        ConfigError: `k` is not an integer of at least 1.
        InputError: The filter is invalid.
    """

    query: str
    vectors: Tensor
    filter: Filter | None
    index: PassageIndex
    encoder: TokenEncoder
    k: int
    trim: TrimConfig
    watch: Stopwatch
    search: SearchConfig = field(default_factory=SearchConfig)

    def __post_init__(self) -> None:
        """Check what a stage may not look at."""
        object.__setattr__(self, "k", whole_number("k", self.k, 1))
        if self.filter is not None:
            compile_filter(self.filter)

    def at_least_k(self, count: int) -> int:
        """Give how many candidates a stage passes on: its `count`, or `k` if that is larger."""
        return max(count, self.k)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(ABC):
    """Proposes candidates, or ranks the candidates of the previous stage.

    A stage is a frozen dataclass. Its fields are JSON-safe settings or stages, each with a default if
    there is a good one. If a stage has fields of its own and defines `__post_init__`, it must call
    `Stage.__post_init__(self)` there (`super()` does not work in a dataclass with slots).

    Args:
        count: How many candidates the stage passes on; if more hits are wanted, that many.
        name: Distinguishes it from another stage of its kind; empty if there is no other.

    Raises:
        ConfigError: A setting has a wrong type or is out of range.
    """

    kind: ClassVar[str]
    count: int = 100
    name: str = ""

    def __post_init__(self) -> None:
        """Check count and name."""
        object.__setattr__(self, "count", whole_number("count", self.count, 1))
        free = isinstance(self.name, str) and self.name not in {*stage_kinds()} - {self.kind}
        check("name", self.name, free, "a string that is not the kind of another stage")

    @property
    def label(self) -> str:
        """Its name, or else its kind; its scores and its time are reported under this label."""
        return self.name or self.kind

    @abstractmethod
    def run(self, request: Request, candidates: Sequence[Candidate] | None) -> list[Candidate]:
        """Propose candidates, or rank them again.

        Args:
            request: The question.
            candidates: The candidates of the previous stage, best first; None for the first stage.

        Returns:
            Candidates, best first. The pipeline keeps at most the number that `count` allows.
        """

    def to_dict(self) -> dict[str, Json]:
        """Write kind and settings in JSON-safe values."""
        return {"kind": self.kind, **{one.name: _to_json(getattr(self, one.name)) for one in fields(self)}}


def run_stage(stage: Stage, request: Request, candidates: Sequence[Candidate] | None, name: str) -> list[Candidate]:
    """Run a stage and keep as many candidates as the stage may pass on.

    Args:
        stage: The stage.
        request: The question.
        candidates: The candidates of the previous stage; None for the first stage.
        name: The time of the stage is reported under this name.
    """
    with request.watch(name):
        return stage.run(request, candidates)[: request.at_least_k(stage.count)]


def best_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Sort candidates by descending score; equals keep their order."""
    return sorted(candidates, key=lambda one: -one.score)


def read_stage(values: Any) -> Stage:
    """Make the stage that `Stage.to_dict` wrote; settings that are left out have their defaults.

    Raises:
        ConfigError: There is no such kind, a setting is unknown, or a value is invalid.
    """
    if not isinstance(values, Mapping) or not isinstance(values.get("kind"), str):
        raise ConfigError(f"stage {values!r:.200}: must be an object with a `kind`, one of {stage_kinds()}")
    kind = values["kind"]
    found = stage_class(kind)
    given = {name: _from_json(value) for name, value in values.items() if name != "kind"}
    known = {one.name for one in fields(found) if one.init}
    if wrong := sorted(given.keys() - known):
        raise ConfigError(f"stage {kind!r} has unknown settings {wrong}; it knows {sorted(known)}")
    needed = {one.name for one in fields(found) if one.init and one.default is one.default_factory is MISSING}
    if lacking := sorted(needed - given.keys()):
        raise ConfigError(f"stage {kind!r} lacks {lacking}: these settings have no defaults")
    try:
        return found(**given)
    except TypeError as error:
        raise ConfigError(f"stage {kind!r}: {error}") from error


def stage_class(kind: str) -> type[Stage]:
    """Import the stage class of a kind.

    Raises:
        ConfigError: There is no such kind.
    """
    if kind not in stage_kinds():
        raise ConfigError(f"there is no stage of kind {kind!r}: use one of {stage_kinds()}")
    module = import_module(f"{__name__}.{kind}")
    (found,) = [one for one in vars(module).values() if _is_stage(one) and one.__module__ == module.__name__]
    return found  # type: ignore[no-any-return]


def stage_kinds() -> list[str]:
    """List all kinds of stages, without importing them."""
    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def _is_stage(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Stage)


def _to_json(value: Any) -> Any:
    """Write a setting: a stage becomes an object, a tuple a list."""
    if isinstance(value, Stage):
        return value.to_dict()
    return [_to_json(one) for one in value] if isinstance(value, (tuple, list)) else value


def _from_json(value: Any) -> Any:
    """Read a setting: an object with a kind becomes a stage, a list a tuple."""
    if isinstance(value, Mapping) and "kind" in value:
        return read_stage(value)
    return tuple(map(_from_json, value)) if isinstance(value, list) else value
