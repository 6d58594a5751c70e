"""An index that follows its files: `fgr index` again, `--dry-run`, `fgr delete`, and the same from Python."""

import io
import json
from contextlib import closing

import pytest

from fgr_retriever.cli import index as commands
from fgr_retriever.cli import main
from fgr_retriever.engine import Engine
from fgr_retriever.errors import InputError
from fgr_retriever.index.search.lookup import Lookup
from fgr_retriever.index.storage.store import Store
from fgr_retriever.testing import WordEncoder, tiny_checkpoint
from fgr_retriever.types import Added, Passage


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_checkpoint(tmp_path_factory.mktemp("model")))


@pytest.fixture
def notes(tmp_path):
    """A folder of three files, one of them of two passages."""
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "kiln.md").write_text("A kiln fires clay.\n\n" + "It is hot. " * 200)
    (folder / "glaze.txt").write_text("The glaze runs.")
    (folder / "deep" / "wheel.txt").write_text("A wheel turns.")
    return folder


@pytest.fixture
def stdin(monkeypatch):
    def put(content):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    return put


class Run:
    """The command, and what the index has after it."""

    def __init__(self, out, model, capsys):
        self.out, self._model, self._capsys = out, model, capsys

    def __call__(self, *arguments, code=0):
        self._capsys.readouterr()
        assert main(["index", *map(str, arguments), "--out", str(self.out), "--model", self._model]) == code
        return self._capsys.readouterr().err

    def texts(self):
        with closing(Store(self.out)) as store:
            lookup = Lookup(store)
            found = {id: lookup.get([id])[0].text[:16] for ids in lookup.sources().values() for id in ids}
            assert len(found) == len(lookup)
            return found


@pytest.fixture
def run(tmp_path, model, capsys):
    return Run(tmp_path / "out", model, capsys)


FIRST = {
    "notes/deep/wheel.txt#1": "A wheel turns.",
    "notes/glaze.txt#1": "The glaze runs.",
    "notes/kiln.md#1": "A kiln fires cla",
    "notes/kiln.md#2": "It is hot. It is",
}


def test_the_index_follows_its_folder(run, notes, monkeypatch):
    assert "added 4 passages" in run(notes)
    assert run.texts() == FIRST
    (notes / "kiln.md").write_text("A kiln is an oven.")
    (notes / "glaze.txt").unlink()
    (notes / "new.txt").write_text("Slip is thin clay.")
    said = run(notes)
    assert "added 1 passages" in said
    assert "updated 1, deleted 2, 1 were stored already" in said
    assert "gone: notes/glaze.txt" in said
    expected = {
        "notes/deep/wheel.txt#1": "A wheel turns.",
        "notes/kiln.md#1": "A kiln is an ove",
        "notes/new.txt#1": "Slip is thin cla",
    }
    assert run.texts() == expected
    monkeypatch.chdir(notes / "deep")
    assert "added 0 passages" in (said := run(".."))
    assert "3 were stored already" in said
    assert run.texts() == expected


def test_nothing_new_needs_no_model(run, notes, monkeypatch):
    run(notes)
    monkeypatch.setattr(commands, "load_encoder", lambda *_: pytest.fail("the model was loaded"))
    assert "nothing is new, 4 were stored already" in run(notes)


def test_a_part_of_the_folder_leaves_the_rest(run, notes):
    run(notes)
    (notes / "deep" / "wheel.txt").unlink()
    (notes / "deep" / "hand.txt").write_text("A hand builds.")
    run(notes / "deep")  # another folder: `deep` is not `notes/deep`
    assert run.texts() == FIRST | {"deep/hand.txt#1": "A hand builds."}


def test_missing_files_can_be_kept(run, notes):
    run(notes)
    (notes / "glaze.txt").unlink()
    assert "gone" not in run(notes, "--keep-missing")
    assert run.texts() == FIRST


def test_a_dry_run_says_what_would_be_done(run, notes, monkeypatch):
    monkeypatch.setattr(commands, "load_encoder", lambda *_: pytest.fail("the model was loaded"))
    assert "would add 4 passages, update 0, delete 0 and leave 0" in run(notes, "--dry-run")
    assert not run.out.exists()
    monkeypatch.undo()
    run(notes)
    (notes / "kiln.md").write_text("A kiln is an oven.")
    (notes / "glaze.txt").unlink()
    said = run(notes, "--dry-run")
    assert "would add 0 passages, update 1, delete 2 and leave 1 as they are" in said
    assert "would be gone: notes/glaze.txt" in said
    assert run.texts() == FIRST


