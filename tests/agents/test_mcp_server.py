"""The MCP server, driven by the SDK's own client: in process, over stdio and over HTTP."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("mcp")

import httpx
from mcp import Client, StdioServerParameters
from mcp.types import Tool

from fgr_retriever import Engine, Passage
from fgr_retriever.agents.evidence_search import EvidenceSearch
from fgr_retriever.agents.mcp_server import PAGE, http_app, make_server
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.serve import Slots, http
from fgr_retriever.serve.config import ServeConfig
from fgr_retriever.testing import WordEncoder, tiny_checkpoint

CURIE = "Marie Curie found radium in 1898. She worked in Paris. She died in 1934."
LONG = "Radium glows. " * 1_000


@pytest.fixture
def server(kept_in, tmp_path):
    engine = Engine.open(tmp_path / "index", encoder=WordEncoder())
    engine.add(
        [
            Passage("curie", CURIE, {"title": "Curie's life", "start_index": 500}),
            Passage("fleming", "Fleming found penicillin in a dish. It was mould."),
        ]
    )
    return make_server(EvidenceSearch.of(engine, k=2, count_tokens=len))


async def call(server, tool: str, **arguments):
    async with Client(server) as client:
        return await client.call_tool(tool, arguments)


async def refused(server, tool: str, **arguments) -> str:
    found = await call(server, tool, **arguments)
    assert found.is_error
    assert found.structured_content is None
    return found.content[0].text


async def test_tools_say_what_they_take_and_give_and_that_they_only_read(server):
    async with Client(server) as client:
        tools: dict[str, Tool] = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert tools.keys() == {"search_evidence", "read_passage", "expand_span"}
    for tool in tools.values():
        assert tool.description
        assert tool.annotations.read_only_hint
        assert not tool.annotations.destructive_hint
        assert not tool.annotations.open_world_hint
    assert tools["search_evidence"].input_schema["required"] == ["query"]
    assert {"sources", "weak", "uncovered", "note"} <= tools["search_evidence"].output_schema["properties"].keys()
    assert {"text", "start", "end", "length"} <= tools["expand_span"].output_schema["properties"].keys()
    assert tools["expand_span"].input_schema["required"] == ["passage", "start", "end"]


async def test_search_gives_text_to_the_model_and_offsets_to_the_program(server):
    found = await call(server, "search_evidence", query="who found radium", k=1)
    assert not found.is_error
    assert found.content[0].text == "[1] Curie's life\n> Marie Curie found radium in 1898."
    (source,) = found.structured_content["sources"]
    (span,) = source["spans"]
    assert CURIE[span["start"] : span["end"]] == span["text"] == "Marie Curie found radium in 1898."
    assert (span["passage"], span["source_start"], span["source_end"]) == ("curie", 500, 533)
    assert found.structured_content["note"] == ""


async def test_a_weak_search_says_so_to_both(server):
    found = await call(server, "search_evidence", query="zeppelin")
    assert found.content[0].text.splitlines()[-1].startswith("Note: the evidence is weak")
    assert found.structured_content["weak"] is True
    assert found.structured_content["uncovered"] == ["zeppelin"]


async def test_a_span_expands_by_whole_sentences(server):
    found = await call(server, "expand_span", passage="curie", start=40, end=45)
    assert found.structured_content["text"] == CURIE
    found = await call(server, "expand_span", passage="curie", start=40, end=45, sentences=0)
    assert found.structured_content["text"] == "She worked in Paris."
    assert (found.structured_content["start"], found.structured_content["source_start"]) == (34, 534)
    assert found.content[0].text == "Curie's life (passage curie, characters 34 to 54 of 72)\n> She worked in Paris."


async def test_a_long_passage_is_read_page_by_page(tmp_path):
    engine = Engine.open(tmp_path / "index", encoder=WordEncoder())
    engine.add([Passage("long", LONG)])
    server = make_server(EvidenceSearch.of(engine, count_tokens=len))
    first = (await call(server, "read_passage", passage="long")).structured_content
    assert (first["end"], first["length"]) == (PAGE, len(LONG))
    second = (await call(server, "read_passage", passage="long", start=first["end"])).structured_content
    assert first["text"] + second["text"] == LONG
    assert second["source_start"] is None


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("search_evidence", {"query": "  "}, "must be a string that is not blank"),
        ("read_passage", {"passage": "nobody"}, "there is no passage 'nobody': take the id"),
        ("read_passage", {"passage": "curie", "start": 73}, "start=73: the passage has the characters 0 to 72"),
        ("read_passage", {"passage": "curie", "start": -1}, "start=-1"),
        ("expand_span", {"passage": "nobody", "start": 0, "end": 1}, "there is no passage 'nobody'"),
        ("expand_span", {"passage": "curie", "start": 60, "end": 90}, "span (60, 90): the passage has the characters"),
        ("expand_span", {"passage": "curie", "start": 9, "end": 3}, "span (9, 3)"),
        (
            "expand_span",
            {"passage": "curie", "start": 0, "end": 1, "sentences": -1},
            "must be an integer of at least 0",
        ),
    ],
)
async def test_bad_input_is_told_to_the_model(server, tool, arguments, message):
    assert message in await refused(server, tool, **arguments)


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("search_evidence", {}, "query is missing: search_evidence needs it"),
        ("search_evidence", {"query": 3}, "query=3: must be a string"),
        ("search_evidence", {"query": "q", "k": "five"}, "k='five': must be a whole number"),
        ("search_evidence", {"query": "q", "k": 1.5}, "k=1.5: must be a whole number"),
        ("search_evidence", {"query": "q", "k": 0}, "k=0: must be at least 1"),
        ("search_evidence", {"query": "q", "k": 101}, "k=101: must be at most 100"),
        (
            "search_evidence",
            {"query": "q", "top_k": 3},
            "search_evidence takes no 'top_k': did you mean 'k'? It takes query, k",
        ),
        ("read_passage", {"passage": "curie", "start": None}, "start=None: must be a whole number"),
        (
            "expand_span",
            {"passage": "curie", "start": {}},
            "start={}: must be a whole number; end is missing: expand_span needs it",
        ),
    ],
)
async def test_a_wrong_argument_is_named_with_its_value_and_what_it_must_be(server, tool, arguments, message):
    assert await refused(server, tool, **arguments) == message


async def test_a_question_that_is_too_long_is_not_told_in_full(server):
    message = await refused(server, "search_evidence", query="radium " * 1_000)
    assert message.endswith("m radium ': must have at most 2000 characters: shorten it")
    assert len(message) < 200


async def test_the_schemas_say_that_there_are_no_other_arguments(server):
    async with Client(server) as client:
        for tool in (await client.list_tools()).tools:
            assert tool.input_schema["additionalProperties"] is False


@pytest.mark.folders
async def test_a_removed_index_is_told_to_the_model(server, tmp_path):
    (tmp_path / "index").rename(tmp_path / "away")
    for tool, arguments in (("search_evidence", {"query": "radium"}), ("read_passage", {"passage": "curie"})):
        assert "no index any more" in await refused(server, tool, **arguments)
    (tmp_path / "away").rename(tmp_path / "index")
    assert not (await call(server, "search_evidence", query="radium")).is_error


async def test_what_goes_wrong_inside_is_not_told(server, tmp_path):
    engine = Engine.open(tmp_path / "other", encoder=WordEncoder())
    engine.add([Passage("a", "Radium glows.")])

    def broken(text: str) -> int:
        raise RuntimeError("secret")

    broken_server = make_server(EvidenceSearch.of(engine, count_tokens=broken))
    assert "secret" not in await refused(broken_server, "search_evidence", query="radium")


@pytest.fixture
def gated(kept_in, tmp_path):
    """An index whose tokens are counted only when the gate is open."""
    gate, counting = threading.Event(), threading.Semaphore(0)

    def count(text: str) -> int:
        counting.release()
        gate.wait(60)
        return len(text)

    engine = Engine.open(tmp_path / "gated", encoder=WordEncoder())
    engine.add([Passage("a", "Radium glows.")])
    yield EvidenceSearch.of(engine, count_tokens=count), gate, counting
    gate.set()


async def test_too_many_searches_are_told_to_the_model(gated):
    search, gate, counting = gated
    server = make_server(search, Slots(ServeConfig(searches=1, queue=0)))
    first = asyncio.ensure_future(call(server, "search_evidence", query="radium"))
    assert await asyncio.to_thread(counting.acquire, timeout=60)
    assert "wait already: ask again later" in await refused(server, "search_evidence", query="radium")
    assert "wait already" in await refused(server, "read_passage", passage="a")
    gate.set()
    assert not (await first).is_error


async def test_a_search_that_takes_too_long_is_told_to_the_model_and_ends(gated):
    search, gate, _ = gated
    slots = Slots(ServeConfig(searches=1, time_limit=0.2))
    server = make_server(search, slots)
    assert "it took more than 0.2 s" in await refused(server, "search_evidence", query="radium")
    assert not slots.wait(0)
    gate.set()
    assert await asyncio.to_thread(slots.wait, 60)
    assert not (await call(server, "search_evidence", query="radium")).is_error


@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28"])
async def test_a_client_that_leaves_has_its_search_given_up(gated, version):
    search, gate, counting = gated
    slots = Slots(ServeConfig(searches=1, grace=0.2))
    server = make_server(search, slots)
    http_server = http.make_server(http_app(server, "127.0.0.1"), "127.0.0.1", 0, slots, log_config=None)
    thread = threading.Thread(target=http_server.run)
    thread.start()
    while not http_server.started:
        await asyncio.sleep(0.01)
    port = http_server.servers[0].sockets[0].getsockname()[1]
    params = {"name": "search_evidence", "arguments": {"query": "radium"}}
    meta = {"io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": {}}
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**params, "_meta": meta}}
    names = {"mcp-method": "tools/call", "mcp-name": "search_evidence", "mcp-protocol-version": version}
    headers = {**names, "accept": "application/json, text/event-stream"}
    async with httpx.AsyncClient() as client:
        asked = asyncio.ensure_future(client.post(f"http://127.0.0.1:{port}/mcp", json=request, headers=headers))
        assert await asyncio.to_thread(counting.acquire, timeout=60)
        asked.cancel()
        await asyncio.wait([asked])
    while http_server.server_state.tasks:
        await asyncio.sleep(0.01)
    gate.set()
    assert await asyncio.to_thread(slots.wait, 60)
    assert not counting.acquire(blocking=False)  # the search ended at its next look at the clock
    http_server.should_exit = True
    await asyncio.to_thread(thread.join, 60)


def serve(folder, *options):
    """The command line that serves an index."""
    return [sys.executable, "-m", "fgr_retriever.cli", "mcp", str(folder), "--device", "cpu", *options]


@pytest.fixture(scope="module")
def command(kept_in, tmp_path_factory):
    """The command line that serves a small index with the embedded model, which starts in three seconds."""
    folder = tmp_path_factory.mktemp("served")
    with Engine.open(folder, encoder=Encoder.default(device="cpu")) as engine:
        engine.add([Passage("curie", CURIE, {"title": "Curie's life"})])
    return serve(folder)


async def drive(client: Client) -> None:
    """What an agent does: search, look around the best span, and err."""
    found = await client.call_tool("search_evidence", {"query": "radium"})
    assert found.content[0].text.startswith("[1] Curie's life\n")
    span = found.structured_content["sources"][0]["spans"][0]
    assert CURIE[span["start"] : span["end"]] == span["text"]
    place = {"passage": span["passage"], "start": span["start"], "end": span["end"]}
    wider = await client.call_tool("expand_span", {**place, "sentences": 3})
    assert wider.structured_content["text"] == CURIE
    for tool, arguments in [
        ("search_evidence", {"query": ""}),
        ("read_passage", {"passage": "nobody"}),
        ("expand_span", {**place, "end": 10_000}),
    ]:
        assert (await client.call_tool(tool, arguments)).is_error


@pytest.mark.folders
@pytest.mark.golden
async def test_over_stdio(command):
    server = StdioServerParameters(command=command[0], args=command[1:], env={"HF_HUB_OFFLINE": "1"})
    async with Client(server) as client:
        await drive(client)


@pytest.mark.folders
def test_stdout_belongs_to_the_protocol_whatever_another_model_imports(kept_in, tmp_path):
    model = tiny_checkpoint(tmp_path / "model")
    with Engine.open(tmp_path / "index", encoder=Encoder.from_pretrained(model, device="cpu")) as engine:
        engine.add([Passage("curie", CURIE)])
    command = serve(tmp_path / "index", "--model", str(model), "--tokenizer", str(model))
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "fgr: 1 passages, at stdio\n"


@pytest.mark.folders
@pytest.mark.golden
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_stdio_though_the_client_says_nothing(command, sent):
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert b"stdio" in process.stderr.readline()
    time.sleep(0.5)  # it reads; earlier it would end as well
    process.send_signal(sent)
    assert process.wait(60) == -sent
    process.communicate()


@pytest.fixture
def address(command):
    """A server over HTTP on a port of its own; stops after the test."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    process = subprocess.Popen(
        [*command, "--http", str(port)], stdout=subprocess.PIPE, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    try:
        for _ in range(600):
            if process.poll() is not None:
                pytest.fail(f"the server ended with {process.returncode}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        assert process.communicate(timeout=30)[0] == b""  # logs go to stderr


@pytest.mark.folders
@pytest.mark.golden
async def test_over_http_on_loopback(address):
    async with Client(address) as client:
        await drive(client)
    async with Client(address, mode="legacy") as client:  # the handshake of older clients
        await drive(client)
    headers = {"host": "evil.example", "accept": "application/json, text/event-stream"}
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    refused = httpx.post(address, content=json.dumps(request), headers={**headers, "content-type": "application/json"})
    assert httpx.get(address, headers=headers).status_code == 405  # no stream that stays open
    assert refused.status_code == 421  # a web page that rebinds its name to this machine gets nothing


async def test_a_question_with_half_a_character_is_refused(server):
    assert "must be Unicode text" in await refused(server, "search_evidence", query="radium \ud83d")
