"""The compiled steps find what their twins in Python find, at every level that this processor has."""

import ctypes
import os
import runpy
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from fgr_retriever import Engine, IndexConfig, Passage, SearchConfig
from fgr_retriever.errors import ConfigError, IndexCorruptError, InputError
from fgr_retriever.index.codec.checks import NBITS
from fgr_retriever.index.codec.residual_codec import Codec
from fgr_retriever.index.search.candidates import gains_in, nearest_centroids
from fgr_retriever.index.storage import growth
from fgr_retriever.index.storage.inverted_lists import build_lists
from fgr_retriever.model.kernel.library import LEVELS, VARIABLE, compiles, kernel, levels
from fgr_retriever.model.kernel.stored import CodedTokens, Lists
from fgr_retriever.model.light_head import LightConfig, LightHead
from fgr_retriever.model.maxsim import maxsim_ragged
from fgr_retriever.testing import WordEncoder

ROOT = Path(__file__).parents[3]
HERE = levels()
built = pytest.mark.skipif(not HERE, reason="this package was built without a C compiler")
# Sums of up to 136 products in another order, in float32.
CLOSE = {"rtol": 0, "atol": 2e-6}


def unit(count, dim, seed):
    return normalize(torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def twin(monkeypatch, function, *arguments):
    """Call a function as it is without the kernel."""
    with monkeypatch.context() as without:
        without.setenv(VARIABLE, "none")
        return function(*arguments)


@pytest.fixture(params=LEVELS)
def level(request, monkeypatch):
    """Each level that runs here."""
    if request.param not in HERE:
        pytest.skip(f"{request.param}: this machine runs {HERE or 'no level'}")
    monkeypatch.setenv(VARIABLE, request.param)
    return request.param


@pytest.fixture(scope="module", params=NBITS)
def codec(request):
    return Codec.train(unit(3_000, 24, 1), nbits=request.param, tokens=400)


class TestSteps:
    @pytest.mark.parametrize(("tokens", "dim", "centroids"), [(1, 8, 9), (16, 24, 64), (17, 24, 65), (40, 136, 203)])
    def test_the_nearest_centroids(self, level, monkeypatch, tokens, dim, centroids):
        query, table = unit(tokens, dim, 1), unit(centroids, dim, 2)
        numbers, scores = kernel().nearest(query.numpy(), table.numpy(), 5)
        expected, best = twin(monkeypatch, nearest_centroids, query, table, 4)
        np.testing.assert_array_equal(numbers, expected)
        np.testing.assert_allclose(scores, best, **CLOSE)

    def test_the_nearest_centroids_on_several_threads(self, level, monkeypatch):
        query, table = unit(17, 24, 1), unit(203, 24, 2)
        table[150:160] = table[10]  # equal ones in several parts
        monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
        numbers, scores = nearest_centroids(query, table, 20)
        monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
        monkeypatch.setattr("fgr_retriever.index.search.candidates._SHARE_CENTROIDS", 60)
        shared, shared_scores = nearest_centroids(query, table, 20)
        np.testing.assert_array_equal(shared, numbers)
        np.testing.assert_array_equal(shared_scores, scores)

    def test_among_equal_centroids_the_first_come_first(self, level):
        numbers, _ = kernel().nearest(np.eye(1, 8, dtype=np.float32), np.ones((30, 8), np.float32), 4)
        assert numbers.tolist() == [[0, 1, 2, 3]]

    def test_gains_are_the_same_to_the_last_bit(self, level):
        random = np.random.default_rng(3)
        probed = np.argsort(random.random((12, 40)), axis=1)[:, :6].copy()
        gains = np.sort(random.random((12, 6)).astype(np.float32), axis=1)
        arrays, sizes, expected = [], [500, 30, 200], []
        for passages in sizes:
            lengths = random.integers(0, 9, passages).astype(np.int32)
            lists = build_lists(random.integers(0, 40, int(lengths.sum())), lengths, 40)
            arrays.append((lists.bounds, lists.slots))
            expected.append(gains_in(lists, passages, probed, gains).astype(np.float32))
        arrays[1], expected[1] = (), np.zeros(30)  # a segment that is not coded
        lists = Lists(arrays, sizes)
        found = kernel().gains(lists, probed, gains, slice(None))
        np.testing.assert_array_equal(found, np.concatenate(expected))
        for cut in (0, 1, 250, 500, 515, 530, 729, 730):
            parts = (kernel().gains(lists, probed, gains, part) for part in (slice(cut), slice(cut, None)))
            np.testing.assert_array_equal(np.concatenate([*parts]), found)
        assert (found[:500] > 0).any()
        assert (found[:500] == 0).any()

    @pytest.mark.parametrize("normalised", [True, False])
    def test_decoded_vectors(self, level, monkeypatch, codec, normalised):
        encoded = codec.encode(unit(501, 24, 4))
        expected = twin(monkeypatch, lambda: codec.decode(*encoded, normalised=normalised))
        np.testing.assert_allclose(codec.decode(*encoded, normalised=normalised), expected, **CLOSE)

    @pytest.mark.parametrize("near", [True, False], ids=["near", "all"])
    @pytest.mark.parametrize("tokens", [1, 15, 16, 33])
    def test_maxsim_of_codes(self, level, codec, tokens, near):
        query = unit(tokens, 24, 5)
        codes, residuals = codec.encode(unit(700, 24, 6))
        vectors = codec.decode(codes, residuals, normalised=not near)
        lengths = np.random.default_rng(7).integers(0, 12, 100)
        starts = np.random.default_rng(8).integers(0, 700 - lengths)
        chosen = np.random.default_rng(9).random(len(codec.centroids)) < 0.5 if near else None
        tables = codec.float_centroids.numpy(), codec.residual_table.numpy()
        encoded = codes.numpy().astype(np.uint16), residuals.numpy()
        step = kernel().maxsim if chosen is None else partial(kernel().near, near=chosen)
        scores = step(query.numpy(), *tables, CodedTokens([encoded], [700]), (starts, lengths))
        for score, start, length in zip(scores, starts, lengths, strict=True):
            rows = torch.arange(int(start), int(start + length))
            rows = rows if chosen is None else rows[torch.from_numpy(chosen)[codes[rows]]]
            expected = maxsim_ragged(query, vectors[rows], torch.tensor([len(rows)]))
            assert score == pytest.approx(float(expected), abs=1e-4)

    @pytest.mark.parametrize("nbits", [1, 2, 4])
    def test_maxsim_of_two_layers(self, level, nbits):
        codec, query = Codec.train(unit(3_000, 24, 1), nbits=nbits, refine=True, tokens=400), unit(17, 24, 5)
        codes, *layers = codec.encode_layers(unit(700, 24, 6))
        lengths = np.array([1, 0, 300, 399])
        tables = codec.float_centroids.numpy(), codec.finest.residual_table.numpy()
        encoded = codes.numpy().astype(np.uint16), *(layer.numpy() for layer in layers)
        coded, ranges = CodedTokens([encoded], [700]), (np.cumsum(lengths) - lengths, lengths)
        scores = kernel().maxsim(query.numpy(), *tables, coded, ranges)
        expected = maxsim_ragged(query, codec.decode_layers(codes, *layers), torch.from_numpy(lengths))
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-4)
        coarse = maxsim_ragged(query, codec.decode(codes, layers[0]), torch.from_numpy(lengths))
        assert np.abs(coarse - expected)[2:].min() > 0.01  # the second layer was read

    def test_codes_of_32_bits_are_those_of_16(self, level, codec):
        codes, residuals = codec.encode(unit(64, 24, 6))
        tables = codec.float_centroids.numpy(), codec.residual_table.numpy()
        ranges = np.array([0, 20]), np.array([20, 44])
        encoded = ((codes.numpy().astype(dtype), residuals.numpy()) for dtype in (np.uint16, np.uint32))
        coded = [CodedTokens([one], [64]) for one in encoded]
        for step in kernel().maxsim, partial(kernel().near, near=np.ones(len(codec.centroids), np.bool_)):
            short, long = (step(unit(5, 24, 5).numpy(), *tables, one, ranges) for one in coded)
            np.testing.assert_array_equal(short, long)

    @pytest.mark.parametrize("near", [True, False], ids=["near", "all"])
    def test_passages_of_several_segments_are_scored_as_those_of_one(self, level, codec, near):
        codes, residuals = (one.numpy() for one in codec.encode(unit(1_500, 24, 6)))
        encoded, lengths = (
            (codes.astype(np.uint16), residuals),
            np.array([600, 0, 1, 299, 0, 500, 100]),
        )  # some are long
        tables = codec.float_centroids.numpy(), codec.residual_table.numpy()
        ends = np.cumsum(lengths)
        parts = [tuple(one[start:stop] for one in encoded) for start, stop in ((0, 600), (600, 900), (900, 1_500))]
        whole, cut = CodedTokens([encoded], [1_500]), CodedTokens(parts, [600, 300, 600])
        behind = CodedTokens([(), *parts], [77, 600, 300, 600])  # after a segment that is not coded
        chosen = np.random.default_rng(9).random(len(codec.centroids)) < 0.5
        step = partial(kernel().near, near=chosen) if near else kernel().maxsim
        expected, found, moved = (
            step(unit(20, 24, 5).numpy(), *tables, coded, (ends - lengths + shift, lengths))
            for coded, shift in ((whole, 0), (cut, 0), (behind, 77))
        )
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(moved, expected)
        assert np.isfinite(expected[lengths > 9]).all()

    @given(
        values=st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), min_size=1, max_size=40),
    )
    @settings(max_examples=50)
    def test_float16_is_read_exactly(self, values):
        if not HERE:
            pytest.skip("this package was built without a C compiler")
        vectors = np.array(values, np.float16)[:, None]
        ranges = np.arange(len(values)), np.ones(len(values), np.int64)
        for one in HERE:
            with pytest.MonkeyPatch.context() as patched:
                patched.setenv(VARIABLE, one)
                scores = kernel().maxsim16(np.ones((1, 1), np.float32), vectors, ranges)
            np.testing.assert_array_equal(scores, vectors[:, 0].astype(np.float32))

    def test_maxsim_of_float16(self, level):
        vectors, query = unit(300, 24, 5).half(), unit(19, 24, 6)
        lengths = np.array([0, 100, 1, 7, 192])
        starts = np.cumsum(lengths) - lengths
        scores = kernel().maxsim16(query.numpy(), vectors.numpy(), (starts, lengths))
        expected = maxsim_ragged(query, vectors, torch.from_numpy(lengths))
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


