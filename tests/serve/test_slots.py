"""Slots: how many searches run, how many wait, and how one ends early."""

import asyncio
import threading

import pytest

from fgr_retriever import Engine, FgrError, Passage
from fgr_retriever.calls import TimeLimit, check_time
from fgr_retriever.errors import ConfigError, TimeLimitError
from fgr_retriever.serve import Slots
from fgr_retriever.serve.config import ServeConfig
from fgr_retriever.serve.slots import BusyError
from fgr_retriever.testing import WordEncoder

LONG = 60.0  # a busy machine is no failure


class Gate:
    """Work that ends when it is told to; it looks at the clock after that."""

    def __init__(self):
        self.open, self.running, self.ended = threading.Event(), threading.Semaphore(0), []
        self.most, self._now, self._lock = 0, 0, threading.Lock()

    def __call__(self):
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        self.running.release()
        self.open.wait(LONG)
        with self._lock:
            self._now -= 1
        try:
            check_time()
        except TimeLimitError:
            self.ended.append("given up")
            raise
        self.ended.append("done")
        return len(self.ended)

    async def began(self):
        assert await asyncio.to_thread(self.running.acquire, timeout=LONG)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


async def test_no_more_at_once_than_there_are_slots_and_all_are_answered(gate):
    slots = Slots(ServeConfig(searches=2, queue=10))
    asked = [asyncio.ensure_future(slots.run(gate)) for _ in range(12)]
    await gate.began()
    await gate.began()
    gate.open.set()
    assert sorted(await asyncio.gather(*asked)) == list(range(1, 13))
    assert gate.most == 2


async def test_one_more_than_may_wait_is_refused_at_once(gate):
    slots = Slots(ServeConfig(searches=1, queue=2))
    asked = [asyncio.ensure_future(slots.run(gate)) for _ in range(3)]
    await gate.began()
    with pytest.raises(BusyError, match="2 searches wait already"):
        await slots.run(gate)
    gate.open.set()
    assert len(await asyncio.gather(*asked)) == 3


async def test_who_leaves_the_queue_makes_room_and_does_no_work(gate):
    slots = Slots(ServeConfig(searches=1, queue=1))
    first, second = (asyncio.ensure_future(slots.run(gate)) for _ in range(2))
    await gate.began()
    second.cancel()
    await asyncio.wait([second])
    third = asyncio.ensure_future(slots.run(gate))
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(first, third)
    assert gate.ended == ["done", "done"]


async def test_the_time_limit_answers_at_once_and_the_slot_comes_back_when_the_work_has_ended(gate):
    slots = Slots(ServeConfig(searches=1, queue=0, time_limit=0.2))
    with pytest.raises(TimeLimitError, match=r"more than 0\.2 s"):
        await slots.run(gate)
    with pytest.raises(BusyError):  # the work still runs
        await slots.run(gate)
    gate.open.set()
    assert await asyncio.to_thread(slots.wait, LONG)
    assert gate.ended == ["given up"]
    assert await slots.run(lambda: "next") == "next"


async def test_waiting_counts_for_the_time_limit(gate):
    slots = Slots(ServeConfig(searches=1, queue=1, time_limit=0.3))
    answers = await asyncio.gather(slots.run(gate), slots.run(gate), return_exceptions=True)
    assert [type(one) for one in answers] == [TimeLimitError, TimeLimitError]
    gate.open.set()
    assert await asyncio.to_thread(slots.wait, LONG)
    assert gate.ended == ["given up"]  # the one that waited never began


async def test_stopping_tells_everybody_at_once(gate):
    slots = Slots(ServeConfig(searches=1, queue=1))
    asked = [asyncio.ensure_future(slots.run(gate)) for _ in range(2)]
    await gate.began()
    slots.stop()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [str(one) for one in answers] == ["the server stops: ask again later"] * 2
    with pytest.raises(BusyError, match="stops"):
        await slots.run(gate)
    assert not slots.wait(0)
    gate.open.set()
    assert await asyncio.to_thread(slots.wait, LONG)
    assert gate.ended == ["given up"]


async def test_an_error_of_the_work_is_the_answer():
    def fail():
        raise KeyError("why")

    slots = Slots(ServeConfig(searches=1))
    with pytest.raises(KeyError, match="why"):
        await slots.run(fail)
    assert slots.wait(LONG)


class TestTimeLimit:
    @pytest.fixture
    def engine(self, tmp_path):
        with Engine.open(tmp_path / "index", encoder=WordEncoder()) as engine:
            engine.add([Passage(str(number), f"Radium {number}.", {"n": number}) for number in range(50)])
            yield engine

    def test_is_a_timeout_and_an_error_of_ours(self):
        assert issubclass(TimeLimitError, TimeoutError)
        assert issubclass(TimeLimitError, FgrError)

    def test_nothing_ends_without_one(self, engine):
        check_time()
        assert engine.search("radium")

    def test_ends_a_search_before_its_next_stage(self, engine):
        limit = TimeLimit(LONG)
        with limit():
            assert engine.search("radium")
            limit.stop()
            with pytest.raises(TimeLimitError):
                engine.search("radium")
        assert engine.search("radium")

    def test_ends_a_filter_between_two_passages(self, engine):
        class Limit(TimeLimit):
            checks = 0

            def check(self):
                self.checks += 1
                if self.checks == 20:  # a search without a filter has fewer
                    self.stop()
                super().check()

        limit = Limit(LONG)
        with limit():
            engine.search("radium")
        assert limit.checks < 20
        with pytest.raises(TimeLimitError), limit():
            engine.search("radium", filter={"n": {"$gte": 0}})
        assert limit.checks == 20

    def test_ends_a_trim_between_two_counts(self, engine):
        limit = TimeLimit(LONG)

        def count(text):
            limit.stop()
            return len(text)

        with limit(), pytest.raises(TimeLimitError):
            engine.retrieve("radium", count_tokens=count)

    def test_one_in_another_is_over_at_its_end(self):
        outer, inner = TimeLimit(LONG), TimeLimit(LONG)
        with outer():
            with inner():
                inner.stop()
                with pytest.raises(TimeLimitError):
                    check_time()
            check_time()

    def test_work_that_has_no_time_left_does_not_begin(self):
        limit = TimeLimit(LONG)
        limit.stop()
        with pytest.raises(TimeLimitError), limit():
            pytest.fail("it began")


@pytest.mark.parametrize(
    "values",
    [
        {"searches": 0},
        {"searches": 1.5},
        {"queue": -1},
        {"connections": 0},
        {"time_limit": 0},
        {"time_limit": float("inf")},
        {"patience": float("nan")},
        {"grace": -1},
    ],
)
def test_settings_are_checked(values):
    with pytest.raises(ConfigError, match=next(iter(values))):
        ServeConfig(**values)


def test_settings_go_to_json_and_back():
    assert ServeConfig.from_json(ServeConfig(searches=3).to_json()) == ServeConfig(searches=3)
    assert ServeConfig().at_once >= 1
