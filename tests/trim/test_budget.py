import os
import threading

import numpy as np
import pytest
import tiktoken
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from fgr_retriever.errors import ConfigError, TokenCounterError
from fgr_retriever.trim import budget
from fgr_retriever.trim.budget import token_counter

ENGLISH = "The quick brown fox, it's 1898.\n"


@pytest.fixture
def words_folder(tmp_path):
    """A Hugging Face tokenizer of words that truncates, pads and adds special tokens."""
    vocabulary = {"[UNK]": 0, "[CLS]": 1, "one": 2, "two": 3}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 1)])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=4)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base"])
def test_tiktoken_encodings_count_as_tiktoken_does(name):
    count = token_counter(name)
    encoding = tiktoken.get_encoding(name)  # loaded by now
    for text in ("", "radium", ENGLISH * 9000, "<|endoftext|>", "中文 \U0001f469\u200d\U0001f467 \x00"):
        assert count(text) == len(encoding.encode(text, disallowed_special=()))


def test_a_model_name_means_its_encoding():
    assert token_counter("gpt-4o")(ENGLISH) == token_counter("o200k_base")(ENGLISH)
    assert token_counter("gpt-4")(ENGLISH) == token_counter("cl100k_base")(ENGLISH)


def test_special_tokens_count_as_ordinary_text():
    assert token_counter("o200k_base")("<|endoftext|>") > 1
    assert token_counter(tiktoken.get_encoding("o200k_base"))("<|endoftext|>") > 1


def test_lone_surrogates_are_counted(words_folder):
    assert token_counter("o200k_base")("a \ud800 b") > 0
    assert token_counter(str(words_folder))("one \ud800 two") == 3


@pytest.mark.parametrize("text", [" " * 2_000_000, "a" * 1_000_000, "\n" * 1_000_000, " " * 500_000 + "a"])
def test_very_long_runs_are_counted(text):
    assert 0 < token_counter("o200k_base")(text) < len(text)


def test_the_environment_stays_as_it_was(monkeypatch, tmp_path):
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    budget._by_name.cache_clear()
    before = dict(os.environ)
    token_counter("o200k_base")
    assert dict(os.environ) == before
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    budget._by_name.cache_clear()
    token_counter("cl100k_base")
    assert os.environ["TIKTOKEN_CACHE_DIR"] == str(tmp_path)


def test_the_remedies_are_named_when_nothing_can_be_loaded(monkeypatch):
    def fail(name):
        raise ConnectionError("no route")

    monkeypatch.setattr(tiktoken, "get_encoding", fail)
    budget._by_name.cache_clear()
    with pytest.raises(TokenCounterError, match=r"r50k_base.*llama-index-core.*TIKTOKEN_CACHE_DIR.*callable") as raised:
        token_counter("r50k_base")
    assert raised.value.__suppress_context__  # no pages of the network's own errors above the remedy
    assert raised.value.__cause__ is None


def test_a_silent_network_is_given_up(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: released.wait(10))
    monkeypatch.setattr(budget, "DOWNLOAD_SECONDS", 0.05)
    budget._by_name.cache_clear()
    with pytest.raises(TokenCounterError, match="TimeoutError"):
        token_counter("p50k_base")
    released.set()


def test_a_folder_is_a_hugging_face_tokenizer_without_its_extras(words_folder):
    assert token_counter(str(words_folder))("one two one two one two") == 6
    assert token_counter(Tokenizer.from_file(str(words_folder / "tokenizer.json")))("one two") == 2


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(TokenCounterError, match="cannot load a Hugging Face tokenizer"):
        token_counter(str(tmp_path))


@pytest.mark.parametrize("wrong", ["no-such-tokenizer", "", 5, None])
def test_anything_else_is_refused(wrong):
    with pytest.raises(TokenCounterError, match="tokenizer"):
        token_counter(wrong)


def test_functions_and_objects_with_encode():
    class Letters:
        def encode(self, text):
            return list(text)

    assert token_counter(Letters())("abc") == 3
    assert token_counter(lambda text: np.int64(len(text.split())))("a b c") == 3


@pytest.mark.parametrize("answer", [None, 1.5, "3", True, -1])
def test_a_function_must_return_a_number_of_tokens(answer):
    count = token_counter(lambda text: answer)
    with pytest.raises(ConfigError, match="must be a function that gives an integer"):
        count("text")


def test_counters_by_name_are_made_once():
    found = []
    threads = [threading.Thread(target=lambda: found.append(token_counter("o200k_base"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(one is found[0] for one in found)
