"""Importance of tokens: from attention to one byte, the modulated MaxSim, and what an index keeps of it."""

import json
import math
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fgr_retriever.cli import main
from fgr_retriever.config import IndexConfig
from fgr_retriever.errors import ConfigError, IndexCorruptError, InputError
from fgr_retriever.index.index import Index
from fgr_retriever.index.storage import growth
from fgr_retriever.index.storage.repair import repair
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.model.importance import dequantise, quantise, received_attention, standardise
from fgr_retriever.model.maxsim import attention_maxsim, maxsim_ragged
from fgr_retriever.model.tokens import StoredTokens, TokenBlock
from fgr_retriever.testing import WordEncoder, tiny_checkpoint
from fgr_retriever.types import Passage

TEXT = "Curie isolated radium, then weighed it. The dish stood by the sea."


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return Encoder.from_pretrained(tiny_checkpoint(tmp_path_factory.mktemp("tiny")), device="cpu", dtype=torch.float32)


def matrix(*rows):
    return torch.tensor(rows, dtype=torch.float32)


# --- attention --------------------------------------------------------------------------------


def test_received_attention_is_the_mean_over_heads_and_real_tokens():
    first = matrix([0.5, 0.5, 0.0], [0.25, 0.75, 0.0], [0.9, 0.1, 0.0])
    second = matrix([1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.9, 0.1, 0.0])
    heads = torch.stack([first, second])[None]  # one text, two heads; its third token is padding
    mask = torch.tensor([[True, True, False]])
    # (0.5 + 0.25 + 1 + 0.5) / 4 and (0.5 + 0.75 + 0 + 0.5) / 4
    torch.testing.assert_close(received_attention(heads, mask), matrix([0.5625, 0.4375, 0]))


def test_importance_is_the_standardised_logarithm():
    # Logarithms ln 1, ln 2, ln 4: mean ln 2, deviation ln 2 * sqrt(2/3); the special token, however
    # much attention it draws, counts for nothing.
    received = np.array([0.9, 0.01, 0.02, 0.04], np.float32)
    found = standardise(received, np.array([False, True, True, True]))
    np.testing.assert_allclose(found, [0, -math.sqrt(1.5), 0, math.sqrt(1.5)], atol=1e-6)


@pytest.mark.parametrize("received", [[], [0.3], [0.2, 0.2], [0.0, 0.0]])
def test_tokens_that_are_alike_are_average(received):
    weights = standardise(np.array(received, np.float32), np.ones(len(received), np.bool_))
    np.testing.assert_array_equal(weights, np.zeros(len(received), np.float32))


@given(arrays.arrays(np.float32, st.integers(0, 40), elements=st.floats(0, 1, width=32)), st.integers(1, 1000))
def test_importance_does_not_depend_on_the_length_of_the_text(received, times):
    text = np.arange(len(received)) % 3 != 0
    received = received + np.float32(1e-3)  # above the least attention that counts
    found = standardise(received, text)
    assert (found[~text] == 0).all()
    assert abs(found.sum()) < 1e-3
    np.testing.assert_allclose(standardise(received / np.float32(times), text), found, atol=5e-3)


# --- one byte ---------------------------------------------------------------------------------


def test_bytes_of_importance():
    weights = np.array([-9, -4, -1, 0, 1 / 32, 1, 127 / 32, 9], np.float32)
    assert quantise(weights).tolist() == [0, 0, 96, 128, 129, 160, 255, 255]


@given(arrays.arrays(np.float32, st.integers(0, 20), elements=st.floats(-4, 127 / 32, width=32)))
def test_a_byte_loses_at_most_half_a_step(weights):
    assert (np.abs(dequantise(quantise(weights)) - weights) <= 1 / 64).all()


@given(arrays.arrays(np.uint8, st.integers(0, 20)))
def test_bytes_come_back(stored):
    np.testing.assert_array_equal(quantise(dequantise(stored)), stored)


# --- the modulated MaxSim -----------------------------------------------------------------------

QUERY = matrix([1, 0], [0, 1])
PASSAGES = matrix([0.6, 0.8], [1, 0], [0, -1], [-0.6, -0.8], [-1, 0])
LENGTHS = torch.tensor([3, 0, 2])
WEIGHTS = torch.tensor([1.0, 0.0, 2.0, 1.0, -1.0])


def modulated(query_weight, passage_weight, query_importance=(1.0, -1.0), importance=WEIGHTS):
    weights = {"query_weight": query_weight, "passage_weight": passage_weight}
    return attention_maxsim(QUERY, torch.tensor(query_importance), PASSAGES, importance, LENGTHS, **weights)


def test_both_sides_modulate_exponentially():
    # With b = ln 2 an importance of 1 doubles a positive similarity and halves a negative one.
    # First passage: query token 1 sees 1.2, 1 and 0, query token 2 sees 1.6, 0 and -1/4.
    # Last passage: -0.3 and -2 (importance -1 doubles), then -0.4 and 0.
    # With a = ln 3 the first query token counts 3, the second 1/3.
    found = modulated(math.log(3), math.log(2))
    torch.testing.assert_close(found, torch.tensor([3 * 1.2 + 1.6 / 3, -math.inf, 3 * -0.3 + 0]))


