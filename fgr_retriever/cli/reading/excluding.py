"""How to go on without a file of a folder that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from shlex import quote

from fgr_retriever.errors import FgrError, InputError


@contextmanager
def or_excluded(name: str) -> Iterator[None]:
    """Add the option that leaves a file or folder out to what goes wrong with it.

    Args:
        name: Its path, with the name of the folder that was given, so that nothing else of the same name goes with it.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        yield
    except FileNotFoundError:
        raise  # it is gone since the folder was listed
    except (FgrError, OSError) as error:
        told = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{told}; or index the folder without it: --exclude {quote(escape(name))}") from error
