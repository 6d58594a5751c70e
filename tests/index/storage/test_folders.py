"""What lies in an index must not lead writes or removals elsewhere."""

import shutil
import sqlite3
import sys
import uuid
from contextlib import closing

import pytest

from fgr_retriever.errors import FgrError, IndexCorruptError
from fgr_retriever.index.index import Index
from fgr_retriever.index.storage.repair import repair
from fgr_retriever.testing import WordEncoder
from fgr_retriever.types import Passage
from tests.index.hostile.file_damages import UNPLAYABLE_JOURNAL

if sys.platform == "win32":
    pytest.skip("symbolic links need rights on Windows", allow_module_level=True)

ENCODER = WordEncoder()
ROOTS = ("segments", "codecs")
FILES = ("passages.sqlite", "writer.lock", "manifest.json", "passages.sqlite-wal", "passages.sqlite-shm")


@pytest.fixture
def folder(tmp_path):
    with closing(Index.open(tmp_path / "index", ENCODER)) as index:
        index.add([Passage("a", "radium in the sea"), Passage("b", "mould in a dish")])
    return tmp_path / "index"


@pytest.fixture
def disk(tmp_path):
    """Somebody else's folders and files, some with names like ours."""
    for name in ("photos", uuid.uuid4().hex, "letters.d"):
        (tmp_path / "disk" / name).mkdir(parents=True)
        (tmp_path / "disk" / name / "precious.txt").write_text("mine")
    return tmp_path / "disk"


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def write_all(folder):
    """Open, write, compact and repair."""
    for change in (lambda index: index.add([Passage("c", "nobel")]), Index.compact, lambda index: index.delete(["a"])):
        with closing(Index.open(folder, ENCODER)) as index:
            change(index)


@pytest.mark.parametrize("root", ROOTS)
def test_a_root_that_is_a_link_is_refused_and_nothing_behind_it_is_removed(folder, disk, root):
    if (folder / root).exists():
        for one in (folder / root).iterdir():  # an honest move to another disk
            shutil.move(one, disk / one.name)
        (folder / root).rmdir()
    (folder / root).symlink_to(disk, target_is_directory=True)
    before = contents(disk)
    with pytest.raises(IndexCorruptError, match="is a link"):
        write_all(folder)
    with pytest.raises(IndexCorruptError, match="is a link"):
        repair(folder)
    assert contents(disk) == before


@pytest.mark.parametrize("root", ROOTS)
def test_a_root_that_became_a_link_under_an_open_index_is_refused(folder, disk, root):
    before = contents(disk)
    with closing(Index.open(folder, ENCODER)) as index:
        (folder / root).rename(folder.parent / "moved")
        (folder / root).symlink_to(disk, target_is_directory=True)
        with pytest.raises(IndexCorruptError, match="is a link"):
            index.add([Passage("c", "nobel")])
    assert contents(disk) == before


@pytest.mark.parametrize("file", FILES)
def test_a_link_in_the_place_of_a_file_of_ours_is_refused(folder, tmp_path, file):
    outside = tmp_path / "outside"
    if (folder / file).exists():
        (folder / file).rename(outside)
    before = outside.read_bytes() if outside.exists() else None
    (folder / file).symlink_to(outside)
    with pytest.raises(FgrError, match="is a link"):
        write_all(folder)
    assert (outside.read_bytes() if outside.exists() else None) == before


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("file", ["passages.sqlite-journal", "writer.lock-journal"])
def test_a_journal_that_names_a_file_is_refused_before_sqlite_sees_it(folder, disk, file, finished):
    before = contents(disk)
    (folder / file).write_bytes(UNPLAYABLE_JOURNAL)
    if not finished:  # as if its making had been interrupted
        (folder / "manifest.json").unlink()
    for use in (write_all, repair):
        with pytest.raises(IndexCorruptError, match="names another file"):
            use(folder)
    assert contents(disk) == before


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_link_to_a_segment_is_not_followed(folder, disk, what):
    (segment,) = (folder / "segments").iterdir()
    path = segment if what == "folder" else segment / "lengths.i32"
    shutil.move(path, disk / "moved")
    path.symlink_to(disk / "moved")
    before = contents(disk)
    with pytest.raises(IndexCorruptError, match="is a link"):
        write_all(folder)
    repair(folder)
    assert contents(disk) == before


def test_a_file_in_the_place_of_a_segment_is_refused(folder):
    (segment,) = (folder / "segments").iterdir()
    shutil.rmtree(segment)
    segment.write_text("notes")
    with pytest.raises(IndexCorruptError, match="is not a folder"):
        Index.open(folder, ENCODER)


def test_no_index_is_made_behind_a_link(tmp_path, disk):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "manifest.json").symlink_to(tmp_path / "outside.json")
    with pytest.raises(IndexCorruptError, match="is a link"):
        Index.open(tmp_path / "new", ENCODER)
    assert not (tmp_path / "outside.json").exists()


def test_the_folder_of_the_index_itself_may_be_a_link(folder, tmp_path):
    (tmp_path / "linked").symlink_to(folder, target_is_directory=True)
    write_all(tmp_path / "linked")
    with closing(Index.open(folder, ENCODER)) as index:
        assert index.get(["a", "c"]) == [Passage("c", "nobel")]
        index.verify()


def test_only_names_that_we_give_are_removed(folder):
    left = uuid.uuid4().hex  # by an interrupted writer
    for root in ROOTS:
        foreign = folder / root / "my notes"
        foreign.mkdir()
        (foreign / "precious.txt").write_text("mine")
        (folder / root / left).mkdir()
    write_all(folder)
    for root in ROOTS:
        assert (folder / root / "my notes" / "precious.txt").read_text() == "mine"
        assert not (folder / root / left).exists()


@pytest.mark.parametrize(
    "name", ["../../disk/photos", "..", ".", "", "/tmp", "photos", "A" * 32, "0" * 32 + "\n", b"x", 7]
)
@pytest.mark.parametrize("table", ["segments", "codecs"])
def test_a_name_in_the_database_is_checked_before_it_becomes_a_path(folder, disk, table, name):
    before = contents(disk)
    with closing(sqlite3.connect(folder / "passages.sqlite")) as connection, connection:
        if table == "segments":
            connection.execute("UPDATE segments SET name = ?", (name,))
        else:
            connection.execute("INSERT INTO codecs VALUES (?, '{}', 1, 0.0, 0, 0.0)", (name,))
    with pytest.raises(IndexCorruptError, match="32 hex digits"):
        write_all(folder)
    with closing(sqlite3.connect(folder / "passages.sqlite")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM passages").fetchone() == (2,)
    assert contents(disk) == before


@pytest.mark.parametrize("name", ["../../../disk/photos/precious.txt", "/etc/hostname", "..", "", "a/b", ".hidden"])
def test_a_name_of_a_file_is_checked_before_it_becomes_a_path(folder, disk, name):
    with closing(sqlite3.connect(folder / "passages.sqlite")) as connection, connection:
        connection.execute("UPDATE segments SET files = json_object(?, json_array(4, 'x'))", (name,))
    with pytest.raises(IndexCorruptError, match="damaged segment"):
        Index.open(folder, ENCODER)
