"""Token offsets in 2 bytes a token: exact for any offsets."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.index.storage.offsets import CompactOffsets, compact_offsets


def joined(parts):
    """Put passages one after the other, as a segment does."""
    shifts = np.cumsum([0, *(len(part.gaps) for part in parts)])
    wide = [part.wide + np.array([shift, 0, 0], np.int32) for part, shift in zip(parts, shifts, strict=False)]
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name in ("gaps", "widths")]
    return CompactOffsets(*columns, np.concatenate(wide)), shifts.tolist()


def test_by_hand():
    """[CLS], "Marie", "Curie" after a blank, a word after 200 blanks, a word of 300 letters, [SEP] at its end."""
    offsets = np.array([[0, 0], [0, 5], [6, 11], [211, 214], [215, 515], [515, 515]], np.int32)
    compact = compact_offsets(offsets)
    assert compact.gaps.tolist() == [0, 0, 1, -128, -128, 0]
    assert compact.widths.tolist() == [0, 5, 5, 0, 0, 0]
    assert compact.wide.tolist() == [[3, 211, 214], [4, 215, 515]]
    (found,) = compact.decode(np.array([0]), np.array([6]))
    np.testing.assert_array_equal(found, offsets)
    assert compact.fits()


numbers = st.one_of(st.integers(0, 300), st.integers(-(2**31), 2**31 - 1))
passages = st.lists(st.lists(st.tuples(numbers, numbers), max_size=12), min_size=1, max_size=5)


@given(passages, st.data())
def test_any_offsets_come_back(passages, data):
    """In a segment, in blocks of any size, and where only some passages are copied."""
    arrays = [np.array(passage, np.int32).reshape(-1, 2) for passage in passages]
    parts = []
    for array in arrays:
        cut = data.draw(st.integers(0, len(array)))
        end = int(array[cut - 1, 1]) if cut else 0
        parts += [joined([compact_offsets(array[:cut]), compact_offsets(array[cut:], end)])[0]]
    segment, bounds = joined(parts)
    assert segment.fits()
    starts, lengths = np.array(bounds[:-1]), np.diff(bounds)
    check(segment, starts, lengths, arrays)
    kept = [number for number in range(len(arrays)) if data.draw(st.booleans())]
    check(segment, starts[kept], lengths[kept], [arrays[number] for number in kept])
    taken = np.concatenate([np.zeros(0, np.int64), *(np.arange(starts[k], starts[k] + lengths[k]) for k in kept)])
    copy = segment.take(taken)
    assert copy.fits()
    check(copy, np.cumsum(lengths[kept]) - lengths[kept], lengths[kept], [arrays[number] for number in kept])


def check(segment, starts, lengths, expected):
    """Decode some passages at once, and each on its own."""
    found = segment.decode(starts, lengths)
    alone = [segment.decode(starts[one : one + 1], lengths[one : one + 1])[0] for one in range(len(starts))]
    assert len(found) == len(expected)
    for one, other, array in zip(found, alone, expected, strict=True):
        assert one.dtype == np.int32
        np.testing.assert_array_equal(one, array)
        np.testing.assert_array_equal(other, array)


def test_a_table_that_misses_a_token_does_not_fit():
    compact = compact_offsets(np.array([[500, 501], [502, 503]], np.int32))
    assert not CompactOffsets(compact.gaps, compact.widths, compact.wide[:0]).fits()