def test_without_weights_it_is_maxsim():
    torch.testing.assert_close(modulated(0, 0), maxsim_ragged(QUERY, PASSAGES, LENGTHS), rtol=0, atol=0)


@given(
    arrays.arrays(np.float32, (6, 3), elements=st.floats(-1, 1, width=32)),
    arrays.arrays(np.float32, 4, elements=st.floats(-4, 3.96875, width=32)),
    st.integers(0, 3),
    st.floats(0, 1),
)
def test_a_more_important_token_never_lowers_the_score(numbers, importance, token, rise):
    vectors = torch.from_numpy(numbers)
    higher = importance.copy()
    higher[token] += np.float32(rise)
    weights = {"query_weight": 0.2, "passage_weight": 0.1}
    before, after = (
        attention_maxsim(
            vectors[:2], torch.zeros(2), vectors[2:], torch.from_numpy(one), torch.tensor([4]), **weights
        ).item()
        for one in (importance, higher)
    )
    assert after >= before - 1e-5


def test_shapes_must_fit():
    with pytest.raises(InputError, match="one for each vector"):
        modulated(0, 0, query_importance=(1.0,))
    with pytest.raises(InputError, match="one for each vector"):
        modulated(0, 0, importance=WEIGHTS[:4])


# --- the encoder --------------------------------------------------------------------------------


def test_passages_come_with_importance_and_the_same_vectors(tiny):
    texts = [TEXT, "", "sea"]
    plain, weighted = list(tiny.encode_passages(texts)), list(tiny.encode_passages(texts, importance=True))
    for one, other in zip(plain, weighted, strict=True):
        assert one.importance is None
        assert other.importance.shape == (len(one.offsets),)
        np.testing.assert_array_equal(one.offsets, other.offsets)
        np.testing.assert_allclose(one.vectors, other.vectors, atol=2e-3)


def test_each_window_is_standardised(tiny):
    blocks = list(tiny.encode_passages([TEXT], importance=True))
    assert len(blocks) > 1
    for block in blocks:
        weights, visible = dequantise(block.importance), block.offsets[:, 1] > block.offsets[:, 0]
        assert (weights[~visible] == 0).all()
        assert weights[visible].mean() == pytest.approx(0, abs=0.02)
        assert weights[visible].std() == pytest.approx(1, abs=0.02)
    joined = StoredTokens.of(blocks)
    np.testing.assert_array_equal(joined.importance, np.concatenate([block.importance for block in blocks]))


def test_importance_is_the_attention_of_the_model(tiny):
    """The whole way for one query, with plain transformers: no module of ours in between."""
    transformer = tiny.model[0].model
    features = tiny.model.preprocess(["sea"], prompt="[Q] ", task="query")
    before = transformer.config._attn_implementation
    transformer.set_attn_implementation("eager")
    with torch.inference_mode():
        (attention,) = transformer(
            input_ids=features["input_ids"], attention_mask=features["attention_mask"], output_attentions=True
        ).attentions
    transformer.set_attn_implementation(before)
    # [CLS] [Q] s ##e ##a [SEP], then [MASK]s that are not attended to.
    logs = attention[0, :, :6, 2:5].sum(dim=1).mean(dim=0).log()
    expected = (logs - logs.mean()) / logs.std(correction=0)
    (found,) = tiny.query_importance(["sea"])
    assert len(found) == len(tiny.encode_queries(["sea"])[0]) == 16
    torch.testing.assert_close(found[2:5], expected, rtol=0, atol=1e-4)
    assert not found[:2].any()
    assert not found[5:].any()


def test_the_model_stays_as_it_is(tiny):
    tiny.query_importance(["sea"])
    config = tiny.model[0].model.config
    assert (config._attn_implementation, config.output_attentions) == ("sdpa", False)


