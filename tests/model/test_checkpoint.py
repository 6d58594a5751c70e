import json
import logging
import shutil
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import MultiVectorEncoder

from fgr_retriever.errors import CheckpointError
from fgr_retriever.model.checkpoint import fingerprint, open_checkpoint
from fgr_retriever.model.embedded import embedded_model
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.model.heads import load_head
from fgr_retriever.testing import tiny_bert, tiny_checkpoint
from tests.model.layouts import write_pylate, write_stanford

TEXTS = ["Marie Curie found radium, in 1898.", "the cat sat on the mat"]


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("native"))


def vectors(folder):
    encoder = Encoder.from_pretrained(folder, dtype=torch.float32)
    return encoder.encode_queries(TEXTS), [block.vectors for block in encoder.encode_passages(TEXTS)]


@pytest.mark.parametrize("write", [write_pylate, write_stanford])
def test_every_layout_of_the_same_weights_gives_the_same_vectors(native, tmp_path, write):
    expected, found = vectors(native), vectors(write(native, tmp_path / "other"))
    for ours, theirs in zip(expected[0], found[0], strict=True):
        torch.testing.assert_close(ours, theirs)
    for ours, theirs in zip(expected[1], found[1], strict=True):
        torch.testing.assert_close(torch.from_numpy(ours), torch.from_numpy(theirs))


def test_vectors_are_those_of_plain_sentence_transformers(native):
    plain = MultiVectorEncoder(str(native), device="cpu")
    queries, passages = vectors(native)
    for ours, theirs in zip(queries, plain.encode_query(TEXTS), strict=True):
        torch.testing.assert_close(ours, theirs.float())
    for ours, theirs in zip(passages, plain.encode_document(TEXTS), strict=True):
        torch.testing.assert_close(torch.from_numpy(ours).float(), theirs.float(), atol=2e-3, rtol=0)


def test_plain_bert_is_refused_with_the_reason(tmp_path):
    tiny_bert(tmp_path)
    with pytest.raises(CheckpointError, match=r"BertModel.*not trained for late interaction.*Use a ColBERT"):
        Encoder.from_pretrained(tmp_path)


def test_bi_encoder_is_refused(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    tiny_bert(tmp_path / "bert")
    transformer = Transformer(str(tmp_path / "bert"))
    pooled = SentenceTransformer(modules=[transformer, Pooling(32)], device="cpu")
    pooled.save_pretrained(str(tmp_path / "bi"), create_model_card=False)
    with pytest.raises(CheckpointError, match=r"SentenceTransformer.*not trained.*Encoder\.from_bi_encoder"):
        Encoder.from_pretrained(tmp_path / "bi")


def test_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"no model in .*config\.json"):
        Encoder.from_pretrained(tmp_path)


def test_unknown_hub_id_offline_names_the_model():
    with pytest.raises(CheckpointError, match="nobody/has-this-model"):
        Encoder.from_pretrained("nobody/has-this-model")


@pytest.mark.parametrize("name", ["model.safetensors", "1_Dense/model.safetensors", "modules.json", "tokenizer.json"])
@pytest.mark.parametrize("kept", [0.9, 0.5, 0])
def test_a_file_that_is_cut_off_is_named_with_the_remedy(native, tmp_path, name, kept):
    broken = shutil.copytree(native, tmp_path / "broken")
    whole = (broken / name).read_bytes()
    (broken / name).write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(CheckpointError, match=rf"broken': its file {name} is incomplete or damaged .*copy or download"):
        Encoder.from_pretrained(broken)


@pytest.mark.parametrize("kept", [0.5, 100 / 70_000, 0])
def test_so_are_pickled_weights(native, tmp_path, kept):
    broken = shutil.copytree(native, tmp_path / "broken")
    torch.save(load_file(broken / "model.safetensors"), broken / "pytorch_model.bin")
    (broken / "model.safetensors").unlink()
    open_checkpoint(broken)
    whole = (broken / "pytorch_model.bin").read_bytes()
    (broken / "pytorch_model.bin").write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(CheckpointError, match=r"its file pytorch_model\.bin is incomplete or damaged"):
        open_checkpoint(broken)


