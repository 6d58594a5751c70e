import shutil
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fgr_retriever import Engine, Passage, Trimmer
from fgr_retriever.errors import CheckpointError, ConfigError
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.model.head import READ_TOKENS
from fgr_retriever.model.heads import load_head
from fgr_retriever.model.light_head import LightConfig, LightHead
from fgr_retriever.model.windows import Windows
from fgr_retriever.testing import tiny_checkpoint

NASTY = [
    "Marie Curie found radium, in 1898!",
    "naïve café e\u0301clair Ångström",
    "日本語テキスト。次の文。",
    "שלום עולם — مرحبا بالعالم",
    "a\r\nb\r\n\r\nc",
    "nul\0inside and \ud800 lone \udfff surrogates",
    "👩‍👩‍👧‍👦 family 🇨🇭 flag 😀",
    "tabs\tand\u00a0no-break\u3000spaces",
    "ﬁ ligature ½ Ⅷ",
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return Encoder.from_pretrained(tiny_checkpoint(tmp_path_factory.mktemp("model")), dtype=torch.float32)


def encode(encoder, texts):
    """All blocks of each text put together: (vectors, offsets)."""
    found = [([], []) for _ in texts]
    for block in encoder.encode_passages(texts):
        found[block.passage][0].append(block.vectors)
        found[block.passage][1].append(block.offsets)
    return [(np.concatenate(vectors), np.concatenate(offsets)) for vectors, offsets in found]


def shown(text, offsets):
    return [text[start:end] for start, end in offsets if end > start]


@pytest.mark.parametrize("text", NASTY)
def test_offsets_point_at_the_characters_of_the_token(encoder, text):
    ((_, offsets),) = encode(encoder, [text])
    assert offsets.dtype == np.int32
    assert (offsets[:, 0] <= offsets[:, 1]).all()
    assert (np.diff(offsets[:, 0]) >= 0).all()
    assert offsets.min() >= 0
    assert offsets.max() <= len(text)
    assert all(piece.strip() == piece for piece in shown(text, offsets))
    # The tiny tokenizer keeps no punctuation and knows single characters, so every letter or
    # digit of the text must be under exactly one token, at its own place.
    covered = np.zeros(len(text), dtype=int)
    for start, end in offsets:
        covered[start:end] += 1
    for place, character in enumerate(text):
        if character.isascii() and character.isalnum():
            assert covered[place] == 1, (place, character)


def test_offsets_of_a_known_text(encoder):
    text = "Ab, é\ud800x!"
    ((_, offsets),) = encode(encoder, [text])
    # [CLS] and [D] at 0; a, b, e (of é), the surrogate's word with x, then [SEP] at the end.
    assert shown(text, offsets)[:3] == ["A", "b", "é\ud800x"] or shown(text, offsets)[:3] == ["A", "b", "é"]
    assert offsets[0].tolist() == [0, 0]
    assert offsets[1].tolist() == [0, 0]
    assert offsets[-1].tolist() == [len(text), len(text)]


def test_punctuation_is_encoded_but_not_kept(encoder):
    ((_, offsets),) = encode(encoder, ["a, b. (c)"])
    assert shown("a, b. (c)", offsets) == ["a", "b", "c"]


@settings(deadline=None, max_examples=40)
@given(texts=st.lists(st.text(max_size=200), min_size=1, max_size=5))
def test_any_text_gives_ordered_offsets_inside_it(encoder, texts):
    for text, (vectors, offsets) in zip(texts, encode(encoder, texts), strict=True):
        assert len(vectors) == len(offsets)
        if len(offsets):
            assert (offsets[:, 0] <= offsets[:, 1]).all()
            assert (np.diff(offsets[:, 0]) >= 0).all()
            assert offsets.min() >= 0
            assert offsets.max() <= len(text)
            np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float32), axis=1), 1, atol=2e-3)


@pytest.mark.parametrize("text", ["", "   ", "\n", "...", "!?"])
def test_text_without_a_kept_token_has_no_vectors(encoder, text):
    ((vectors, offsets),) = encode(encoder, [text])
    assert vectors.shape == (0, 16)
    assert offsets.shape == (0, 2)


def test_long_text_is_one_passage_with_every_character_once(encoder):
    text = " ".join(f"word{i}" for i in range(3000))
    ((_, offsets),) = encode(encoder, [text])
    covered = np.zeros(len(text), dtype=int)
    for start, end in offsets:
        covered[start:end] += 1
    assert (covered == np.array([not character.isspace() for character in text])).all()
    assert (offsets[:, 0] == offsets[:, 1]).sum() == 3  # [CLS], [D] and [SEP] once for the whole passage


