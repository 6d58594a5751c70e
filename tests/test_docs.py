"""Run every Python block of README and docs, top to bottom, with the embedded model.

A ```text block that follows a Python block is what that block prints.
"""

import math
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fgr_retriever.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/migration").glob("*.md"))]
# Starts a process for each page that it is told of, and says how it ended. torch, which takes three seconds of the
# processor, is imported already; nothing of ours is, so that a page imports it as a program does.
_STARTER = """
import os, runpy, signal, sys
import torch
for line in sys.stdin:
    page, log = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if not child:
        signal.alarm(150)
        os.chdir(os.path.dirname(page))
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT), 1)
        os.dup2(1, 2)
        sys.argv = [page]
        runpy.run_path(page, run_name="__main__")
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
_BLOCK = re.compile(r"^```python\n(.*?)^```$(?:\n+```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
_DEMO = re.compile(r"^```\n\$ (fgr demo .*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STRING = re.compile(r'"([\w./-]*\w)"')
_END = "<end of a block>"


def blocks(page: Path) -> list[tuple[str, str]]:
    """The Python blocks of a page, each with what it prints; empty if the page does not show that."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def code(page: Path) -> str:
    return f"\nprint('{_END}', flush=True)\n".join(block for block, _ in blocks(page))


def printed_so(shown: str, printed: str) -> bool:
    """Whether a text was printed, with about the same numbers: they depend a little on the processor."""
    number = re.compile(r"-?\d+\.\d+")
    pattern = r"(-?\d+\.\d+)".join(map(re.escape, number.split(shown)))
    if (found := re.search(pattern, printed)) is None:
        return False
    pairs = zip(number.findall(shown), found.groups(), strict=True)
    return all(math.isclose(float(one), float(other), rel_tol=0.03) for one, other in pairs)


@pytest.fixture(scope="module")
def run():
    """A function that runs a script in its folder and gives its exit status and what it printed."""
    if not hasattr(os, "fork"):
        yield _run
        return
    command = [sys.executable, "-c", _STARTER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as starter:

        def run(script: Path) -> tuple[int, str]:
            log = script.with_suffix(".log")
            starter.stdin.write(f"{script}\t{log}\n")
            starter.stdin.flush()
            return int(starter.stdout.readline()), log.read_text(encoding="utf-8")

        yield run
        starter.stdin.close()


def _run(script: Path) -> tuple[int, str]:
    command = [sys.executable, str(script)]
    paths = os.environ | {"PYTHONPATH": str(ROOT)}  # one page shows what only a checkout has
    done = subprocess.run(command, cwd=script.parent, env=paths, capture_output=True, text=True, timeout=150)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.golden
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_code_on_the_page_runs(page, run, tmp_path):
    script = tmp_path / "page.py"
    script.write_text(code(page), encoding="utf-8")
    status, printed = run(script)
    assert status == 0, printed[-3000:]
    for (_, shown), found in zip(blocks(page), printed.split(_END), strict=True):
        assert printed_so(shown, found), f"{shown}\nis not what is printed:\n{found[-3000:]}"
    # Whoever tries the pages one after the other in one folder must not find there what another page left.
    made = {one for one in _STRING.findall(code(page)) if (tmp_path / one).exists()}
    assert {
        one: other.name for other in PAGES if other != page for one in made.intersection(_STRING.findall(code(other)))
    } == {}


@pytest.mark.golden
def test_the_demo_prints_what_the_readme_shows(capsys):
    command, shown = _DEMO.search((ROOT / "README.md").read_text(encoding="utf-8")).groups()
    assert main(shlex.split(command)[1:]) == 0
    assert printed_so(" ".join(shown.split()), " ".join(capsys.readouterr().out.split()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
