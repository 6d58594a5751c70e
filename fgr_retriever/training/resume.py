"""What an interrupted command has written already, so that it goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from fgr_retriever.errors import InputError


def written(out: Path, *keys: str) -> Iterator[tuple[str, ...]]:
    """Give some values of every record in a file of JSON lines; of none if the file is absent.

    A last line that was cut off is removed from the file.

    Args:
        out: What an earlier run wrote.
        keys: The values to give.

    Raises:
        InputError: A line is no such record.
    """
    if not out.exists():
        return
    content = out.read_bytes()
    complete = content.rfind(b"\n") + 1
    if complete < len(content):
        with out.open("r+b") as file:
            file.truncate(complete)
    for number, line in enumerate(content[:complete].splitlines(), start=1):
        try:
            record = json.loads(line)
            yield tuple(record[key] for key in keys)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{out}:{number}: was not written by this command ({error!r}); choose another file"
            ) from error
