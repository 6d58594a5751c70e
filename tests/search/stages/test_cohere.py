"""The stage `cohere`, against a local server that speaks the protocol of its rerank endpoint, and misbehaves."""

import json
import logging
import sys
import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("cohere")

from fgr_retriever import Engine, Passage, TrimConfig
from fgr_retriever.errors import ConfigError, MissingExtraError
from fgr_retriever.search.pipeline import Pipeline
from fgr_retriever.search.stages import cohere
from fgr_retriever.search.stages.cohere import Cohere
from fgr_retriever.search.stages.late import Late
from fgr_retriever.testing import WordEncoder

QUESTION = "who found radium"
TEXTS = {
    "curie": "Marie Curie found radium. She lived in Paris, where the rain fell on her roof.",
    "notes": "Radium glows in the dark. Her notes are kept in a box of lead.",
    "fleming": "Fleming found a mould. He had been on a holiday by the sea.",
    "weather": "The weather was fine. Nothing of note took place all week.",
}
BEFORE = ["curie", "notes", "fleming", "weather"]
AFTER = ["weather", "fleming", "notes", "curie"]  # the server likes what late interaction does not
KEY = "a-secret-key"


def scored(documents):
    """Score documents as the server does: the last one best; best first, as the endpoint answers."""
    return [{"index": place, "relevance_score": (place + 1) / 10} for place in reversed(range(len(documents)))]