def test_short_text_in_a_window_is_encoded_as_if_there_were_no_windows(encoder):
    text = "the radium of marie"
    alone = encode(encoder, [text])[0][0]
    among = encode(encoder, ["x " * 500, text, "y"])[1][0]
    np.testing.assert_allclose(alone, among, atol=2e-3)


def test_tokens_of_a_long_text_see_context_on_both_sides(encoder):
    """In the middle of a long text no vector comes from the rim of its window."""
    text = "abcdefgh " * 60
    windows = list(Windows(encoder.model.tokenizer, "[D] ", 48).of(text))
    assert len(windows) > 5
    for window in windows[1:-1]:
        owned = np.flatnonzero(window.owned)
        assert owned[0] >= 2 + 5
        assert owned[-1] <= len(window.ids) - 1 - 5


def test_windows_beyond_the_tokenized_piece_stay_exact(encoder):
    text = ("ab cd " * 60_000)[:-1]  # several pieces of tokenization
    position = 0
    for window in Windows(encoder.model.tokenizer, "", 48).of(text):
        for start, end in window.offsets[window.owned]:
            if end > start:
                assert not text[position:start].strip()
                position = int(end)
    assert position == len(text)


def test_encoding_is_lazy_and_in_order(encoder):
    taken = []

    def texts():
        for i in range(5000):
            taken.append(i)
            yield f"text {i}"

    blocks = encoder.encode_passages(texts())
    assert next(blocks).passage == 0
    assert len(taken) < 1000


def test_batching_changes_nothing(encoder):
    texts = [f"{'word ' * (i % 40)}number {i}" for i in range(100)]
    together = encode(encoder, texts)
    for text, (vectors, _) in list(zip(texts, together, strict=True))[::17]:
        np.testing.assert_allclose(encode(encoder, [text])[0][0], vectors, atol=2e-3)


def test_queries_are_expanded_to_the_length_of_the_model(encoder):
    (query,) = encoder.encode_queries(["hi"])
    assert query.shape == (16, 16)  # [CLS] [Q] h ##i [SEP] and 11 x [MASK]
    torch.testing.assert_close(query.norm(dim=1), torch.ones(16))
    (features,) = encoder._query_features(["hi"])
    mask = encoder.model.tokenizer.mask_token_id
    assert features["input_ids"][0].tolist()[5:] == [mask] * 11


def test_evidence_is_a_probability_for_each_token(encoder):
    (query,) = encoder.encode_queries(["radium"])
    vectors = torch.from_numpy(encode(encoder, ["radium is rare"])[0][0]).float()
    probabilities = encoder.evidence(query, vectors, [len(vectors)])
    assert probabilities.shape == (len(vectors),)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()


def test_evidence_codes_are_those_of_the_heads_coder(light_checkpoint):
    encoder = Encoder.from_pretrained(light_checkpoint)
    assert encoder.evidence_code.nbytes == 2
    (block,) = encoder.encode_passages(["radium is rare"], evidence=True)
    assert block.evidence.shape == (len(block.vectors), 2)
    assert block.evidence.dtype == np.uint8
    again = Encoder.from_pretrained(light_checkpoint)
    assert again.evidence_code == encoder.evidence_code
    (query,) = encoder.encode_queries(["radium"])
    told = [torch.from_numpy(block.vectors), [len(block.vectors)]]
    assert not torch.equal(encoder.evidence(query, *told, block.evidence), encoder.evidence(query, *told))
    (plain,) = encoder.encode_passages(["radium is rare"])
    assert plain.evidence is None
    np.testing.assert_array_equal(plain.vectors, block.vectors)


def test_other_weights_of_the_coder_make_another_code(light_checkpoint, tmp_path):
    first = Encoder.from_pretrained(light_checkpoint)
    folder = shutil.copytree(light_checkpoint, tmp_path / "model")
    head = load_head(folder / "evidence")
    with torch.no_grad():
        head.coder.projection.bias += 1
    head.save(folder)
    other = Encoder.from_pretrained(folder)
    assert other.fingerprint == first.fingerprint
    assert other.evidence_code != first.evidence_code


def test_a_model_without_codes_says_so(encoder):
    assert encoder.evidence_code is None
    with pytest.raises(ConfigError, match="reads no codes"):
        encoder.encode_passages(["radium"], evidence=True)