class TestHead:
    def head(self, width=32, layers=2, dim=24, code=6):
        torch.manual_seed(width + layers)
        head = LightHead(LightConfig(dim=dim, hidden=12, code=code, width=width, layers=layers, temperature=1.3))
        with torch.no_grad():
            for weight in head.parameters():  # before training, some are zero
                weight.add_(torch.randn(weight.shape) * 0.3)
        return head

    @pytest.mark.parametrize("coded", [True, False])
    @pytest.mark.parametrize(
        ("width", "layers", "tokens"), [(16, 1, 1), (32, 2, 7), (48, 3, 16), (32, 2, 35)], ids=lambda value: f"{value}"
    )
    def test_probabilities(self, level, monkeypatch, width, layers, tokens, coded):
        head, query = self.head(width, layers), unit(tokens, 24, 1)
        lengths = [1, 8, 0, 60, 2, 700]
        vectors = normalize(unit(sum(lengths), 24, 2) + query[torch.arange(sum(lengths)) % tokens], dim=1)
        codes = torch.randint(256, (len(vectors), 3), dtype=torch.uint8) if coded else None
        found = head.probabilities(query, vectors, lengths, codes)
        expected = twin(monkeypatch, head.probabilities, query, vectors, lengths, codes)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
        assert expected.std() > 0.01

    def test_a_head_of_other_sizes_goes_the_other_way(self, level):
        found = self.head(width=24).probabilities(unit(3, 24, 1), unit(9, 24, 2), [9])
        assert found.shape == (9,)
        assert not compiles(24, 6, 24, 2)

    @pytest.mark.parametrize("lengths", [[5, 5], [3], [9, 0], [-1, 10], [2**62, 2**62]])
    def test_lengths_that_do_not_fit(self, level, lengths):
        head, vectors = self.head(), unit(9, 24, 2).numpy()
        with pytest.raises(IndexCorruptError, match="tokens that do not exist"):
            kernel().evidence(vectors, vectors, np.array(lengths), None, head.weights().numpy(), (6, 32, 2, 1.0))

    @pytest.mark.parametrize("sizes", [(6, 32, 1, 1.0), (8, 32, 2, 1.0), (6, 48, 2, 1.0)])
    def test_weights_of_another_head(self, level, sizes):
        vectors = unit(9, 24, 2).numpy()
        with pytest.raises(IndexCorruptError, match="weights of a head"):
            kernel().evidence(vectors, vectors, np.array([9]), None, self.head().weights().numpy(), sizes)