def test_records_that_are_gone_from_a_file_are_deleted(run, tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"id": str(number), "text": f"text {number}", "source": "https://example.org"} for number in range(4)]
    path.write_text("\n".join(map(json.dumps, rows)))
    run(path)
    assert set(run.texts()) == {"0", "1", "2", "3"}
    rows[1]["text"] = "another"
    path.write_text("\n".join(map(json.dumps, rows[:2])))
    assert "updated 1, deleted 2, 1 were stored already" in run(path)
    assert run.texts() == {"0": "text 0", "1": "another"}


def test_sheets_of_different_columns_in_one_folder(run, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "hire.csv").write_text("id,item,week\n1,Van,420\n")
    (folder / "staff.csv").write_text("id,name,body\n1,Ada,text\n")
    told = run(folder)
    assert "no field 'text' in data/hire.csv, data/staff.csv: each record is a passage of lines" in told
    assert run.texts() == {"data/hire.csv#1": "id: 1\nitem: Van\n", "data/staff.csv#1": "id: 1\nname: Ada\n"}
    told = run(folder, "--text-field", "body", "--id-field", "name")
    assert "no field" not in told  # the other file is as it was
    assert run.texts() == {"data/hire.csv#1": "id: 1\nitem: Van\n", "Ada": "text"}
    assert "no field" not in run(folder, "--text-field", "body", "--id-field", "name")
    assert (
        run(folder, "--text-field", "bdoy", "--dry-run").count("no field 'bdoy' in data/hire.csv, data/staff.csv: ")
        == 1
    )
    (folder / "new.csv").write_text("item\nOar\n")
    (folder / "staff.csv").write_text("id,name\n1,Ada\n")
    told = run(folder)
    assert "no field 'text' in data/new.csv, data/staff.csv: " in told
    assert "no field 'text' in data/hire.csv: " in run(folder, "--id-field", "id", "--exclude", "[ns]*", "--dry-run")


def test_a_record_that_moved_to_another_file_stays(run, tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"id": "x", "text": "one"}\n{"id": "y", "text": "two"}')
    run(folder)
    (folder / "a.jsonl").write_text('{"id": "y", "text": "two"}')
    (folder / "b.jsonl").write_text('{"id": "x", "text": "one"}')
    run(folder)
    assert run.texts() == {"x": "one", "y": "two"}
    with closing(Store(run.out)) as store:
        assert Lookup(store).sources() == {"records/a.jsonl": ["y"], "records/b.jsonl": ["x"]}


@pytest.fixture
def exports(tmp_path):
    """Two exports, each with records 1 and 2."""
    for folder, name, texts in (
        ("a", "machines", ("The lift.", "The crane.")),
        ("b", "rooms", ("A pool.", "A sauna.")),
    ):
        (tmp_path / folder).mkdir()
        rows = "".join(f"{number},{text}\n" for number, text in enumerate(texts, start=1))
        (tmp_path / folder / f"{name}.csv").write_text(f"id,text\n{rows}")
    return tmp_path


MACHINES, ROOMS = {"1": "The lift.", "2": "The crane."}, {"b/rooms.csv#1": "A pool.", "b/rooms.csv#2": "A sauna."}


