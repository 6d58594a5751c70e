"""The embedded model by its own short path: the same model as sentence-transformers opens."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from fgr_retriever import Encoder, demo
from fgr_retriever.errors import CheckpointError
from fgr_retriever.model import embedded
from fgr_retriever.model.checkpoint import open_checkpoint
from fgr_retriever.model.embedded import embedded_model, open_embedded
from fgr_retriever.model.evidence_code import unpack

QUERIES = [*demo.questions(), "", "?!", "\N{PILE OF POO} caf\u00e9", "word " * 400]
TEXTS = [*(passage.text for passage in demo.passages()[:5]), "", "...", "x" * 300, "A long one, in parts. " * 80]
# bfloat16 is emulated on most processors, which takes twenty times as long: fewer tokens for it, which go the same ways
# through the model. A batch with padding, a passage of special tokens alone, marks that are not stored.
FEW_QUERIES = [QUERIES[0], "radium", "", "?!"]
FEW_TEXTS = ["Marie Curie found radium, in 1898. She worked in Paris.", "Radium glows.", "", "..."]

pytestmark = pytest.mark.golden


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def both(request):
    """The model by its own path, and by the general one, in the same precision."""
    return [
        Encoder(found, device="cpu", dtype=request.param)
        for found in (open_embedded(), open_checkpoint(embedded_model()))
    ]


def same(one, other, dtype):
    """Say whether vectors are those of the same model: to 1e-6 in float32, as far as bfloat16 goes else."""
    return np.abs(np.asarray(one, np.float32) - np.asarray(other, np.float32)).max(initial=0) <= (
        2e-6 if dtype is torch.float32 else 0.05
    )


@pytest.fixture(scope="module")
def queries(both):
    return FEW_QUERIES if both[0].dtype is torch.bfloat16 else QUERIES


@pytest.fixture(scope="module")
def texts(both):
    return FEW_TEXTS if both[0].dtype is torch.bfloat16 else TEXTS


def test_it_is_the_same_model(both):
    ours, general = both
    assert ours.fingerprint == general.fingerprint, "write the fingerprint of new weights beside them"
    assert ours.head_fingerprint == general.head_fingerprint
    assert (ours.dim, ours.calibration, ours.evidence_code) == (general.dim, general.calibration, general.evidence_code)


def test_queries_have_the_same_vectors_and_characters(both, queries):
    ours, general = both
    for one, other in zip(ours.encode_queries(queries), general.encode_queries(queries), strict=True):
        assert one.shape == other.shape
        assert same(one, other, ours.dtype)
    for one, other in zip(ours.query_offsets(queries), general.query_offsets(queries), strict=True):
        np.testing.assert_array_equal(one, other)


def test_passages_have_the_same_vectors_and_characters(both, texts):
    ours, _ = both
    pairs = [encoder.encode_passages(texts, evidence=True) for encoder in both]
    for one, other in zip(*pairs, strict=True):
        assert (one.passage, one.last) == (other.passage, other.last)
        np.testing.assert_array_equal(one.offsets, other.offsets)
        # Stored in float16, whose steps at 0.25 are 2 ** -12.
        assert np.abs(one.vectors.astype(np.float32) - other.vectors).max(initial=0) <= (
            2**-12 if ours.dtype is torch.float32 else 0.05
        )
        levels = [unpack(torch.from_numpy(block.evidence)) for block in (one, other)]
        # A number that lies between two of the 15 steps may be rounded either way.
        steps = np.abs((levels[0] - levels[1]).numpy()).max(initial=0) * 15 / 2
        assert steps < (1.1 if ours.dtype is torch.float32 else 3.1)


def test_tokens_have_the_same_importance(both, queries, texts):
    ours, general = both
    pairs = [encoder.encode_passages(texts, importance=True) for encoder in both]
    for one, other in zip(*pairs, strict=True):
        assert one.importance is not None
        assert other.importance is not None
        steps = np.abs(one.importance.astype(int) - other.importance)
        assert steps.max(initial=0) <= (1 if ours.dtype is torch.float32 else 16)  # of 32 in a deviation
    for one, other in zip(ours.query_importance(queries), general.query_importance(queries), strict=True):
        assert same(one, other, ours.dtype) or (one - other).abs().max() < (
            1e-3 if ours.dtype is torch.float32 else 0.5
        )


def test_the_folder_by_name_takes_the_same_path():
    encoder = Encoder.from_pretrained(str(embedded_model()), device="cpu")
    assert isinstance(encoder.model, embedded.EmbeddedModel)
    assert isinstance(Encoder.default(device="cpu").model, embedded.EmbeddedModel)


def test_nothing_heavy_is_imported():
    code = """
import json, sys
from fgr_retriever import Encoder, Engine
encoder = Encoder.default()
list(encoder.encode_passages(["radium"]))
encoder.encode_queries(["radium"])
print(json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"sentence_transformers", "transformers", "sklearn", "scipy", "huggingface_hub", "sympy", "torch._dynamo"}
    assert not heavy & set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b"short"),
        ("config.json", b"{}"),
        ("config.json", b"{"),
        ("tokenizer.json", b"{}"),
        ("fingerprint", None),
        ("evidence/config.json", b"{}"),
    ],
)
def test_damage_is_a_checkpoint_error(file, content, tmp_path, monkeypatch):
    folder = tmp_path / "default"
    shutil.copytree(embedded_model(), folder)
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    monkeypatch.setattr(embedded, "embedded_model", lambda: folder)
    with pytest.raises(CheckpointError, match=str(folder)):
        open_embedded()


def test_a_question_is_tokenized_once(both, monkeypatch):
    """Vectors and characters are made of the same tokens."""
    for encoder in both:
        asked, preprocess = [], encoder.model.preprocess

        def counting(texts, _to=asked, _preprocess=preprocess, **options):
            _to.append(list(texts))
            return _preprocess(texts, **options)

        monkeypatch.setattr(encoder.model, "preprocess", counting)
        first = encoder.query_offsets(["one question"])
        encoder.encode_queries(["one question"])
        np.testing.assert_array_equal(encoder.query_offsets(["one question"])[0], first[0])
        encoder.encode_queries(["another question"])
        assert asked == [["one question"], ["another question"]]


def test_weights_are_hashed_once(both, monkeypatch):
    ours, _ = both
    expected = ours.head_fingerprint
    monkeypatch.setattr(type(ours.head), "fingerprint", lambda _: pytest.fail("hashed again"))
    assert ours.head_fingerprint == expected
    assert ours.calibrated(replace(ours.calibration, temperature=2.0)).head_fingerprint == expected
