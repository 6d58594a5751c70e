"""Text to the words that BM25 compares: normalised, without function words, stemmed."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from fgr_retriever.errors import ConfigError, MissingExtraError
from fgr_retriever.text.stop_words import is_content

PLAIN = "plain"  # words as they are
_VERSION = 1  # of the rules below
_REMEMBERED = 1 << 16  # stems: nearly all words of a text were seen before
# Writing without spaces: each Han character and each kana is a word of its own.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


@dataclass(frozen=True, slots=True)
class KeptWords:
    """The words that an index keeps for BM25.

    Args:
        language: As in `IndexConfig.words`, not empty.
        lexicon: Fingerprint of what prepared them.
        mean_length: Words of a passage in the mean, above 0.
        passages: Of how many passages that is the mean; 0 while it is not known.
    """

    language: str
    lexicon: str
    mean_length: float = 1.0
    passages: int = 0


class Lexicon:
    """Prepares the words of one language. Not for several threads at once.

    Args:
        language: A Snowball language, or `plain` for words without stemming.
    """

    def __init__(self, language: str) -> None:
        """Load nothing yet."""
        self._language = language
        self._stems = lru_cache(_REMEMBERED)(self._stem)

    def words(self, text: str) -> list[str]:
        """List the words of a text: NFKC, case folded; of English without function words; stemmed."""
        found: list[str] = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
        if self._language == PLAIN:
            return found
        return [stem for word in found if (stem := self._stems(word))]

    def prepared(self, text: bytes) -> str:
        """Give the words of a stored text, separated by spaces."""
        return " ".join(self.words(text.decode("utf-8", "surrogatepass")))

    def _stem(self, word: str) -> str:
        """Stem a word; empty for a function word of English."""
        if self._language == "english" and not is_content(word):
            return ""
        return str(self._stemmer.stemWord(word))

    @cached_property
    def _stemmer(self) -> Any:
        import Stemmer

        return Stemmer.Stemmer(self._language)


def check_language(language: str) -> None:
    """Make sure that words of a language can be prepared.

    Raises:
        ConfigError: There is no stemmer for it.
        MissingExtraError: The stemmers are not installed.
    """
    if language == PLAIN:
        return
    try:
        import Stemmer
    except ImportError as error:
        raise MissingExtraError(f"words={language!r} (stemming)", "hybrid") from error
    known = [PLAIN, *Stemmer.algorithms()]
    if language not in known:
        raise ConfigError(f"words={language!r}: must be empty or one of {known}")


def new_words(language: str) -> KeptWords | None:
    """Say that a new index keeps words; None for no language.

    Raises:
        ConfigError: There is no stemmer for the language.
        MissingExtraError: The stemmers are not installed.
    """
    if not language:
        return None
    check_language(language)
    return KeptWords(language, fingerprint(language))


def fingerprint(language: str) -> str:
    """Name everything that the words of a text depend on."""
    parts = [f"rules {_VERSION}", f"Unicode {unicodedata.unidata_version}", language]
    if language != PLAIN:
        import Stemmer

        parts.append(f"PyStemmer {Stemmer.version()}")
    return ", ".join(parts)