class TestDamage:
    """What comes from files is checked before it is used."""

    def maxsim(self, codec, codes=None, starts=(0,), lengths=(4,), near=None):
        codes = np.zeros(8, np.uint16) if codes is None else codes
        residuals = np.zeros((8, 24 * codec.nbits // 8), np.uint8)
        tables = codec.float_centroids.numpy(), codec.residual_table.numpy()
        ranges = np.array(starts, np.int64), np.array(lengths, np.int64)
        step = kernel().maxsim if near is None else partial(kernel().near, near=near)
        return step(unit(3, 24, 5).numpy(), *tables, CodedTokens([(codes, residuals)], [8]), ranges)

    @pytest.mark.parametrize("near", [True, False])
    def test_a_code_without_a_centroid(self, level, codec, near):
        chosen = np.ones(len(codec.centroids), np.bool_) if near else None
        codes = np.full(8, len(codec.centroids), np.uint16)
        with pytest.raises(IndexCorruptError, match="centroid that does not exist"):
            self.maxsim(codec, codes, near=chosen)

    @pytest.mark.parametrize(
        ("starts", "lengths"), [([5], [4]), ([-1], [2]), ([0], [-1]), ([2**62], [2**62]), ([0, 9], [8, 0])]
    )
    def test_tokens_that_do_not_exist(self, level, codec, starts, lengths):
        with pytest.raises(IndexCorruptError, match="tokens that do not exist"):
            self.maxsim(codec, None, starts, lengths)
        ranges = np.array(starts), np.array(lengths)
        with pytest.raises(IndexCorruptError, match="tokens that do not exist"):
            kernel().maxsim16(unit(3, 24, 5).numpy(), np.zeros((8, 24), np.float16), ranges)

    @pytest.mark.parametrize(
        ("bounds", "slots", "probed"),
        [
            ([0, 2, 9], [0, 1], 1),  # longer than the file
            ([0, -1, 2], [0, 1], 1),
            ([2, 1, 2], [0, 1], 0),  # ends before it begins
            ([0, 2, 2], [0, 7], 0),  # a passage that the segment does not have
            ([0, 2, 2], [0, 1], 2),  # a centroid that does not exist
        ],
    )
    def test_lists_that_do_not_fit(self, level, bounds, slots, probed):
        lists = Lists([(np.array(bounds), np.array(slots))], [4])
        with pytest.raises(IndexCorruptError, match="inverted list"):
            kernel().gains(lists, np.array([[probed]]), np.ones((1, 1), np.float32), slice(None))

    def test_passages_that_span_segments_or_lie_in_one_that_is_not_coded(self, level, codec):
        arrays = np.zeros(8, np.uint16), np.zeros((8, 24 * codec.nbits // 8), np.uint8)
        tables = codec.float_centroids.numpy(), codec.residual_table.numpy()
        coded = CodedTokens([arrays, (), arrays], [8, 8, 8])
        for start, length in ((7, 2), (8, 3), (15, 2), (23, 2)):
            with pytest.raises(IndexCorruptError, match="tokens that do not exist"):
                kernel().maxsim(unit(3, 24, 5).numpy(), *tables, coded, (np.array([start]), np.array([length])))

    def test_passages_where_there_is_no_segment(self, level, codec):
        tables, one = (codec.float_centroids.numpy(), codec.residual_table.numpy()), np.array([0])
        near = np.ones(len(codec.centroids), np.bool_)
        for step in kernel().maxsim, partial(kernel().near, near=near):
            with pytest.raises(IndexCorruptError, match="tokens that do not exist"):
                step(unit(3, 24, 5).numpy(), *tables, CodedTokens([], []), (one, one))

    def test_arrays_that_are_shorter_than_their_segment_are_refused(self):
        with pytest.raises(InputError, match=r"9 tokens has codes and residuals of \[9, 8\]"):
            CodedTokens([(np.zeros(9, np.uint16), np.zeros((8, 6), np.uint8))], [9])

    def test_arrays_of_another_type_or_with_gaps_are_refused(self, level):
        with pytest.raises(ctypes.ArgumentError):
            kernel().nearest(np.zeros((2, 8)), np.zeros((4, 8), np.float32), 2)
        with pytest.raises(ctypes.ArgumentError):
            kernel().nearest(np.zeros((2, 16), np.float32)[:, ::2], np.zeros((4, 8), np.float32), 2)


class TestChoice:
    @pytest.mark.parametrize("refine", [False, True])
    def test_whole_searches_are_the_same_with_and_without(self, level, monkeypatch, tmp_path, refine):
        monkeypatch.setattr(growth, "FLUSH_TOKENS", 1_000)
        words = [f"word{number}" for number in range(60)]
        random = np.random.default_rng(1)
        texts = [" ".join(random.choice(words, random.integers(3, 30))) for _ in range(400)]
        config = IndexConfig(segment_tokens=2_000, refine=refine)
        with Engine.open(tmp_path, encoder=WordEncoder(), config=config) as engine:
            engine.add(Passage(f"{number}", text) for number, text in enumerate(texts[:390]))
            engine.compact()
            engine.add(Passage(f"{number}", text) for number, text in enumerate(texts[390:], 390))
            assert engine.info().coded_segments
            assert engine.info().raw_segments
            assert engine.info().kernel == level
            for exact in (True, False):
                searched = Engine(engine._index, engine._encoder, SearchConfig(exact=exact, candidates=20))
                for asked in ("word1 word2 word3", " ".join(words[:40])):
                    found = searched.rank(asked, k=12)
                    expected = twin(monkeypatch, lambda s=searched, a=asked: s.rank(a, k=12))
                    assert [id for id, _ in found] == [id for id, _ in expected]
                    np.testing.assert_allclose([s for _, s in found], [s for _, s in expected], rtol=0, atol=2e-5)
            assert twin(monkeypatch, engine.info).kernel == "none"

    @built
    @pytest.mark.parametrize("asked", ["fast", "AVX2", "0"])
    def test_an_unknown_level_is_refused(self, monkeypatch, asked):
        monkeypatch.setenv(VARIABLE, asked)
        with pytest.raises(ConfigError, match=rf"{VARIABLE}='{asked}': must be one of none, base"):
            kernel()

    @built
    def test_a_lower_level_is_taken_where_torch_is_told_to(self):
        environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
        program = "from fgr_retriever.model.kernel.library import kernel; print(kernel().level)"
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment | {"ATEN_CPU_CAPABILITY": "default"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == "base"

    @pytest.mark.skipif(not shutil.which("cc"), reason="there is no C compiler on the path")
    def test_a_library_is_replaced_and_never_changed(self, tmp_path):
        """A process that runs the old one would crash, if its code changed."""
        compile_library = runpy.run_path(str(ROOT / "hatch_build.py"))["compile_library"]
        for source in (ROOT / "fgr_retriever/model/kernel").glob("*.[ch]"):
            shutil.copy(source, tmp_path)
        library = tmp_path / "library.so"
        library.write_bytes(b"an older one")
        with library.open("rb") as running:
            compile_library(library)
            assert running.read() == b"an older one"
        assert ctypes.CDLL(str(library)).fgr_maxsim_base
        assert {path.suffix for path in tmp_path.iterdir()} == {".c", ".h", ".so"}

    def test_without_a_compiler_the_package_says_so(self, tmp_path, monkeypatch):
        monkeypatch.setattr("fgr_retriever.model.kernel.library._FILE", tmp_path / "missing.so")
        assert levels() == ()
