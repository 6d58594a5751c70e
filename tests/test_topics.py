"""The order of training: batches of one topic and similar length, nothing lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.testing import tiny_bert
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.data import Labelled, TokenLabels
from fgr_retriever.training.start import start_model
from fgr_retriever.training.topics import by_topic, question_vectors, topics
from fgr_retriever.windows import Windows

QUESTIONS = ["marie curie", "fleming found mould in a dish", "cats sleep", "who"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tiny_bert(folder)
    return start_model(TrainingConfig(base=str(folder), spans=("-",), dim=16), QUESTIONS)


def rows_of(encoder, questions, passages):
    windows = Windows(encoder.tokenizer, "", 32)
    return TokenLabels([Labelled(*pair) for pair in zip(questions, passages, strict=True)], windows, windows)


@given(st.integers(0, 300), st.integers(1, 7))
def test_topics_divide_and_lose_nothing(count, batch_size):
    vectors = np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)
    parts = list(topics(vectors, np.arange(count), batch_size))
    assert sorted(np.concatenate(parts).tolist()) == list(range(count))
    assert all(len(part) <= 8 * batch_size for part in parts)
    assert all(len(part) % batch_size == 0 for part in parts[:-1])


def test_two_clouds_are_two_topics():
    cloud = np.random.default_rng(0).normal(size=(32, 3)) * 0.1
    vectors = np.concatenate([cloud[:16] + np.eye(3)[1], cloud[16:] - np.eye(3)[1]]).astype(np.float32)
    mixed = np.random.default_rng(1).permutation(32)
    parts = list(topics(vectors, mixed, 2))
    assert {frozenset(part.tolist()) for part in parts} == {frozenset(range(16)), frozenset(range(16, 32))}


def test_a_question_has_the_vector_it_has_alone(encoder):
    together = question_vectors(encoder, rows_of(encoder, QUESTIONS, QUESTIONS))
    for place, question in enumerate(QUESTIONS):
        alone = question_vectors(encoder, rows_of(encoder, [question], [question]))
        np.testing.assert_allclose(together[place], alone[0], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_every_pass_is_seen_and_short_batches_come_last(encoder):
    passages = ["cats " * (1 + place % 5) for place in range(11)]
    rows = rows_of(encoder, (QUESTIONS * 3)[:11], passages)
    order = by_topic(encoder, rows, [range(11), range(4)], 4, seed=1)
    assert sorted(order) == sorted([*range(11), *range(4)])
    assert order == by_topic(encoder, rows, [range(11), range(4)], 4, seed=1)
    lengths = [len(rows[place]["input_ids"]) for place in order]
    for start in (0, 4, 8):  # the full batches: sorted by length within a topic
        assert lengths[start : start + 4] == sorted(lengths[start : start + 4])
