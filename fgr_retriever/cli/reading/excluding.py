"""How to go on without a file of a folder that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from shlex import quote

from fgr_retriever.errors import FgrError, InputError


def excluding(inside: str) -> str:
    """Name the option that leaves a file or folder out.

    Args:
        inside: Its path, from the folder that was given.
    """
    return f"or index the folder without it: --exclude {quote(escape(inside))}"


@contextmanager
def or_excluded(inside: str) -> Iterator[None]:
    """Add that option to what goes wrong.

    Args:
        inside: The path of the file in the folder that was given; empty if the file was given itself.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        yield
    except FileNotFoundError:
        raise  # it is gone since the folder was listed
    except (FgrError, OSError) as error:
        if not inside:
            raise
        told = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{told}; {excluding(inside)}") from error
