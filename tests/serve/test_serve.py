import json
import signal
import socket
import threading
import time
from contextlib import suppress
from urllib.request import urlopen

import pytest
from openapi_spec_validator import validate
from starlette.testclient import TestClient

from fgr_retriever import Engine, Passage
from fgr_retriever.cli import main
from fgr_retriever.cli.serve import _is_loopback
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.serve import create_app
from fgr_retriever.serve.api import MAX_BODY, MAX_K, MAX_QUERY
from fgr_retriever.testing import WordEncoder, tiny_checkpoint

RADIUM = "Marie Curie found radium in 1898. She worked in Paris."
HOSTILE = "<script>alert(1)</script> found radium & <b>more</b>."


def by_words(text):
    return len(text.split())


@pytest.fixture
def engine(kept_in, tmp_path):
    with Engine.open(tmp_path / "my index", encoder=WordEncoder()) as engine:
        engine.add(
            [
                Passage("radium", RADIUM, {"title": "Radium", "year": 1898, "_fgr": {"hidden": True}}),
                Passage("<i>", HOSTILE, {"<u>": "</script>"}),
                Passage("penicillin", "Fleming found penicillin in a dish. It was mould.", {"year": 1928}),
            ]
        )
        yield engine


@pytest.fixture
def client(engine):
    with TestClient(create_app(engine, by_words), base_url="http://127.0.0.1:8000") as client:
        yield client


def search(client, query="who found radium", **values):
    response = client.post("/api/search", json={"query": query, **values})
    assert response.status_code == 200, response.text
    return response.json()


def is_problem(response, status, *words):
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["type"] == "about:blank"
    for word in words:
        assert word in problem["detail"]
    return True


@pytest.mark.folders
def test_a_removed_and_a_replaced_folder_are_noticed(client, engine, tmp_path):
    assert len(search(client)["hits"]) > 0
    engine.folder.rename(tmp_path / "away")
    is_problem(client.post("/api/search", json={"query": "radium"}), 503, "no index any more")
    is_problem(client.get("/api/info"), 503, "no index any more")
    with Engine.open(engine.folder, encoder=WordEncoder()) as other:
        other.add([Passage("new", "New radium.")])
    assert [hit["id"] for hit in search(client)["hits"]] == ["new"]


@pytest.fixture(scope="module")
def read_client(kept_in, tmp_path_factory):
    """With the embedded model, which also has tokens for marks and emoji."""
    with Engine.open(tmp_path_factory.mktemp("read"), encoder=Encoder.default(device="cpu")) as engine:
        engine.add([Passage("radium", RADIUM), Passage("marks", "? ... ! \N{ROBOT FACE}")])
        yield TestClient(create_app(engine, by_words), base_url="http://localhost")


@pytest.mark.parametrize("query", ["?", "...", "\N{ROBOT FACE}", "-", "\u200b.", "«»", "\x00", "()[]"])
def test_a_question_without_a_word_is_answered(read_client, query):
    found = search(read_client, query)
    assert found["words"] == []
    assert len(found["hits"]) == 2
    assert all(word is None for hit in found["hits"] for *_, word in hit["tokens"])
    trimmed = read_client.post("/api/trim", json={"search": found["search"], "trim": {"unit": "token"}})
    assert trimmed.status_code == 200