class TestSameIds:
    """No record takes the place of one of another file."""

    def test_in_another_run(self, run, exports):
        run(exports / "a")
        for option in ([], ["--dry-run"]):
            told = run(exports / "b", *option, code=1)
            assert "'1' of 'b/rooms.csv' is also that of a stored passage of 'a/machines.csv'" in told
            assert "'b/rooms.csv#1' (`fgr index --ids-per-file`" in told
            assert run.texts() == MACHINES
        run(exports / "b", "--ids-per-file")
        assert run.texts() == MACHINES | ROOMS

    def test_in_one_run(self, run, exports):
        told = run(exports / "a", exports / "b", code=1)
        assert "'1' comes twice, in 'a/machines.csv' and in 'b/rooms.csv': " in told
        assert "--ids-per-file" in told
        assert not run.out.exists()
        run(exports / "a", exports / "b", "--ids-per-file")
        assert run.texts() == {f"a/machines.csv#{id}": text for id, text in MACHINES.items()} | ROOMS

    def test_of_a_file_that_the_index_knows_and_a_new_one(self, run, exports):
        run(exports / "a")
        for _ in range(2):
            assert "'1' comes twice, in 'a/machines.csv' and" in run(exports / "b", exports / "a", code=1)
            assert run.texts() == MACHINES

    def test_of_stdin_and_a_new_file(self, run, exports, stdin):
        stdin(b"id,text\n1,The lift.\n2,The crane.\n")
        run("-", "--format", "csv")
        assert run.texts() == MACHINES
        for _ in range(2):
            stdin(b"id,text\n1,The lift.\n2,The crane.\n")
            run("-", exports / "b", "--format", "csv", code=1)
            assert run.texts() == MACHINES

    def test_of_passages_that_python_added(self, run, exports, model):
        with Engine.open(run.out, model=model) as engine:
            engine.add([Passage("2", "A note.")])
        assert "'2' of 'b/rooms.csv' is also that of a stored passage of no source" in run(exports / "b", code=1)
        with closing(Store(run.out)) as store:
            assert [len(Lookup(store)), *Lookup(store).get(["2"])] == [1, Passage("2", "A note.")]

    def test_of_a_file_with_another_name(self, run, exports):
        run(exports / "a")
        (exports / "a").rename(exports / "new")
        (exports / "new" / "machines.csv").write_text("id,text\n1,The lift.\n3,A saw.\n")
        run(exports / "new", code=1)
        assert "would add 1 passages, update 1, delete 0" in run(exports / "new", "--take-over", "a", "--dry-run")
        told = run(exports / "new", "--take-over", "a")
        assert "added 1 passages" in told
        assert "1 passages are still those of a/machines.csv" in told
        with closing(Store(run.out)) as store:
            assert Lookup(store).sources() == {"a/machines.csv": ["2"], "new/machines.csv": ["1", "3"]}

    def test_twice_in_one_file(self, run, exports):
        (exports / "a" / "machines.csv").write_text("id,text\n1,The lift.\n1,A saw.\n")
        told = run(exports / "a", code=1)
        assert "'1' comes twice in 'a/machines.csv': ids must be unique: give" in told
        assert "`fgr index --id-field ''`" in told
        run(exports / "a", "--id-field", "")
        assert run.texts() == {"a/machines.csv#1": "The lift.", "a/machines.csv#2": "A saw."}


def test_stdin_is_read_once(run, stdin):
    stdin(b"one")
    run("-")
    stdin(b"two")
    assert "updated 1; it has 1" in run("-")
    assert run.texts() == {"-#1": "two"}


def test_what_is_left_out_is_told_and_goes(run, notes):
    (notes / ".old").mkdir()
    (notes / ".old" / "a.md").write_text("Old clay.")
    (notes / "b.json").write_text('{"kiln": 900}')
    (notes / "c.png").touch()
    assert "left out" not in (told := run(notes, "--hidden"))
    assert "not read, since their kind is unknown: 1 .png" in told
    assert run.texts() == FIRST | {"notes/.old/a.md#1": "Old clay.", "notes/b.json#1": '{"kiln": 900}'}
    told = run(notes, "--exclude", "b.*", "--exclude", "none", "--dry-run")
    assert "would be gone, since they are left out now: notes/.old/a.md, notes/b.json\n" in told
    assert "left out: notes/.old\n" in told
    assert "--exclude none: nothing in the folders matches" in told
    assert "gone" not in run(notes, "--exclude", "b.*", "--keep-missing")
    assert len(run.texts()) == len(FIRST) + 2
    (notes / "glaze.txt").unlink()
    told = run(notes, "--exclude", "b.*")
    assert "gone, since they are left out now: notes/.old/a.md, notes/b.json\n" in told
    assert "gone: notes/glaze.txt\n" in told
    assert run.texts() == {id: text for id, text in FIRST.items() if "glaze" not in id}


def test_a_part_of_an_indexed_folder_is_told(run, notes):
    run(notes)
    assert "the index has files of the same names in notes/deep: " in run(notes / "deep", "--dry-run")
    assert "the index has files of the same names in notes/deep: " in run(notes / "deep")
    assert "same names" not in run(notes / "deep")
    assert "same names" not in run(notes)


