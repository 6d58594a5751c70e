"""Databases and manifests that somebody made: our errors, soon, and nothing of theirs runs."""

import json
import os
import sqlite3
import sys
from contextlib import closing, suppress
from random import Random

import numpy as np
import pytest

from fgr_retriever.config import IndexConfig
from fgr_retriever.errors import FgrError, IndexCorruptError
from fgr_retriever.index.index import Index
from fgr_retriever.index.storage import passage_row
from fgr_retriever.index.storage.folders import MANIFEST
from fgr_retriever.index.storage.repair import repair
from fgr_retriever.index.storage.salvage import LOST
from fgr_retriever.testing import WordEncoder
from fgr_retriever.types import Passage
from tests.index.hostile.place import Place

if sys.platform != "win32":
    from tests.index.hostile.trials import folder_trials

ENCODER = WordEncoder()
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS row FROM n"


@pytest.fixture(params=["", "english"])
def folder(tmp_path, request):
    with closing(Index.open(tmp_path / "index", ENCODER, IndexConfig(words=request.param))) as index:
        index.add([Passage("a", "radium in the sea"), Passage("b", "mould in a dish")])
        index.delete(["b"])
    return tmp_path / "index"


def run(folder, *statements):
    with closing(sqlite3.connect(folder / "passages.sqlite")) as connection, connection:
        for statement in statements:
            connection.execute(*((statement,) if isinstance(statement, str) else statement))


@pytest.mark.parametrize(
    "statements",
    [
        ("DROP TABLE tombstones", f"CREATE VIEW tombstones AS {ENDLESS}"),
        ("CREATE TRIGGER t AFTER INSERT ON passages BEGIN DELETE FROM passages WHERE row < new.row; END",),
        ("CREATE TRIGGER t BEFORE UPDATE ON state BEGIN SELECT RAISE(IGNORE); END",),
        ("ALTER TABLE codecs ADD COLUMN more AS (zeroblob(1000000))",),
        ("DROP TABLE tombstones",),
        ("CREATE TRIGGER sqliteXstat1 AFTER DELETE ON tombstones BEGIN SELECT 1; END",),  # nearly a name of SQLite's
        ("CREATE TABLE notes (text)",),
        ("CREATE INDEX texts ON passages (text)",),
    ],
)
def test_a_schema_that_is_not_ours_is_refused_before_anything_of_it_runs(folder, statements):
    run(folder, *statements)
    for call in (lambda: Index.open(folder, ENCODER), lambda: repair(folder)):
        with pytest.raises(IndexCorruptError, match=r"does not make so|has no table"):
            call()
    with closing(sqlite3.connect(folder / "passages.sqlite")) as connection:
        assert connection.execute("SELECT id FROM passages").fetchall() == [("a",)]


def test_a_trigger_that_comes_under_an_open_index_is_found_by_verify(folder):
    with closing(Index.open(folder, ENCODER)) as index:
        run(folder, "CREATE TRIGGER t AFTER DELETE ON tombstones BEGIN SELECT 1; END")
        with pytest.raises(IndexCorruptError, match="trigger 't'"):
            index.verify()


def test_statistics_of_sqlite_are_no_damage(folder):
    run(folder, "ANALYZE")
    with closing(Index.open(folder, ENCODER)) as index:
        index.verify()


ODD = [None, True, -1, 0, 2.0, 1e999, 10**30, "", "x", [], {}, [[1]], float("nan"), 1 << 40]


@pytest.mark.parametrize("key", ["model", "dim", "config", "library", "format_version", "evidence", "evidence_bytes"])
def test_odd_values_in_the_manifest_are_our_errors(folder, key):
    values = json.loads((folder / "manifest.json").read_text())
    for value in ODD:
        text = json.dumps({**values, key: value})
        (folder / "manifest.json").write_text(text)
        set_manifest(folder, text)
        with suppress(FgrError), closing(Index.open(folder, ENCODER)) as index:  # any other error fails the test
            index.verify()


def set_manifest(folder, text):
    with closing(sqlite3.connect(folder / "passages.sqlite")) as connection, connection:
        connection.execute("UPDATE state SET value = ? WHERE name = 'manifest'", (text,))


NO_MANIFESTS = ["", "[]", "7", "null", "[" * 100_000, '{"a":' * 100_000, " " * (1 << 21), "9" * 10_000]


