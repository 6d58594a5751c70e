"""The server on a real socket: slow, silent, leaving and too many clients."""

import json
import logging
import socket
import threading
import time
from contextlib import closing, contextmanager, suppress

import pytest

from fgr_retriever import Engine, Passage
from fgr_retriever.errors import InputError
from fgr_retriever.serve import Slots, create_app, http
from fgr_retriever.serve.config import ServeConfig
from fgr_retriever.testing import WordEncoder

LONG = 60.0  # a busy machine is no failure
HEAD = b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
HALF_HEAD = HEAD
HALF_BODY = HEAD + b"Content-Length: 100\r\n\r\n{"


class Counter:
    """Counts tokens, and waits before it does if the gate is closed."""

    def __init__(self):
        self.gate, self.calls, self.ends = threading.Event(), threading.Semaphore(0), 0
        self.gate.set()

    def __call__(self, text):
        self.calls.release()
        self.gate.wait(LONG)
        return len(text)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with Engine.open(tmp_path_factory.mktemp("http"), encoder=WordEncoder()) as engine:
        engine.add([Passage("radium", "Marie Curie found radium in 1898."), Passage("zinc", "Zinc is a metal.")])
        yield engine


@pytest.fixture
def count():
    counter = Counter()
    yield counter
    counter.gate.set()


@contextmanager
def served(engine, count, **config):
    """Run a server in a thread, on a port of its own."""
    slots = Slots(ServeConfig(**{"searches": 1, "grace": 0.2, "patience": LONG, "time_limit": LONG} | config))
    app = create_app(engine, count, slots=slots)
    server = http.make_server(app, "127.0.0.1", 0, slots, log_config=None, timeout_keep_alive=LONG)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive())
        yield server.servers[0].sockets[0].getsockname(), slots, server
    finally:
        server.should_exit = True
        thread.join(LONG)
        count.gate.set()
        assert not thread.is_alive()


def wait_for(condition):
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def search(query="radium", **values):
    body = json.dumps({"query": query, **values}).encode()
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def send(address, data):
    client = socket.create_connection(address, timeout=LONG)
    client.sendall(data)
    return client


def read(client):
    """Read an answer: status, headers, body."""
    with client.makefile("rb") as stream:
        start = stream.readline()
        headers = dict(line.decode().lower().strip().split(": ", 1) for line in iter(stream.readline, b"\r\n"))
        return int(start.split()[1]), headers, stream.read(int(headers["content-length"]))


def receive(client):
    """Read an answer, and close; None where the server just closes."""
    with closing(client):
        try:
            return read(client)
        except (OSError, IndexError, ValueError):
            return None


def status(client):
    found = receive(client)
    return found and found[0]


@pytest.mark.parametrize("sent", [b"", b"POST ", HALF_HEAD, HALF_BODY], ids=["nothing", "word", "head", "body"])
def test_a_client_that_does_not_send_a_whole_request_gets_408(engine, count, sent):
    with served(engine, count, patience=0.2) as (address, _, _):
        assert status(send(address, sent)) == 408
        assert status(send(address, search())) == 200


def test_a_request_that_drips_is_not_waited_for_longer(engine, count):
    with served(engine, count, patience=0.4) as (address, _, _), closing(send(address, HALF_BODY)) as client:
        client.settimeout(0.05)
        answer = b""
        end = time.monotonic() + LONG
        while not answer and time.monotonic() < end:
            try:
                client.sendall(b" ")
                answer = client.recv(100)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408")


def test_a_client_that_does_not_take_its_answer_is_given_up(engine, count, tmp_path):
    with Engine.open(tmp_path / "long", encoder=WordEncoder()) as long:
        long.add([Passage(str(number), "radium glows. " * 20_000) for number in range(3)])
        with served(long, count, patience=0.5) as (address, _, server):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(address)
            client.sendall(search(k=3))
            wait_for(lambda: any(one.flow.write_paused for one in server.server_state.connections))
            wait_for(lambda: not server.server_state.connections)
            client.close()


def test_between_requests_there_is_more_time(engine, count):
    with served(engine, count, patience=0.2) as (address, _, _), closing(send(address, search())) as client:
        assert read(client)[0] == 200
        client.settimeout(0.6)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(LONG)
        client.sendall(search())
        assert read(client)[0] == 200


def test_silent_connections_make_room_the_oldest_first(engine, count):
    with served(engine, count, connections=5) as (address, _, server):
        silent = [send(address, sent) for sent in (HALF_BODY, HALF_HEAD) * 10]
        wait_for(lambda: len(server.server_state.connections) <= 5)
        assert status(send(address, search())) == 200
        assert receive(silent[0]) is None
        silent[-1].settimeout(0.2)
        with pytest.raises(TimeoutError):  # the youngest is still waited for
            silent[-1].recv(1)
        for client in silent:
            client.close()


