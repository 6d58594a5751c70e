import numpy as np
import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from fgr_retriever.errors import IndexCorruptError
from fgr_retriever.text.sentences import paragraph_breaks, phrases, segments
from fgr_retriever.text.units import Units
from tests.text.test_sentences import texts

TEXT = "Ada came, and she saw. Bo left.\n\n\nThe end, my friend."
WORD = regex.compile(r"\w|\p{S}")
long_texts = texts.map(lambda text: text * 50)  # distances and lengths of more than one byte


def lists(units: Units) -> tuple[list, list, list]:
    return units.sentences.tolist(), units.phrases.tolist(), units.breaks.tolist()


@example("Dr.word\n\n\N{ARABIC QUESTION MARK}")
@given(texts)
def test_the_units_are_those_of_the_text(text):
    found = [one for one in segments(text) if not one.silent]
    if not any(WORD.search(text[one.start : one.end]) for one in found):
        found = segments(text)
    clauses = [list(unit) for start, end, body, _ in found for unit in phrases(text, start, end, body)]
    assert lists(Units.of(text)) == ([[start, end] for start, end, *_ in found], clauses, paragraph_breaks(text))


@example("")
@example(" " * 300 + "a" * 20_000 + ", b")
@example("\n\n" + "a\n\n" * 200)
@given(texts | long_texts)
def test_bytes_give_the_units_back(text):
    units = Units.of(text)
    assert lists(Units.from_bytes(units.to_bytes(), len(text))) == lists(units)


@given(st.lists(texts, max_size=6))
def test_many_are_read_as_one_by_one(found):
    units = [Units.of(text) for text in found]
    read = Units.read([one.to_bytes() for one in units], [len(text) for text in found])
    assert [lists(one) for one in read] == [lists(one) for one in units]


@given(st.binary(max_size=40), st.integers(0, 300))
def test_any_bytes_are_read_or_refused(data, size):
    try:
        units = Units.from_bytes(data, size)
    except IndexCorruptError:
        return
    for ranges in (units.sentences, units.phrases):
        assert (ranges[:, 0] < ranges[:, 1]).all()
        assert (ranges[1:, 0] >= ranges[:-1, 1]).all()
        assert ((ranges >= 0) & (ranges <= size)).all()
    assert (np.diff(units.breaks) > 0).all()
    assert ((units.breaks >= 0) & (units.breaks < size)).all()
    assert set(units.sentences[:, 0].tolist()) <= set(units.phrases[:, 0].tolist())
    assert set(units.sentences[:, 1].tolist()) <= set(units.phrases[:, 1].tolist())


@given(texts, st.data())
def test_bytes_that_were_cut_off_or_go_on_are_refused(text, data):
    whole = Units.of(text).to_bytes()
    kept = data.draw(st.integers(0, len(whole) - 1))
    for wrong in (whole[:kept], whole + b"\x01"):
        with pytest.raises(IndexCorruptError, match="damaged"):
            Units.from_bytes(wrong, len(text))


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\x01", b"\x01\x00", b"\x81\x00"),  # cut off
        *(b"\x02\x00\x00", b"\x00\x00\x00"),  # of another version
        *(b"\x01\x01\x00\x01", b"\x01\x00\x00\x01", b"\x01\xff\xff\xff\xff\x7f\x00"),  # of another number
        *(b"\xff" * 9, b"\x01\x00\x80\x80\x80\x80\x80\x00"),  # too large
        b"\x01\x01\x00\x00\x05",  # no sentence begins
        *(b"\x01\x01\x00\x01\x00", b"\x01\x00\x02\x05\x00"),  # without length
        *(b"\x01\x01\x00\x01\x38", b"\x01\x00\x01\x37"),  # beyond the text
    ],
)
def test_damaged_bytes_are_refused(data):
    with pytest.raises(IndexCorruptError, match="damaged"):
        Units.from_bytes(data, len(TEXT))


def test_damage_in_one_text_is_not_hidden_by_its_neighbours():
    right = Units.of(TEXT).to_bytes()
    for wrong in (b"", right[:3], b"\x02\x00\x00"):
        with pytest.raises(IndexCorruptError, match="damaged"):
            Units.read([right, wrong, right], [len(TEXT)] * 3)
    with pytest.raises(IndexCorruptError, match="do not fit"):
        Units.read([right, right], [len(TEXT), len(TEXT) - 1])


def test_a_passage_of_a_hundred_tokens_takes_some_thirty_bytes():
    text = " ".join([TEXT.replace("\n", " ")] * 7)
    assert len(text.split()) == 77
    assert len(Units.of(text).to_bytes()) <= 80
