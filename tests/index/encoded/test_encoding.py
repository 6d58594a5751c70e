"""Shards of a corpus: what is made again, by whom, and after which end."""

import os
import random
import time
from pathlib import Path

import pytest

from fgr_retriever.errors import ConfigError, IndexWriteError, InputError
from fgr_retriever.index.encoded import writing
from fgr_retriever.index.encoded.passage_file import PassageFile
from fgr_retriever.index.encoded.reading import EncodedCorpus
from fgr_retriever.index.encoded.writing import encode_shard
from fgr_retriever.testing import WordEncoder
from fgr_retriever.types import Passage
from tests.index.encoded.corpus import Counting, Other, contents, corpus, encode_all
from tests.index.processes import run_python, run_together

PREPARE = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path.cwd())!r})
from fgr_retriever.index.encoded import writing
from fgr_retriever.testing import WordEncoder
from tests.index.encoded.corpus import corpus
writing._ENDS = 4
"""
ENCODE = """
writing.encode_shard(corpus(), WordEncoder(), folder, "1/2")
"""
KILL = """
left = {moment}
def step(call):
    def counted(*arguments, **options):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return counted
os.fsync, Path.replace, Path.unlink, Path.open = map(step, (os.fsync, Path.replace, Path.unlink, Path.open))
"""


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    """Files of about four passages."""
    monkeypatch.setattr(writing, "_ENDS", 4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What shard 1/2 is when nothing comes between."""
    folder = tmp_path_factory.mktemp("whole") / "encoded"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "_ENDS", 4)
        encode_shard(corpus(), WordEncoder(), folder, "1/2")
    return contents(folder)


def files(folder):
    return sorted(path.name for path in folder.iterdir() if len(path.name) > 40)


def test_shards_have_all_passages_and_each_once(tmp_path):
    done = encode_all(tmp_path, 3)
    assert sum(one.passages for one in done) == sum(one.encoded for one in done) == 60
    assert [passage.id for passage in EncodedCorpus([tmp_path]).passages()] == [f"p{n}" for n in range(60)]


def test_a_file_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_ENDS", 10**9)
    monkeypatch.setattr(writing, "MOST_PASSAGES", 7)
    (done,) = encode_all(tmp_path, 1)
    assert done.files == 9
    assert [len(PassageFile(tmp_path / name)) for name in files(tmp_path)].count(7) == 8
    monkeypatch.setattr(writing, "_MOST_BYTES", 100)  # two texts of 50 to 60 bytes
    (done,) = encode_all(tmp_path, 1)
    assert done.files > 20


def test_nothing_is_made_again(tmp_path):
    encode_all(tmp_path)
    before = contents(tmp_path)
    encoder = Counting()
    assert [one.encoded for one in encode_all(tmp_path, encoder=encoder)] == [0, 0, 0]
    assert encoder.texts == 0
    assert contents(tmp_path) == before


@pytest.mark.parametrize("change", [{"text": "Another kiln."}, {"metadata": {"n": 7}}])
def test_a_changed_passage_is_noticed_and_only_its_file_made_again(tmp_path, change):
    encode_all(tmp_path)
    changed = list(corpus())
    changed[5] = Passage(**{"id": "p5", "text": changed[5].text, "metadata": changed[5].metadata, **change})
    encoder = Counting()
    done = encode_all(tmp_path, passages=changed, encoder=encoder)
    assert 1 <= encoder.texts == sum(one.encoded for one in done) < 20
    assert list(EncodedCorpus([tmp_path]).passages()) == changed
    assert len(files(tmp_path)) == sum(one.files for one in done)  # that with the old passage is gone


def test_a_passage_that_comes_changes_its_own_file_only(tmp_path):
    encode_all(tmp_path, 1)
    encoder = Counting()
    more = [Passage("new", "A new bowl."), *corpus()]
    encode_all(tmp_path, 1, passages=more, encoder=encoder)
    assert encoder.texts < 30
    assert [passage.id for passage in EncodedCorpus([tmp_path]).passages()] == [one.id for one in more]


