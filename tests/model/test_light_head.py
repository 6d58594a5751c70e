import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from fgr_retriever.config import Calibration
from fgr_retriever.errors import CheckpointError
from fgr_retriever.model.evidence_code import EvidenceCoder, unpack
from fgr_retriever.model.evidence_reader import token_matches
from fgr_retriever.model.head import READ_TOKENS
from fgr_retriever.model.heads import load_head
from fgr_retriever.model.light_head import Interaction, LightConfig, LightHead, interact
from fgr_retriever.model.ragged import Ragged


@pytest.fixture(scope="module")
def head():
    """A head whose every weight counts."""
    torch.manual_seed(0)
    found = LightHead(LightConfig(dim=8, hidden=12, code=4, width=6, layers=2)).eval()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.normal_(0, 0.5)
    return found


def vectors(*shape):
    return normalize(torch.randn(*shape), dim=-1)


class TestRagged:
    @given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
    def test_equals_each_passage_alone(self, lengths, seed):
        torch.manual_seed(seed)
        values, kernel = torch.randn(sum(lengths), 3), torch.randn(5, 3)
        rows = Ragged(torch.tensor(lengths), 3)
        parts = values.split(lengths)
        torch.testing.assert_close(rows.sums(values), torch.stack([part.sum(dim=0) for part in parts]))
        assert torch.equal(rows.maxima(values), torch.stack([part.amax(dim=0) for part in parts]))
        for length in (3, 7):
            expected = [
                part[max(0, i - length // 2) : i + length // 2 + 1].amax(0) for part in parts for i in range(len(part))
            ]
            assert torch.equal(rows.stretch_maxima(values, length), torch.stack(expected))
        padded = [torch.nn.functional.pad(part, (0, 0, 2, 2)) for part in parts]
        expected = [(part[i : i + 5] * kernel).sum(dim=0) for part in padded for i in range(len(part) - 4)]
        torch.testing.assert_close(rows.convolve(values, kernel), torch.stack(expected))


class TestCodes:
    def test_a_code_holds_the_numbers_that_training_saw(self):
        torch.manual_seed(1)
        coder, hidden = EvidenceCoder(12, 6), torch.randn(50, 12) * 5
        packed = coder.pack(hidden)
        assert packed.shape == (50, coder.nbytes) == (50, 3)
        assert packed.dtype == np.uint8
        torch.testing.assert_close(unpack(torch.from_numpy(packed)), coder(hidden))

    def test_numbers_of_a_worked_example(self):
        assert unpack(torch.tensor([[0x0F], [0xF0]], dtype=torch.uint8)).tolist() == [[-1, 1], [1, -1]]
        assert coder_of_identity().pack(torch.tensor([[-99.0, 99.0], [0.01, -0.01]])).tolist() == [[0x0F], [0x87]]

    def test_gradients_pass_the_rounding(self):
        coder, hidden = EvidenceCoder(4, 2), torch.randn(3, 4)
        coder(hidden).sum().backward()
        assert coder.projection.weight.grad.abs().sum() > 0


def coder_of_identity():
    coder = EvidenceCoder(2, 2)
    with torch.no_grad():
        coder.projection.weight.copy_(torch.eye(2))
        coder.projection.bias.zero_()
    return coder


class TestInteraction:
    def test_matches_are_those_that_the_reader_sees(self):
        torch.manual_seed(2)
        query, passage = vectors(5, 8), vectors(60, 8)
        ours = interact(query, passage, torch.tensor([60]))
        theirs = token_matches(query[None], passage[None], torch.ones(1, 5, dtype=bool), torch.ones(1, 60, dtype=bool))
        torch.testing.assert_close(ours.matches, theirs[0])

    def test_summary_of_a_worked_example(self):
        query = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        found = interact(query, torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]]), torch.tensor([1, 2]))
        expected = [[0.5, 0.5, 0.0], [0.8, 1.0, np.log(2) / 5]]
        torch.testing.assert_close(found.summary, torch.tensor(expected, dtype=torch.float32))
        assert found.asked.tolist() == [[0.5, 0.5]]
        torch.testing.assert_close(found.shares.sum(dim=1), torch.ones(3))
        assert found.shares[0].tolist() == pytest.approx([1 / (1 + np.exp(-10)), 1 / (1 + np.exp(10))])

    def test_pairs_of_several_queries_are_judged_as_each_alone(self, head):
        torch.manual_seed(6)
        pairs = [(vectors(3, 8), vectors(7, 8)), (vectors(5, 8), vectors(2, 8))]
        parts = [interact(query, told, torch.tensor([len(told)])) for query, told in pairs]
        together, relevance = head(Interaction.joined(parts), None)
        alone = [head(part, None) for part in parts]
        torch.testing.assert_close(together, torch.cat([one for one, _ in alone]))
        torch.testing.assert_close(relevance, torch.cat([one for _, one in alone]))


