"""The best of many scores, against sorting them all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from fgr_retriever.index.search.ranking import Ranking, best_of

FEW_VALUES = st.sampled_from([0.0, 1.0, 2.5, -1.0, -np.inf, np.nan])


def by_sorting(scores, k):
    there = np.flatnonzero(scores > -np.inf)
    return np.sort(there[np.lexsort((there, -scores[there]))[:k]])


@given(
    scores=st_numpy.arrays(np.float32, st.integers(0, 400), elements=st.one_of(FEW_VALUES, st.floats(-3, 3, width=32))),
    k=st.integers(1, 30),
)
def test_the_best_of_any_scores(scores, k):
    """Among equals the first; what is no number, or has no score, is left out."""
    np.testing.assert_array_equal(best_of(scores, k), by_sorting(scores, k))


@pytest.mark.parametrize("shape", ["falling", "rising", "mostly nothing", "all equal", "periodic"])
@pytest.mark.parametrize("k", [1, 10, 600])
def test_the_best_of_many_scores_whose_sample_misleads(shape, k):
    random, scores = np.random.default_rng(k), np.linspace(1, 0, 20_000, dtype=np.float32)
    if shape == "rising":
        scores = scores[::-1].copy()
    elif shape == "mostly nothing":
        scores[random.random(20_000) < 0.98] = 0
    elif shape == "all equal":
        scores[:] = 1
    elif shape == "periodic":
        scores[::16] = -1 - scores[::16]  # the sample has none of the best
    np.testing.assert_array_equal(best_of(scores, k), by_sorting(scores, k))


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 20), st.integers(1, 30))
def test_merging_parts_ranks_as_the_whole(values, k, size):
    scores, found = np.array(values, np.float32), Ranking.empty()
    for positions in np.split(np.arange(len(scores)), range(size, len(scores), size)):
        found = found.merged(positions, scores[positions], k)
    expected = np.lexsort((np.arange(len(scores)), -scores))[:k]
    np.testing.assert_array_equal(found.positions, expected)
    np.testing.assert_array_equal(found.scores, scores[expected])