def test_importance_from_many_threads(tiny):
    expected = tiny.query_importance([TEXT])[0]
    found = []
    threads = [threading.Thread(target=lambda: found.append(tiny.query_importance([TEXT])[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in found:
        torch.testing.assert_close(one, expected, rtol=0, atol=1e-5)


# --- the index ----------------------------------------------------------------------------------

ENCODER = WordEncoder()
IMPORTANT = IndexConfig(importance=True, segment_tokens=1_000)
TEXTS = {"a": "Curie found radium", "b": "the dish of Fleming", "c": "Nobel and dynamite", "d": "a sea"}


def passages(*names):
    return [Passage(name, TEXTS[name]) for name in names or TEXTS]


def stored(index, query="curie the nobel sea"):
    """The importance that an index gives back, by id."""
    found = index.search(ENCODER.encode_queries([query]), 100)[0]
    return {match.passage.id: dequantise(match.tokens.importance).tolist() for match in found}


def expected(*names):
    return {name: [float(word != word.lower()) for word in TEXTS[name].split()] for name in names}


@pytest.fixture
def index(tmp_path):
    with_four = Index.open(tmp_path / "index", ENCODER, IMPORTANT)
    with_four.add(passages())
    yield with_four
    with_four.close()


def importance_files(index):
    return sorted(index.folder.rglob("importance.u8"))


def test_an_index_keeps_importance_in_one_byte_a_token(index):
    assert stored(index) == expected(*"abcd")
    assert sum(file.stat().st_size for file in importance_files(index)) == 12
    index.verify()


def test_importance_stays_through_replacing_deleting_merging_and_compacting(index):
    index.add([Passage("b", "Fleming saw the mould")])
    index.delete(["a"])
    wanted = {**expected("c", "d"), "b": [1, 0, 0, 0]}
    assert stored(index) == wanted
    index.compact()
    assert stored(index) == wanted
    assert sum(file.stat().st_size for file in importance_files(index)) == 9
    index.verify()


def test_importance_stays_when_vectors_are_encoded(index, monkeypatch):
    monkeypatch.setattr(growth, "FLUSH_TOKENS", 1_000)
    words = [f"Word{number % 50} and other things" for number in range(400)]
    index.add([Passage(f"p{number}", text) for number, text in enumerate(words)])
    assert not list(index.folder.rglob("vectors.f16"))
    assert list(index.folder.rglob("codes.u16"))
    found = stored(index, "word7 nobel")
    assert found["p7"] == [1, 0, 0, 0]
    assert found["c"] == [1, 0, 0]
    index.compact()
    assert stored(index, "word7 nobel")["p57"] == [1, 0, 0, 0]
    index.verify()


def test_an_index_without_importance_has_none(tmp_path):
    index = Index.open(tmp_path / "index", ENCODER)
    index.add(passages())
    (match,) = index.search(ENCODER.encode_queries(["nobel"]), 1)[0]
    assert match.tokens.importance is None
    assert not importance_files(index)
    index.close()


def test_an_index_from_before_importance_opens(tmp_path):
    Index.open(tmp_path / "index", ENCODER).close()
    manifest = tmp_path / "index" / "manifest.json"
    values = json.loads(manifest.read_text())
    del values["config"]["importance"]
    manifest.write_text(json.dumps(values))
    old = Index.open(tmp_path / "index", ENCODER)
    assert old.config.importance is False
    old.close()


def test_damaged_importance_is_found_and_costs_its_segment_only(index):
    index.add([Passage("e", "Stockholm in winter " * 200)])  # a segment of its own
    damaged = importance_files(index)[0]
    content = bytearray(damaged.read_bytes())
    content[0] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(IndexCorruptError, match=r"importance\.u8 differs"):
        index.verify()
    index.close()
    report = repair(index.folder)
    again = Index.open(index.folder, ENCODER)
    again.verify()
    kept = stored(again, "stockholm nobel")
    assert len(kept) == report.saved
    assert {one.id for one in report.lost} | set(kept) == {*TEXTS, "e"}
    assert report.lost
    again.close()


class Broken(WordEncoder):
    def __init__(self, change):
        self.change = change

    def encode_passages(self, texts, *, show_progress=False, importance=False, evidence=False):
        for block in super().encode_passages(texts, importance=importance, evidence=evidence):
            yield replace(block, importance=self.change(block.importance))


@pytest.mark.parametrize(
    "change", [lambda found: None, lambda found: found[:-1], lambda found: found.astype(np.float32)]
)
def test_wrong_importance_is_never_stored(tmp_path, change):
    index = Index.open(tmp_path / "index", Broken(change), IMPORTANT)
    with pytest.raises(InputError, match=r"must be \(3,\) uint8"):
        index.add(passages("a"))
    assert len(index) == 0
    index.close()


def test_a_model_that_cannot_tell_importance_is_refused(tmp_path):
    class Plain:
        dim, fingerprint, head_fingerprint = ENCODER.dim, "plain", "plain"

        def encode_passages(self, texts, *, show_progress=False):
            for number, _ in enumerate(texts):
                yield TokenBlock(number, np.zeros((0, 128), np.float16), np.zeros((0, 2), np.int32), True)

    with pytest.raises(ConfigError, match="Plain cannot tell"):
        Index.open(tmp_path / "index", Plain(), IMPORTANT)
    assert not (tmp_path / "index").exists()


def test_the_command_line_keeps_importance(tmp_path, capsys):
    model = str(tiny_checkpoint(tmp_path / "model"))
    source = tmp_path / "notes.jsonl"
    source.write_text(json.dumps({"id": "a", "text": TEXTS["a"]}), encoding="utf-8")
    command = ["index", str(source), "--model", model, "--out"]
    out, plain = tmp_path / "out", tmp_path / "plain"
    assert main([*command, str(out), "--importance"]) == 0
    assert main([*command, str(out)]) == 0  # it stays as it is
    capsys.readouterr()
    assert main(["info", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["importance"] is True
    assert list(out.rglob("importance.u8"))
    assert main([*command, str(plain)]) == 0
    assert main([*command, str(plain), "--importance"]) == 2
    assert "importance=False" in capsys.readouterr().err
