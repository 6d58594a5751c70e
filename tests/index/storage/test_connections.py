"""An index on read-only media, and one whose folder is removed or replaced while it is open."""

import shutil
import subprocess
import sys
from contextlib import closing

import pytest

from fgr_retriever.calls import TimeLimit
from fgr_retriever.errors import IndexCorruptError, IndexNotFoundError, ModelMismatchError, TimeLimitError
from fgr_retriever.index.index import Index
from fgr_retriever.index.storage.database import Database
from fgr_retriever.index.storage.word_table import WordTable
from fgr_retriever.testing import WordEncoder
from fgr_retriever.types import Passage
from tests.index.storage.test_folders import contents

ENCODER = WordEncoder()


class OtherEncoder(WordEncoder):
    @property
    def fingerprint(self):
        return "another-encoder"


def make(folder, *texts, encoder=ENCODER):
    with closing(Index.open(folder, encoder)) as index:
        index.add(Passage(str(number), text) for number, text in enumerate(texts))
    return folder


def found(index, query="radium"):
    return [match.passage.text for match in index.search(ENCODER.encode_queries([query]), 3)[0]]


@pytest.fixture
def opened(tmp_path):
    with closing(Index.open(make(tmp_path / "index", "old radium"), ENCODER)) as index:
        assert found(index) == ["old radium"]
        yield index


def test_a_replaced_folder_is_noticed(opened, tmp_path):
    make(tmp_path / "other", "new radium", "other radium")  # as many commits as the one before
    opened.folder.rename(tmp_path / "before")
    (tmp_path / "other").rename(opened.folder)
    assert sorted(found(opened)) == ["new radium", "other radium"]
    opened.add([Passage("2", "third radium")])
    assert len(found(opened)) == 3
    opened.verify()
    with closing(Index.open(tmp_path / "before", ENCODER)) as before:
        assert found(before) == ["old radium"]


def test_a_restored_copy_is_noticed(opened, tmp_path):
    shutil.copytree(opened.folder, tmp_path / "copy")
    opened.delete(["0"])
    assert found(opened) == []
    shutil.rmtree(opened.folder)
    shutil.copytree(tmp_path / "copy", opened.folder)
    assert found(opened) == ["old radium"]


def test_an_index_of_another_model_in_the_same_place_is_refused_every_time(opened, tmp_path):
    make(tmp_path / "other", "new radium", encoder=OtherEncoder())
    opened.folder.rename(tmp_path / "before")
    (tmp_path / "other").rename(opened.folder)
    for _ in range(2):
        with pytest.raises(ModelMismatchError, match="since it was opened"):
            found(opened)
    with pytest.raises(ModelMismatchError, match="since it was opened"):
        opened.add([Passage("2", "radium")])
    (opened.folder).rename(tmp_path / "other")
    (tmp_path / "before").rename(opened.folder)
    assert found(opened) == ["old radium"]


def test_a_removed_folder_is_noticed_and_may_come_back(opened, tmp_path):
    opened.folder.rename(tmp_path / "away")
    for call in (lambda: found(opened), lambda: opened.get(["0"]), lambda: opened.delete(["0"]), opened.verify):
        with pytest.raises(IndexNotFoundError, match="no index any more"):
            call()
    assert not opened.folder.exists()
    (tmp_path / "away").rename(opened.folder)
    assert found(opened) == ["old radium"]


def on_read_only_media(folder, script):
    """Run a script where the folder is mounted read-only, in a mount namespace of its own."""
    mounting = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", mounting, "sh", str(folder), sys.executable, script]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture
def media(tmp_path):
    if sys.platform == "win32" or shutil.which("unshare") is None:
        pytest.skip("no mount namespaces here")
    folder = make(tmp_path / "media", "old radium", "sea")
    if on_read_only_media(folder, "pass").returncode:
        pytest.skip("mount namespaces are not allowed here")
    return folder


READ = """
import sys
from fgr_retriever.errors import IndexWriteError
from fgr_retriever.index.index import Index
from fgr_retriever.testing import WordEncoder
from fgr_retriever.types import Passage
encoder = WordEncoder()
index = Index.open(sys.argv[1], encoder)
for _ in range(2):
    print([match.passage.text for match in index.search(encoder.encode_queries(["radium"]), 1)[0]])
index.verify()
for change in (lambda: index.add([Passage("c", "x")]), lambda: index.delete(["0"]), index.compact):
    try:
        change()
    except IndexWriteError as error:
        print("read-only" in str(error))
"""


def test_read_only_media_are_opened_searched_and_verified(media):
    before = contents(media)
    done = on_read_only_media(media, READ)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['old radium']"] * 2 + ["True"] * 3
    assert contents(media) == before


def test_a_log_that_nobody_folded_in_is_not_passed_over(media):
    (media / "passages.sqlite-wal").write_bytes(b"the log of an interrupted writer")
    done = on_read_only_media(media, READ)
    assert "IndexWriteError" in done.stderr
    assert "left a log" in done.stderr


class OverAtTheThirdLook(TimeLimit):
    looks = 0

    def is_over(self):
        self.looks += 1
        return self.looks > 2


LONG_STATEMENT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10000000) SELECT sum(i) FROM n"


class TestTimeLimit:
    @pytest.fixture
    def database(self, opened):
        with closing(Database(opened.folder, WordTable(""), lambda: None)) as database:
            yield database

    def test_ends_a_statement_that_runs(self, database):
        limit = OverAtTheThirdLook(3_600)
        with pytest.raises(TimeLimitError), limit(), database.reading() as connection:
            connection.execute(LONG_STATEMENT).fetchone()
        assert limit.looks == 4  # on the way in, twice while it ran (the second ended it), and to say why it ended
        with database.reading() as connection:
            assert connection.execute("SELECT count(*) FROM passages").fetchone() == (1,)

    def test_a_limit_that_has_passed_does_not_end_later_calls(self, database):
        limit = TimeLimit(3_600)
        with limit(), database.reading() as connection:
            connection.execute("SELECT 1").fetchone()
        limit.stop()
        with database.reading() as connection:  # the same connection
            assert connection.execute(LONG_STATEMENT.replace("10000000", "100000")).fetchone()

    def test_other_errors_stay_what_they_are(self, database):
        with pytest.raises(IndexCorruptError, match="no such table"), TimeLimit(3_600)(), database.reading() as one:
            one.execute("SELECT * FROM absent")