def test_a_run_that_fails_leaves_no_index_and_changes_none(run, notes):
    (notes / "broken.jsonl").write_text("{")
    run(notes, code=1)
    assert not run.out.exists()
    (notes / "broken.jsonl").unlink()
    run(notes)
    (notes / "kiln.md").write_text("A kiln is an oven.")
    (notes / "glaze.txt").write_bytes(b"\x00\x01\x02")
    assert "binary file" in run(notes, code=1)
    assert run.texts() == FIRST


class TestDelete:
    @pytest.fixture(autouse=True)
    def filled(self, run, notes):
        run(notes)

    def delete(self, run, *names, code=0):
        run._capsys.readouterr()
        assert main(["delete", str(run.out), *names]) == code
        return run._capsys.readouterr().err

    @pytest.mark.parametrize(
        ("names", "left"),
        [
            (["notes/kiln.md"], ["notes/deep/wheel.txt#1", "notes/glaze.txt#1"]),
            (["notes/deep", "notes/glaze.txt#1"], ["notes/kiln.md#1", "notes/kiln.md#2"]),
            (["notes/deep/"], ["notes/glaze.txt#1", "notes/kiln.md#1", "notes/kiln.md#2"]),
            (["notes"], []),
        ],
    )
    def test_by_source_folder_or_id(self, run, names, left):
        assert f"would delete {4 - len(left)} of 4" in self.delete(run, *names, "--dry-run")
        assert run.texts() == FIRST
        assert f"deleted {4 - len(left)} passages" in self.delete(run, *names)
        assert sorted(run.texts()) == left

    def test_an_unknown_name_deletes_nothing(self, run):
        assert "no source, folder of sources or passage 'note'" in self.delete(run, "notes/glaze.txt", "note", code=3)
        assert run.texts() == FIRST