class Server(ThreadingHTTPServer):
    """Answers with what `script` has, one entry for each request, and rightly when it has no more."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.requests, self.times, self.stop = [], [], [], threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # a connection for each request: none is left open

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.times.append(time.monotonic())
        self.server.requests.append((self.path, dict(self.headers), body))
        answer = self.server.script.pop(0) if self.server.script else {}
        self.answer(body, **answer)

    def answer(self, body, status=200, results=None, data=None, headers=None, hang=False, close=False):
        if hang:
            self.server.stop.wait(20)
            return
        found = scored(body["documents"]) if results is None else results
        content = {"id": "1", "results": found} if status == 200 else {"message": "not now"}
        data = json.dumps(content).encode() if data is None else data
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data) + (100 if close else 0)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.stop.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("CO_API_KEY", KEY)
    monkeypatch.setattr(cohere, "_FIRST_WAIT_S", 0.01)
    cohere._connect.cache_clear()


@pytest.fixture
def engine(tmp_path, server):
    """Opens an engine whose second stage is the server."""

    def engine(**settings):
        stage = Cohere(**{"model": "rerank-v3.5", "base_url": server.url, "timeout": 5.0, **settings})
        return Engine.open(tmp_path / "index", encoder=WordEncoder(), pipeline=Pipeline((Late(), stage)))

    with engine() as one:
        one.add(Passage(id, text) for id, text in TEXTS.items())
    return engine


def ids(hits):
    return [hit.passage.id for hit in hits]


def test_the_service_ranks_and_its_score_stands_beside_maxsim(engine, server):
    context = engine().retrieve(QUESTION, k=4)
    assert ids(context.hits) == AFTER
    assert [hit.score for hit in context.hits] == pytest.approx([0.4, 0.3, 0.2, 0.1])
    for hit in context.hits:
        assert hit.scores["cohere"] == hit.score
        assert hit.scores["late"] >= 0
    assert context.report.notes == ()
    assert context.report.times_ms["cohere"] > 0
    ((path, headers, body),) = server.requests
    assert path == "/v2/rerank"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body == {"model": "rerank-v3.5", "query": QUESTION, "documents": [TEXTS[id] for id in BEFORE]}


def test_it_can_read_trimmed_texts(engine, server):
    engine(text="trimmed").search(QUESTION, k=4, trim=TrimConfig(unit="sentence"))
    ((_, _, body),) = server.requests
    assert body["documents"][0] == "Marie Curie found radium."
    assert all(text in TEXTS[id] and text != TEXTS[id] for text, id in zip(body["documents"], BEFORE, strict=True))


def test_many_passages_go_in_batches(engine, server):
    hits = engine(batch_size=3).search(QUESTION, k=4)
    assert [len(body["documents"]) for _, _, body in server.requests] == [3, 1]
    assert ids(hits) == ["fleming", "notes", "curie", "weather"]  # 0.3, 0.2, 0.1, and 0.1 again: the earlier first


def test_only_the_best_are_sent(engine, server):
    assert ids(engine(count=2).search(QUESTION, k=2)) == ["notes", "curie"]
    assert len(server.requests[0][2]["documents"]) == 2


@pytest.mark.parametrize("failure", [{"status": 429}, {"status": 500}, {"status": 503}, {"data": b'{"results": [{"i'}])
def test_what_fails_for_the_moment_is_asked_again(engine, server, failure):
    server.script = [failure, failure]
    context = engine().retrieve(QUESTION, k=4)
    assert ids(context.hits) == AFTER
    assert context.report.notes == ()
    assert len(server.requests) == 3
    first, second, third = server.times
    assert second - first >= 0.01
    assert third - second >= 0.02  # the wait doubles


def test_a_connection_that_breaks_off_is_tried_again(engine, server):
    server.script = [{"close": True}]
    assert ids(engine().search(QUESTION, k=4)) == AFTER
    assert len(server.requests) == 2


def test_it_waits_as_long_as_the_service_says(engine, server):
    server.script = [{"status": 429, "headers": {"Retry-After": "1"}}]
    assert ids(engine().search(QUESTION, k=4)) == AFTER
    assert server.times[1] - server.times[0] >= 1


def assert_unchanged(engine, caplog, message):
    """Search, and see the order of the stage before, a note in the report, and a warning; no key in either."""
    with caplog.at_level(logging.WARNING):
        context = engine.retrieve(QUESTION, k=4)
    assert ids(context.hits) == BEFORE
    assert all(set(hit.scores) == {"late"} and hit.score == hit.scores["late"] for hit in context.hits)
    (note,) = context.report.notes
    assert message in note
    assert note.startswith("cohere: ")
    assert note in caplog.text
    assert context.report.to_dict()["notes"] == [note]
    assert KEY not in caplog.text


def test_a_longer_wait_than_there_is_time_for_is_not_begun(engine, server, caplog):
    server.script = [{"status": 429, "headers": {"Retry-After": "60"}}]
    start = time.monotonic()
    assert_unchanged(engine(), caplog, "status 429")
    assert time.monotonic() - start < 5
    assert len(server.requests) == 1


def test_a_service_that_stays_down_costs_no_more_than_the_timeout(engine, server, caplog):
    server.script = [{"status": 500}] * 500
    start = time.monotonic()
    assert_unchanged(engine(timeout=1.0), caplog, "cohere: ")  # status 500, or no answer where the machine is busy
    assert time.monotonic() - start < 10
    assert 2 <= len(server.requests) <= 7  # 0.01, 0.02, ... 0.32: six waits at most


def test_a_service_that_hangs_costs_no_more_than_the_timeout(engine, server, caplog):
    server.script = [{"hang": True}]
    start = time.monotonic()
    assert_unchanged(engine(timeout=0.5), caplog, "no answer")
    assert time.monotonic() - start < 5


def test_nobody_there(engine, server, caplog):
    assert_unchanged(engine(base_url="http://127.0.0.1:9", timeout=0.3), caplog, "no answer")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_is_refused_for_good_is_not_asked_again(engine, server, caplog, status):
    server.script = [{"status": status}] * 9
    assert_unchanged(engine(), caplog, f"status {status}")
    assert len(server.requests) == 1


def test_a_batch_without_scores_leaves_the_whole_order(engine, server, caplog):
    server.script = [{}, {"status": 400}]
    assert_unchanged(engine(batch_size=2), caplog, "status 400")
    assert len(server.requests) == 2


GOOD = scored(TEXTS)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (GOOD[:3], "scores 3 of 4"),
        ([], "scores 0 of 4"),
        ("none", "scores 0 of 4"),
        ([*GOOD[:3], {"index": 4, "relevance_score": 0.1}], "index 4"),
        ([*GOOD[:3], {"index": -1, "relevance_score": 0.1}], "index -1"),
        ([*GOOD[:3], {"relevance_score": 0.1}], "index None"),
        ([*GOOD, GOOD[0]], "index 3"),
        ([*GOOD[:3], {"index": 0}], "score None"),
        ([*GOOD[:3], {"index": 0, "relevance_score": float("nan")}], "score nan"),
        ([*GOOD[:3], {"index": 0, "relevance_score": "high"}], "score 'high'"),
        ([{}, {}, {}, {}], "index None"),
    ],
)
def test_an_answer_that_makes_no_sense_is_not_used(engine, server, caplog, results, message):
    server.script = [{"results": results}]
    assert_unchanged(engine(), caplog, message)


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"{}", b"null", b'{"results": null}', b'{"results": [1]}', b"\xff\xfe{"]
)
def test_an_answer_of_another_form_is_not_used(engine, server, caplog, data):
    server.script = [{"data": data}] * 99
    assert_unchanged(engine(timeout=0.3), caplog, "answer")


def test_a_date_as_retry_after():
    then = datetime.now(timezone.utc) + timedelta(seconds=30)
    assert 28 <= cohere._retry_after({"Retry-After": format_datetime(then, usegmt=True)}) <= 30
    assert cohere._retry_after({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}) == 0
    for nothing in ({}, {"retry-after": "soon"}, {"retry-after": "-3"}):
        assert cohere._retry_after(nothing) == 0


def test_without_a_key_the_stage_says_where_it_goes(engine, server, monkeypatch):
    monkeypatch.delenv("CO_API_KEY")
    monkeypatch.delenv("COHERE_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="CO_API_KEY"):
        engine().search(QUESTION)
    assert server.requests == []


def test_without_the_client_the_extra_is_named(engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "cohere", None)
    with pytest.raises(MissingExtraError, match=r"fgr-retriever\[cohere\]"):
        engine().search(QUESTION)


def test_lone_surrogates_do_no_harm(engine, server):
    one = engine()
    one.add([Passage("odd", "Half a pair: \ud83e, radium.")])
    assert "odd" in ids(one.search("radium", k=9))
    assert any("�" in str(text) for text in server.requests[0][2]["documents"])


def test_settings_go_through_json_without_a_key():
    stage = Cohere(model="some-model", count=7, text="trimmed", timeout=2.5, batch_size=4, base_url="https://host")
    text = Pipeline((stage,)).to_json()
    assert Pipeline.from_json(text) == Pipeline((stage,))
    assert KEY not in text
    wrong = [{"model": ""}, {"text": "half"}, {"timeout": 0}, {"timeout": float("inf")}, {"batch_size": 1001}]
    for one in [*wrong, {"base_url": "host"}, {"count": 0}]:
        with pytest.raises(ConfigError):
            replace(stage, **one)
