"""Questions are encoded once, and the last ones are remembered."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from fgr_retriever import Engine, Passage, Trimmer
from fgr_retriever.errors import InputError
from fgr_retriever.evidence.questions import REMEMBERED, Questions
from fgr_retriever.testing import WordEncoder


class Counting(WordEncoder):
    """Notes what it encodes."""

    def __init__(self):
        self.encoded = []

    def encode_queries(self, texts):
        self.encoded += texts
        return super().encode_queries(texts)


@pytest.fixture
def encoder():
    return Counting()


def test_a_question_is_encoded_once(encoder):
    questions = Questions(encoder)
    first = questions.encode(["two words", "one", "two words"])
    assert encoder.encoded == ["two words", "one"]
    assert [one.text for one in first] == ["two words", "one", "two words"]
    assert [len(one.vectors) for one in first] == [2, 1, 2]
    again = questions.encode(["one", "three more words"])
    assert encoder.encoded == ["two words", "one", "three more words"]
    assert again[0] is first[1]


def test_the_last_ones_are_remembered(encoder):
    questions = Questions(encoder)
    questions.encode(["kept"])
    for number in range(REMEMBERED - 1):
        questions.encode([f"question {number}"])
    questions.encode(["kept"])  # is now the last one that was asked for
    questions.encode(["new"])  # in the place of "question 0"
    encoder.encoded.clear()
    questions.encode(["kept", "question 1", "question 0"])
    assert encoder.encoded == ["question 0"]


def test_more_at_once_than_are_remembered(encoder):
    asked = [f"question {number}" for number in range(3 * REMEMBERED)]
    assert [one.text for one in Questions(encoder).encode(asked)] == asked


@pytest.mark.parametrize("wrong", ["", "  ", 3, None, ["a list"]])
def test_what_is_no_question_is_refused(encoder, wrong):
    with pytest.raises(InputError, match="must be a string that is not blank"):
        Questions(encoder).encode(["fine", wrong])
    assert not encoder.encoded


def test_from_several_threads(encoder):
    questions = Questions(encoder)
    asked = [[f"question {(number * 7 + place) % 90}" for place in range(5)] for number in range(300)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(questions.encode, asked))
    assert [[one.text for one in row] for row in found] == asked


def test_engine_and_trimmer_remember(encoder, tmp_path):
    passages = [Passage("a", "one fish"), Passage("b", "two birds")]
    with Engine.open(tmp_path, encoder=encoder) as engine:
        engine.add(passages)
        first, again = (engine.search("birds")[0] for _ in range(2))
        assert (again.passage, again.score, again.spans) == (first.passage, first.score, first.spans)
        assert engine.rank("birds", k=1)[0][0] == "b"
        engine.retrieve("birds")
    trimmer = Trimmer(encoder)
    for passage in passages:
        trimmer.context("fish", [passage])
    assert encoder.encoded == ["birds", "fish"]
