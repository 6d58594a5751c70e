"""The order in which parts of a passage are kept: by their evidence, and on long pages also by the question's words.

A page has many short lines, such as headings and menus, in which one likely word makes a high mean, and long
sentences whose mean is diluted. Where there are many sentences, rare words tell well which of them are
about the question. In a passage of a few sentences, which is about the question as a whole, they tell little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.config import Unit
from fgr_retriever.evidence.spans import EvidenceSums, Ranges, as_ranges, other_units
from fgr_retriever.text.headers import headers
from fgr_retriever.text.query_words import stems
from fgr_retriever.text.sentences import sentences
from fgr_retriever.trim.layout import Scored
from fgr_retriever.trim.word_evidence import is_of_use
from fgr_retriever.types import Span

# Weight of a sentence's evidence in the order of what fills a budget, beside that of the unit itself.
_OF_SENTENCE = 0.8
# Sentences of a text in which the words of the question weigh half: a page, not a passage.
# A constant weight of 0.3 takes 3.3 points at 5 and 10 % from qed (2 to 5 sentences) and 0.8 to 1.7
# at 20 % from selqa and squadshifts_wiki; this curve gives wice (40 to 80 sentences) as much, 2 to 6 points, and
# changes the others by 0.3 on average.
_PAGE = 60
# How much the length of a sentence counts against its words of the question; BM25's b. On wice, 0 costs 1 to 3 points.
_LENGTH = 0.5
_LEAST = 1e-9  # keeps order where there is no evidence at all


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """A passage with the worth of its sentences.

    Args:
        passage: The passage.
        sums: The evidence of its tokens.
        sentences: The character ranges of its sentences, (n, 2).
        shares: What the words of the question add to the evidence of each sentence, (n,), each at least 0.
        scale: Factor in (0, 1] by which the best sentence is worth as much as the highest evidence of any, so
            that a page competes with other passages by its evidence alone.
    """

    passage: Scored
    sums: EvidenceSums
    sentences: Ranges
    shares: NDArray[np.float64]
    scale: float

    @classmethod
    def of(cls, passage: Scored, known: frozenset[str]) -> Ranking:
        """Rank the sentences of a passage.

        Args:
            passage: The passage with its evidence.
            known: Stems of the content words of the question.
        """
        sums, around = EvidenceSums.of(passage.evidence), as_ranges(sentences(passage.text))
        means = sums.means(around)
        words = _words_asked(passage.text, around, known)
        shares = _coverage(words, sums.counts(around)) / (1 + (_PAGE / max(len(around), 1)) ** 2)
        best = float((means + shares).max(initial=_LEAST))
        scale = max(float(means.max(initial=0.0)), _LEAST) / best if shares.any() else 1.0
        return cls(passage, sums, around, shares, scale)

    def worth(self, evidence: float, span: Span) -> float:
        """Give the worth of a span, by its evidence per token and the best of the sentences that it touches."""
        first = int(self.sentences[:, 1].searchsorted(span.start, "right"))
        last = int(self.sentences[:, 0].searchsorted(span.end, "left"))
        return self.scale * (evidence + float(self.shares[first:last].max(initial=0.0)))

    def is_of_use(self, span: Span, asked: frozenset[str]) -> bool:
        """Say whether a reader may learn something from a span who knows the question, by the stems of its words."""
        return is_of_use(self.passage.text, span, asked, self.sentences)

    def best_within(self, ranges: Ranges) -> tuple[Span, ...]:
        """Find the sentence or record in each of some ranges, (n, 2), that has the most evidence for each token."""
        low, high = self.sentences[:, 0].searchsorted(ranges).T.tolist()
        means = self.sums.means(self.sentences)
        best = [first + int(means[first:last].argmax()) for first, last in zip(low, high, strict=True) if first < last]
        return self.sums.spans(self.sentences[best]) if best else ()

    def others(self, unit: Unit, spans: Sequence[Span]) -> list[tuple[float, Span]]:
        """List the units that touch no span, in text order, each with its worth.

        A unit counts by its own evidence and, more, by that of its sentence: what completes a sentence
        about the question is of more use than a likely word elsewhere.

        Args:
            unit: Phrases or sentences; see `other_units`.
            spans: Disjoint spans in text order.
        """
        found = other_units(self.passage.text, self.passage.evidence, unit, spans)
        owners = self.sentences[:, 0].searchsorted([one.start for one in found], "right") - 1
        means = self.sums.means(self.sentences)[owners].tolist()
        return [
            (self.worth(_OF_SENTENCE * mean + (1 - _OF_SENTENCE) * one.score, one), one)
            for mean, one in zip(means, found, strict=True)
        ]


def _words_asked(text: str, ranges: Ranges, known: frozenset[str]) -> list[frozenset[str]]:
    """Find which words of the question each sentence has; a row of a table has those of its header, too."""
    found = [known.intersection(stems(text[start:end])) for start, end in ranges.tolist()]
    for table in headers(text):
        header = known.intersection(stems(text[table.start : table.end]))
        first, last = ranges[:, 0].searchsorted([table.body, table.close])
        found[first:last] = [words | header for words in found[first:last]]
    return found


def _coverage(words: Sequence[frozenset[str]], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give the share of the question that each sentence covers, rare words first, against its length: (n,).

    Words weigh as in BM25, by the sentences of the text that have them. Words that no sentence has do not count.
    """
    there = sorted(set().union(*words))
    if not there:
        return np.zeros(len(words))
    has = np.array([[stem in one for stem in there] for one in words], dtype=np.float64)
    counts = has.sum(axis=0)
    weights = np.log1p((len(words) - counts + 0.5) / (counts + 0.5))
    covered: NDArray[np.float64] = has @ weights / float(weights.sum())
    relative = np.maximum(lengths, 1) / max(float(lengths.mean()), 1.0)
    return np.divide(covered, 1 - _LENGTH + _LENGTH * relative)
