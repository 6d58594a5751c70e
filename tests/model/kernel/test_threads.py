"""Parts of a step on several threads: all items once and in order, errors, busy threads, forks."""

import subprocess
import sys
import threading
import time
from itertools import chain

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.calls import TimeLimit, check_time
from fgr_retriever.errors import TimeLimitError
from fgr_retriever.model.kernel.library import kernel
from fgr_retriever.model.kernel.threads import _pool, side_by_side

pytestmark = pytest.mark.skipif(kernel() is None, reason="this package was built without a C compiler")


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@given(st.integers(0, 50), st.integers(1, 20))
def test_every_item_once_and_in_order(count, least):
    parts = side_by_side(lambda part: list(range(count)[part]), count, least)
    assert [*chain(*parts)] == list(range(count))
    assert len(parts) == (2 if count >= 2 * least else 1)


def test_parts_run_at_the_same_time():
    both = threading.Barrier(2, timeout=30)
    assert len(side_by_side(lambda part: both.wait(), 2, 1)) == 2


def test_one_thread_is_enough_where_torch_has_one():
    torch.set_num_threads(1)
    assert side_by_side(lambda part: threading.current_thread(), 9, 1) == [threading.current_thread()]


def test_parts_within_a_part_are_one():
    nested = side_by_side(lambda part: side_by_side(lambda inner: inner, 10, 1), 2, 1)
    assert nested == [[slice(0, 10)], [slice(0, 10)]]
    assert len(side_by_side(lambda part: part, 10, 1)) == 2  # and behind it they are several again


def test_what_no_thread_has_begun_goes_back_to_the_caller():
    done, begun = threading.Event(), [threading.Event() for _ in range(_pool()._max_workers)]
    try:
        for one in begun:
            _pool().submit(lambda one=one: (one.set(), done.wait(60)))
        assert all(one.wait(30) for one in begun)
        here = threading.current_thread()
        assert side_by_side(lambda part: threading.current_thread(), 2, 1) == [here, here]
    finally:
        done.set()


@pytest.mark.parametrize("failing", [0, 1])
def test_no_part_runs_on_when_another_has_failed(failing):
    begun, ended = threading.Event(), threading.Event()

    def step(part):
        if part.start == failing:
            assert begun.wait(30)
            raise KeyError(failing)
        begun.set()
        time.sleep(0.2)
        ended.set()

    with pytest.raises(KeyError):
        side_by_side(step, 2, 1)
    assert ended.is_set()


def test_every_part_knows_the_time_limit():
    def step(part):
        with pytest.raises(TimeLimitError):
            check_time()
        return True

    limit = TimeLimit(3_600)
    with limit():
        limit.stop()
        assert side_by_side(step, 2, 1) == [True, True]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_fork_has_threads_of_its_own():
    code = """
import os, torch
from fgr_retriever.model.kernel.threads import side_by_side
torch.set_num_threads(2)
step = lambda part: sum(range(part.start, part.stop))
assert sum(side_by_side(step, 1000, 1)) == 499500
child = os.fork()
found = sum(side_by_side(step, 1000, 1))
if not child:
    os._exit(found != 499500)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def test_a_thread_that_outlives_the_main_thread_goes_on_alone():
    code = """
import threading, torch
from fgr_retriever.model.kernel.threads import side_by_side
torch.set_num_threads(2)
step = lambda part: sum(range(part.start, part.stop))
def late():
    threading.main_thread().join()
    print(sum(side_by_side(step, 1000, 1)))
side_by_side(step, 1000, 1)
threading.Thread(target=late).start()
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert found.stdout.strip() == "499500", found.stderr
