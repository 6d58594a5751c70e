"""From errors to exit codes and messages: the one place that decides."""

from __future__ import annotations

import sys

from fgr_retriever.errors import CheckpointError, ConfigError, IndexCorruptError, IndexFormatError, ModelMismatchError
from fgr_retriever.text.html import printable

_EXIT_CODES: dict[type[Exception], int] = {
    ConfigError: 2,
    CheckpointError: 3,
    FileNotFoundError: 3,  # IndexNotFoundError is one
    NotADirectoryError: 3,
    IndexFormatError: 4,
    IndexCorruptError: 4,
    ModelMismatchError: 4,
}


def exit_code(error: Exception) -> int:
    """Say how the process ends on this error."""
    return next((code for kind, code in _EXIT_CODES.items() if isinstance(error, kind)), 1)


def report(error: Exception) -> None:
    """Write the message to stderr."""
    message = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        message = f"{error.filename}: {error.strerror}"
    sys.stderr.write(f"fgr: error: {printable(message)}\n")
