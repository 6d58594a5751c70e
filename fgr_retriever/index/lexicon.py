"""Text to the words that BM25 compares: normalised, without function words, stemmed."""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property
from typing import Any

from fgr_retriever.errors import ConfigError, MissingExtraError
from fgr_retriever.stop_words import is_content

PLAIN = "plain"  # words as they are
_VERSION = 1  # of the rules below
# Writing without spaces: each Han character and each kana is a word of its own.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


class Lexicon:
    """Prepares the words of one language. Not for several threads at once.

    Args:
        language: A Snowball language, or `plain` for words without stemming.
    """

    def __init__(self, language: str) -> None:
        """Load nothing yet."""
        self._language = language

    def words(self, text: str) -> list[str]:
        """List the words of a text: NFKC, case folded; of English without function words; stemmed."""
        found = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
        if self._language == PLAIN:
            return found
        if self._language == "english":
            found = [word for word in found if is_content(word)]
        stemmed: list[str] = self._stemmer.stemWords(found)
        return stemmed

    def prepared(self, text: bytes) -> str:
        """Give the words of a stored text, separated by spaces."""
        return " ".join(self.words(text.decode("utf-8", "surrogatepass")))

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


def fingerprint(language: str) -> str:
    """Name everything that the words of a text depend on."""
    parts = [f"rules {_VERSION}", f"Unicode {unicodedata.unidata_version}", language]
    if language != PLAIN:
        import Stemmer

        parts.append(f"PyStemmer {Stemmer.version()}")
    return ", ".join(parts)
