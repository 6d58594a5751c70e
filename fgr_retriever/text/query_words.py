"""The words of a question."""

from __future__ import annotations

from dataclasses import dataclass

import regex

from fgr_retriever.text.stop_words import STOP_WORDS, is_content

_PART = regex.compile(r"[^\W_]+")
_LETTER = regex.compile(r"(?<=\w )(?!I\b)\p{Lu}\b(?![.'\N{RIGHT SINGLE QUOTATION MARK}])")  # "class B"
_STEM = 5  # letters: finds most plurals and endings without a stemmer, in any language with letters
_WORD = regex.compile(r"\w+(?:['\N{RIGHT SINGLE QUOTATION MARK}.-]\w+)*")


@dataclass(frozen=True, slots=True)
class QueryWord:
    """A word of a question.

    Args:
        text: As the question has it.
        start: Its first character in the question.
        end: One past its last.
    """

    text: str
    start: int
    end: int

    @property
    def is_content(self) -> bool:
        """Say whether the word has a meaning of its own: no stop word, no question word."""
        return is_content(self.text)


def query_words(question: str) -> tuple[QueryWord, ...]:
    """Cut a question into words; hyphens, apostrophes and points inside a word are part of it."""
    return tuple(QueryWord(word.group(), *word.span()) for word in _WORD.finditer(question))


def stems(text: str) -> list[str]:
    """Give the first letters of every word of a text in lower case; of a number, all of it.

    Args:
        text: Any text. A word with a hyphen or an underscore counts as two; scripts without spaces give long words.
    """
    return [word if word.isdigit() else word[:_STEM] for word in _PART.findall(text.casefold())]


_STOP_STEMS = frozenset(word[:_STEM] for word in STOP_WORDS)


def telling_stems(text: str) -> frozenset[str]:
    """Give the stems of a long text but those of function words; quicker than `content_stems`, and less exact."""
    return frozenset(stems(text)) - _STOP_STEMS


def content_stems(question: str) -> frozenset[str]:
    """Give the stems of the content words of a question."""
    return frozenset(stem for word in query_words(question) if word.is_content for stem in stems(word.text))


def naming_stems(question: str) -> frozenset[str]:
    """Give the stems of the content words of a question, and the letters that it names something by."""
    return content_stems(question) | {letter.casefold() for letter in _LETTER.findall(question)}
