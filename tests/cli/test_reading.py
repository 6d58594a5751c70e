"""Files to passages."""

import io
import json
import os
import shlex
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.cli.reading.cut import Cutter
from fgr_retriever.cli.reading.files import Reading, read_passages
from fgr_retriever.cli.reading.folders import Choice
from fgr_retriever.cli.reading.html import html_text
from fgr_retriever.cli.reading.records import Fields
from fgr_retriever.cli.reading.sources import find_sources
from fgr_retriever.errors import InputError, MissingExtraError
from fgr_retriever.index.sources import is_within, source_of
from fgr_retriever.trim.origin import Origin
from fgr_retriever.types import Passage


class TestReadPassages:
    def read(self, path, passage_chars=1500, **fields):
        return list(
            read_passages(
                find_sources([str(path)]).files, Reading(passage_chars=passage_chars, fields=Fields(**fields))
            )
        )

    def test_records_keep_their_fields_as_metadata(self, tmp_path):
        path = tmp_path / "a.jsonl"
        path.write_text('{"_id": 7, "title": "T", "text": "x", "tags": ["a"]}\n\n{"_id": "b", "text": "y"}')
        assert self.read(path) == [
            Passage("7", "x", {"title": "T", "tags": ["a"], "source": str(path)}),
            Passage("b", "y", {"source": str(path), "title": str(path)}),
        ]

    def test_an_object_named_metadata_holds_fields_of_the_record(self, tmp_path):
        path = tmp_path / "a.jsonl"
        path.write_text(
            '{"id": "a", "text": "x", "title": "T", "metadata": {"title": "inner", "year": 1898}}\n'
            '{"id": "b", "text": "y", "metadata": "a string"}\n'
            '{"id": "c", "text": "z", "metadata": {"source": "https://example.org", "metadata": {"deep": 1}}}\n'
        )
        assert [one.metadata for one in self.read(path)] == [
            {"title": "T", "year": 1898, "source": str(path)},
            {"metadata": "a string", "source": str(path), "title": str(path)},
            {"source": "https://example.org", "fgr_file": str(path), "metadata": {"deep": 1}},
        ]

    def test_fields_can_be_named(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text('key,body,head\nk,"one\ntwo",H\n', encoding="utf-8-sig")
        assert self.read(path, id="key", text="body", title="head") == [
            Passage("k", "H\n\none\ntwo", {"head": "H", "source": str(path), "title": str(path)})
        ]

    def test_records_without_ids_are_numbered(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("text\nx\ny\n")
        assert [passage.id for passage in self.read(path)] == [f"{path}#1", f"{path}#2"]

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.jsonl", b'{"text": "x"}\n{"body": "y"}', r"a.jsonl:2: .*'text'.*\['body'\].*--text-field"),
            ("a.jsonl", b'{"body": "y"}\n{"text": "x"}', r"a.jsonl:2: has 'text', which the first .*--text-field"),
            ("a.jsonl", b'{"id": null, "text": "x"}', r"a.jsonl:1: .*'id'"),
            ("a.jsonl", b'{"text": 3}', "must be a string"),
            ("a.jsonl", b"[1]", "a.jsonl:1"),
            ("a.csv", b"text,b\nx,1,2\n", "a.csv:2: 3 cells, and 2 in the header line: .* quote a cell"),
            ("a.csv", b"text,b\nx\n", "a.csv:2: 1 cells, and 2 in the header line"),
            ("a.csv", b'text\n"x', "not valid CSV"),
            ("a.txt", b"caf\xe9", "a.txt is not UTF-8"),
            ("a.txt", b"\x7fELF\x00\x00\x01", "binary file"),
            ("a.json", b'[{"text": "x"}, 1]', "must be an array of objects, and record 2 is none; .* --format text"),
            ("a.json", b'[{"text": "x"}, {"body": "y"}]', r"a.json: record 2: .*--text-field"),
            ("a.json", b"[", "not valid JSON"),
            ("a.ipynb", b"{}", "not a Jupyter notebook"),
            ("a.pdf", b"not a PDF", "not a PDF file"),
            ("a.doc", b"PK", "save it as PDF, HTML, text, .docx"),
        ],
    )
    def test_what_cannot_be_read_is_named(self, tmp_path, name, content, message):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            self.read(path)

    def test_a_folder_stands_for_its_files(self, tmp_path):
        for name in ("b.txt", "a.md", "deep/c.TXT", "picture.png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(f"from {name}")
        passages = self.read(tmp_path)
        assert [passage.text for passage in passages] == ["from a.md", "from b.txt", "from deep/c.TXT"]
        names = [f"{tmp_path.name}/{name}" for name in ("a.md", "b.txt", "deep/c.TXT")]
        assert [passage.id for passage in passages] == [f"{name}#1" for name in names]
        assert passages[0].metadata == {"source": names[0], "title": names[0], "start_index": 0, "line": 1}

    def test_a_folder_without_texts_is_not_found(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"ends in \.txt"):
            find_sources([str(tmp_path)])

    def test_texts_are_cut_at_blank_lines(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_bytes(b"\xef\xbb\xbf\r\n one\r\ntwo\r\n\r\nthree\r\n \r\n\r\nfour")
        passages = self.read(path, passage_chars=16)
        assert [passage.text for passage in passages] == ["one\r\ntwo", "three\r\n \r\n\r\nfour"]
        assert [passage.metadata["start_index"] for passage in passages] == [3, 15]
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
        for one in passages:
            assert text[(start := one.metadata["start_index"]) : start + len(one.text)] == one.text

    @given(st.text(alphabet="ab \n\r", max_size=200), st.integers(1, 30))
    def test_cut_passages_are_the_text(self, text, size):
        passages = list(Cutter("f", size).cut(io.StringIO(text, newline="")))
        end = 0
        for passage in passages:
            start = passage.metadata["start_index"]
            assert not text[end:start].strip()
            end = start + len(passage.text)
            assert text[start:end] == passage.text
            assert passage.metadata["line"] == text.count("\n", 0, start) + 1
        assert not text[end:].strip()
        assert len({passage.id for passage in passages}) == len(passages)

    def test_cutting_holds_little_of_the_text(self):
        taken = 0

        def endless():
            nonlocal taken
            while True:
                taken += 1
                yield "no blank line anywhere\n"

        passage = next(Cutter("f", 100).cut(endless()))
        assert len(passage.text) <= 400
        assert taken < 100


class TestSources:
    """A file has the same name wherever the command runs, and whatever the way to it."""

    def test_files_of_a_folder_are_named_from_that_folder_on(self, tmp_path, monkeypatch):
        (tmp_path / "notes" / "deep").mkdir(parents=True)
        (tmp_path / "notes" / "deep" / "a.md").write_text("text")
        (tmp_path / "elsewhere").mkdir()
        found = []
        for place, name in (
            (tmp_path, "notes"),
            (tmp_path, "./notes/"),
            (tmp_path / "notes", "."),
            (tmp_path, str(tmp_path / "notes")),
            (tmp_path / "elsewhere", "../notes"),
        ):
            monkeypatch.chdir(place)
            sources = find_sources([name])
            assert [folder.name for folder in sources.folders] == ["notes"]
            found += [source.name for source in sources.files]
        assert found == ["notes/deep/a.md"] * 5

    def test_two_files_of_one_name_are_refused(self, tmp_path):
        for folder in ("a/notes", "b/notes"):
            (tmp_path / folder).mkdir(parents=True)
            (tmp_path / folder / "x.md").write_text("text")
        with pytest.raises(InputError, match=r"would both be 'notes/x\.md'"):
            find_sources([str(tmp_path / "a/notes"), str(tmp_path / "b/notes")])
        assert len(find_sources([str(tmp_path)]).files) == 2


@pytest.fixture
def folder(tmp_path):
    """A folder as people have them."""
    top = tmp_path / "top"
    names = (
        *("a.md", "deep/b.csv", "deep/old/c.txt", "old/d.txt"),
        *(
            ".env.ini",
            ".git/config.txt",
            "deep/.ipynb_checkpoints/b.md",
            "node_modules/x/index.js",
            "deep/__pycache__/p.py",
        ),
        *("env/pyvenv.cfg", "env/lib/site.py", "~$a.docx", "p1.png", "p2.PNG", "LICENSE", "t.odt"),
    )
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("text\none\n")
    (top / "link").symlink_to(tmp_path)
    return top


class TestFolders:
    def found(self, folder, **choice):
        sources = find_sources([str(folder)], Choice(**choice))
        return [source.name.removeprefix("top/") for source in sources.files], sources.left

    def test_hidden_and_installed_files_and_those_of_unknown_kinds_are_left_out(self, folder):
        names, left = self.found(folder)
        assert names == ["a.md", "deep/b.csv", "deep/old/c.txt", "old/d.txt"]
        hidden = [".env.ini", ".git", "deep/.ipynb_checkpoints", "deep/__pycache__", "env", "link", "node_modules"]
        assert left.names == [f"top/{name}" for name in hidden]
        assert left.told() == (
            "not read, since their kind is unknown: 2 .png, 1 without an ending, 1 .odt; "
            "left out: top/.env.ini, top/.git, top/deep/.ipynb_checkpoints and 4 more"
        )

    def test_hidden_files_can_be_asked_for(self, folder):
        names, left = self.found(folder, hidden=True)
        assert names == [
            *(".env.ini", ".git/config.txt", "a.md", "deep/.ipynb_checkpoints/b.md"),
            *("deep/b.csv", "deep/old/c.txt", "old/d.txt"),
        ]
        assert left.names == ["top/deep/__pycache__", "top/env", "top/link", "top/node_modules"]

    @pytest.mark.parametrize(
        ("name", "found"),
        [(".git", ".git/config.txt"), ("env", "env/lib/site.py"), ("node_modules", "node_modules/x/index.js")],
    )
    def test_what_is_named_is_read(self, folder, name, found):
        assert found in [source.name for source in find_sources([str(folder / name)]).files]
        assert len(find_sources([str(folder / ".env.ini")]).files) == 1

    @pytest.mark.parametrize(
        ("pattern", "left"),
        [
            ("*.txt", ["a.md", "deep/b.csv"]),
            ("old", ["a.md", "deep/b.csv"]),
            ("old/", ["a.md", "deep/b.csv"]),
            ("old/*", ["a.md", "deep/b.csv", "deep/old/c.txt"]),
            ("deep/old", ["a.md", "deep/b.csv", "old/d.txt"]),
            ("top/deep/*.csv", ["a.md", "deep/old/c.txt", "old/d.txt"]),
            ("[b-d].*", ["a.md"]),
            ("none", ["a.md", "deep/b.csv", "deep/old/c.txt", "old/d.txt"]),
        ],
    )
    def test_patterns_exclude(self, folder, pattern, left):
        names, found = self.found(folder, exclude=(pattern,))
        assert names == left
        assert found.matched == {pattern} - {"none"}

    def test_many_endings_stay_one_short_line(self, tmp_path):
        for number in range(40):
            (tmp_path / f"a.{'x' * 50}{number}").touch()
            (tmp_path / f".{number}").touch()
        (tmp_path / "a.md").touch()
        told = self.found(tmp_path)[1].told()
        assert "unknown: 1 .xxx" in told
        assert "34 others" in told
        assert "and 37 more" in told
        assert "\n" not in told
        assert len(told) < 400

    def test_a_folder_of_which_nothing_is_read_says_why(self, tmp_path):
        (tmp_path / "a.png").touch()
        (tmp_path / ".a.md").touch()
        with pytest.raises(FileNotFoundError, match=r"ends in .*; not read.*1 \.png.*; left out: .*/\.a\.md"):
            find_sources([str(tmp_path)])

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a [1].csv", b"id,text\n1,caf\xe9\n"),
            ("b.csv", b"id,text\n1\n"),
            ("it's.json", b"{"),
            ("d.pdf", b"no PDF"),
            ("e.docx", b"PK"),
            ("f.ipynb", b"{}"),
            ("g.txt", b"\0\0"),
        ],
    )
    def test_what_cannot_be_read_can_be_excluded_as_the_error_says(self, tmp_path, name, content):
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / name).write_bytes(content)
        (tmp_path / "other" / "deep").mkdir(parents=True)
        (tmp_path / "other" / "deep" / name).write_bytes(content)
        top = tmp_path.name
        (tmp_path / "good.md").write_text("text")
        sources = find_sources([str(tmp_path)])
        with pytest.raises(InputError, match="or index the folder without it: --exclude ") as caught:
            list(read_passages(sources.files, Reading()))
        assert name in str(caught.value)
        option, pattern = shlex.split(str(caught.value).rpartition(": ")[2])
        assert option == "--exclude"
        assert self.found(tmp_path, exclude=(pattern,))[0] == [f"{top}/good.md", f"{top}/other/deep/{name}"]
        with pytest.raises((InputError, MissingExtraError)) as caught:
            list(read_passages(find_sources([str(tmp_path / "deep" / name)]).files, Reading()))
        assert "--exclude" not in str(caught.value)

    @pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root may list any folder")
    def test_a_folder_that_cannot_be_listed_is_not_taken_for_empty(self, folder):
        try:
            for mode in (0, 0o400):
                (folder / "old").chmod(mode)
                with pytest.raises(InputError, match=r"old.*: Permission denied; .*--exclude top/old$"):
                    self.found(folder)
            assert "old/d.txt" not in self.found(folder, exclude=("old",))[0]
        finally:
            (folder / "old").chmod(0o700)

    def test_a_record_with_a_source_of_its_own_keeps_it(self, tmp_path):
        path = tmp_path / "a.jsonl"
        path.write_text('{"id": "x", "text": "t", "source": "https://example.org"}')
        (passage,) = read_passages(find_sources([str(path)]).files, Reading())
        assert passage.metadata == {"source": "https://example.org", "fgr_file": str(path)}
        assert source_of(passage.metadata) == str(path)

    def test_what_lies_in_a_folder(self):
        assert is_within("notes/a.md", {"notes"})
        assert is_within("notes/a.md", {"notes/a.md"})
        assert is_within("/data/notes/a.md", {"/data"})
        assert not is_within("notes2/a.md", {"notes"})
        assert not is_within("notes/a.md", {"notes/a"})


