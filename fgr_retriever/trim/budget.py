"""Token counters: how a budget measures text.

tiktoken loads its encodings from the network once and keeps them in a cache. If there is no cache,
the copies that llama-index-core ships are read instead, so that counting works offline.
"""

from __future__ import annotations

import hashlib
import importlib.util
import numbers
import os
import tempfile
import threading
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import regex

from fgr_retriever.calls import in_time
from fgr_retriever.errors import ConfigError, TokenCounterError
from fgr_retriever.text.valid import without_surrogates

TokenCounter: TypeAlias = Callable[[str], int]

DOWNLOAD_SECONDS = 20.0
_REMEDIES = (
    "install llama-index-core (it ships o200k_base and cl100k_base), set TIKTOKEN_CACHE_DIR to a folder that holds "
    "the encoding, or pass a callable or the folder of a Hugging Face tokenizer"
)
_COUNTING = "lambda text: len(tokenize(text))"
# Encodings whose vocabulary file has another encoding's name.
_VOCABULARY = {"o200k_harmony": "o200k_base", "p50k_edit": "p50k_base"}
_VOCABULARY_URL = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
# tiktoken's pattern overflows its stack on a million spaces: longer texts are counted in slices,
# cut between a word and the space after it, where every tiktoken encoding begins a new token.
_SLICE = 50_000
_SAFE_CUT = regex.compile(r"(?r)(?<=\p{L})(?= \p{L})")
_lock = threading.RLock()


@runtime_checkable
class Tokenizer(Protocol):
    """Anything that turns text into tokens, such as a tiktoken or Hugging Face tokenizer."""

    def encode(self, text: str, /) -> Any:
        """Turn a text into a sized collection of tokens."""
        ...


def token_counter(tokenizer: str | Tokenizer | TokenCounter) -> TokenCounter:
    """Make a function that counts the tokens of a text.

    Text that looks like a special token ("<|endoftext|>") is counted as ordinary text, as it is in a
    prompt. No tokens are added at the ends.

    Args:
        tokenizer: The name of a tiktoken encoding ("o200k_base") or of a model that tiktoken
            knows ("gpt-4o"); the folder or hub id ("org/name") of a Hugging Face tokenizer; an
            object with `encode`; or a function from text to a number of tokens.

    Returns:
        The counter. Counters by name are made once and kept.

    Raises:
        TokenCounterError: The name is unknown, its files are not available, or `tokenizer` is none of
            these.
    """
    if isinstance(tokenizer, str):
        with _lock:
            return _by_name(tokenizer)
    if isinstance(tokenizer, Tokenizer):
        return _by_encode(tokenizer)
    if callable(tokenizer):
        return partial(count_with, tokenizer)
    raise TokenCounterError(
        f"tokenizer must be a name, an object with encode(text) or a function, got {type(tokenizer).__name__}"
    )


def check_counter(count: object) -> None:
    """Refuse what cannot count tokens, before it is asked to.

    Raises:
        ConfigError: It is neither None nor a function.
    """
    if count is None or callable(count):
        return
    named = f"; the name of a tokenizer belongs into TrimConfig(tokenizer={count!r:.80})"
    raise ConfigError(
        f"count_tokens={count!r:.200}: must be a function that gives an integer: {_COUNTING}"
        f"{named if isinstance(count, str) else ''}"
    )


def count_with(count: Callable[[str], Any], text: str) -> int:
    """Call a user's function, and refuse anything but a number of tokens.

    Raises:
        ConfigError: It gives something else, such as the tokens themselves.
    """
    found = count(text)
    if isinstance(found, bool) or not isinstance(found, numbers.Integral):
        raise ConfigError(
            f"count_tokens must be a function that gives an integer, got {type(found).__name__}: {_COUNTING}"
        )
    if found < 0:
        raise ConfigError(f"count_tokens must be a function that gives an integer of at least 0, got {found}")
    return int(found)


@lru_cache(maxsize=16)
def _by_name(name: str) -> TokenCounter:
    """Make the counter for a tiktoken or Hugging Face name."""
    import tiktoken

    try:
        encoding = name if name in tiktoken.list_encoding_names() else tiktoken.encoding_name_for_model(name)
    except KeyError:
        encoding = ""
    if encoding:
        return partial(_count_sliced, _load_tiktoken(encoding))
    if "/" in name or Path(name).is_dir():
        return _load_hugging_face(name)
    raise TokenCounterError(
        f"no tokenizer is called {name!r}: give a tiktoken encoding ({', '.join(tiktoken.list_encoding_names())}), "
        "a model name that tiktoken knows, or a folder or hub id (org/name) of a Hugging Face tokenizer"
    )


