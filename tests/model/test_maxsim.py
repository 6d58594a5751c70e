"""MaxSim and evidence: worked by hand, against triple loops, and the laws of padding and batching."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.errors import InputError
from fgr_retriever.model.maxsim import best_matches, maxsim, maxsim_ragged, token_evidence

QUERY = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.7, 0.7]])
PASSAGE = torch.tensor([[0.9, 0.1], [0.2, 0.9], [0.5, 0.5], [-0.3, 0.8]])


def ones(*shape: int) -> torch.Tensor:
    return torch.ones(shape, dtype=torch.bool)


@st.composite
def ragged(draw):
    """A query and passages of different lengths, some of them empty."""
    dim = draw(st.integers(1, 5))
    lengths = draw(st.lists(st.integers(0, 6), min_size=1, max_size=6))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    query = torch.from_numpy(generator.standard_normal((draw(st.integers(1, 4)), dim)).astype(np.float32))
    return query, [torch.from_numpy(generator.standard_normal((t, dim)).astype(np.float32)) for t in lengths]


def pad(passages, width):
    batch = torch.zeros(len(passages), width, passages[0].shape[1])
    mask = torch.zeros(len(passages), width, dtype=torch.bool)
    for row, passage in enumerate(passages):
        batch[row, : len(passage)] = passage
        mask[row, : len(passage)] = True
    return batch, mask


def naive_score(query, passage):
    if not len(passage):
        return -np.inf
    return sum(max(sum(float(a * b) for a, b in zip(q, d, strict=True)) for d in passage) for q in query)


def test_worked_by_hand():
    # Best matches: 0.9 (first token), 0.9 (second), 0.7 * 0.2 + 0.7 * 0.9 = 0.77 (second): 2.57. This example is
    # published as 0.90 + 0.90 + 0.84 = 2.64, but no passage token gives the third query token 0.84: they give
    # 0.70, 0.77, 0.70 and 0.35.
    third = QUERY[2] @ PASSAGE.T
    assert third.tolist() == pytest.approx([0.70, 0.77, 0.70, 0.35])
    assert maxsim(QUERY, PASSAGE[None], ones(1, 4)).tolist() == pytest.approx([0.9 + 0.9 + 0.77])
    # 0.7 * 0.9 + 0.7 * 0.1 = 0.7 < 0.9; 0.9 > 0.77; 0.7 * 0.5 * 2 = 0.7; 0.8 > 0.7 * 0.5
    assert token_evidence(QUERY, PASSAGE[None], ones(1, 4))[0].tolist() == pytest.approx([0.9, 0.9, 0.7, 0.8])


def test_padding_is_never_a_match():
    passages = torch.tensor([[[-0.5, 0.1], [0.0, 0.0]]])
    mask = torch.tensor([[True, False]])
    assert maxsim(torch.tensor([[1.0, 0.0]]), passages, mask).tolist() == [-0.5]
    assert token_evidence(torch.tensor([[1.0, 0.0]]), passages, mask).tolist() == [[-0.5, -torch.inf]]


def test_evidence_of_a_padded_query_for_each_passage():
    queries = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.8], [9.0, 9.0]]])
    query_mask = torch.tensor([[True, True], [True, False]])
    passages = torch.tensor([[[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [5.0, 5.0]]])
    mask = torch.tensor([[True, True], [True, False]])
    found = token_evidence(queries, passages, mask, query_mask)
    torch.testing.assert_close(found, torch.tensor([[1.0, 0.8], [0.6, -torch.inf]]))


def test_a_passage_without_tokens_scores_minus_infinity():
    assert maxsim(QUERY, torch.zeros(2, 3, 2), ~ones(2, 3)).tolist() == [-torch.inf] * 2
    assert maxsim(QUERY, torch.zeros(2, 0, 2), ones(2, 0)).tolist() == [-torch.inf] * 2
    assert maxsim_ragged(QUERY, torch.zeros(0, 2), torch.tensor([0, 0])).tolist() == [-torch.inf] * 2
    assert maxsim_ragged(QUERY, torch.zeros(0, 2), torch.tensor([], dtype=torch.int64)).tolist() == []


@given(ragged())
def test_equals_the_triple_loop(sample):
    query, passages = sample
    expected = [naive_score(query, passage) for passage in passages]
    padded = maxsim(query, *pad(passages, max(map(len, passages))))
    in_a_row = maxsim_ragged(query, torch.cat(passages), torch.tensor([len(passage) for passage in passages]))
    assert padded.dtype == in_a_row.dtype == torch.float32
    np.testing.assert_allclose(padded, expected, atol=1e-4)
    np.testing.assert_allclose(in_a_row, expected, atol=1e-4)


@given(ragged(), st.integers(0, 4))
def test_padding_changes_nothing(sample, more):
    query, passages = sample
    width = max(map(len, passages))
    batch, mask = pad(passages, width + more)
    batch[~mask] = 9.0  # whatever stands in the padding
    np.testing.assert_allclose(maxsim(query, batch, mask), maxsim(query, *pad(passages, width)), atol=1e-5)
    evidence = token_evidence(query, batch, mask)
    assert (evidence[~mask] == -torch.inf).all()
    np.testing.assert_allclose(evidence[mask], (torch.cat(passages) @ query.T).amax(dim=1), atol=1e-5)


@given(ragged())
def test_a_score_does_not_depend_on_the_batch(sample):
    query, passages = sample
    lengths = torch.tensor([len(passage) for passage in passages])
    together = best_matches(torch.cat([query, query * 0.5]), torch.cat(passages), lengths)
    for row, passage in enumerate(passages):
        alone = maxsim_ragged(query, passage, lengths[row : row + 1])
        np.testing.assert_allclose(together[row, : len(query)].sum(), alone[0], atol=1e-5)


def test_half_precision_is_scored_in_single():
    scores = maxsim(QUERY, PASSAGE[None].half(), ones(1, 4))
    assert scores.dtype == torch.float32
    assert scores.tolist() == pytest.approx([2.57], abs=2e-3)


@pytest.mark.parametrize(
    "call",
    [
        lambda: maxsim(QUERY[0], PASSAGE[None], ones(1, 4)),
        lambda: maxsim(QUERY, PASSAGE, ones(1, 4)),
        lambda: maxsim(QUERY, PASSAGE[None, :, :1], ones(1, 4)),
        lambda: maxsim(QUERY, PASSAGE[None], ones(1, 3)),
        lambda: maxsim(QUERY[:0], PASSAGE[None], ones(1, 4)),
        lambda: token_evidence(QUERY[:0], PASSAGE[None], ones(1, 4)),
        lambda: maxsim_ragged(QUERY, PASSAGE[:, :1], torch.tensor([4])),
        lambda: maxsim_ragged(QUERY, PASSAGE, torch.tensor([3])),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call):
    with pytest.raises(InputError):
        call()
