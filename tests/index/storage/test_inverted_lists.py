"""Inverted lists of centroids, and the numbers of ragged ranges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.errors import InputError
from fgr_retriever.index.storage.inverted_lists import InvertedLists, build_lists, ranges

CODES = np.array([2, 0, 2, 1, 2, 0], np.uint16)  # passage 0: 2 0 2, passage 1: none, passage 2: 1 2 0
LENGTHS = np.array([3, 0, 3], np.int32)


def test_lists_as_worked_out_by_hand():
    lists = build_lists(CODES, LENGTHS, 4)
    assert lists.bounds.tolist() == [0, 2, 3, 5, 5]
    assert lists.slots.tolist() == [0, 2, 2, 0, 2]
    assert (lists.bounds.dtype, lists.slots.dtype) == (np.int64, np.uint16)


def test_lists_are_gathered_in_the_order_asked_for():
    slots, counts = build_lists(CODES, LENGTHS, 4).gather(np.array([1, 3, 0, 1]))
    assert slots.tolist() == [2, 0, 2, 2]
    assert counts.tolist() == [1, 0, 2, 1]


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.int32])
@given(st.lists(st.lists(st.integers(0, 5), max_size=8), max_size=8))
def test_a_list_has_the_passages_with_its_centroid(dtype, passages):
    codes = np.array([code for passage in passages for code in passage], dtype)
    lists = build_lists(codes, np.array([len(passage) for passage in passages], np.int32), 6)
    for centroid in range(6):
        slots, counts = lists.gather(np.array([centroid]))
        assert slots.tolist() == [slot for slot, passage in enumerate(passages) if centroid in passage]
        assert counts.tolist() == [len(slots)]
    assert lists.bounds[-1] == len(lists.slots)


def test_the_last_slot_of_a_full_segment_fits():
    lengths = np.ones(1 << 16, np.int32)
    assert build_lists(np.zeros(1 << 16, np.uint16), lengths, 1).slots.tolist() == list(range(1 << 16))
    with pytest.raises(InputError, match="at most 65536"):
        build_lists(np.zeros((1 << 16) + 1, np.uint16), np.ones((1 << 16) + 1, np.int32), 1)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="lengths sum to 6, but there are 5 codes"):
        build_lists(CODES[1:], LENGTHS, 4)
    with pytest.raises(InputError, match="codes from 0 to 2: must be from 0 to 1"):
        build_lists(CODES, LENGTHS, 2)


def test_an_empty_segment_has_empty_lists():
    lists = build_lists(np.zeros(0, np.uint16), np.zeros(0, np.int32), 3)
    assert lists.bounds.tolist() == [0, 0, 0, 0]
    slots, counts = InvertedLists(lists.bounds, lists.slots).gather(np.zeros(0, np.int64))
    assert (len(slots), len(counts)) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=20))
def test_ranges_are_those_of_python(pairs):
    starts, counts = np.array(pairs, np.int64).reshape(-1, 2).T
    assert ranges(starts, counts).tolist() == [n for start, count in pairs for n in range(start, start + count)]
