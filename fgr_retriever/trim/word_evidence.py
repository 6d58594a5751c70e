"""What words, and pieces of text, tell a reader who knows the question."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import regex
from numpy.typing import NDArray
from typing_extensions import Self

from fgr_retriever.evidence.spans import EvidenceSums, Ranges, as_ranges
from fgr_retriever.text.lines import marker
from fgr_retriever.text.query_words import query_words, stems
from fgr_retriever.trim.bisection import most
from fgr_retriever.trim.layout import Scored
from fgr_retriever.trim.negations import Edges, is_negation
from fgr_retriever.types import Span

# Share of its evidence with which a word counts that tells the reader nothing new: a word of the question or a
# function word. Otherwise the run that repeats the question wins, and the answer beside it is cut off. Answers kept
# at 5 % of the tokens and at 12, 16, 22 tokens, against 1: qed and two of SQuADShifts (1,000 passages)
# 0.5: +5.4 +2.2 +2.1 +0.9; 0.3: +6.8 +2.7 +2.0 +0.9; 0.1: +6.9 +2.6 +1.7 +0.9. Words kept of whole marked
# sentences, which function words count for, fall by 0.4 to 0.9 with 0.5 and by 1.2 to 1.6 with 0.3.
_NOTHING_NEW = 0.5
# What each word of the question adds to the weight of a sentence or an item.
_OF_WORD = 0.25
_SIGN = regex.compile(r"[\p{So}\p{Sm}]")  # such as the tick in a cell
_RUN = regex.compile(r"\S+")
_CLOSING, _ASKING = "*_\"'”’»)", frozenset("?？؟")  # noqa: RUF001
_DEEPEST_INDENT, _LONGEST_MARK = 40, 12  # characters before and in the mark of a list item


@dataclass(frozen=True, slots=True, eq=False)
class WordEvidence:
    """The evidence in the words of a span.

    Args:
        sums: The evidence of the tokens of its passage.
        words: The words, (n, 2), ascending.
        mass: Running sum of their evidence, as far as it is news, (n + 1,).
        told: Running count of those that tell something, (n + 1,).
        edges: Where a run of words may begin and end: it cuts off no negation.
    """

    sums: EvidenceSums
    words: Ranges
    mass: NDArray[np.float64]
    told: NDArray[np.int64]
    edges: Edges

    @classmethod
    def of(
        cls,
        passage: Scored,
        words: Ranges,
        tells: NDArray[np.bool_],
        weights: NDArray[np.float64] | float = 1.0,
        phrases: Ranges | None = None,
    ) -> Self:
        """Weigh words by whether they tell a reader who knows the question anything.

        Args:
            passage: The passage with its evidence.
            words: Ranges of it, ascending, (n, 2).
            tells: Which of them do, (n,); see `telling`.
            weights: Other weights of the words, (n,).
            phrases: The phrases that hold them, (m, 2); by default they are worked out.
        """
        sums = EvidenceSums.of(passage.evidence)
        counts = np.where(tells | wordless(passage.text, words), 1.0, _NOTHING_NEW)
        worths = sums.masses(words) * counts * weights
        edges = Edges.of(passage.text, words, phrases)
        return cls(sums, words, np.append(0.0, worths.cumsum()), np.append(0, tells.cumsum()), edges)

    def unbroken(self) -> Ranges:
        """Give the words, (m, 2): those of a negation that belong together as one range."""
        (edges,) = (self.edges.begin & self.edges.end).nonzero()
        found: Ranges = np.stack([self.words[edges[:-1], 0], self.words[edges[1:] - 1, 1]], axis=1)
        return found

    def within(self, ranges: Ranges) -> NDArray[np.float64]:
        """Sum the words in each range, (n, 2) to (n,)."""
        first, last = self._places(ranges)
        return np.subtract(self.mass[last], self.mass[first])

    def tell(self, ranges: Ranges) -> NDArray[np.bool_]:
        """Say which ranges have a word that tells something, (n, 2) to (n,)."""
        first, last = self._places(ranges)
        return np.greater(self.told[last], self.told[first])

    def of_span(self, span: Span) -> float:
        """Sum the words in a span."""
        return float(self.within(as_ranges([(span.start, span.end)]))[0])

    def span(self, start: int, end: int) -> Span:
        """Make a span of a range."""
        return self.sums.spans(as_ranges([(int(start), int(end))]))[0]

    def richest_run(self, fits: Callable[[Span], bool], owners: NDArray[np.int64] | None = None) -> Span | None:
        """Find by bisection the most words in a row that fit and tell something, always those with the most evidence.

        Args:
            fits: Says whether a span is short enough.
            owners: The unit of each word, (n,), beyond which no run goes; None if there is but one.
        """
        units = np.zeros(len(self.words), dtype=np.int64) if owners is None else owners
        places, last = np.arange(len(units)), units.searchsorted(units, "right")
        edges = np.maximum.accumulate(np.where(self.edges.end, np.arange(len(units) + 1), 0))

        def run(count: int) -> Span | None:
            ends = edges[np.minimum(places + count, last)]  # shorter where it would cut off a negation
            allowed = self.edges.begin[:-1] & (ends > places) & (self.told[ends] > self.told[:-1])
            if not allowed.any():
                return None
            first = int(np.where(allowed, self.mass[ends] - self.mass[:-1], -1.0).argmax())
            return self.span(self.words[first, 0], self.words[ends[first] - 1, 1])

        def is_fitting(count: int) -> bool:
            found = run(count)
            return found is None or fits(found)  # a longer one may hold a whole negation

        fitting = most(int(np.bincount(units, minlength=1).max()), is_fitting)
        return run(fitting) if fitting else None

    def _places(self, ranges: Ranges) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        first, last = self.words[:, 0].searchsorted(ranges[:, 0]), self.words[:, 1].searchsorted(ranges[:, 1], "right")
        return first, np.maximum(first, last)


def weights_of_units(text: str, units: Ranges, asked: frozenset[str]) -> NDArray[np.float64]:
    """Weigh sentences and items of a list by the words of the question that they have and others have not.

    Of units that lie side by side, the one that names what is asked about is of more use than one that tells only
    other things. Within a unit it is the other way round: see `WordEvidence`.

    Args:
        text: Any text.
        units: Ranges of it, (n, 2).
        asked: Stems of the words of the question.

    Returns:
        (n,), at least 1.
    """
    counts = np.fromiter(
        (len(asked.intersection(stems(text[start:end]))) for start, end in units.tolist()), np.float64, len(units)
    )
    found: NDArray[np.float64] = 1 + _OF_WORD * (counts - counts.min(initial=len(asked)))
    return found


def telling(text: str, words: Ranges, known: frozenset[str]) -> NDArray[np.bool_]:
    """Say which words tell a reader something who knows the question, (n, 2) to (n,).

    Words of the question, function words, the marks of list items and punctuation do not.

    Args:
        text: Any text.
        words: Ranges of it, ascending.
        known: Stems of the words of the question.
    """
    return np.fromiter(_told(text, words.tolist(), known), np.bool_, len(words))


def is_of_use(text: str, span: Span, known: frozenset[str], sentences: Ranges) -> bool:
    """Say whether a reader who knows the question may learn something from a span.

    One that holds nothing new is of use if it holds a whole sentence or record: one that repeats a question affirms it.
    Only a question does not.

    Args:
        text: Any text.
        span: A range of it.
        known: Stems of the words of the question.
        sentences: The sentences and records of the text, ascending, (n, 2).
    """
    if any(_told(text, (word.span() for word in _RUN.finditer(text, span.start, span.end)), known)):
        return True
    first, last = sentences[:, 0].searchsorted([span.start, span.end]).tolist()
    held = (text[start:end].rstrip(_CLOSING) for start, end in sentences[first:last].tolist() if end <= span.end + 1)
    return any(one[-1:] not in _ASKING and any(word.is_content for word in query_words(one)) for one in held)


def _told(text: str, words: Iterable[Sequence[int]], known: frozenset[str]) -> Iterator[bool]:
    marked = 0
    for start, end in words:
        marked = max(marked, _mark_end(text, start))
        yield end > marked and _tells(text[start:end], known)


def wordless(text: str, words: Ranges) -> NDArray[np.bool_]:
    """Say which ranges are punctuation or signs, (n, 2) to (n,)."""
    found = (not any(map(str.isalnum, text[start:end])) for start, end in words.tolist())
    return np.fromiter(found, np.bool_, len(words))


def _tells(word: str, known: frozenset[str]) -> bool:
    parts = query_words(word)
    if not parts:
        return _SIGN.search(word) is not None
    return any(
        not known.issuperset(stems(part.text)) if part.is_content else is_negation(part.text)
        for part in parts  # a negation turns a statement round: it always counts in full
    )


def _mark_end(text: str, start: int) -> int:
    """Find where the mark of a list item ends that begins with a word; 0 if none does."""
    before = text[max(start - _DEEPEST_INDENT, 0) : start].rstrip(" \t")
    if before[-1:] not in ("", "\n", "\r") or (not before and start > _DEEPEST_INDENT):
        return 0
    mark = marker(text, start, min(start + _LONGEST_MARK, len(text)))
    return mark.end() if mark else 0
