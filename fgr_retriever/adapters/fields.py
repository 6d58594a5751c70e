"""What a class with fields checks of them, in place of pydantic: with our own errors, and the remedy."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

from fgr_retriever.adapters.names import listed, makers, refuse_unknown
from fgr_retriever.adapters.opening import checked_engine
from fgr_retriever.config import TrimConfig, trimming
from fgr_retriever.errors import ConfigError, InputError
from fgr_retriever.index.filters import compile_filter
from fgr_retriever.model.choice import check_choice, choose_model
from fgr_retriever.trim.budget import check_counter

if TYPE_CHECKING:
    from fgr_retriever.trim.trimmer import Trimmer


def trim_config(trim: TrimConfig | Mapping[str, Any] | None) -> TrimConfig | None:
    """Take the settings of a trimmer, or make them of a dict of their fields.

    Raises:
        InputError: It is neither.
        ConfigError: There is no such field, or a value is out of range.
    """
    if trim is None or isinstance(trim, TrimConfig):
        return trim
    if not isinstance(trim, Mapping):
        raise InputError(f"trim={trim!r:.200}: must be a TrimConfig or a dict of its fields")
    return trimming(trim)


def budgeted(trim: TrimConfig | None, max_tokens: int | None) -> TrimConfig | None:
    """Give the trimming a budget, if one is asked for.

    Raises:
        ConfigError: Nothing is trimmed.
    """
    if max_tokens is None:
        return trim
    if trim is None:
        raise ConfigError(
            f"max_tokens={max_tokens} with trim=None: whole documents have no budget; trim them afterwards"
        )
    return replace(trim, max_tokens=max_tokens)


def with_limit_of(trim: TrimConfig | None, held: TrimConfig | None) -> TrimConfig | None:
    """Take given settings in the place of those that are held, if any; a held limit stays if they have none."""
    if trim is None or held is None or trim.max_tokens is not None:
        return held if trim is None else trim
    return replace(trim, max_tokens=held.max_tokens)


class NamedFields:
    """The first base class of a pydantic class: its fields have names, and one that there is not is refused.

    What is assigned later is checked and completed as what is given when an object is made; pydantic checks its
    type then, too, if the class has `validate_assignment`.
    """

    def __init__(self, *unnamed: Any, **fields: Any) -> None:
        """Check the names, the index and the settings of the trimmer; pydantic checks the rest.

        Raises:
            InputError: A name is unknown, an argument has none, or there is something else than an index.
            ConfigError: A value is of the wrong type or out of range.
        """
        kind: Any = type(self)
        if unnamed:
            others = f"; or call {listed(kind.__name__, makers(kind))}" if makers(kind) else ""
            raise InputError(f"{kind.__name__} takes its arguments by name: {', '.join(kind.model_fields)}{others}")
        refuse_unknown(kind.__name__, fields, kind.model_fields, kind)
        with _told_by_us(kind):
            super().__init__(**self._prepared(fields))

    def __setattr__(self, name: str, value: Any) -> None:
        """Check a field that is assigned, and set it and what follows from it.

        Raises:
            InputError: There is no such field, or see `__init__`.
            ConfigError: The value is of the wrong type or out of range.
        """
        kind: Any = type(self)
        if name not in kind.model_fields:
            if not name.startswith("_") and not hasattr(kind, name):
                refuse_unknown(kind.__name__, [name], kind.model_fields)
            return super().__setattr__(name, value)
        with _told_by_us(kind):
            for field, given in self._assigned(name, value).items():
                super().__setattr__(field, given)
        return None

    def _assigned(self, name: str, value: Any) -> dict[str, Any]:
        """Give the fields that are set if a value is assigned to one."""
        kind: Any = type(self)
        held = {field: getattr(self, field) for field in kind.model_fields}
        prepared = self._prepared({**held, name: value})
        return {field: given for field, given in prepared.items() if field == name or given is not held[field]}

    @classmethod
    def _prepared(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Check and complete what was given."""
        kind: Any = cls
        if "engine" in kind.model_fields:
            checked_engine(fields.get("engine"), cls)
        check_counter(fields.get("count_tokens"))
        if fields.get("filter") is not None:
            compile_filter(fields["filter"])  # what is wrong with it shows now, not at the first question
        taken: dict[str, Any] = {
            # Pydantic takes integers of Python only.
            name: operator.index(value) if isinstance(value, Integral) and not isinstance(value, bool) else value
            for name, value in fields.items()
        }
        return {**taken, "trim": trim_config(taken["trim"])} if "trim" in taken else taken


class TrimmerFields(NamedFields):
    """The same for a class that trims, with the fields `encoder`, `model`, `trim` and `count_tokens`.

    A model that is named is opened at once, so that it is known now if it cannot be.
    """

    encoder: Any
    model: Any
    trim: TrimConfig
    count_tokens: Any
    _opened: Any  # the name of the model, and the model

    def __init__(self, *unnamed: Any, **fields: Any) -> None:
        """Check the fields, and open the model.

        Raises:
            InputError: See `NamedFields`; or there are both an `encoder` and a `model`.
            ConfigError: See `NamedFields`; or `trim` is None.
            CheckpointError: The `model` cannot be opened.
        """
        super().__init__(*unnamed, **fields)
        if self.model is not None:
            self._model()

    @classmethod
    def _prepared(cls, fields: dict[str, Any]) -> dict[str, Any]:
        check_choice(fields.get("encoder"), fields.get("model"))
        if fields.get("trim", ...) is None:
            raise ConfigError(f"trim=None: {cls.__name__} trims; leave trim out for the defaults of TrimConfig")
        return super()._prepared(fields)

    def _model(self) -> Any:
        """Give the model; the embedded one is loaded when it is needed."""
        if self.model is None or self.encoder is not None:
            return choose_model(self.encoder, self.model)
        if self._opened is None or self._opened[0] != self.model:
            self._opened = self.model, choose_model(None, self.model)
        return self._opened[1]

    def _trimmer(self) -> Trimmer:
        from fgr_retriever.trim.trimmer import Trimmer  # loads torch only when something is trimmed

        return Trimmer(self._model(), self.trim, count_tokens=self.count_tokens)


@contextmanager
def _told_by_us(kind: type) -> Iterator[None]:
    """Turn pydantic's error on fields of a class into ours."""
    from pydantic import ValidationError  # whoever has a pydantic class has pydantic

    try:
        yield
    except ValidationError as error:
        raise ConfigError(f"{kind.__name__}: {'; '.join(map(_told, error.errors(include_url=False)))}") from None


def _told(one: Mapping[str, Any]) -> str:
    """Say of a wrong field which one it is, its value, and what pydantic says it should be."""
    return f"{'.'.join(map(str, one['loc']))}={one['input']!r:.200}: {one['msg']}"