def _by_encode(tokenizer: Any) -> TokenCounter:
    """Make the counter for an object with `encode`."""
    if hasattr(tokenizer, "encode_ordinary"):  # tiktoken: `encode` refuses the text of special tokens
        return partial(_count_sliced, tokenizer)
    if hasattr(tokenizer, "no_truncation"):  # tokenizers: a copy that truncates and pads nothing
        tokenizer = type(tokenizer).from_str(tokenizer.to_str())
        tokenizer.no_truncation()
        tokenizer.no_padding()
    if hasattr(tokenizer, "num_special_tokens_to_add"):  # Hugging Face, both libraries
        return lambda text: len(tokenizer.encode(without_surrogates(text), add_special_tokens=False))
    return lambda text: len(tokenizer.encode(text))


def _count_sliced(encoding: Any, text: str) -> int:
    """Count with tiktoken, in slices that add up to the same number.

    Only a stretch of more than 25,000 characters without two neighbouring words is cut elsewhere,
    which can give a few tokens more.
    """
    start = total = 0
    while len(text) - start > _SLICE:
        safe = _SAFE_CUT.search(text, start + _SLICE // 2, start + _SLICE)
        end = safe.start() if safe else start + _SLICE
        total += len(encoding.encode_ordinary(text[start:end]))
        start = end
    return total + len(encoding.encode_ordinary(text[start:]))


def _load_tiktoken(name: str) -> Any:
    """Load an encoding from the cache, else from llama-index-core's copy, else from the network."""
    import tiktoken

    url = _VOCABULARY_URL.format(_VOCABULARY.get(name, name))
    file = hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
    for folder in (_user_cache(), _shipped_cache()):
        if folder is not None and (folder / file).is_file():
            return _load_from(folder, name)
    try:
        return in_time(DOWNLOAD_SECONDS, partial(tiktoken.get_encoding, name))
    except Exception as error:  # whatever the network raises
        raise TokenCounterError(f"tiktoken cannot load {name!r} ({type(error).__name__}): {_REMEDIES}") from None


def _user_cache() -> Path:
    """Give the folder in which tiktoken itself looks."""
    named = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    return Path(named) if named else Path(tempfile.gettempdir()) / "data-gym-cache"


def _shipped_cache() -> Path | None:
    """Find llama-index-core's copies without importing it.

    `llama_index` is a namespace that this distribution shares, and importing its core takes
    seconds, so only the folders on the namespace's path are looked at.
    """
    spec = importlib.util.find_spec("llama_index")
    places = spec.submodule_search_locations if spec else None
    folders = (Path(place) / "core" / "_static" / "tiktoken_cache" for place in places or ())
    return next((folder for folder in folders if folder.is_dir()), None)


def _load_from(folder: Path, name: str) -> Any:
    """Load an encoding from a folder; tiktoken takes it from the environment only."""
    import tiktoken

    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    try:
        return tiktoken.get_encoding(name)
    finally:
        if before is None:
            del os.environ["TIKTOKEN_CACHE_DIR"]
        else:
            os.environ["TIKTOKEN_CACHE_DIR"] = before


def _load_hugging_face(name: str) -> TokenCounter:
    """Load a tokenizer from a folder, the hub's cache or the hub."""
    import tokenizers

    file = Path(name) / "tokenizer.json"
    try:
        return _by_encode(tokenizers.Tokenizer.from_file(str(file)) if file.is_file() else _load_auto(name))
    except Exception as error:  # both libraries raise plain Exception for damaged files
        raise TokenCounterError(f"cannot load a Hugging Face tokenizer from {name!r}: {error}") from None


def _load_auto(name: str) -> Any:
    """Let transformers load a tokenizer, from local files if they are there."""
    import transformers

    load = transformers.AutoTokenizer.from_pretrained
    try:
        return load(name, local_files_only=True)
    except (OSError, ValueError):
        return in_time(DOWNLOAD_SECONDS, partial(load, name))
