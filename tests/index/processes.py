"""Code in another process, which starts in a moment: torch and the index are imported already."""

from __future__ import annotations

import multiprocessing
import sys
import textwrap
from pathlib import Path

_PRELUDE = "import os; os.dup2(os.open(printed, os.O_WRONLY | os.O_CREAT, 0o600), 1); os.dup2(1, 2)\n"
_PATIENCE_S = 120.0


def run_python(code: str, folder: Path) -> tuple[int | None, str]:
    """Run code in another process, where `folder` has the path of an index.

    Args:
        code: May be indented.
        folder: The index; what the code prints is kept beside it.

    Returns:
        The exit status, None if it did not end within two minutes, and what it printed on stdout and stderr.
    """
    (done,) = run_together([code], folder)
    return done


def run_together(codes: list[str], folder: Path) -> list[tuple[int | None, str]]:
    """Run each code in a process of its own, all at the same time; see `run_python`."""
    context = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
    context.set_forkserver_preload(["fgr_retriever.index.index", "fgr_retriever.testing"])
    printed = [folder.parent / f"printed-{number}.txt" for number in range(len(codes))]
    processes = []
    for code, path in zip(codes, printed, strict=True):
        names = {"folder": str(folder), "printed": str(path)}
        process = context.Process(target=exec, args=(_PRELUDE + textwrap.dedent(code), names), daemon=True)
        process.start()
        processes.append(process)
    for process in processes:
        process.join(_PATIENCE_S)
    return [(process.exitcode, path.read_text()) for process, path in zip(processes, printed, strict=True)]
