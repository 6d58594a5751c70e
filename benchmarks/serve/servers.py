"""A server in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

HERE = Path(__file__).resolve().parents[2]
_START_S = 120
_FGR = (sys.executable, "-m", "fgr_retriever.cli")
_KINDS = {"serve": ("serve", "--port"), "mcp": ("mcp", "--http")}


@dataclass(frozen=True)
class Server:
    """A running server.

    Args:
        kind: `serve` or `mcp`.
        port: Where it listens, on 127.0.0.1.
        process: The process.
    """

    kind: str
    port: int
    process: psutil.Process

    def megabytes(self) -> float:
        """Give the resident memory."""
        return float(self.process.memory_info().rss / 1e6)

    def processor_s(self) -> float:
        """Give the processor time that it has taken."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def running(
    kind: str,
    index: str | Path,
    *options: str,
    code: Path = HERE,
    log: IO[bytes] | None = None,
    program: Sequence[str] = _FGR,
) -> Iterator[Server]:
    """Start a server, and stop it at the end.

    Args:
        kind: `serve` or `mcp` (over HTTP).
        index: The folder of the index, or its URL.
        options: More options of the command.
        code: The checkout whose code runs.
        log: What the server says goes here; by default nowhere.
        program: What stands for `fgr`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    name, port_option = _KINDS[kind]
    words = [*program, name, str(index), port_option, str(port), *options]
    to = log or subprocess.DEVNULL
    # In a session of its own: Linux then gives it the same share of a busy machine, however many threads it has.
    process = subprocess.Popen(
        words, cwd=code, env=_environment(code), stdout=to, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        _wait(process, port)
        yield Server(kind, port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(60)


def command(code: Path, *words: str, text: str) -> None:
    """Run an `fgr` command with the code of a checkout, and give it some text on stdin."""
    subprocess.run([*_FGR, *words], cwd=code, env=_environment(code), input=text, text=True, check=True)


def _environment(code: Path) -> dict[str, str]:
    """Let a process take the code of a checkout."""
    path = os.pathsep.join([str(code), str(code / "integrations"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the server listens."""
    for _ in range(10 * _START_S):
        if process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("the server does not listen")
