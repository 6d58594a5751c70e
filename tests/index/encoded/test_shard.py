"""Which passages are whose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.errors import ConfigError
from fgr_retriever.index.encoded.shard import Shard
from fgr_retriever.index.storage.passage_row import is_id

IDS = st.text(min_size=1).filter(is_id)


@given(IDS, st.integers(1, 50))
def test_every_passage_is_of_one_shard(id, of):
    assert sum(Shard(number, of).has(id) for number in range(of)) == 1


@pytest.mark.parametrize(("id", "number"), [("a", 3), ("b", 2), ("c", 2)])
def test_the_shard_of_a_passage_never_changes(id, number):
    # `printf a | b2sum -l 128` begins with 27, that of b with 96, of c with ca: the last two bits are 3, 2, 2.
    assert Shard(number, 4).has(id)


@given(st.lists(IDS, min_size=50, max_size=50, unique=True))
def test_a_shard_of_one_has_all(ids):
    assert all(Shard(0, 1).has(id) for id in ids)


def test_shards_are_of_about_the_same_size():
    sizes = [sum(Shard(number, 8).has(f"doc-{n}") for n in range(8000)) for number in range(8)]
    assert sum(sizes) == 8000
    assert min(sizes) > 850  # 1,000 on average, with a standard deviation of 30
    assert max(sizes) < 1150


@pytest.mark.parametrize(
    "text", ["", "1", "3/3", "-1/3", "0/0", "1/2/3", "0/1000000", "a/b", " 0/2", "0/2\n", "\u0661/\u0662", None]
)
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(ConfigError, match=r"shard=.*such as 0/16"):
        Shard.parse(text)


@given(st.integers(1, 999_999), st.data())
def test_a_shard_is_written_and_named_so_that_it_can_be_read(of, data):
    shard = Shard(data.draw(st.integers(0, of - 1)), of)
    assert Shard.parse(str(shard)) == shard
