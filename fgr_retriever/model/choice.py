"""Which model a caller means: an object, one that has a name, or the embedded one."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from fgr_retriever.errors import InputError

if TYPE_CHECKING:
    from fgr_retriever.model.tokens import TokenEncoder


def choose_model(encoder: TokenEncoder | None, model: str | Path | None) -> TokenEncoder:
    """Take a model as it is, open one by its name, or take the embedded one.

    Args:
        encoder: A model that is open.
        model: Folder or hub id of a ColBERT checkpoint. It is opened anew at each call.

    Raises:
        InputError: There are both, or one is in the place of the other.
        CheckpointError: There is no such model, or it cannot be opened; see `Encoder.from_pretrained`.
    """
    check_choice(encoder, model)
    if model is None:
        return embedded_encoder() if encoder is None else encoder
    from fgr_retriever.model.encoder import Encoder  # loads the model code only where it is used

    return Encoder.from_pretrained(model)


def check_choice(encoder: object, model: object) -> None:
    """Refuse what can be no choice of a model, before anything is opened.

    Raises:
        InputError: There are both, one is in the place of the other, or one is something else.
    """
    if encoder is not None and model is not None:
        raise InputError(f"encoder and model={str(model)!r:.200}: give one of them")
    if isinstance(encoder, (str, Path)):
        raise InputError(f"encoder={str(encoder)!r:.200}: must be an open model; pass a folder or hub id as model")
    if encoder is not None:
        check_model(encoder)
    if model is not None and not isinstance(model, (str, Path)):
        raise InputError(f"model={model!r:.200}: must be a folder or hub id; pass an open model as encoder")


def check_model(encoder: object) -> None:
    """Refuse what is no open model.

    Raises:
        InputError: It is something else.
    """
    if isinstance(encoder, type) or not callable(getattr(encoder, "encode_queries", None)):
        raise InputError(
            f"encoder={encoder!r:.200}: must be an open model, such as Encoder.default(), "
            "Encoder.from_pretrained(folder) or the `encoder` of an engine"
        )


@functools.cache
def embedded_encoder() -> TokenEncoder:
    """Open the embedded model, once for all engines and trimmers."""
    from fgr_retriever.model.encoder import Encoder

    return Encoder.default()
