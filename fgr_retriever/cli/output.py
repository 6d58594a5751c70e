"""What commands write: results on stdout, progress and notes on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from fgr_retriever.text.html import printable
from fgr_retriever.text.valid import valid

T = TypeVar("T")

_WIDE = 10_000  # columns, for what reads a pipe: a table is as wide as its contents


def write_json(value: Any) -> None:
    """Write one JSON value on a line, in ASCII and without lone surrogates: valid for every program and terminal."""
    write_text(json.dumps(valid(value), allow_nan=False))


def write_text(text: str) -> None:
    """Write text and a line end to stdout, verbatim unless stdout is a terminal."""
    sys.stdout.write((printable(text) if sys.stdout.isatty() else text) + "\n")
    sys.stdout.flush()  # a closed pipe shows here, not at exit


def note(text: str) -> None:
    """Write a line to stderr."""
    sys.stderr.write(printable(text) + "\n")


def terminal() -> Console:
    """Open stdout for styled text; plain, and never wrapped or cut, when it is not a terminal."""
    shown = sys.stdout.isatty()
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=not shown, width=None if shown else _WIDE)


def counted(items: Iterable[T], label: str) -> Iterator[T]:
    """Pass items through and count them on stderr while it is a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description} {task.completed:.0f}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None)
        for item in items:
            yield item
            progress.advance(task)