def test_an_index_keeps_codes_and_the_trimmer_sees_the_same(light_checkpoint, tmp_path):
    encoder = Encoder.from_pretrained(light_checkpoint)
    passage = Passage("a", "Marie Curie found radium, in 1898.")
    with Engine.open(tmp_path / "index", encoder=encoder) as engine:
        engine.add([passage])
        (hit,) = engine.search("who found radium")
    (told,) = Trimmer(encoder).evidence("who found radium", [passage.text])
    np.testing.assert_allclose(hit.token_scores.probabilities, told.probabilities, atol=1e-5)
    (query,) = encoder.encode_queries(["who found radium"])
    (block,) = encoder.encode_passages([passage.text])
    visible = block.offsets[:, 1] > block.offsets[:, 0]
    blind = encoder.evidence(query, torch.from_numpy(block.vectors), [len(block.vectors)])[visible]
    assert not np.allclose(blind, told.probabilities, atol=1e-3)


@pytest.fixture(scope="module")
def light_checkpoint(tmp_path_factory):
    """A tiny checkpoint whose head reads evidence codes, with weights that all count."""
    folder = tiny_checkpoint(tmp_path_factory.mktemp("light"))
    torch.manual_seed(0)
    head = LightHead(LightConfig(dim=16, hidden=32, code=4, width=6))
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(0, 0.5)
    head.save(folder)
    return folder


def test_evidence_of_many_passages_is_that_of_each(encoder):
    (query,) = encoder.encode_queries(["radium"])
    texts = ["radium is rare", "", "x", "long " * 300]  # nothing, one piece, and several pieces
    passages = [torch.from_numpy(vectors).float() for vectors, _ in encode(encoder, texts)]
    together = encoder.evidence(query, torch.cat(passages), [len(one) for one in passages])
    alone = torch.cat([encoder.evidence(query, one, [len(one)]) for one in passages])
    assert len(passages[3]) > READ_TOKENS
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_threads_may_encode_at_once(encoder):
    texts = [f"query number {i} {'x' * i}" for i in range(24)]
    expected = encoder.encode_queries(texts)
    failures = []

    def work():
        try:
            for text, reference in zip(texts, expected, strict=True):
                torch.testing.assert_close(encoder.encode_queries([text])[0], reference, atol=1e-4, rtol=0)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_bfloat16_is_close_to_float32(encoder, tmp_path):
    half = Encoder.from_pretrained(tiny_checkpoint(tmp_path), dtype=torch.bfloat16)
    full, low = encode(encoder, ["radium is rare"])[0][0], encode(half, ["radium is rare"])[0][0]
    assert (full.astype(np.float32) * low.astype(np.float32)).sum(axis=1).min() > 0.995
    assert half.fingerprint == encoder.fingerprint


def test_unusable_device_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="device='abacus'"):
        Encoder.from_pretrained(tiny_checkpoint(tmp_path), device="abacus")


def test_window_without_room_is_refused(encoder):
    with pytest.raises(CheckpointError, match="leaves no room"):
        Windows(encoder.model.tokenizer, "[D] ", 4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.gpu
def test_cuda_gives_the_same_vectors(encoder, tmp_path):
    other = Encoder.from_pretrained(tiny_checkpoint(tmp_path), device="cuda", dtype=torch.float32)
    np.testing.assert_allclose(encode(encoder, NASTY)[0][0], encode(other, NASTY)[0][0], atol=5e-3)


# --- characters of query tokens ---------------------------------------------------------------


@pytest.mark.parametrize("text", [*NASTY[:5], *NASTY[7:], "", "?!", "a" * 400, "radium " * 60])
def test_query_offsets_fit_the_vectors_and_point_at_the_characters(encoder, text):
    (offsets,) = encoder.query_offsets([text])
    (vectors,) = encoder.encode_queries([text])
    assert offsets.dtype == np.int32
    assert offsets.shape == (len(vectors), 2)
    assert (offsets[:, 0] <= offsets[:, 1]).all()
    assert offsets.max(initial=0) <= len(text)
    assert all(piece.strip() == piece for piece in shown(text, offsets))


def test_query_offsets_of_a_known_text_leave_out_markers_and_expansion(encoder):
    (offsets,) = encoder.query_offsets(["Ab, c?"])
    assert len(offsets) == 16  # expanded with [MASK]
    assert shown("Ab, c?", offsets) == ["A", "b", ",", "c", "?"]  # queries keep their punctuation
    assert offsets[:2].tolist() == [[0, 0], [0, 0]]  # [CLS] and [Q]


def test_query_offsets_of_a_batch_are_those_of_each(encoder):
    found = encoder.query_offsets(texts := ["ab", "a longer one", "c"] * 30)
    for text, one in zip(texts, found, strict=True):
        np.testing.assert_array_equal(one, encoder.query_offsets([text])[0])


@pytest.mark.golden
def test_query_offsets_of_the_embedded_model():
    text = "Who discovered  polonium-210?"
    model = Encoder.default(device="cpu")
    (offsets,) = model.query_offsets([text])
    assert len(offsets) == len(model.encode_queries([text])[0])
    assert "".join(shown(text, offsets)) == text.replace(" ", "")
