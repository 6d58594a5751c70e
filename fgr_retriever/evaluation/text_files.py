"""UTF-8 text files and JSON Lines, with errors that name the file and the line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

from fgr_retriever.errors import InputError


def read_lines(file: TextIO, name: str, longest: int = -1) -> Iterator[str]:
    """Read lines with their ends; a line of more than `longest` characters comes in pieces.

    Raises:
        InputError: The file, called `name` in the message, is not UTF-8.
        OSError: The file cannot be read.
    """
    try:
        yield from iter(lambda: file.readline(longest), "")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text ({error}): convert it to UTF-8") from error


def read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the objects of a JSON Lines file lazily; blank lines are skipped.

    Args:
        path: A UTF-8 file with one JSON object on each line.

    Yields:
        Where the object stands (`file:line`) and the object.

    Raises:
        InputError: A line is not a JSON object, or the file is not UTF-8.
        OSError: The file cannot be read.
    """
    with path.open(encoding="utf-8-sig") as file:
        yield from parse_jsonl(read_lines(file, str(path)), str(path))


def parse_jsonl(lines: Iterable[str], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Parse lines as `read_jsonl` does; `name` stands for the file in messages."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"{name}:{number}", _parse(line, f"{name}:{number}")


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not valid JSON: {error}") from error
    if not isinstance(record, dict):
        raise InputError(f"{where}: must be a JSON object, got {type(record).__name__}")
    return record


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN and infinities, which Python reads but JSON does not have."""
    raise ValueError(f"{constant} is not a JSON value")