@pytest.mark.parametrize("text", NO_MANIFESTS)
@pytest.mark.parametrize("where", ["file", "database"])
def test_a_manifest_that_is_none_is_our_error(folder, text, where):
    if where == "file":
        (folder / "manifest.json").write_text(text)
    else:
        set_manifest(folder, text)
    with pytest.raises(IndexCorruptError):
        Index.open(folder, ENCODER)


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
@pytest.mark.parametrize("file", ["manifest.json", "passages.sqlite", "lengths.i32"])
def test_a_pipe_in_the_place_of_a_file_is_refused(folder, file):
    (path,) = folder.rglob(file)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(IndexCorruptError, match="plain file"):
        Index.open(folder, ENCODER)


@pytest.mark.parametrize(
    ("column", "value"), [("passages", -1), ("passages", 1 << 40), ("tokens", -5), ("tokens", 9e999)]
)
def test_odd_numbers_of_a_segment_are_our_errors(folder, column, value):
    with closing(sqlite3.connect(folder / "passages.sqlite")) as connection, connection:
        connection.execute(f"UPDATE segments SET {column} = ?", (value,))
    with pytest.raises(IndexCorruptError):
        Index.open(folder, ENCODER)


def test_deleted_rows_that_are_not_there_are_found_by_verify(folder):
    run(folder, "INSERT INTO tombstones VALUES (77)")
    with closing(Index.open(folder, ENCODER)) as index, pytest.raises(IndexCorruptError, match="deleted rows"):
        index.verify()


ODD_METADATA = ["{", "[1]", "7", "null", "", "[" * 50_000, '{"a":' * 5_000, '{"a": ' + "9" * 5_000 + "}"]


@pytest.mark.parametrize("metadata", ODD_METADATA)
def test_metadata_that_are_none_are_our_error_even_with_a_forged_checksum(folder, metadata):
    checksum = passage_row._checksum("a", metadata, b"radium in the sea") + passage_row._units_checksum(b"")
    run(folder, ("UPDATE passages SET metadata = ?, checksum = ? WHERE id = 'a'", (metadata, checksum)))
    with closing(Index.open(folder, ENCODER)) as index:
        for call in (lambda: index.ids({"year": 1}), lambda: index.get(["a"])):
            with pytest.raises(IndexCorruptError, match="metadata of passage 'a'"):
                call()


def test_lengths_that_add_up_but_are_below_zero_are_our_error(folder):
    (path,) = folder.rglob("lengths.i32")
    lengths = np.fromfile(path, "<i4")
    np.array([lengths[0] + 100, lengths[1] - 100], "<i4").tofile(path)
    Place(folder, folder, folder, Random()).reseal(path)
    with closing(Index.open(folder, ENCODER)) as index:
        for call in (index.compact, index.verify, lambda: index.search(ENCODER.encode_queries(["radium"]), 1)):
            with pytest.raises(IndexCorruptError, match=r"lengths.i32 does not sum"):
                call()


@pytest.mark.parametrize("statement", ["DELETE FROM segments", "UPDATE segments SET first_row = 7"])
def test_passages_that_no_segment_has_are_our_error(folder, statement):
    run(folder, statement)
    with closing(Index.open(folder, ENCODER)) as index:
        (query,) = ENCODER.encode_queries(["radium"])
        for call in (lambda: index.score(query, ["a"]), lambda: index.maxsim(query, ["a"]), index.verify):
            with pytest.raises(IndexCorruptError):
                call()


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need rights on Windows")
@pytest.mark.parametrize("name", [LOST, f"{MANIFEST}.PID.tmp"])
def test_what_repair_writes_is_not_written_through_a_link(folder, tmp_path, name):
    (tmp_path / "precious.txt").write_text("mine")
    (folder / name.replace("PID", str(os.getpid()))).symlink_to(tmp_path / "precious.txt")
    (folder / MANIFEST).write_text("{}")
    for path in folder.rglob("gaps.i8"):
        path.unlink()  # the texts go to `lost.jsonl`
    with suppress(IndexCorruptError):
        repair(folder)
    assert (tmp_path / "precious.txt").read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="forks, and bounds memory")
@pytest.mark.parametrize("seed", [7, 8, 9])
def test_hostile_folders_are_refused_or_read_rightly(tmp_path, seed):
    trials = list(folder_trials(tmp_path, 14, seed, seed * 14))
    assert len(trials) == 14
    assert [trial for trial in trials if trial.failure] == []