def test_another_model_is_noticed(tmp_path):
    encode_all(tmp_path)
    assert sum(one.encoded for one in encode_all(tmp_path, encoder=Other())) == 60
    assert EncodedCorpus([tmp_path]).manifest.model == "another-model"


def test_a_damaged_file_is_made_again(tmp_path):
    encode_all(tmp_path, 1)
    before = contents(tmp_path)
    name = files(tmp_path)[0]
    (tmp_path / name).write_bytes(before[name][:-1] + bytes([before[name][-1] ^ 1]))
    (done,) = encode_all(tmp_path, 1)
    assert 0 < done.encoded < 60
    assert contents(tmp_path) == before


@pytest.mark.parametrize("seed", range(4))
def test_after_kill_9_at_any_moment_the_rest_is_made(tmp_path, whole, seed):
    folder = tmp_path / "encoded"
    moment = random.Random(seed).randrange(1, 4 * len(whole))  # four steps for each file; the list of the shard is last
    status, printed = run_python(PREPARE + KILL.format(moment=moment) + ENCODE, folder)
    assert status == -9, printed
    assert "shard-000001-of-000002.safetensors" not in contents(folder)
    with pytest.raises(InputError, match="no shard is finished"):
        EncodedCorpus([folder])
    finished = {name: data for name, data in contents(folder).items() if name.endswith(".safetensors")}
    assert finished.items() <= whole.items()  # no half file has the name of a whole one
    encoder = Counting()
    done = encode_shard(corpus(), encoder, folder, "1/2")
    kept = sum(len(PassageFile(folder / name)) for name in finished)
    assert encoder.texts == done.encoded == done.passages - kept
    found = contents(folder)
    assert {name: found[name] for name in whole} == whole
    assert all(name.endswith(".unfinished") for name in found.keys() - whole.keys())


def test_two_processes_may_write_the_same_shard(tmp_path, whole):
    folder = tmp_path / "encoded"
    ended = run_together([PREPARE + ENCODE] * 2, folder)
    assert [status for status, _ in ended] == [0, 0], ended
    assert contents(folder) == whole


def test_what_a_killed_process_left_is_removed_once_nobody_can_be_at_it(tmp_path):
    encode_all(tmp_path, 1)
    name = f"{files(tmp_path)[0]}.0.unfinished"
    for age, stays in ((0, True), (7200, False)):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
        encode_all(tmp_path, 1)
        assert (tmp_path / name).exists() == stays


def test_other_files_in_the_folder_stay(tmp_path):
    for name in ("notes.txt", "shard-000000-of-000001-old.safetensors", "shard-000001-of-000003.safetensors"):
        (tmp_path / name).write_bytes(b"mine")
    encode_all(tmp_path, 1)
    assert [data for data in contents(tmp_path).values() if data == b"mine"] == [b"mine"] * 3


def test_an_id_that_comes_twice_is_refused(tmp_path):
    with pytest.raises(InputError, match="'p3' comes twice"):
        encode_all(tmp_path, 1, passages=[*corpus(), corpus()[3]])


def test_every_shard_checks_every_passage(tmp_path):
    bad = [*corpus(), Passage("", "no name")]
    for number in range(2):
        with pytest.raises(InputError, match="non-empty string"):
            encode_shard(bad, WordEncoder(), tmp_path, f"{number}/2")


def test_a_model_that_gives_too_few_passages_is_refused(tmp_path):
    class Lazy(WordEncoder):
        def encode_passages(self, texts, *, show_progress=False, importance=False, evidence=False):
            blocks = super().encode_passages(texts, importance=importance, evidence=evidence)
            return (block for block in blocks if block.passage)

    with pytest.raises(InputError, match="gave"):
        encode_all(tmp_path, 1, encoder=Lazy())
    assert not files(tmp_path)


def test_a_model_that_tells_no_importance_is_refused(tmp_path):
    class Plain(WordEncoder):
        query_importance = property()

    with pytest.raises(ConfigError, match="importance=True"):
        encode_all(tmp_path / "new", 1, encoder=Plain(), importance=True)
    assert not (tmp_path / "new").exists()


def test_a_disk_that_refuses_is_said(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(IndexWriteError, match="No space left"):
        encode_all(tmp_path, 1)
    assert not contents(tmp_path)