def test_one_connection_too_many_is_refused_if_all_others_are_answered(engine, count):
    count.gate.clear()
    with served(engine, count, connections=2) as (address, _, _):
        asked = [send(address, search()) for _ in range(2)]
        assert count.calls.acquire(timeout=LONG)
        time.sleep(0.1)  # the second is read
        found, headers, _ = receive(send(address, b""))
        assert (found, headers["retry-after"]) == (503, "1")
        count.gate.set()
        assert [status(one) for one in asked] == [200, 200]


def test_too_many_searches_get_503_and_when_to_ask_again(engine, count):
    count.gate.clear()
    with served(engine, count, queue=1) as (address, slots, _):
        first = send(address, search())
        assert count.calls.acquire(timeout=LONG)
        second = send(address, search())
        wait_for(lambda: len(slots._waiting) == 1)
        found, headers, body = receive(send(address, search()))
        assert (found, headers["retry-after"]) == (503, "1")
        assert "wait already" in json.loads(body)["detail"]
        count.gate.set()
        assert [status(first), status(second)] == [200, 200]


def test_a_search_that_takes_too_long_gets_504_and_its_slot_comes_back(engine, count):
    count.gate.clear()
    with served(engine, count, time_limit=0.3) as (address, slots, _):
        found, _, body = receive(send(address, search()))
        assert found == 504
        assert "more than 0.3 s" in json.loads(body)["detail"]
        assert not slots.wait(0)
        count.gate.set()
        assert slots.wait(LONG)


@pytest.mark.parametrize("sent", [HALF_HEAD, HALF_BODY, search()], ids=["head", "body", "search"])
def test_a_client_that_leaves_is_forgotten_without_a_word(engine, count, caplog, capfd, sent):
    count.gate.clear()
    with caplog.at_level(logging.WARNING), served(engine, count) as (address, slots, server):
        client = send(address, sent)
        if sent == search():
            assert count.calls.acquire(timeout=LONG)
        client.close()
        wait_for(lambda: not server.server_state.connections and not server.server_state.tasks)
        count.gate.set()
        assert slots.wait(LONG)
        calls = 0
        while count.calls.acquire(blocking=False):
            calls += 1
        assert calls == 0  # the search ended at its next look at the clock
        assert status(send(address, search())) == 200
    assert not [one for one in caplog.records if one.name.startswith(("uvicorn", "asyncio"))]
    assert "Traceback" not in capfd.readouterr().err


def test_stopping_waits_for_nobody_who_is_silent_and_for_searches_for_a_while(engine, count):
    count.gate.clear()
    with served(engine, count) as (address, slots, server):
        silent = [send(address, sent) for sent in (b"", HALF_HEAD, HALF_BODY) * 30]
        asked, waiting = send(address, search()), send(address, search())
        assert count.calls.acquire(timeout=LONG)
        wait_for(lambda: len(slots._waiting) == 1)
        server.should_exit = True
        for client in (asked, waiting):
            found, _, body = receive(client)
            assert found == 503
            assert "the server stops" in json.loads(body)["detail"]
        assert [receive(one) for one in silent] == [None] * 90


def test_a_search_that_ends_in_time_is_answered_before_the_stop(engine, count):
    count.gate.clear()
    with served(engine, count, grace=LONG) as (address, _, server):
        asked, silent = send(address, search()), send(address, HALF_BODY)
        assert count.calls.acquire(timeout=LONG)
        server.should_exit = True
        assert receive(silent) is None
        count.gate.set()
        assert status(asked) == 200


def test_a_body_that_is_too_long_is_refused_and_not_read_for_ever(engine, count):
    with served(engine, count, patience=0.5) as (address, _, server):
        client = send(address, HEAD + b"Content-Length: 100000000\r\n\r\n" + b"x" * 200_000)
        assert client.recv(100).startswith(b"HTTP/1.1 413")
        with suppress(OSError):  # reset, or a broken pipe
            while server.server_state.connections:
                client.sendall(b"x" * 10_000)
                time.sleep(0.01)
        wait_for(lambda: not server.server_state.connections)
        client.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1"])
def test_where_nobody_can_listen_is_an_error_of_ours(host):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"^{host}:{port}: cannot listen there \(.+port 0 is a free one"):
            http.serve(None, host, port, Slots(ServeConfig()))