class TestHead:
    @given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.booleans(), st.integers(0, 2**32 - 1))
    def test_a_passage_is_judged_alike_beside_any_others(self, head, lengths, coded, seed):
        torch.manual_seed(seed)
        query, told = vectors(4, 8), vectors(sum(lengths), 8)
        codes = torch.randint(0, 256, (len(told), 2), dtype=torch.uint8) if coded else None
        found = head.probabilities(query, told, lengths, codes)
        assert found.shape == (sum(lengths),)
        assert ((found >= 0) & (found <= 1)).all()
        start = 0
        for length in lengths:
            own = slice(start, start + length)
            alone = head.probabilities(query, told[own], [length], None if codes is None else codes[own])
            torch.testing.assert_close(found[own], alone, atol=1e-5, rtol=1e-4)
            start += length

    def test_long_passages_are_read_in_pieces(self, head):
        torch.manual_seed(3)
        query, told = vectors(4, 8), vectors(2 * READ_TOKENS + 3, 8)
        codes = torch.randint(0, 256, (len(told), 2), dtype=torch.uint8)
        whole = head.probabilities(query, told, [len(told)], codes)
        pieces = head.probabilities(query, told, [READ_TOKENS, READ_TOKENS, 3], codes)
        torch.testing.assert_close(whole, pieces)

    def test_codes_and_their_absence_matter(self, head):
        torch.manual_seed(4)
        query, told = vectors(4, 8), vectors(20, 8)
        codes = torch.randint(0, 256, (20, 2), dtype=torch.uint8)
        found = head.probabilities(query, told, [20], codes)
        assert not torch.allclose(found, head.probabilities(query, told, [20], codes.flip(0)))
        assert not torch.allclose(found, head.probabilities(query, told, [20]))

    def test_before_training_it_is_similarity(self):
        fresh = LightHead(LightConfig(dim=8, hidden=12, width=6)).eval()
        query, told = vectors(3, 8), vectors(9, 8)
        found = fresh.probabilities(query, told, [9])
        order = (told @ query.T).amax(dim=1).argsort()
        assert torch.equal(found.argsort(), order)

    def test_temperature_divides_the_logits(self, head):
        torch.manual_seed(5)
        query, told = vectors(4, 8), vectors(20, 8)
        cooler = head.calibrated(Calibration(threshold=0.3, temperature=2.0))
        expected = head.probabilities(query, told, [20]).logit() / 2
        torch.testing.assert_close(cooler.probabilities(query, told, [20]).logit(), expected, atol=1e-3, rtol=1e-3)
        assert cooler.fingerprint() == head.fingerprint()

    def test_survives_the_disk_and_damage_is_named(self, head, tmp_path):
        head.save(tmp_path)
        again = load_head(tmp_path / "evidence")
        assert again.config == head.config
        assert again.fingerprint() == head.fingerprint()
        file = tmp_path / "evidence" / "config.json"
        file.write_text(file.read_text().replace('"light"', '"heavy"'))
        with pytest.raises(CheckpointError, match="heavy"):
            load_head(tmp_path / "evidence")
