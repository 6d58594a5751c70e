"""What the reader is told of the late interaction of query and passage."""

import math

import torch
from torch.nn.functional import normalize

from fgr_retriever.model.evidence_head import EvidenceConfig, EvidenceHead
from fgr_retriever.model.evidence_reader import MATCHES, EvidenceReader, token_matches

QUERY = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
BOTH = torch.ones(1, 2, dtype=torch.bool)


def test_matches_of_a_worked_example():
    passage = torch.tensor([[[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]])
    found = token_matches(QUERY, passage, BOTH, torch.ones(1, 3, dtype=torch.bool))
    near = [math.exp(-20 * 0.4), math.exp(-20 * 0.2)]  # 0.6 and 0.8 beside best matches of 1 and 1
    expected = torch.tensor([[1.0, 0.2, 1.0], [0.8, sum(near) / 5, near[1]], [1.0, 0.2, 1.0]])
    torch.testing.assert_close(found[0, :, :3], expected, atol=1e-6, rtol=0)
    # All of a short passage lies within every stretch: each query token finds its match of 1 there.
    torch.testing.assert_close(found[0, :, 3:], torch.tensor([[1.0, 0.0, 1.0, 0.0]]).expand(3, -1))


def test_stretches_reach_so_far_and_no_further():
    passage = torch.tensor([[0.0, 1.0]]).repeat(60, 1)[None]
    passage[0, 0] = torch.tensor([1.0, 0.0])  # only here the first query token has a match
    found = token_matches(QUERY, passage, BOTH, torch.ones(1, 60, dtype=torch.bool))[0]
    for column, reach in ((3, 8), (5, 24)):
        assert found[: reach + 1, column].tolist() == [1.0] * (reach + 1)
        assert found[reach + 1 :, column].tolist() == [0.5] * (59 - reach)
        torch.testing.assert_close(found[:, column + 1], found[:, column] - 1)


def test_padding_changes_nothing():
    torch.manual_seed(0)
    query = torch.nn.functional.normalize(torch.randn(2, 5, 8), dim=-1)
    passages = torch.nn.functional.normalize(torch.randn(2, 90, 8), dim=-1)
    asked = torch.arange(5) < torch.tensor([[5], [3]])
    told = torch.arange(90) < torch.tensor([[90], [70]])
    found = token_matches(query, passages, asked, told)
    alone = token_matches(query[1:, :3], passages[1:, :70], asked[1:, :3], told[1:, :70])
    torch.testing.assert_close(found[1:, :70], alone)
    assert found.shape == (2, 90, MATCHES)
    assert found.isfinite().all()


def test_a_passage_reads_the_same_alone_and_among_longer_ones():
    torch.manual_seed(0)
    reader = EvidenceReader(8, 16, 2).eval()
    torch.nn.init.normal_(reader.output.weight)
    lengths = [5, 2, 4], [30, 70, 1]  # of the queries and of the passages
    query, passages = (normalize(torch.randn(3, max(counts), 8), dim=-1) for counts in lengths)
    asked, told = (torch.arange(max(counts)) < torch.tensor(counts)[:, None] for counts in lengths)
    similarity = torch.rand(3, 70)
    with torch.no_grad():
        found = reader(query, passages, similarity, asked, told)
        for row, (q, t) in enumerate(zip(*lengths, strict=True)):
            one, text = (row, slice(q)), (row, slice(t))
            given = query[one], passages[text], similarity[text], asked[one], told[text]
            (alone,) = reader(*(value[None] for value in given))
            torch.testing.assert_close(found[text], alone, atol=1e-5, rtol=1e-4)
    assert found.abs().sum(dim=1).min() > 0


def test_the_layers_are_those_of_torch():
    torch.manual_seed(0)
    reader = EvidenceReader(8, 16, 2).eval()
    tokens, mask = torch.randn(3, 7, 16), torch.arange(7) < torch.tensor([7, 4, 1])[:, None]
    with torch.no_grad():
        expected = reader.layers(tokens, src_key_padding_mask=~mask)
        torch.testing.assert_close(reader._read(tokens[mask], [7, 4, 1]), expected[mask], atol=1e-5, rtol=1e-5)


def test_another_precision_reads_nearly_the_same_and_leaves_the_head_alone():
    torch.manual_seed(0)
    head = EvidenceHead(EvidenceConfig(dim=8, width=8, reader_layers=2, reader_width=16, temperature=2.0)).eval()
    assert head.reader is not None
    torch.nn.init.normal_(head.reader.output.weight)
    before = {name: value.clone() for name, value in head.state_dict().items()}
    query, vectors = (normalize(torch.randn(size, 8), dim=1) for size in (3, 20))
    coarse = head.in_precision(torch.bfloat16)
    expected = head.probabilities(query, vectors, [12, 8])
    found = coarse.probabilities(query, vectors, [12, 8])
    assert 0 < (found - expected).abs().max() < 0.05
    assert coarse.config == head.config
    torch.testing.assert_close(head.state_dict(), before, atol=0, rtol=0)