class TestSearch:
    def test_gives_hits_tokens_and_what_is_kept(self, client):
        found = search(client, trim={"unit": "token"})
        hit, kept = found["hits"][0], found["result"]["hits"][0]
        assert (hit["rank"], hit["id"], hit["title"], hit["text"]) == (1, "radium", "Radium", RADIUM)
        assert hit["scores"] == {"late": hit["score"]}
        tokens = {RADIUM[start:end]: (score, word) for start, end, score, word in hit["tokens"]}
        assert tokens["radium"] == (pytest.approx(1, abs=1e-3), 2)
        assert tokens["found"] == (pytest.approx(1, abs=1e-3), 1)
        assert tokens["Paris"][1] is None
        (span,) = kept["spans"]
        assert RADIUM[span["start"] : span["end"]] == "found radium"
        assert sorted(span["words"]) == [1, 2]
        assert kept["kept"] == pytest.approx(len("found radium") / len(RADIUM), abs=1e-4)

    def test_says_where_the_words_of_the_question_are(self, client):
        words = search(client, "who found it?")["words"]
        assert [(word["text"], word["start"], word["end"]) for word in words] == [
            ("who", 0, 3),
            ("found", 4, 9),
            ("it", 10, 12),
        ]
        assert [word["content"] for word in words] == [False, True, False]

    def test_counts_tokens_and_cites(self, client):
        result = search(client, k=1, trim={"unit": "token"})["result"]
        assert result["context"] == "[1] found radium"
        assert (result["tokens_before"], result["tokens_after"]) == (10, 3)
        assert result["report"]["weak"] is False

    def test_agrees_with_the_engine(self, client, engine):
        found = search(client, k=3, filter={"year": {"$gte": 1900}})
        (hit,) = engine.search("who found radium", k=3, filter={"year": {"$gte": 1900}})
        assert [(one["id"], one["score"]) for one in found["hits"]] == [(hit.passage.id, hit.score)]
        spans = found["result"]["hits"][0]["spans"]
        assert [(one["start"], one["end"]) for one in spans] == [(span.start, span.end) for span in hit.spans]

    def test_tells_what_nothing_supports(self, client):
        report = search(client, "radium glacier", trim={"on_empty": "drop"})["result"]["report"]
        assert report["uncovered"] == ["glacier"]
        weak = search(client, "glacier", trim={"on_empty": "drop"})["result"]
        assert weak["report"]["weak"] is True
        assert weak["context"] == ""

    def test_lone_surrogates_become_replacement_characters(self, client, engine):
        engine.add([Passage("half", "Zinc \ud800 here.", {"k\udc00": "\udfff"})])
        hit = search(client, "zinc", k=1)["hits"][0]
        assert (hit["text"], hit["metadata"]) == ("Zinc \ufffd here.", {"k\ufffd": "\ufffd"})

    def test_metadata_is_all_but_what_belongs_to_adapters(self, client):
        hits = {hit["id"]: hit for hit in search(client, k=5)["hits"]}
        assert hits["radium"]["metadata"] == {"title": "Radium", "year": 1898}
        assert hits["<i>"]["metadata"] == {"<u>": "</script>"}

    def test_an_empty_index_has_nothing(self, kept_in, tmp_path):
        with Engine.open(tmp_path / "empty", encoder=WordEncoder()) as engine:
            found = search(TestClient(create_app(engine, by_words), base_url="http://localhost"))
        assert (found["hits"], found["words"]) == ([], [])
        assert found["result"]["context"] == ""

    def test_a_question_with_half_a_character_is_refused(self, client):
        body = b'{"query": "radium \\ud83d"}'
        response = client.post("/api/search", content=body, headers={"content-type": "application/json"})
        assert is_problem(response, 422)

    def test_offsets_count_code_points_and_surrogates_keep_their_place(self, tmp_path):
        text = "\ud83d\ude00 \U0001f600 radium"  # two lone surrogates, then one emoji
        with Engine.open(tmp_path / "odd", encoder=WordEncoder()) as engine:
            engine.add([Passage("odd", text)])
            (hit,) = search(TestClient(create_app(engine, by_words), base_url="http://localhost"))["hits"]
        assert hit["text"] == "\ufffd\ufffd \U0001f600 radium"
        assert [hit["text"][start:end] for start, end, _, _ in hit["tokens"]] == ["radium"]


