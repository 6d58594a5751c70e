"""The `fgr` command. One module for each group of commands; `main` is the console entry.

Commands import the engine when they run, so that `fgr --help` answers at once.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import fgr_retriever
from fgr_retriever.cli import calibrate, demo, encode, evaluate, index, label, mcp, mine, search, serve, train, upkeep
from fgr_retriever.cli.failures import exit_code, report

app = typer.Typer(
    name="fgr",
    help="Search passages, see the evidence, trim to it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for group in (demo, index, encode, upkeep, search, evaluate, calibrate, label, mine, train, mcp, serve):
    group.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fgr {fgr_retriever.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Search passages, see the evidence, trim to it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The words after `fgr`; by default those of this process.

    Returns:
        The exit code: 0 done, 2 wrong use, 3 no such input, index or model, 4 corrupt or mismatched
        index, 130 interrupted, 1 anything else. The message is on stderr.
    """
    # Threads of torch spin while they wait for each other: beside another process, indexing takes four times as long.
    # They read this when torch is loaded, which no module has done by now.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # no text may fail for what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args=None if arguments is None else list(arguments), prog_name="fgr")
    except SystemExit as stop:  # how typer ends, also after wrong use, Ctrl-C and a broken pipe
        return stop.code if isinstance(stop.code, int) else 0
    except (fgr_retriever.FgrError, OSError) as error:
        report(error)
        return exit_code(error)
    return 0