class TestHeadings:
    def cut(self, text, passage_chars=12):
        passages = Cutter("f.md", passage_chars, markdown=True).cut(io.StringIO(text, newline=""))
        return [(one.text, one.metadata["title"], one.metadata["line"]) for one in passages]

    def test_a_passage_knows_the_headings_above_it(self):
        text = "intro\n\n# Guide\n\ntext\n\n## Install ##\nsteps\n\nmore\n\n# Others\n\nend\n"
        assert self.cut(text) == [
            ("intro", "f.md", 1),
            ("# Guide\n\ntext", "f.md > Guide", 3),
            ("## Install ##\nsteps", "f.md > Guide > Install", 7),
            ("more", "f.md > Guide > Install", 10),
            ("# Others\n\nend", "f.md > Others", 12),
        ]

    def test_a_comment_in_code_is_no_heading(self):
        assert [title for _, title, _ in self.cut("# A\n\n```\n# not one\n\n# nor this\n```\n\nend")] == [
            "f.md > A"
        ] * 3

    def test_plain_text_has_none(self):
        (passage,) = Cutter("f.py", 100).cut(["# a comment\n"])
        assert passage.metadata["title"] == "f.py"


class TestFormats:
    def read(self, path, **fields):
        return list(read_passages(find_sources([str(path)]).files, Reading(fields=Fields(**fields))))

    def test_several_text_fields_are_lines_with_their_names(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text('city;people;note\nOslo;700000;"cold; wet"\n')
        (passage,) = self.read(path, text="city,note")
        assert passage.text == "city: Oslo\nnote: cold; wet"
        assert passage.metadata == {"people": "700000", "source": str(path), "title": str(path)}

    def test_records_without_a_text_are_lines_as_those_of_a_sheet(self, tmp_path):
        (tmp_path / "hire.csv").write_text("id,item,week\n1,Van, 420 \n2,,\n,,\n4,Car,300\n")
        (tmp_path / "staff.json").write_text(
            '[{"name": "Zoë", "skills": ["tea"], "metadata": {"year": 1}, "left": null}]'
        )
        (tmp_path / "told.jsonl").write_text('{"id": "t", "text": "one"}')
        met = []
        found = list(read_passages(find_sources([str(tmp_path)]).files, Reading(), met.append))
        name = tmp_path.name
        assert [(one.id.removeprefix(f"{name}/"), one.text) for one in found] == [
            ("hire.csv#1", "id: 1\nitem: Van\nweek: 420"),
            ("hire.csv#2", "id: 2"),
            ("hire.csv#4", "id: 4\nitem: Car\nweek: 300"),
            ("staff.json#1", 'name: Zoë\nskills: ["tea"]'),
            ("t", "one"),
        ]
        file = {"source": f"{name}/hire.csv", "title": f"{name}/hire.csv"}
        assert found[0].metadata == {"id": "1", "item": "Van", "week": " 420 ", **file}
        assert found[3].metadata["year"] == 1
        assert met == [f"{name}/hire.csv", f"{name}/staff.json"]

    def test_a_file_without_the_fields_that_are_named_is_lines(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("key,head,body\nk,H,one\n")
        assert [(one.id, one.text) for one in self.read(path, id="key", title="head", text="note,town")] == [
            ("k", "H\n\nkey: k\nbody: one")
        ]
        assert [(one.id, one.text) for one in self.read(path, id="x", title="x", text="note")] == [
            (f"{path}#1", "key: k\nhead: H\nbody: one")
        ]
        with pytest.raises(InputError, match=r"no string 'town'.*--text-field"):
            self.read(path, text="body,town")

    def test_a_field_whose_name_has_a_comma(self, tmp_path):
        path = tmp_path / "a.jsonl"
        path.write_text('{"a,b": "one"}')
        assert self.read(path, text="a,b")[0].text == "one"

    def test_records_have_the_title_of_texts(self, tmp_path):
        for folder in ("north", "south"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "prices.csv").write_text("item,week\nVan,420\n")
        (tmp_path / "told.jsonl").write_text('{"text": "one", "title": "Own"}\n{"text": "two", "source": "a/wiki.md"}')
        (tmp_path / "xl.txt").write_text("text")
        name = tmp_path.name
        assert [Origin.of(one).title for one in self.read(tmp_path)] == [
            f"{name}/north/prices.csv",
            f"{name}/south/prices.csv",
            "Own",
            "wiki.md",
            f"{name}/xl.txt",
        ]

    def test_empty_cells_beyond_the_header_are_none(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("id,text\na,one,,\nb,two, \n")
        assert [(one.id, one.text, one.metadata) for one in self.read(path)] == [
            ("a", "one", {"source": str(path), "title": str(path)}),
            ("b", "two", {"source": str(path), "title": str(path)}),
        ]

    def test_ids_of_records_per_file(self, tmp_path):
        (tmp_path / "a.csv").write_text("id,text\n1,one\n")
        (tmp_path / "b.jsonl").write_text('{"id": "1", "text": "two"}\n{"text": "three"}')
        (tmp_path / "c.csv").write_text("id,name\n1,four\n")
        name = tmp_path.name
        found = [one.id.removeprefix(f"{name}/") for one in self.read(tmp_path, per_file=True)]
        assert found == ["a.csv#1", "b.jsonl#1", "b.jsonl#2", "c.csv#1"]
        assert self.read(tmp_path / "c.csv", per_file=True, id="name")[0].id == f"{tmp_path / 'c.csv'}#four"

    def test_an_empty_name_numbers_records(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("id,text\n7,one\n7,two\n")
        assert [(one.id, one.metadata["id"]) for one in self.read(path, id="")] == [
            (f"{path}#1", "7"),
            (f"{path}#2", "7"),
        ]

    @pytest.mark.parametrize(
        ("content", "count"),
        [('{"wifi": {"hours": 8},\r\n\r\n "duplex": true}', 1), ("[1, [2]]", 1), ('"a text"', 1), ("[]", 0), ("", 0)],
    )
    def test_json_that_is_no_array_of_objects_is_a_text(self, tmp_path, content, count):
        path = tmp_path / "a.json"
        path.write_text(content, newline="")
        found = self.read(path)
        assert [one.text for one in found] == [content] * count
        for one in found:
            assert one.metadata == {"source": str(path), "title": str(path), "start_index": 0, "line": 1}
        if content != "[]":
            with pytest.raises(InputError, match="must be an array of objects; for other JSON use --format text"):
                list(read_passages(find_sources([str(path)]).files, Reading(format="json")))

    @pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", "\t")])
    def test_the_delimiter_is_that_of_the_header(self, tmp_path, name, mark):
        path = tmp_path / name
        path.write_text(mark.join(("id", "text", "n")) + "\n" + mark.join(("x", "one", "1")) + "\n")
        assert self.read(path) == [Passage("x", "one", {"n": "1", "source": str(path), "title": str(path)})]

    def test_an_array_of_objects(self, tmp_path):
        path = tmp_path / "a.json"
        path.write_text('[{"id": 1, "text": "x"}, {"id": 2, "text": "y"}]')
        assert [passage.id for passage in self.read(path)] == ["1", "2"]

    def test_a_notebook(self, tmp_path):
        path = tmp_path / "a.ipynb"
        cells = [("markdown", ["# Title\n", "words"]), ("code", "x = 1"), ("code", ""), ("raw", "more")]
        path.write_text(json.dumps({"cells": [{"cell_type": kind, "source": source} for kind, source in cells]}))
        (passage,) = self.read(path)
        assert passage.text == "# Title\nwords\n\n```\nx = 1\n```\n\nmore"
        assert passage.metadata["title"] == f"{path} > Title"

    def test_html(self, tmp_path):
        markup = """<html><head><title>no</title><script>no()</script></head><body><nav>Home</nav><h2>A &amp; B</h2>
            <p>One <b>bold</b>
            word.<br>Next line.</p><ul><li>first<li>second</ul><table><tr><th>k<th>v</tr>
            <tr><td>a</td><td>1</td></tr></table><pre>def f():\n    return 1</pre></body></html>"""
        assert html_text(markup) == (
            "## A & B\n\nOne bold word.\nNext line.\n\n- first\n- second\n\n| k | v |\n| --- | --- |\n| a | 1 |\n\n"
            "def f():\n    return 1\n"
        )
        path = tmp_path / "a.html"
        path.write_text(markup)
        assert self.read(path)[0].metadata["title"] == f"{path} > A & B"

    @pytest.mark.parametrize(
        ("table", "text"),
        [
            (
                "<tr><td><p>a</p></td><td>b</td></tr><tr><td>c<br>d<td><ul><li>e<li>f</ul>",
                "| a | b |\n| c d | - e - f |",
            ),
            ("<thead><tr><th>k<th>v</thead><tbody><tr><td>a<td>1", "| k | v |\n| --- | --- |\n| a | 1 |"),
            ("<tr><th>k<td>v<tr><th><td>1", "| k | v |\n|  | 1 |"),
            ("<tr><th>k<th>v", "| k | v |"),
            ("<tr><td>k<tr><td>a", "k\na"),
            ("<tr><td>Menu<td><p>One.</p><p>Two.</p>", "Menu |\n\nOne.\n\nTwo."),
            ("<tr><td>1<td><pre>a\n  b</pre>", "1 |\n\na\n  b"),
            (
                "<tr><td>x<table><tr><th>k<th>v<tr><td>a<td>1</table></td></tr>",
                "x\n\n| k | v |\n| --- | --- |\n| a | 1 |",
            ),
        ],
    )
    def test_a_row_of_a_table_is_a_line_unless_its_cells_hold_paragraphs(self, table, text):
        assert html_text(f"<table>{table}</table>") == f"{text}\n"

    def test_the_first_row_of_data_is_its_header(self):
        rows = "<tr><td><p>k</p></td><td>v</td></tr><tr><td><p>a</p><p>b</p></td><td>1</td></tr>"
        assert html_text(f"<table>{rows}</table>", data=True) == "| k | v |\n| --- | --- |\n| a b | 1 |\n"

    @given(st.text(alphabet="<>/abpretdl &;\n\"'!-", max_size=80))
    def test_no_markup_is_too_broken(self, markup):
        assert isinstance(html_text(markup), str)


def pdf(*pages):
    """Write a PDF file with one line of text on each page (PDF 1.4, without compression)."""
    kids = " ".join(f"{3 + 2 * number} 0 R" for number in range(len(pages)))
    font = "/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>"]
    for number, text in enumerate(pages):
        content = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        objects.append(f"<< /Type /Page /Parent 2 0 R /Contents {4 + 2 * number} 0 R {font} >>")
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    found, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, start=1):
        places.append(len(found))
        found += f"{number} 0 obj\n{one}\nendobj\n".encode("ascii")
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = (
        f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\n"
    )
    return found + f"{end}startxref\n{len(found)}\n%%EOF\n".encode("ascii")


class TestPdf:
    def test_a_passage_knows_its_page(self, tmp_path):
        pytest.importorskip("pypdf")
        path = tmp_path / "a.pdf"
        path.write_bytes(pdf("Clay is fired.", "", "The glaze runs."))
        found = list(read_passages(find_sources([str(path)]).files, Reading()))
        assert [(one.id, one.text, one.metadata["page"]) for one in found] == [
            (f"{path}#1", "Clay is fired.", 1),
            (f"{path}#2", "The glaze runs.", 3),
        ]

    @pytest.mark.parametrize("damage", [slice(None, 200), slice(300, None)])
    def test_a_damaged_file_is_named(self, tmp_path, damage):
        pytest.importorskip("pypdf")
        path = tmp_path / "a.pdf"
        path.write_bytes(pdf("Clay is fired.")[damage])
        with pytest.raises(InputError, match=r"a\.pdf: not a PDF file"):
            list(read_passages(find_sources([str(path)]).files, Reading()))

    def test_without_the_reader(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pypdf", None)
        path = tmp_path / "a.pdf"
        path.write_bytes(pdf("Clay is fired."))
        with pytest.raises(MissingExtraError, match=r"fgr-retriever\[pdf\]"):
            list(read_passages(find_sources([str(path)]).files, Reading()))
