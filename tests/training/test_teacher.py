# ruff: noqa: RUF001 (the look-alike characters are meant)
"""Teacher labelling against a local server that speaks the OpenAI protocol and misbehaves."""

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_openai import ChatOpenAI

from fgr_retriever.cli import main
from fgr_retriever.errors import InputError
from fgr_retriever.training.data import Labelled, read_spans
from fgr_retriever.training.teacher import Teacher, TeacherConfig
from fgr_retriever.training.verbatim import locate

QUICK = TeacherConfig(attempts=3, concurrency=4, wait=0.01, longest_wait=0.02)
PASSAGE = "Marie Curie found radium in 1898. She didn’t patent it."


class Server:
    """Answers each query from a script: a list of quotations, an HTTP status, or raw text."""

    def __init__(self, script):
        self.script = script
        self.asked = Counter()
        self.at_once, self.most_at_once = 0, 0
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = server.answer(body["messages"][-1]["content"])
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.http.server_port}/v1"

    def answer(self, prompt):
        query = prompt.split("Query: ")[1].split("\n")[0]
        with self._lock:
            turn = self.asked[query]
            self.asked[query] += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(0.01)  # long enough for requests to meet
        steps = self.script[query]
        step = steps[min(turn, len(steps) - 1)]
        with self._lock:
            self.at_once -= 1
        if isinstance(step, int):
            return step, {"error": {"message": "no", "type": "error"}}
        content = step if isinstance(step, str) else json.dumps({"quotations": step})
        message = {"role": "assistant", "content": content, "refusal": None}
        return 200, {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "fake",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        }


@pytest.fixture
def served():
    servers = []

    def start(script):
        servers.append(Server(script))
        model = ChatOpenAI(model="fake", api_key="none", base_url=servers[-1].url, max_retries=0)
        return servers[-1], Teacher(model, QUICK)

    yield start
    for server in servers:
        server.http.shutdown()
        server.http.server_close()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_quotations_become_spans(served, tmp_path):
    _, teacher = served({"who": [["Marie Curie", "radium in 1898"]], "none": [[]]})
    out = tmp_path / "out.jsonl"
    report = teacher.label([Labelled("who", PASSAGE), Labelled("none", PASSAGE)], out)
    found = {line["query"]: line["spans"] for line in lines(out)}
    assert found == {"who": [[0, 11], [18, 32]], "none": []}
    assert (report.labelled, report.empty, report.rejected, report.requests) == (2, 1, 0, 2)
    assert (report.input_tokens, report.output_tokens) == (200, 20)
    assert report.cost(1.0, 10.0) == pytest.approx(200 / 1e6 + 200 / 1e6)
    assert len(read_spans([out])) == 2  # ready for training


@pytest.mark.parametrize("trouble", [429, 500, '{"quotations": ["Mar', '{"quotes": []}', ["Pierre Curie"]])
def test_trouble_that_passes_is_waited_for(served, tmp_path, trouble):
    server, teacher = served({"who": [trouble, trouble, ["Marie Curie"]]})
    report = teacher.label([Labelled("who", PASSAGE)], tmp_path / "out.jsonl")
    assert lines(tmp_path / "out.jsonl")[0]["spans"] == [[0, 11]]
    assert server.asked["who"] == 3
    assert report.labelled == 1


@pytest.mark.parametrize("trouble", [429, 500, '{"quotations": ["Mar', ["Pierre Curie"]])
def test_trouble_that_stays_is_rejected_with_its_reason(served, tmp_path, trouble):
    server, teacher = served({"who": [trouble], "when": [["1898"]]})
    report = teacher.label([Labelled("who", PASSAGE), Labelled("when", PASSAGE)], tmp_path / "out.jsonl")
    assert [line["query"] for line in lines(tmp_path / "out.jsonl")] == ["when"]
    (rejected,) = lines(tmp_path / "out.rejected.jsonl")
    assert rejected["query"] == "who"
    assert rejected["reason"]
    assert server.asked["who"] == QUICK.attempts
    assert (report.labelled, report.rejected) == (1, 1)


def test_a_request_that_is_refused_is_not_repeated(served, tmp_path):
    server, teacher = served({"who": [401]})
    assert teacher.label([Labelled("who", PASSAGE)], tmp_path / "out.jsonl").rejected == 1
    assert server.asked["who"] == 1


def test_a_run_goes_on_where_it_stopped(served, tmp_path):
    out = tmp_path / "out.jsonl"
    server, teacher = served({f"q{i}": [["radium"]] for i in range(10)})
    pairs = [Labelled(f"q{i}", PASSAGE) for i in range(10)]
    teacher.label(pairs[:4], out)
    with out.open("a") as file:
        file.write('{"query": "q4", "pass')  # the process died here
    report = teacher.label(pairs, out)
    assert sorted(line["query"] for line in lines(out)) == sorted(pair.query for pair in pairs)
    assert set(server.asked.values()) == {1}
    assert report.resumed == 4


def test_no_more_requests_at_once_than_allowed(served, tmp_path):
    server, teacher = served({f"q{i}": [["radium"]] for i in range(40)})
    teacher.label([Labelled(f"q{i}", PASSAGE) for i in range(40)], tmp_path / "out.jsonl")
    assert 1 < server.most_at_once <= QUICK.concurrency


def test_another_file_is_not_overwritten(served, tmp_path):
    (tmp_path / "out.jsonl").write_text('{"something": "else"}\n')
    _, teacher = served({})
    with pytest.raises(InputError, match="not written by this command"):
        teacher.label([Labelled("who", PASSAGE)], tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == '{"something": "else"}\n'


def test_fgr_label_is_a_command(served, tmp_path, monkeypatch, capsys):
    server, _ = served({"who": [["Marie Curie"]]})
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    (tmp_path / "pairs.jsonl").write_text(json.dumps({"query": "who", "passage": PASSAGE}))
    out = tmp_path / "out.jsonl"
    command = ["label", str(tmp_path / "pairs.jsonl"), "--out", str(out), "--teacher", "openai:fake"]
    assert main([*command, "--base-url", server.url, "--input-price", "1000"]) == 0
    assert lines(out)[0]["spans"] == [[0, 11]]
    assert "cost 0.10" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("quote", "expected"),
    [
        ("She didn't patent it.", "She didn’t patent it."),
        ("  Marie Curie ", "Marie Curie"),
        ("Marie\n Curie", "Marie Curie"),
        ('"found radium"', "found radium"),
        ("found radium in 1898, ", "found radium in 1898"),
        ("Marie Cury", None),
        ("marie curie", None),
        ("", None),
        ("...", None),
    ],
)
def test_quotations_are_found_and_repaired(quote, expected):
    found = locate(quote, PASSAGE)
    assert (found and PASSAGE[slice(*found)]) == expected


def test_unicode_look_alikes():
    text = "The ﬁrst\u00a0“big” — co\u00adoperative… café\u200b cost 5\u202fkm²"
    for quote in ("The first", '"big" - cooperative...', "cost 5 km2"):
        start, end = locate(quote, text)
        assert text[start:end].strip()
    assert text[slice(*locate('first "big"', text))] == "ﬁrst\u00a0“big”"


@given(st.text(min_size=1, max_size=60), st.data())
def test_what_stands_in_a_text_is_found_in_it(text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    quote = text[start : data.draw(st.integers(start + 1, len(text)))]
    found = locate(quote, text)
    if any(map(str.isalnum, quote)):
        assert text[slice(*found)] == quote.strip()
    else:
        assert found is None
