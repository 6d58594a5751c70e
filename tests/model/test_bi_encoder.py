"""An ordinary bi-encoder as a late-interaction model."""

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding
from torch.nn.functional import normalize

from fgr_retriever import Encoder, Engine, Passage
from fgr_retriever.errors import CheckpointError, ConfigError, InputError, ModelMismatchError
from fgr_retriever.testing import tiny_bert

TEXTS = ["the cat sleeps on a mat", "stars are far away", "bread needs yeast, and time", "a river runs to the sea"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A one-layer BERT with mean pooling, 32 dimensions, and prompts."""
    bert, folder = tmp_path_factory.mktemp("bert"), tmp_path_factory.mktemp("bi-encoder")
    torch.manual_seed(0)
    tiny_bert(bert)
    prompts = {"query": "ask: ", "passage": "text: "}
    SentenceTransformer(modules=[Transformer(str(bert)), Pooling(32)], prompts=prompts, device="cpu").save_pretrained(
        str(folder)
    )
    return folder


def vectors(encoder, text):
    return torch.from_numpy(np.concatenate([block.vectors for block in encoder.encode_passages([text])])).float()


def test_at_full_width_cosines_are_those_of_the_bi_encoder(folder):
    encoder = Encoder.from_bi_encoder(folder, TEXTS, dim=32, device="cpu")
    own = SentenceTransformer(str(folder), device="cpu").encode(
        ["text: the cat sleeps"], output_value="token_embeddings"
    )
    tokens = normalize(own[0].float(), dim=-1)
    punctuation = 5  # [CLS] t e x t, then the colon, which is on the skiplist
    expected = torch.cat([tokens[:punctuation], tokens[punctuation + 1 :]])
    found = vectors(encoder, "the cat sleeps")
    torch.testing.assert_close(found @ found.T, expected @ expected.T, atol=0.02, rtol=0)


def test_fewer_axes_keep_most_of_the_cosines(folder):
    wide, narrow = (Encoder.from_bi_encoder(folder, TEXTS, dim=dim, device="cpu") for dim in (32, 16))
    assert (wide.dim, narrow.dim) == (32, 16)
    full, kept = (vectors(encoder, TEXTS[0]) for encoder in (wide, narrow))
    assert (full @ full.T - kept @ kept.T).abs().mean() < 0.05


def test_prompts_are_kept_and_have_no_characters(folder):
    encoder = Encoder.from_bi_encoder(folder, TEXTS, dim=8, device="cpu")
    (offsets,) = encoder.query_offsets(["a cat"])
    assert [tuple(pair) for pair in offsets if pair[0] < pair[1]] == [(0, 1), (2, 3), (3, 4), (4, 5)]
    (block,) = encoder.encode_passages(["a cat"])
    assert block.offsets.max() == 5
    assert len(block.vectors) == 10  # [CLS], "text" without its colon, a, c, a, t, [SEP]


def test_an_index_is_opened_again_with_the_model_that_was_kept(folder, tmp_path):
    encoder = Encoder.from_bi_encoder(folder, TEXTS, dim=16, out=tmp_path / "models" / "mine", device="cpu")
    passages = [Passage(str(place), text) for place, text in enumerate(TEXTS)]
    with Engine.open(tmp_path / "index", encoder=encoder) as engine:
        engine.add(passages)
        found = [(hit.passage.id, hit.score) for hit in engine.search("a cat", k=4)]
    again = Encoder.from_pretrained(tmp_path / "models" / "mine", device="cpu")
    assert again.fingerprint == encoder.fingerprint
    with Engine.open(tmp_path / "index", encoder=again) as engine:
        assert [(hit.passage.id, hit.score) for hit in engine.search("a cat", k=4)] == found
    other = Encoder.from_bi_encoder(folder, ["0123456789"], dim=16, device="cpu")
    with pytest.raises(ModelMismatchError):
        Engine.open(tmp_path / "index", encoder=other)


def test_no_message_has_the_name_of_the_folder_that_is_filled(folder, tmp_path, caplog):
    kept = tmp_path / "mine"
    assert Encoder.from_bi_encoder(folder, TEXTS, dim=8, out=kept, device="cpu").name == str(kept)
    assert [record.getMessage().split(" has ")[0] for record in caplog.records] == [str(kept)]
    caplog.clear()
    assert Encoder.from_bi_encoder(folder, TEXTS, dim=8, device="cpu").name == str(folder)
    assert ".bi-encoder-" not in caplog.text


def test_an_empty_folder_will_do_and_a_full_one_stays_as_it_is(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    Encoder.from_bi_encoder(folder, TEXTS, dim=8, out=tmp_path / "empty", device="cpu")
    assert (tmp_path / "empty" / "modules.json").exists()
    with pytest.raises(ConfigError, match="new or an empty"):
        Encoder.from_bi_encoder(folder, TEXTS, dim=8, out=tmp_path / "empty", device="cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_texts_are_read_once_and_none_is_an_error(folder):
    assert Encoder.from_bi_encoder(folder, iter(TEXTS), dim=8, device="cpu").dim == 8
    with pytest.raises(InputError, match="no texts"):
        Encoder.from_bi_encoder(folder, [], dim=8)


@pytest.mark.parametrize("dim", [0, -1, 1.5, True, "8"])
def test_the_width_is_a_count(folder, dim):
    with pytest.raises(ConfigError, match="dim="):
        Encoder.from_bi_encoder(folder, TEXTS, dim=dim)


def test_models_without_fitting_token_vectors_are_refused(folder, tmp_path):
    with pytest.raises(CheckpointError, match="32 dimensions, fewer than dim=64"):
        Encoder.from_bi_encoder(folder, TEXTS, dim=64)
    with pytest.raises(CheckpointError, match="cannot open"):
        Encoder.from_bi_encoder(tmp_path / "absent", TEXTS)
    tokenizer = SentenceTransformer(str(folder), device="cpu").tokenizer.backend_tokenizer
    static = tmp_path / "static"
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu").save_pretrained(
        str(static)
    )
    with pytest.raises(CheckpointError, match="no token vectors"):
        Encoder.from_bi_encoder(static, TEXTS)
