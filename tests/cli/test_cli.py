import io
import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fgr_retriever import Engine, Passage, TrimConfig
from fgr_retriever.cli import main
from fgr_retriever.cli.failures import exit_code
from fgr_retriever.cli.highlight import highlight, show
from fgr_retriever.errors import (
    CheckpointError,
    ConfigError,
    IndexCorruptError,
    IndexFormatError,
    IndexNotFoundError,
    InputError,
    ModelMismatchError,
)
from fgr_retriever.model.embedded import embedded_model
from fgr_retriever.testing import WordEncoder, tiny_checkpoint
from fgr_retriever.text.html import pieces, printable
from fgr_retriever.trim.context import page
from fgr_retriever.types import Span

TEXTS = {
    "radium": "Marie Curie found radium in 1898. She worked in Paris.",
    "penicillin": "Fleming found penicillin in a dish. It was mould.",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_checkpoint(folder)
    return str(folder)


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.jsonl"
    rows = [{"id": key, "text": text, "year": 1898 + 30 * i} for i, (key, text) in enumerate(TEXTS.items())]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture
def index(tmp_path, corpus, model):
    folder = tmp_path / "index"
    assert main(["index", str(corpus), "--out", str(folder), "--model", model]) == 0
    return folder


@pytest.fixture
def word_index(tmp_path):
    folder = tmp_path / "words"
    with Engine.open(folder, encoder=WordEncoder()) as engine:
        engine.add(Passage(key, text) for key, text in TEXTS.items())
    return folder


@pytest.fixture
def stdin(monkeypatch):
    def feed(data):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))

    return feed


def counted_by_words(text):
    return len(text.split())


def retrieve(*texts, query="radium"):
    """Search texts with the word encoder."""
    import tempfile

    with (
        tempfile.TemporaryDirectory() as scratch,
        Engine.open(Path(scratch) / "index", encoder=WordEncoder()) as engine,
    ):
        engine.add(Passage(f"<{number}>", text) for number, text in enumerate(texts))
        return engine.retrieve(query, trim=TrimConfig(unit="token"), count_tokens=counted_by_words)


