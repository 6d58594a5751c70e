"""Kills, power cuts, full disks, damage and many readers: short forms of `benchmarks/index/durability.py`."""

import sys
from contextlib import closing

import pytest

from fgr_retriever.errors import IndexCorruptError
from fgr_retriever.index.index import Index
from fgr_retriever.types import Passage

if sys.platform == "win32":
    pytest.skip("POSIX signals, limits and process starts", allow_module_level=True)

from tests.index.durability.damage import byte_trials, file_trials
from tests.index.durability.disk import LARGE, can_mount, compact_without_room, limit_trials
from tests.index.durability.interrupts import interrupt_trials
from tests.index.durability.kills import kill_trials
from tests.index.durability.powercut import can_trace, powercut_trials
from tests.index.durability.readers import reader_trials
from tests.index.durability.workload import ENCODER


def failures(trials):
    return [trial for trial in trials if trial.failure]


def test_a_killed_writer_leaves_all_that_it_acknowledged_and_nothing_by_halves(tmp_path):
    assert failures(kill_trials(tmp_path, 13)) == []


def test_ctrl_c_in_compact_leaves_the_index_as_it_was_or_as_it_was_to_be(tmp_path):
    assert failures(interrupt_trials(tmp_path, 4)) == []


@pytest.fixture(scope="module")
def cuts(tmp_path_factory):
    if not can_trace():
        pytest.skip("strace is not here or not allowed")
    of_new = powercut_trials(tmp_path_factory.mktemp("new"), 24)
    return [*of_new, *powercut_trials(tmp_path_factory.mktemp("old"), 12, old=True)]


def test_a_power_cut_leaves_all_that_was_acknowledged_and_nothing_by_halves(cuts):
    assert len(cuts) == 36
    assert [trial for trial in failures(cuts) if trial.kind != "strict"] == []


def test_nothing_depends_on_names_that_no_fsync_made_durable(cuts):
    assert [trial for trial in failures(cuts) if trial.kind == "strict"] == []


def test_a_changed_text_is_never_read_as_if_it_were_right(tmp_path):
    with closing(Index.open(tmp_path, ENCODER)) as index:
        index.add([Passage("a", "radium in the sea")])
    database = tmp_path / "passages.sqlite"
    database.write_bytes(database.read_bytes().replace(b"radium in the sea", b"radium in the tea"))
    with closing(Index.open(tmp_path, ENCODER)) as index, pytest.raises(IndexCorruptError):
        index.get(["a"])


def test_a_changed_byte_is_seen_and_nothing_wrong_is_read(tmp_path):
    assert failures(byte_trials(tmp_path, 60)) == []


def test_a_cut_or_missing_file_is_seen(tmp_path):
    assert failures(file_trials(tmp_path)) == []


def test_a_refused_write_changes_nothing_and_works_when_there_is_room(tmp_path):
    assert failures(limit_trials(tmp_path, 4)) == []


@pytest.mark.skipif(not can_mount(), reason="no small file system may be mounted here")
def test_compact_is_done_where_the_temporary_folder_is_full(tmp_path):
    size, logged = compact_without_room(tmp_path)
    assert size > 2 * LARGE  # else there was room, and this shows nothing
    assert "keeps the space of what was deleted" in logged


def test_every_read_is_one_moment_of_the_writing(tmp_path):
    assert failures(reader_trials(tmp_path, 3)) == []
