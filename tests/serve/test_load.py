"""The commands in processes of their own, under a short load: honest clients and a hostile one."""

import asyncio
import signal
import socket
import subprocess
import sys

import pytest

from benchmarks.serve.clients import head
from benchmarks.serve.load import measure
from benchmarks.serve.servers import running
from fgr_retriever import Engine, demo
from fgr_retriever.model.encoder import Encoder

LONG = 120


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("load")
    with Engine.open(folder, encoder=Encoder.default(device="cpu")) as engine:
        engine.add(demo.passages()[:40])
    return folder


@pytest.mark.golden
@pytest.mark.parametrize("kind", ["serve", "mcp"])
def test_honest_clients_are_answered_beside_a_hostile_one_and_the_server_stops(index, kind, tmp_path):
    log = tmp_path / "log"
    with log.open("wb") as written, running(kind, index, "--grace", "1", "--device", "cpu", log=written) as server:
        found = asyncio.run(measure(server, demo.questions(), clients=4, seconds=2, with_hostile=True))
        assert found.answers.statuses.keys() == {"200"}
        assert found.answers.dropped == 0
        assert found.hostile["a huge body: 413"]
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(400)]
        for number, client in enumerate(silent):
            client.sendall(head(kind, server.port, 100)[: 60 if number % 2 else None])
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(LONG) in (0, None)
        for client in silent:
            client.close()
    assert "Traceback" not in log.read_text()


@pytest.mark.golden
def test_sigterm_ends_the_server_beside_silent_clients(index):
    with running("serve", index, "--grace", "1", "--device", "cpu") as server:
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
        server.process.terminate()
        assert server.process.wait(LONG) in (0, -signal.SIGTERM, None)
        for client in silent:
            client.close()


HANGING = """
import asyncio, time
from fgr_retriever.cli.serving import serving
from fgr_retriever.serve.config import ServeConfig

async def ask(slots):
    asyncio.ensure_future(slots.run(lambda: time.sleep(1_000)))
    await asyncio.sleep(0.1)

with serving(ServeConfig(searches=1)) as slots:
    asyncio.run(ask(slots))
print("Python would wait for the thread")
"""


def test_the_process_ends_even_if_a_search_does_not():
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=LONG)
    assert (done.returncode, done.stdout) == (0, "")
    assert "a search does not end" in done.stderr