class TestTrim:
    def test_other_settings_need_no_search(self, client, engine, monkeypatch):
        found = search(client, k=1, trim={"unit": "token"})
        monkeypatch.setattr(engine, "_encoder", None)  # nothing is encoded any more
        monkeypatch.setattr(type(engine), "calibration", WordEncoder().calibration)
        answer = client.post("/api/trim", json={"search": found["search"], "trim": {"unit": "sentence"}}).json()
        assert answer["context"] == "[1] Marie Curie found radium in 1898."
        assert answer["tokens_before"] == 10
        assert answer["tokens_after"] == 7

    def test_is_what_a_search_with_these_settings_gives(self, client):
        settings = {"threshold": 0.9, "max_tokens": 9, "unit": "token", "on_empty": "drop"}
        found = search(client, k=3)
        answer = client.post("/api/trim", json={"search": found["search"], "trim": settings}).json()
        direct = search(client, k=3, trim=settings)["result"]
        for one in (answer, direct):
            del one["ms"], one["report"]["times_ms"]
        assert answer == direct
        assert answer["tokens_after"] <= 9

    def test_weakness_follows_the_threshold(self, client):
        found = search(client, "found", k=1)
        assert found["result"]["report"]["weak"] is False
        trim = {"search": found["search"], "trim": {"threshold": 1.0, "on_empty": "drop"}}
        strict = client.post("/api/trim", json=trim).json()
        assert strict["report"]["weak"] is (strict["context"] == "")

    def test_remembers_the_last_32_searches(self, client):
        first, second = search(client)["search"], search(client)["search"]
        for _ in range(31):
            client.post("/api/trim", json={"search": first})  # what is used is not forgotten
            search(client)
        assert client.post("/api/trim", json={"search": first}).status_code == 200
        assert is_problem(client.post("/api/trim", json={"search": second}), 404, "search again")

    def test_remembers_fewer_searches_of_long_passages(self, client, monkeypatch):
        monkeypatch.setattr("fgr_retriever.serve.searches._MOST_CHARACTERS", 2 * len(RADIUM))
        names = [search(client, k=1)["search"] for _ in range(3)]
        answers = [client.post("/api/trim", json={"search": name}).status_code for name in names]
        assert answers == [404, 200, 200]
        large = search(client, k=3)["search"]  # the last one is remembered, however large
        assert client.post("/api/trim", json={"search": large}).status_code == 200

    def test_many_at_once(self, client):
        found = search(client)["search"]
        codes = []

        def work(budget):
            body = {"search": found, "trim": {"max_tokens": budget}}
            codes.append((client.post("/api/trim", json=body).status_code, search(client)["query"]))

        threads = [threading.Thread(target=work, args=(budget,)) for budget in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert codes == [(200, "who found radium")] * 8


class TestBadRequests:
    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ({}, "query"),
            ({"query": ""}, "query"),
            ({"query": "  "}, "query"),
            ({"query": "x" * (MAX_QUERY + 1)}, "query"),
            ({"query": 3}, "query"),
            ({"query": "q", "k": 0}, "k"),
            ({"query": "q", "k": MAX_K + 1}, "k"),
            ({"query": "q", "k": True}, "k"),
            ({"query": "q", "colour": "red"}, "colour"),
            ({"query": "q", "filter": {"year": {"$around": 3}}}, "$around"),
            ({"query": "q", "filter": {"$not": 3}}, "filter"),
            ({"query": "q", "trim": {"threshold": 1.5}}, "trim.threshold"),
            ({"query": "q", "trim": {"max_tokens": -1}}, "trim.max_tokens"),
            ({"query": "q", "trim": {"unit": "page"}}, "trim.unit"),
        ],
    )
    def test_are_named(self, client, body, named):
        assert is_problem(client.post("/api/search", json=body), 422, named)

    @pytest.mark.parametrize(
        ("body", "detail"),
        [
            ({}, "query is missing: /api/search needs it"),
            ({"query": 3}, "query=3: must be a string"),
            ({"query": " "}, "query=' ': must not be blank"),
            ({"query": "q", "k": "5"}, "k='5': must be a whole number"),
            ({"query": "q", "k": 0}, "k=0: must be at least 1"),
            ({"query": "q", "filter": 3}, "filter=3: must be a JSON object"),
            ({"query": "q", "trim": []}, "trim=[]: must be a JSON object"),
            ({"query": "q", "trim": {"threshold": "x"}}, "trim.threshold='x': must be a number"),
            ({"query": "q", "trim": {"unit": "page"}}, "trim.unit='page': must be 'token', 'phrase' or 'sentence'"),
            (
                {"query": "q", "top_k": 3},
                "/api/search takes no 'top_k': did you mean 'k'? It takes query, k, filter, trim",
            ),
            (
                {"query": "q", "trim": {"tokens": 3}},
                "trim takes no 'tokens': did you mean 'max_tokens'? It takes threshold, max_tokens, unit, on_empty",
            ),
            ([], "body=[]: must be a JSON object"),
        ],
    )
    def test_say_the_argument_its_value_and_what_it_must_be(self, client, body, detail):
        response = client.post("/api/search", json=body)
        assert is_problem(response, 422)
        assert response.json()["detail"] == detail

    @pytest.mark.parametrize(
        "body",
        [
            {f"name{number}": number for number in range(3_000)},
            {"z" * 60_000: 1},
            {"query": "q" * 60_000},
            {"query": "q", "k": list(range(10_000))},
            {"query": "q", "k": 10**4_000},
        ],
    )
    def test_are_told_in_a_few_words_however_much_is_wrong(self, client, body):
        response = client.post("/api/search", json=body)
        assert is_problem(response, 422)
        assert len(response.json()["detail"]) < 500

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"query": "\\ud800"}', b'{"query": NaN}'])
    def test_what_is_no_json_object(self, client, body):
        response = client.post("/api/search", content=body, headers={"content-type": "application/json"})
        assert is_problem(response, 422)

    def test_deep_nesting(self, client):
        body = b'{"query": "q", "filter": {"a": ' + b"[" * 20_000 + b"]" * 20_000 + b"}}"
        response = client.post("/api/search", content=body, headers={"content-type": "application/json"})
        assert is_problem(response, 422)
        nested = b'{"query": "q", "filter": ' + b'{"$not": ' * 5_000 + b"{}" + b"}" * 5_000 + b"}"
        response = client.post("/api/search", content=nested, headers={"content-type": "application/json"})
        assert is_problem(response, 422)

    def test_another_content_type(self, client):
        response = client.post("/api/search", content=b'{"query": "q"}', headers={"content-type": "text/plain"})
        assert is_problem(response, 415)

    def test_a_body_that_is_too_long(self, client):
        body = json.dumps({"query": "q", "filter": {"a": "x" * MAX_BODY}})
        response = client.post("/api/search", content=body, headers={"content-type": "application/json"})
        assert is_problem(response, 413, str(MAX_BODY))

    def test_unknown_paths_and_methods(self, client):
        assert is_problem(client.get("/api/nothing"), 404)
        assert is_problem(client.get("/api/search"), 405)
        assert is_problem(client.get("/static/../app.py"), 404)
        assert is_problem(client.get("/static/%2e%2e/app.py"), 404)

    def test_an_unforeseen_error_tells_nothing(self, engine, monkeypatch):
        def fail(*arguments, **options):
            raise RuntimeError("a secret path")

        monkeypatch.setattr(type(engine), "retrieve", fail)
        app = create_app(engine, by_words)
        client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
        response = client.post("/api/search", json={"query": "q"})
        assert is_problem(response, 500)
        assert "secret" not in response.text
        assert "content-security-policy" in response.headers


