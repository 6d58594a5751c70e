"""Say which model an index needs, in words that tell models apart."""

from __future__ import annotations

from functools import cache

from fgr_retriever.errors import CheckpointError, ModelMismatchError

_DIGITS, _SHORT = 12, 20  # how much of a fingerprint is shown; one that is short is shown whole


def called(fingerprint: str, name: object = None) -> str:
    """Name a model: as the embedded one, by its folder or hub id if it is known, and by its fingerprint."""
    if fingerprint == _embedded():
        return "the embedded model"
    short = f"fingerprint {fingerprint if len(fingerprint) <= _SHORT else fingerprint[:_DIGITS]}"
    return f"the model {str(name)!r} ({short})" if name else f"a model with the {short}"


def mismatch(place: object, built: tuple[str, int], given: tuple[str, int], name: object = None) -> ModelMismatchError:
    """Say that an index was built with another model than that which opens it, and what to do.

    Args:
        place: The folder or URL of the index.
        built: Fingerprint of its model, and the width of its vectors.
        given: The same of the model that opens it.
        name: Folder or hub id of the latter; None if it is not known.
    """
    remedy = (
        "leave out model and encoder (`--model` on the command line)"
        if built[0] == _embedded()
        else "pass its folder or hub id as model (`--model` on the command line), or the open model as encoder"
    )
    ours, theirs = (f"{called(one, name)} (dim {dim})" for (one, dim), name in ((built, None), (given, name)))
    return ModelMismatchError(f"{place} was built with {ours}, not with {theirs}: {remedy}; or build a new index")


@cache
def _embedded() -> str:
    """Read the fingerprint of the embedded model; empty if it is missing."""
    from fgr_retriever.model.embedded import FINGERPRINT, embedded_model  # loads torch only for a message

    try:
        return (embedded_model() / FINGERPRINT).read_text(encoding="ascii").strip()
    except (CheckpointError, OSError, ValueError):
        return ""