def test_checkpoint_without_head_falls_back_to_raw_maxsim_and_says_so(tmp_path, caplog):
    tiny_checkpoint(tmp_path, head=False)
    with caplog.at_level(logging.WARNING):
        checkpoint = open_checkpoint(tmp_path)
    assert "no evidence head" in caplog.text
    assert checkpoint.head.config.width == 0
    exact, opposite = torch.eye(16)[:1], -torch.eye(16)[:1]
    high, low = checkpoint.head.probabilities(exact, torch.cat([exact, opposite]), [2]).tolist()
    assert high > 0.9
    assert low < 0.01


def test_head_survives_the_round_trip(native, tmp_path):
    head = open_checkpoint(native).head
    head.save(tmp_path)
    again = load_head(tmp_path / "evidence")
    assert again.config == head.config
    assert again.config.threshold == 0.6
    query, passage = torch.randn(3, 16), torch.randn(5, 16)
    torch.testing.assert_close(
        again.probabilities(query, passage, [len(passage)]), head.probabilities(query, passage, [len(passage)])
    )


@pytest.mark.parametrize("damage", ["config", "weights", "missing", "width"])
def test_damaged_head_is_an_error_not_a_fallback(native, tmp_path, damage):
    folder = shutil.copytree(native, tmp_path / "model") / "evidence"
    if damage == "config":
        (folder / "config.json").write_text("{")
    elif damage == "weights":
        (folder / "model.safetensors").write_bytes(b"nonsense")
    elif damage == "missing":
        (folder / "model.safetensors").unlink()
    else:
        config = asdict(open_checkpoint(native).head.config)
        (folder / "config.json").write_text(json.dumps({**config, "width": 4}))
    with pytest.raises(CheckpointError, match="evidence head"):
        open_checkpoint(folder.parent)


def test_head_of_another_width_of_vectors_is_refused(native, tmp_path):
    from fgr_retriever.model.evidence_head import EvidenceConfig, EvidenceHead

    folder = shutil.copytree(native, tmp_path / "model")
    EvidenceHead(EvidenceConfig(dim=8, width=8)).save(folder)
    with pytest.raises(CheckpointError, match="8 dimensions, the model gives 16"):
        open_checkpoint(folder)


def test_fingerprint_is_of_the_vectors_not_of_the_files(native, tmp_path):
    moved = shutil.copytree(native, tmp_path / "moved")
    shutil.rmtree(moved / "evidence")
    original = open_checkpoint(native)
    assert open_checkpoint(moved).fingerprint == original.fingerprint
    changed = original.model
    with torch.no_grad():
        next(iter(changed.parameters())).add_(0.01)
    assert fingerprint(changed) != original.fingerprint


def test_fingerprint_knows_the_markers(native):
    checkpoint = open_checkpoint(native)
    checkpoint.model.prompts = {"query": "", "document": ""}
    assert fingerprint(checkpoint.model) != checkpoint.fingerprint


def test_opening_leaves_the_progress_bar_setting_alone(native):
    from transformers.utils import logging as transformers_logging

    before = transformers_logging.is_progress_bar_enabled()
    open_checkpoint(native)
    assert transformers_logging.is_progress_bar_enabled() == before


def test_embedded_model_opens_in_plain_sentence_transformers_too():
    plain = MultiVectorEncoder(str(embedded_model()), device="cpu")
    encoder = Encoder.from_pretrained(embedded_model(), dtype=torch.float32)
    for ours, theirs in zip(encoder.encode_queries(TEXTS), plain.encode_query(TEXTS), strict=True):
        torch.testing.assert_close(ours, theirs.float(), atol=1e-4, rtol=0)
