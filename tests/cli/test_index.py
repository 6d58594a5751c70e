"""`fgr index` that resumes, `fgr compact`, `fgr repair`."""

import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from fgr_retriever.cli import following, main
from fgr_retriever.config import IndexConfig
from fgr_retriever.engine import Engine
from fgr_retriever.index.storage.creation import create_store
from fgr_retriever.index.storage.folders import DATABASE
from fgr_retriever.index.storage.manifest import Manifest
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.testing import WordEncoder, tiny_checkpoint
from fgr_retriever.text.units import Units
from fgr_retriever.types import Passage

TEXTS = ["A kiln fires clay.", "The glaze runs.", "A wheel turns.", "Slip is thin clay.", "Bisque is porous."]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_checkpoint(tmp_path_factory.mktemp("model")))


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A file of five records, stored two at a time."""
    monkeypatch.setattr(following, "_STORED_AT_ONCE", 2)
    path = tmp_path / "corpus.jsonl"

    def write(*records):
        path.write_text("\n".join(records), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def word_index(tmp_path):
    folder = tmp_path / "words"
    with Engine.open(folder, encoder=WordEncoder()) as engine:
        engine.add(Passage(str(number), text, {"n": number}) for number, text in enumerate(TEXTS))
    return folder


def record(number, text=None):
    return json.dumps({"id": str(number), "text": text or TEXTS[number], "n": number})


def passages(folder, capsys):
    capsys.readouterr()
    assert main(["info", str(folder), "--json"]) == 0
    return json.loads(capsys.readouterr().out)["passages"]


def test_an_interrupted_index_goes_on_where_it_was(tmp_path, corpus, model, capsys):
    out = tmp_path / "out"
    command = ["index", corpus(*map(record, range(3)), "{broken"), "--out", str(out), "--model", model]
    assert main(command) == 1
    assert passages(out, capsys) == 2  # the first two were stored before the third line was read with the fourth
    corpus(record(0), record(1, "The glaze runs twice."), *map(record, range(2, 5)))
    assert main(command) == 0
    assert "added 3 passages" in (said := capsys.readouterr().err)
    assert "updated 1, 1 were stored already" in said
    assert passages(out, capsys) == 5
    assert main(command) == 0
    assert "added 0 passages" in (said := capsys.readouterr().err)
    assert "5 were stored already" in said


def test_ids_are_unique_over_all_batches(tmp_path, corpus, model, capsys):
    command = ["index", corpus(*map(record, [0, 1, 2, 0])), "--out", str(tmp_path / "out"), "--model", model]
    assert main(command) == 1
    assert "'0' comes twice" in capsys.readouterr().err


def test_compact_says_what_it_freed(word_index, capsys):
    with Engine.open(word_index, encoder=WordEncoder()) as engine:
        engine.delete(["0", "1"])
    assert main(["compact", str(word_index)]) == 0
    assert "MB before" in capsys.readouterr().err
    assert passages(word_index, capsys) == 3


def test_repair_names_what_is_lost_and_its_texts_can_be_indexed_again(word_index, capsys):
    assert main(["repair", str(word_index)]) == 0
    assert "5 passages saved, 0 lost" in capsys.readouterr().err
    with Engine.open(word_index, encoder=WordEncoder()) as engine:
        engine.add(Passage(name, "a long text " * 20) for name in ("a", "b"))  # too large to merge
        engine.add([Passage("c", "short")])
    segments = sorted(word_index.rglob("gaps.i8"), key=lambda path: path.stat().st_size)
    segments[0].write_bytes(b"\0\0")
    assert main(["verify", str(word_index)]) == 4
    assert main(["repair", str(word_index)]) == 4
    said = capsys.readouterr().err
    assert "lost passage 'c'" in said
    assert "gaps.i8" in said
    assert "7 passages saved, 1 lost, 1 of them with their text in lost.jsonl" in said
    assert main(["verify", str(word_index)]) == 0
    assert json.loads((word_index / "lost.jsonl").read_text()) == {"id": "c", "text": "short"}
    assert main(["repair", str(word_index / "nothing")]) == 3


def test_upgrade_adds_what_an_old_index_lacks(tmp_path, model, capsys):
    encoder = Encoder.from_pretrained(model)
    create_store(tmp_path / "old", Manifest(encoder.fingerprint, encoder.dim, IndexConfig(), format_version=2))
    with Engine.open(tmp_path / "old", encoder=encoder) as engine:
        engine.add(Passage(str(number), text) for number, text in enumerate(TEXTS))
    capsys.readouterr()
    command = ["upgrade", str(tmp_path / "old"), "--model", model]
    assert main(["info", str(tmp_path / "old"), "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    assert (before["format_version"], before["evidence"], before["units"]) == (2, "missing", False)
    assert main(command) == 0
    assert "borders of sentences and phrases in" in capsys.readouterr().err
    assert main(command) == 0
    assert "nothing is missing" in capsys.readouterr().err
    assert main(["info", str(tmp_path / "old"), "--json"]) == 0
    after = json.loads(capsys.readouterr().out)
    assert (after["format_version"], after["units"], after["passages"]) == (3, True, 5)
    assert main(["verify", str(tmp_path / "old")]) == 0
    assert main(["upgrade", str(tmp_path / "nothing")]) == 3
    assert main(["upgrade", str(tmp_path / "old")]) == 4  # the embedded model did not make it


def stored_units(folder):
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        found = connection.execute("SELECT text, units FROM passages ORDER BY row").fetchall()
    return [(text.decode(), Units.from_bytes(units, len(text.decode()))) for text, units in found]


def test_a_copy_renews_the_cuts_of_old_rules(tmp_path, capsys):
    old, new = tmp_path / "old", tmp_path / "new"
    text = "The kiln is hot. The glaze runs."
    with pytest.MonkeyPatch.context() as patch:  # rules of another version: a text is one unit
        whole = np.array([[0, len(text)]], dtype=np.int64)
        patch.setattr(Units, "of", classmethod(lambda cls, _: cls(whole, whole, np.zeros(0, dtype=np.int64))))
        with Engine.open(old, encoder=WordEncoder()) as engine:
            engine.add([Passage("a", text, {"source": "a.md"})])
    with Engine.open(old, encoder=WordEncoder()) as engine:  # neither adding again nor an upgrade changes them
        assert engine.add([Passage("a", text, {"source": "a.md"})]).unchanged == 1
        assert engine.upgrade() is False
        engine.compact()
    assert [units.sentences.tolist() for _, units in stored_units(old)] == [[[0, len(text)]]]
    assert main(["copy", str(old), str(new)]) == 0
    ((copied, units),) = stored_units(new)
    assert (copied, units.sentences.tolist()) == (text, Units.of(text).sentences.tolist())
    assert len(units.sentences) == 2
    assert main(["verify", str(new)]) == 0
    assert main(["info", str(new), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passages"] == 1
