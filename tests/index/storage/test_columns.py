"""Nothing larger than it may be is read from a database, whatever somebody put there."""

import resource
import shutil
import sqlite3
import sys
from contextlib import closing

import pytest

from fgr_retriever.config import IndexConfig
from fgr_retriever.errors import FgrError, IndexCorruptError, InputError
from fgr_retriever.index.index import Index
from fgr_retriever.index.storage import columns
from fgr_retriever.index.storage.repair import repair
from fgr_retriever.testing import WordEncoder
from fgr_retriever.types import Passage
from tests.index.durability.processes import in_process

ENCODER = WordEncoder()
HUGE = 100_000_000  # bytes
SPARE = 60_000_000  # bytes that opening, reading and verifying may take beside what is stored: measured below 20 MB


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("intact") / "index"
    with closing(Index.open(folder, ENCODER, IndexConfig(words="plain"))) as index:
        index.add([Passage("a", "radium in the sea"), Passage("b", "mould in a dish")])
    return folder


@pytest.fixture
def folder(intact, tmp_path):
    shutil.copytree(intact, tmp_path / "index")
    return tmp_path / "index"


def run(folder, statement, *values):
    with closing(sqlite3.connect(folder / "passages.sqlite")) as connection, connection:
        connection.execute(statement, values)


def use(folder):
    """Open, read, verify and repair, and say what happened and how much more memory it took, in bytes."""
    before, heard = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
    try:
        with closing(Index.open(folder, ENCODER, create=False)) as index:
            for call in (lambda: index.get(["a", "b"]), lambda: index.ids({"x": 1}), index.verify):
                try:
                    call()
                except FgrError as error:
                    heard.append(type(error).__name__)
    except FgrError as error:
        heard.append(type(error).__name__)
    repair(folder)
    return heard, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


@pytest.mark.skipif(sys.platform == "win32", reason="measures the memory of a forked process")
@pytest.mark.parametrize(
    ("table", "column", "where"),
    [
        ("state", "value", "name = 'manifest'"),
        ("state", "value", "name = 'generation'"),
        ("segments", "files", "1"),
        ("passages", "text", "id = 'a'"),
        ("passages", "checksum", "id = 'a'"),
        ("passages", "units", "id = 'a'"),
        ("words_docsize", "sz", "1"),
        ("words_data", "block", "id > 10"),
    ],
)
def test_a_huge_value_is_damage_and_is_not_loaded(folder, table, column, where):
    size = max(HUGE, columns.MOST_TEXT + 1) if column in ("text", "units") else HUGE
    run(folder, f"UPDATE {table} SET {column} = zeroblob({size}) WHERE {where}")
    heard, taken = in_process(use, folder)
    assert set(heard) == {"IndexCorruptError"}
    assert taken < SPARE + HUGE * (table == "state")  # without row ids: SQLite loads whole rows to compare their names


@pytest.mark.parametrize("value", ["[" * 2_000_000, "a\0" + "b" * 2_000_000, b"\xff" * 2_000_000])
@pytest.mark.parametrize("table", ["state", "segments", "codecs"])
def test_a_large_value_where_little_belongs_is_never_parsed(folder, table, value):
    if table == "codecs":
        run(folder, "INSERT INTO codecs VALUES (?, '{}', 1, 0.0, 0, 0.0)", value)
    else:
        run(folder, "UPDATE state SET value = ?" if table == "state" else "UPDATE segments SET files = ?", value)
    with pytest.raises(IndexCorruptError) as caught:
        Index.open(folder, ENCODER)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    "passage",
    [
        Passage("x" * (columns.MOST_ID + 1), "radium"),
        Passage("a", "radium", {"more": "x" * columns.MOST_METADATA}),
    ],
)
def test_what_could_not_be_read_again_is_not_stored(folder, passage):
    with closing(Index.open(folder, ENCODER)) as index:
        with pytest.raises(InputError, match="can be stored"):
            index.add([passage])
        assert index.get(["a"]) == [Passage("a", "radium in the sea")]


def test_a_text_is_as_large_as_may_be(folder, monkeypatch):
    monkeypatch.setattr(columns, "MOST_TEXT", 20)
    with closing(Index.open(folder, ENCODER)) as index:
        index.add([Passage("c", "radium in the sea ü")])
        with pytest.raises(InputError, match="text of 21 bytes, and at most 20"):
            index.add([Passage("d", "radium in the sea üb")])


@pytest.mark.parametrize("first", [-2, 5, 1 << 40, (1 << 63) - 2])
def test_rows_of_segments_follow_one_another(folder, first):
    with closing(Index.open(folder, ENCODER)) as index:
        index.add([Passage("c", "radium " * 100)])  # is merged with those that are there
        index.add([Passage("d", "radium")])  # too small to be merged with them
    with closing(sqlite3.connect(folder / "passages.sqlite")) as connection:
        assert connection.execute("SELECT first_row FROM segments ORDER BY first_row").fetchall() == [(0,), (3,)]
    run(folder, "UPDATE segments SET first_row = ? WHERE first_row = 3", first)
    with pytest.raises(IndexCorruptError, match="wrong rows"):
        Index.open(folder, ENCODER)
    assert repair(folder).saved == 3  # all but that of the segment that was moved
    with closing(Index.open(folder, ENCODER)) as index:
        index.verify()


def test_a_row_that_no_segment_has_is_not_taken_for_a_repeated_id(folder):
    with closing(sqlite3.connect(folder / "passages.sqlite")) as connection, connection:
        connection.create_function("fgr_words", 1, lambda _: "", deterministic=True)
        connection.execute("UPDATE passages SET row = 70 WHERE id = 'a'")
    with closing(Index.open(folder, ENCODER)) as index, pytest.raises(IndexCorruptError, match="no segment has"):
        index.add([Passage("a", "nobel")])
