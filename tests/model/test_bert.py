"""A layer of BERT against transformers' own, and the branch that evidence has to itself."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

from fgr_retriever.model.bert import BertLayer, seen
from fgr_retriever.model.checkpoint import open_checkpoint
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.model.evidence_code import EvidenceCoder, unpack
from fgr_retriever.model.heads import load_head
from fgr_retriever.model.light_head import LightConfig, LightHead
from fgr_retriever.testing import tiny_checkpoint

TEXTS = ["Marie Curie found radium, in 1898.", "x", "", "...", "radium glows in the dark " * 8]


@pytest.fixture(scope="module")
def bert():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30, hidden_size=24, num_hidden_layers=3, num_attention_heads=3, intermediate_size=40,
        max_position_embeddings=20,
    )  # fmt: skip
    return BertModel(config, add_pooling_layer=False).eval()


@pytest.mark.parametrize("lengths", [[9, 9], [9, 4]], ids=["full", "padded"])
def test_layers_give_what_transformers_gives(bert, lengths):
    mask = torch.arange(9)[None] < torch.tensor(lengths)[:, None]
    with torch.inference_mode():
        told = bert(torch.arange(18).view(2, 9) + 1, attention_mask=mask.long(), output_hidden_states=True)
        states = told.hidden_states[1]
        for number in (1, 2):
            states = BertLayer.of(bert.state_dict(), number, heads=3)(states, seen(mask))
    torch.testing.assert_close(states[mask], told.last_hidden_state[mask])


def test_a_layer_that_a_checkpoint_lacks_is_named(bert):
    with pytest.raises(KeyError, match=r"encoder\.layer\.3\."):
        BertLayer.of(bert.state_dict(), 3, heads=3)


def test_padding_changes_no_code():
    torch.manual_seed(1)
    coder = EvidenceCoder(24, 6, branch=2, heads=3, inner=40)
    states, mask = torch.randn(2, 9, 24), torch.arange(9)[None] < torch.tensor([[9], [4]])
    alone = coder.pack(coder.states(states[1:, :4], mask[1:, :4]))
    np.testing.assert_array_equal(coder.pack(coder.states(states, mask))[1, :4], alone[0])


@pytest.fixture(scope="module")
def branched(tmp_path_factory):
    """A tiny checkpoint, whose one layer evidence has once more, with other weights."""
    folder = tiny_checkpoint(tmp_path_factory.mktemp("branched"))
    torch.manual_seed(2)
    head = LightHead(LightConfig(dim=16, hidden=32, code=4, width=6, branch=1, branch_heads=2, branch_inner=64))
    head.save(folder)
    return folder


def test_a_branch_is_kept_in_half_the_bytes_and_read_as_it_was_rounded(branched):
    stored = load_file(branched / "evidence" / "model.safetensors")
    halved = {name.startswith("coder.branch.") for name, value in stored.items() if value.dtype is torch.bfloat16}
    assert halved == {True}
    head = load_head(branched / "evidence")
    assert head.branch == 1
    assert {parameter.dtype for parameter in head.parameters()} == {torch.float32}
    weight = head.coder.branch[0].query.weight
    assert torch.equal(weight, stored["coder.branch.0.query.weight"].float())


def test_codes_are_those_of_the_branch_over_the_states_below_it(branched):
    encoder = Encoder.from_pretrained(branched, dtype=torch.float32)
    plain = open_checkpoint(tiny_checkpoint(branched.parent / "plain"), branch=1)
    below = dict(Encoder(plain, dtype=torch.float32).encode_whole(TEXTS[:1]))[0]
    with torch.inference_mode():
        states = encoder.head.coder.states(
            torch.from_numpy(below.hidden).float()[None], torch.ones(1, len(below.kept)) > 0
        )
        expected = encoder.head.coder(states[0])[torch.from_numpy(below.kept)]
    (block,) = encoder.encode_passages(TEXTS[:1], evidence=True)
    assert (
        unpack(torch.from_numpy(block.evidence)) - expected
    ).abs().max() * 15 / 2 < 1.1  # states were in half precision
    last = dict(Encoder(open_checkpoint(branched.parent / "plain"), dtype=torch.float32).encode_whole(TEXTS[:1]))[0]
    assert not np.array_equal(last.hidden, below.hidden)


def test_codes_do_not_depend_on_other_passages_nor_on_importance(branched):
    encoder = Encoder.from_pretrained(branched, dtype=torch.float32)
    together = list(encoder.encode_passages(TEXTS, evidence=True))
    attended = list(encoder.encode_passages(TEXTS, evidence=True, importance=True))
    for text, one, other in zip(TEXTS, together[:4], attended[:4], strict=False):
        (alone,) = encoder.encode_passages([text], evidence=True)
        for found in (one, other):
            assert found.evidence.shape == (len(found.vectors), 2)
            steps = unpack(torch.from_numpy(found.evidence)) - unpack(torch.from_numpy(alone.evidence))
            assert np.abs(steps.numpy()).max(initial=0) * 15 / 2 < 1.1


def test_retrieval_does_not_feel_the_branch(branched):
    encoder = Encoder.from_pretrained(branched)
    plain = Encoder.from_pretrained(tiny_checkpoint(branched.parent / "same"))
    assert encoder.fingerprint == plain.fingerprint
    for one, other in zip(encoder.encode_passages(TEXTS), plain.encode_passages(TEXTS), strict=True):
        np.testing.assert_array_equal(one.vectors, other.vectors)
