"""Load a model with somebody else's loader, and say in our words why that cannot be done."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers.utils import logging as transformers_logging

from fgr_retriever.errors import CheckpointError

_PICKLED = (".bin", ".pt", ".pth")  # PyTorch's own formats: a zip archive, or older and not checked here


@contextmanager
def loading(what: str, place: str) -> Iterator[None]:
    """Load a model, without the progress bar of transformers for reading weights: it ends too soon to be read.

    Args:
        what: What is loaded, for the message: `the model 'models/mine'`.
        place: Its folder or hub id.

    Raises:
        CheckpointError: The body raised an error. If a file of the folder is cut off, the message names it.
    """
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call, unused-ignore]
    try:
        yield
    except Exception as error:  # the loader raises whatever its many parsers raise
        reason = _damage(Path(place)) or str(error) or type(error).__name__
        raise CheckpointError(f"cannot open {what}: {reason}") from error
    finally:
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call, unused-ignore]


def _damage(folder: Path) -> str | None:
    """Find a file of a model that no loader can read; None if all have a beginning and an end, or are not here."""
    for file in sorted(folder.rglob("*")):
        if reason := _unreadable(file):
            name = file.relative_to(folder).as_posix()
            return f"its file {name} is incomplete or damaged ({reason}): copy or download it again"
    return None


def _unreadable(file: Path) -> str | None:
    """Say why a file cannot be read at all."""
    try:
        if file.suffix == ".json":
            json.loads(file.read_text(encoding="utf-8"))
        elif file.suffix == ".safetensors":
            with safe_open(file, "pt"):
                pass
        elif file.suffix in _PICKLED:
            with file.open("rb") as opened:
                begins = opened.read(2)
            if not begins or (begins == b"PK" and not zipfile.is_zipfile(file)):
                return f"it ends after {file.stat().st_size} bytes"
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        return str(error)
    return None
