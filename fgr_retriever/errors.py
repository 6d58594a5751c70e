"""Every error that fgr-retriever raises on purpose.

Catch `FgrError` for all of them, or the built-in error from which an error also inherits::

    FgrError(Exception)
    ├── ConfigError(ValueError)             a setting is unknown or out of range
    ├── InputError(ValueError)              a text, id, metadata value or tensor cannot be used
    ├── CheckpointError(OSError)            a model folder or hub id cannot be opened as ColBERT
    ├── IndexNotFoundError(FileNotFoundError)  there is no index in this folder
    ├── IndexFormatError                    the index has a format that this version cannot read
    ├── IndexCorruptError                   stored bytes are damaged or missing
    ├── IndexWriteError(OSError)            the disk refused a write; stored data is as it was
    ├── IndexServerError(ConnectionError)   the server of an index does not answer, or refuses a call
    ├── IndexLockedError                    another writer holds the index
    ├── ModelMismatchError                  the index was built with another model
    ├── MissingExtraError(ImportError)      an optional dependency is not installed
    ├── TimeLimitError(TimeoutError)        a call took longer than it may
    └── TokenCounterError                   no tokenizer is available for the token budget

A message says what was wrong, with which value, and what to do about it.
"""

from __future__ import annotations


class FgrError(Exception):
    """Base class of all errors of this library."""


class ConfigError(FgrError, ValueError):
    """A setting is unknown, of the wrong type, or out of range."""


class InputError(FgrError, ValueError):
    """A text, id, metadata value or tensor that the caller passed cannot be used."""


class CheckpointError(FgrError, OSError):
    """A model folder or hub id cannot be opened as a late-interaction model."""


class IndexNotFoundError(FgrError, FileNotFoundError):
    """There is no index in the given folder."""


class IndexFormatError(FgrError):
    """The index was written in a format that this version cannot read."""


class IndexCorruptError(FgrError):
    """Stored bytes are damaged or missing."""


class IndexWriteError(FgrError, OSError):
    """The disk refused a write; what was stored before is unchanged."""


class IndexServerError(FgrError, ConnectionError):
    """The server of an index cannot be reached, or refuses a call. What it has acknowledged is stored."""


class IndexLockedError(FgrError):
    """Another process or engine is writing to the index."""


class ModelMismatchError(FgrError):
    """The index was built with a different model from the one that opens it."""


class MissingExtraError(FgrError, ImportError):
    """An optional dependency is not installed.

    Args:
        feature: What the caller wanted to use.
        extra: The extra of this distribution that brings the dependency.
    """

    def __init__(self, feature: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{feature} needs an optional dependency: pip install 'fgr-retriever[{extra}]'")


class TimeLimitError(FgrError, TimeoutError):
    """A call took longer than it may, or nobody waits for its answer any more."""


class TokenCounterError(FgrError):
    """No tokenizer is available to count the token budget."""