class TestGuard:
    @pytest.mark.parametrize(
        "host",
        ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8000", "192.168.0.7:80", "box:80"],
    )
    def test_lets_its_own_names_in(self, engine, host):
        client = TestClient(create_app(engine, by_words, hosts=["Box"]), base_url="http://localhost")
        assert client.get("/api/info", headers={"host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host",
        [
            "",
            "evil.example",
            "evil.example:8000",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "[::1",
            "[]",
            ":80",
        ],
    )
    def test_keeps_foreign_names_out(self, client, host):
        assert is_problem(client.get("/", headers={"host": host}), 400, "Host")

    @pytest.mark.parametrize("path", ["/", "/static/app.js", "/api/info", "/nothing", "/openapi.json"])
    def test_every_answer_has_the_headers(self, client, path):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"

    def test_no_other_site_is_let_in(self, client):
        asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
        response = client.options("/api/search", headers=asked)
        assert response.status_code == 405
        assert not [name for name in response.headers if name.startswith("access-control")]


class TestFiles:
    def test_the_page_loads_nothing_from_elsewhere_and_has_nothing_inline(self, client):
        page = client.get("/").text
        for name in ("app.js", "view.js", "app.css", "icon.svg"):
            text = client.get(f"/static/{name}").text
            assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
            assert "innerHTML" not in text
        assert "://" not in page
        assert "<style" not in page
        assert " style=" not in page
        assert " onclick" not in page

    def test_info(self, client):
        info = client.get("/api/info").json()
        assert (info["name"], info["passages"]) == ("my index", 3)


class TestOpenApi:
    def test_is_valid(self, client):
        document = client.get("/openapi.json").json()
        validate(document)
        assert set(document["paths"]) == {"/api/info", "/api/search", "/api/trim"}

    def test_answers_are_as_it_says(self, client):
        from jsonschema import Draft202012Validator

        document = client.get("/openapi.json").json()

        def check(name, value):
            reference = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
            Draft202012Validator(reference).validate(value)

        found = search(client)
        check("SearchAnswer", found)
        check("TrimAnswer", client.post("/api/trim", json={"search": found["search"]}).json())
        check("Info", client.get("/api/info").json())
        check("Problem", client.post("/api/search", json={}).json())
        check("SearchRequest", {"query": "q", "k": 5, "trim": {"threshold": 0.5}})


class TestCommand:
    def test_no_index(self, tmp_path, capsys):
        assert main(["serve", str(tmp_path / "nothing")]) == 3
        assert "nothing" in capsys.readouterr().err

    @pytest.mark.parametrize("port", ["-1", "65536", "http"])
    def test_wrong_ports(self, tmp_path, port):
        assert main(["serve", str(tmp_path), "--port", port]) == 2

    @pytest.mark.parametrize("command", ["serve", "mcp"])
    @pytest.mark.parametrize(
        "option", ["--searches=0", "--queue=-1", "--time-limit=0", "--patience=0", "--connections=0", "--grace=-1"]
    )
    def test_wrong_bounds(self, tmp_path, command, option):
        assert main([command, str(tmp_path), option]) == 2

    @pytest.mark.parametrize(
        ("host", "is_loopback"),
        [
            ("127.0.0.1", True),
            ("127.9.9.9", True),
            ("::1", True),
            ("localhost", True),
            ("0.0.0.0", False),
            ("box", False),
        ],
    )
    def test_what_only_this_machine_can_reach(self, host, is_loopback):
        assert _is_loopback(host) is is_loopback

    @pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])
    def test_runs_until_it_is_interrupted(self, kept_in, tmp_path, capsys, host, warned):
        model = str(tiny_checkpoint(tmp_path / "model"))
        (tmp_path / "a.txt").write_text(RADIUM)
        index = str(tmp_path / "index")
        assert main(["index", str(tmp_path / "a.txt"), "--out", index, "--model", model]) == 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        answers = []

        def visit():
            while not answers:
                time.sleep(0.05)
                with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/api/info", timeout=30) as answer:
                    answers.append((json.load(answer), answer.headers))
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        visitor = threading.Thread(target=visit)
        visitor.start()
        assert main(["serve", index, "--model", model, "--host", host, "--port", str(port)]) == 0
        visitor.join()
        ((info, headers),) = answers
        assert info["passages"] == 1
        assert "server" not in headers
        assert ("no login" in capsys.readouterr().err) is warned