class TestExitCodes:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (ConfigError(), 2),
            (IndexNotFoundError(), 3),
            (FileNotFoundError(), 3),
            (NotADirectoryError(), 3),
            (IndexFormatError(), 4),
            (IndexCorruptError(), 4),
            (ModelMismatchError(), 4),
            (InputError(), 1),
            (CheckpointError(), 3),
            (PermissionError(), 1),
        ],
    )
    def test_every_error_has_one(self, error, code):
        assert exit_code(error) == code

    @pytest.mark.parametrize(
        "arguments",
        [
            ["search"],
            ["nonsense"],
            ["search", "x", "q", "-k", "0"],
            ["search", "x", "q", "--filter", "{"],
            ["search", "x", "q", "--filter", "[]"],
            ["search", "x", "q", "--filter", '{"year": {"$around": 1}}'],
            ["search", "x", " "],
            ["trim", "q", "--threshold", "2"],
            ["trim", "q", "--unit", "page"],
        ],
    )
    def test_wrong_use(self, arguments, capsys):
        assert main(arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "Error" in captured.err

    @pytest.mark.parametrize(
        "arguments",
        [
            ["search", "absent", "q"],
            ["info", "absent"],
            ["verify", "absent"],
            ["trim", "q", "absent.txt"],
            ["index", "absent.txt", "--out", "made"],
            ["eval", "spans", "absent.jsonl"],
            ["eval", "retrieval", "absent"],
        ],
    )
    def test_not_found(self, arguments, capsys, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert main(arguments) == 3
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("fgr: error: ")
        assert "absent" in captured.err
        assert list(tmp_path.iterdir()) == []

    def test_a_damaged_index(self, word_index, capsys):
        damaged = max(
            (path for path in word_index.rglob("*") if "segments" in path.parts), key=lambda p: p.stat().st_size
        )
        data = bytearray(damaged.read_bytes())
        data[-1] ^= 1
        damaged.write_bytes(data)
        assert main(["verify", str(word_index)]) == 4
        assert damaged.name in capsys.readouterr().err

    def test_an_index_of_another_model(self, word_index, model, capsys):
        assert main(["search", str(word_index), "q", "--model", model]) == 4
        assert "word-encoder-1" in capsys.readouterr().err

    def test_interrupted(self, monkeypatch):
        class Interrupting(io.RawIOBase):
            def readable(self):
                return True

            def readinto(self, buffer):
                raise KeyboardInterrupt

        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Interrupting())))
        assert main(["trim", "q", "-"]) == 130

    def test_a_closed_pipe_is_quiet(self, word_index):
        command = [sys.executable, "-m", "fgr_retriever.cli", "info", str(word_index), "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.close()
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait() == 1

    def test_version(self, capsys):
        assert main(["--version"]) == 0
        assert capsys.readouterr().out.startswith("fgr 0.")


class TestCommands:
    def test_search_json(self, index, model, capsys):
        arguments = ["search", str(index), "who found radium?", "-k", "2", "--tokenizer", model, "--model", model]
        assert main([*arguments, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)

        assert found["query"] == "who found radium?"
        assert {hit["id"] for hit in found["hits"]} == TEXTS.keys()
        for hit in found["hits"]:
            assert hit.keys() >= {"id", "score", "text", "trimmed", "spans", "metadata"}
            assert hit["text"] == TEXTS[hit["id"]]
            assert hit["metadata"]["year"] in (1898, 1928)
            assert [span["text"] for span in hit["spans"]] == [
                hit["text"][span["start"] : span["end"]] for span in hit["spans"]
            ]
            assert TrimConfig().separator.join(span["text"] for span in hit["spans"]) == hit["trimmed"]
        assert 0 < found["tokens_after"] <= found["tokens_before"]

    def test_search_obeys_filter_and_budget(self, index, model, capsys):
        arguments = ["search", str(index), "who found radium?", "--json", "--tokenizer", model, "--model", model]
        assert main([*arguments, "--filter", '{"year": {"$gt": 1900}}', "--max-tokens", "4"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert [hit["id"] for hit in found["hits"]] == ["penicillin"]
        assert found["tokens_after"] <= 4 < found["tokens_before"]

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--filter", '{"yaer": 1898}'], "no passage has the metadata 'yaer'"),
            (["--max-tokens", "0"], "no room for any evidence: give a larger budget, of at least"),
        ],
    )
    def test_search_says_why_there_is_nothing(self, index, model, capsys, tmp_path, options, said):
        html = tmp_path / "hits.html"
        arguments = ["search", str(index), "radium", *options, "--tokenizer", model, "--model", model]
        assert main([*arguments, "--html", str(html)]) == 0
        assert said in capsys.readouterr().err
        assert said.split("'")[0] in html.read_text(encoding="utf-8")
        assert main([*arguments, "--json"]) == 0
        found = capsys.readouterr()
        assert said in found.err
        assert any(said in one for one in json.loads(found.out)["notes"])

    def test_search_for_people_is_plain_without_a_terminal(self, index, model, capsys, tmp_path):
        html = tmp_path / "hits.html"
        arguments = ["search", str(index), "who found radium?", "--tokenizer", model, "--model", model]
        assert main([*arguments, "--html", str(html)]) == 0
        captured = capsys.readouterr()
        assert "\x1b" not in captured.out
        assert "1. " in captured.out
        assert "tokens before" in captured.out
        assert str(html) in captured.err
        assert html.read_text(encoding="utf-8").startswith("<!doctype html>")

    def test_info_and_verify_need_no_model(self, word_index, capsys):
        assert main(["verify", str(word_index)]) == 0
        assert capsys.readouterr().out == ""
        assert main(["info", str(word_index), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found.keys() >= {
            "passages", "tokens", "nbits", "bytes", "bytes_per_token", "model", "format_version", "evidence", "units",
            "kernel",
        }  # fmt: skip
        assert (found["passages"], found["tokens"], found["model"]) == (2, 19, "word-encoder-1")
        assert main(["info", str(word_index)]) == 0
        assert "word-encoder-1" in capsys.readouterr().out

    def test_index_adds_and_replaces(self, index, model, stdin, capsys):
        command = ["index", "-", "--format", "jsonl", "--out", str(index), "--model", model]
        stdin(b'{"id": "radium", "text": "Radium glows."}\n{"id": "dynamite", "text": "Nobel."}')
        assert main(command) == 1
        assert "'radium' of '-' is also that of a stored passage of " in capsys.readouterr().err
        stdin(b'{"id": "glow", "text": "Radium glows."}\n{"id": "dynamite", "text": "Nobel."}')
        assert main(command) == 0
        assert "added 2 passages" in capsys.readouterr().err
        stdin(b'{"id": "glow", "text": "Radium glows."}\n{"id": "dynamite", "text": "Alfred Nobel."}')
        assert main(command) == 0  # stdin can be read but once
        assert "updated 1, 1 were stored already; it has 4" in capsys.readouterr().err

    def test_a_bad_record_leaves_the_index_as_it_was(self, index, model, stdin, capsys):
        stdin(b'{"id": "a", "text": "x"}\n{"id": "b"}')
        assert main(["index", "-", "--format", "jsonl", "--out", str(index), "--model", model]) == 1
        assert "-:2" in (message := capsys.readouterr().err) or "stdin:2" in message
        assert main(["info", str(index), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["passages"] == 2

    def test_trim_json_is_one_line_for_each_file(self, tmp_path, model, capsys):
        names = []
        for key, text in TEXTS.items():
            path = tmp_path / f"{key}.txt"
            path.write_text(text, encoding="utf-8")
            names.append(str(path))
        assert main(["trim", "who found radium?", *names, "--json", "--model", model]) == 0
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [result["file"] for result in found] == names
        for result, text in zip(found, TEXTS.values(), strict=True):
            assert all(span["text"] == text[span["start"] : span["end"]] for span in result["spans"])
            assert 0 < result["kept"] <= 1

    def test_trim_keeps_the_text_of_stdin_as_it_is(self, model, stdin, capsys):
        stdin("\ufeffRadium é 👩‍🔬\r\nglows.".encode())
        arguments = ["trim", "radium", "--threshold", "0", "--unit", "sentence", "--model", model]
        assert main(arguments) == 0
        assert capsys.readouterr().out == "Radium é 👩‍🔬\r\nglows.\n"

    def test_trim_obeys_the_budget(self, model, stdin, capsys):
        stdin(b"Radium glows. Cats sleep.")
        budget = ["--max-tokens", "0", "--tokenizer", model]
        assert main(["trim", "radium", "--json", "--model", model, *budget]) == 0
        found = capsys.readouterr()
        (said,) = json.loads(found.out)["notes"]
        assert (json.loads(found.out)["text"], said) == ("", found.err.strip())
        assert said.startswith("max_tokens=0 has no room for any evidence: give a larger budget, of at least ")
        stdin(b"Radium glows. Cats sleep.")
        assert main(["trim", "radium", "--model", model, *budget]) == 0
        assert capsys.readouterr().err.strip() == said

    @pytest.mark.golden
    def test_fill_spends_the_rest_of_the_budget(self, stdin, capsys):
        text = (
            b"In 1898 Curie discovered radium. Her shed in Paris leaked. Radium glows in the dark. She liked cycling."
        )
        command = ["trim", "When was radium discovered?", "--max-tokens", "24", "--tokenizer", str(embedded_model())]
        texts = []
        for options in ([], ["--fill"]):
            stdin(text)
            assert main([*command, *options]) == 0
            texts.append(capsys.readouterr().out.strip())
        assert texts[0] in texts[1]
        assert len(texts[0]) < len(texts[1])

    def test_a_question_that_is_no_utf8_is_refused(self, index, model, capsys):
        query = os.fsdecode(b"caf\xe9")  # what the shell passes in Latin-1
        for command in (["search", str(index), query], ["trim", query]):
            assert main([*command, "--model", model, "--tokenizer", model]) == 2
            captured = capsys.readouterr()
            assert "lone surrogate at position 3" in " ".join(captured.err.replace("│", " ").split())
            assert captured.out == ""

    def test_json_is_valid_for_half_a_character(self, tmp_path, model, stdin, capsys):
        folder = str(tmp_path / "half")
        stdin(b'{"id": "half", "text": "radium \\ud83d glows"}')
        assert main(["index", "-", "--format", "jsonl", "--out", folder, "--model", model]) == 0
        assert main(["search", folder, "radium", "--json", "--tokenizer", model, "--model", model]) == 0
        out = capsys.readouterr().out
        assert out.isascii()
        assert json.loads(out)["hits"][0]["text"] == "radium \ufffd glows"
        assert main(["search", folder, "radium", "--tokenizer", model, "--model", model]) == 0

    def test_eval_spans(self, tmp_path, model, capsys):
        path = tmp_path / "spans.jsonl"
        path.write_text(json.dumps({"query": "radium", "passage": TEXTS["radium"], "spans": [[0, 33]]}) + "\n" * 3)
        assert main(["eval", "spans", str(path), "--model", model, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert list(found) == ["n", "f1", "precision", "recall", "kept", "answer_kept", "threshold", "floors"]
        assert found["floors"].keys() == {"keep_all", "best_sentence"}
        assert main(["eval", "spans", str(path), "--model", model]) == 0
        assert "best_sentence" in capsys.readouterr().out

    def test_eval_spans_of_whole_sentences(self, tmp_path, model, capsys):
        path = tmp_path / "spans.jsonl"
        path.write_text(
            json.dumps({"query": "radium", "passage": "Radium glows green. Cats sleep.", "spans": [[0, 19]]})
        )
        assert main(["eval", "spans", str(path), "--model", model, "--unit", "sentence", "--json"]) == 0
        kept = json.loads(capsys.readouterr().out)["kept"]
        assert kept in [pytest.approx(words / 5) for words in (0, 2, 3, 5)]
        assert main(["eval", "spans", str(path), "--model", model, "--unit", "paragraph"]) == 2

    def test_eval_retrieval(self, tmp_path, model, capsys):
        (tmp_path / "qrels").mkdir()
        (tmp_path / "qrels" / "test.tsv").write_text("q\tradium\t1\n")
        (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "radium"}\n')
        rows = [{"_id": key, "title": "", "text": text} for key, text in TEXTS.items()]
        (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
        assert main(["eval", "retrieval", str(tmp_path), "--model", model, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found.keys() == {"n_queries", "n_passages", "bytes_per_token", "ours", "bm25"}
        assert found["bm25"]["mrr@10"] == found["ours"]["recall@10"] == 1
        assert main(["eval", "retrieval", str(tmp_path), "--model", model]) == 0
        assert "ndcg@10" in capsys.readouterr().out

    def test_demo(self, model, capsys):
        arguments = ["demo", "--query", "what is tested?", "-k", "1", "--max-tokens", "30"]
        assert main([*arguments, "--model", model, "--tokenizer", model]) == 0
        out = capsys.readouterr().out
        assert "? what is tested?" in out
        assert "1 questions: " in out


class TestHighlight:
    @given(st.text(alphabet="ab\n", min_size=1), st.data())
    def test_pieces_are_the_text(self, text, data):
        bounds = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
        spans = [Span(start, end, 0.5) for start, end in zip(bounds[::2], bounds[1::2], strict=False)]
        found = list(pieces(text, spans))
        assert "".join(piece for piece, _ in found) == text
        assert all(piece for piece, _ in found)
        assert [piece for piece, score in found if score is not None] == [text[s.start : s.end] for s in spans]

    @given(st.text())
    def test_printable_keeps_the_length_and_can_be_written(self, text):
        shown = printable(text)
        assert len(shown) == len(text)
        assert "\x1b" not in shown
        shown.encode("utf-8")

    def test_evidence_is_marked_with_and_without_colour(self):
        text = "x" * 1000 + " evidence " + "y" * 1000
        spans = [Span(1001, 1009, 0.9)]
        assert " **evidence** " in highlight(text, spans, styled=False).plain
        styled = highlight(text, spans, styled=True)
        assert " evidence " in styled.plain
        assert len(styled.plain) < 800
        assert any("yellow" in str(part.style) for part in styled.spans)

    def test_a_passage_cannot_steer_the_terminal(self):
        file = io.StringIO()
        show(Console(file=file, force_terminal=True, color_system="standard"), retrieve("radium \x1b]0;title\x07"))
        assert "\x1b]0" not in file.getvalue()
        assert "\x1b[" in file.getvalue()

    def test_nothing_found_is_said(self):
        file = io.StringIO()
        show(Console(file=file), retrieve())
        assert "No passage found" in file.getvalue()


class Page(HTMLParser):
    """Collects the marked texts, the tags and the attributes of a page."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.addresses, self.marked = [], set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.tags.add(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        while self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if self.open and self.open[-1] == "mark":
            self.marked.append(data)


class TestHtml:
    def test_evidence_is_marked_and_everything_is_escaped(self):
        text = "<script>alert(1)</script> & radium <b>glows"
        found = Page(page(retrieve(text, query="radium <img src=x>")))
        assert "radium" in " ".join(found.marked)
        assert found.tags.isdisjoint({"script", "img", "b", "link"})
        assert found.addresses == []

    def test_the_page_can_be_written_for_half_a_character(self):
        assert "radium" in page(retrieve("radium \ud83d")).encode("utf-8").decode()

    def test_nothing_found_is_said(self):
        assert "No passage found" in page(retrieve())


@pytest.mark.parametrize(("given", "expected"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_torch_learns_to_wait_without_spinning_before_it_is_loaded(given, expected):
    code = (
        "import os, sys; from fgr_retriever.cli import main; assert 'torch' not in sys.modules; "
        "main(['--version']); print(os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | given
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert found.stdout.split()[-1] == expected, found.stderr