class TestPython:
    def passages(self, *names, text="one two"):
        return [Passage(name, text, {"source": name.partition("#")[0]}) for name in names]

    def test_refresh_is_one_step(self, tmp_path):
        with Engine.open(tmp_path, encoder=WordEncoder()) as engine:
            engine.add([*self.passages("a/x#1", "a/x#2", "a/y#1", "b/x#1"), Passage("none", "no source")])
            assert engine.sources() == {"a/x": ["a/x#1", "a/x#2"], "a/y": ["a/y#1"], "b/x": ["b/x#1"]}
            new = [*self.passages("a/x#1"), *self.passages("a/z#1", text="three")]
            planned = engine.refresh(new, "a", dry_run=True)
            assert repr(planned) == repr(Added(1, 0, 1, 2))
            assert len(engine) == 5
            assert repr(engine.refresh(new, "a")) == repr(planned) == repr(engine.last_added)
            assert engine.sources() == {"a/x": ["a/x#1"], "b/x": ["b/x#1"], "a/z": ["a/z#1"]}
            assert "none" in engine
            assert repr(engine.refresh([], ["a/z", "b"])) == repr(Added(0, 0, 0, 2))
            assert len(engine) == 2

    def test_an_error_changes_nothing(self, tmp_path):
        with Engine.open(tmp_path, encoder=WordEncoder()) as engine:
            engine.add(self.passages("a#1", "a#2"))
            for dry_run in (True, False):
                with pytest.raises(InputError, match="comes twice"):
                    engine.refresh(self.passages("a#3", "a#3"), "a", dry_run=dry_run)
            assert engine.sources() == {"a": ["a#1", "a#2"]}

    @pytest.mark.parametrize(
        ("passage", "told"),
        [
            (
                Passage("a#1", "new", {"source": "y.md"}),
                r"'a#1' is of the source 'y\.md', but .* given \['a', 'x\.md'\]",
            ),
            (Passage("a#1", "new"), r"'a#1' names no source in its metadata \('source'\), but"),
            (Passage("a#1", "new", {"source": "a", "fgr_file": "b"}), "'a#1' is of the source 'b'"),
        ],
    )
    @pytest.mark.parametrize("dry_run", [True, False])
    def test_a_passage_of_another_source_is_refused(self, tmp_path, passage, told, dry_run):
        with Engine.open(tmp_path, encoder=WordEncoder()) as engine:
            engine.add(self.passages("a#1", "a#2"))
            with pytest.raises(InputError, match=told):
                engine.refresh([*self.passages("a/deep#1"), passage], ("x.md", "a"), dry_run=dry_run)
            assert engine.sources() == {"a": ["a#1", "a#2"]}

    @pytest.mark.parametrize("sources", [Passage("a", "b"), [Passage("a", "b")], None, 7, "", ["a", None]])
    def test_sources_are_names(self, tmp_path, sources):
        with (
            Engine.open(tmp_path, encoder=WordEncoder()) as engine,
            pytest.raises(InputError, match=r"must be a name .*refresh\(passages, 'notes\.md'\)"),
        ):
            engine.refresh("a", sources)

    @pytest.mark.usefixtures("kept_in")
    @pytest.mark.parametrize("dry_run", [True, False])
    @pytest.mark.parametrize("delete_missing", [True, False])
    @pytest.mark.parametrize("text", ["one two", "other words"])
    def test_an_id_of_another_source_is_refused(self, tmp_path, text, dry_run, delete_missing):
        options = {"dry_run": dry_run, "delete_missing": delete_missing}
        told = (
            r"'1' of 'rooms\.csv' is also that of a stored passage of 'machines\.csv', .*'rooms\.csv#1'.*--ids-per-file"
            r".*taking_over='machines\.csv'"
        )
        with Engine.open(tmp_path, encoder=WordEncoder()) as engine:
            machines = [Passage("1", "one two", {"source": "machines.csv", "owner": "Aas"})]
            engine.refresh(machines, "machines.csv")
            rooms = [Passage(id, text, {"source": "rooms.csv"}) for id in ("0", "1")]
            with pytest.raises(InputError, match=told):
                engine.refresh(rooms, "rooms.csv", **options)
            assert engine.get(["1"]) == machines
            engine.add([Passage("1", "no source")])
            with pytest.raises(InputError, match=r"'1' of 'rooms\.csv' is .* passage of no source, .*'rooms\.csv#1'"):
                engine.refresh(rooms, "rooms.csv", **options)
            assert engine.get(["1"]) == [Passage("1", "no source")]
            engine.add([Passage("1", text, {"owner": "nobody"})])  # the same text: it finds its source
            assert engine.refresh(rooms, "rooms.csv", **options).updated == 1
            engine.add(rooms)  # which replaces whatever has the id
            assert {name: set(ids) for name, ids in engine.sources().items()} == {"rooms.csv": {"0", "1"}}

    def test_an_id_that_comes_twice_names_both_sources(self, tmp_path):
        both = [Passage("1", "one", {"source": name}) for name in ("a/machines.csv", "a/rooms.csv")]
        told = r"'1' comes twice, in 'a/machines\.csv' and in 'a/rooms\.csv': .*'a/rooms\.csv#1'.*--ids-per-file"
        with Engine.open(tmp_path, encoder=WordEncoder()) as engine:
            for dry_run in (True, False):
                with pytest.raises(InputError, match=told):
                    engine.refresh(both, "a", dry_run=dry_run)
            with pytest.raises(InputError, match=told):
                engine.add(both)
            assert len(engine) == 0

    @pytest.mark.usefixtures("kept_in")
    def test_a_source_takes_over_what_an_older_name_has(self, tmp_path):
        old = [Passage(id, f"text {id}", {"source": "old"}) for id in "abc"]
        new = [Passage(id, f"text {id}", {"source": "new"}) for id in "bcd"]
        with Engine.open(tmp_path, encoder=WordEncoder()) as engine:
            engine.refresh(old, "old")
            planned = engine.refresh(new, "new", taking_over="old", dry_run=True)
            assert repr(engine.refresh(new, "new", taking_over="old")) == repr(planned) == repr(Added(1, 2, 0, 0))
            assert engine.sources() == {"old": ["a"], "new": ["b", "c", "d"]}
            assert repr(engine.refresh(new[1:], "new", delete_missing=False)) == repr(Added(0, 0, 2, 0))
            assert repr(engine.refresh(new[1:], "new")) == repr(Added(0, 0, 2, 1))

    async def test_in_a_worker_thread(self, tmp_path):
        async with await Engine.aopen(tmp_path, encoder=WordEncoder()) as engine:
            await engine.arefresh(self.passages("a#1"), "a")
            assert await engine.asources() == {"a": ["a#1"]}
