"""Pickles of pydantic classes: all of an object, or an error."""

from __future__ import annotations

from typing import Any

from llama_index.core.bridge.pydantic import BaseModel


class PickledWhole:
    """Comes before LlamaIndex's components, which leave out of a pickle what cannot be pickled: the model, say."""

    def __getstate__(self) -> dict[str, Any]:
        """Give all fields."""
        model: Any = self
        return BaseModel.__getstate__(model)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take all fields."""
        model: Any = self
        BaseModel.__setstate__(model, state)
