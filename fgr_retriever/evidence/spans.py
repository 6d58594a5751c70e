# ruff: noqa: RUF001 (the look-alike characters are meant)
"""Turn token probabilities into spans: the parts of a text that a reader needs as evidence.

The words, phrases or sentences around likely tokens are the units to choose from. By default each
passage finds its own cut: the choice with the highest expected F1. Chosen units that lie close
together become one span. Everything is vectorised over tokens; Python loops run only over the
sentences that hold evidence and over the final spans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import regex
from numpy.typing import NDArray

from fgr_retriever.config import TrimConfig, Unit
from fgr_retriever.text.atoms import cuts
from fgr_retriever.text.sentences import paragraph_breaks, phrases, sentences
from fgr_retriever.types import Span, TokenEvidence

# At a fixed threshold, a unit is kept when at least this share of its tokens passes: a stray word in a
# long clause says nothing to a reader, but a short answer is worth its sentence. Best on held-out examples.
_SHARES: dict[Unit, float] = {"token": 0.0, "phrase": 0.3, "sentence": 0.05}

_WORD = regex.compile(r"\w")
_SPACES = "".join(filter(str.isspace, map(chr, range(0x3001))))  # all of Unicode's
_CLAUSE_MARKS = ",;:–—-，、；：" + _SPACES
_PREPEND = regex.compile(r"\p{GCB=Prepend}")

Ranges: TypeAlias = NDArray[np.int64]  # (n, 2): start and end, ascending


def find_spans(text: str, evidence: TokenEvidence, config: TrimConfig, threshold: float) -> tuple[Span, ...]:
    """Turn token probabilities into evidence spans.

    Args:
        text: The passage.
        evidence: Probability and character range of each of its tokens.
        config: The unit, merge gap, minimum length and context of a span. `threshold` is a fixed cut if
            `config.threshold` is set; if that is None, it is only the lowest probability that counts.
        threshold: Probability in [0, 1]: units without a token that reaches it are never kept.

    Returns:
        Disjoint spans in text order, with the mean probability of their tokens as score. No span
        begins or ends with white space or inside a grapheme, word, number, identifier or URL.
    """
    hot = np.flatnonzero(evidence.probabilities >= threshold)
    if not len(hot):
        return ()
    layout = _Layout.of(text, evidence)
    units = layout.units(hot, config.unit)
    if config.threshold is None:
        ranges = units[_by_expected_f1(layout.sums, units)]
    else:
        ranges = units[_by_share(layout.sums, units, hot, _SHARES[config.unit])]
    ranges = layout.merge(ranges, config.merge_gap)
    ranges = ranges[ranges[:, 1] - ranges[:, 0] >= max(config.min_length, 1)]
    if config.context_sentences:
        ranges = layout.widen(ranges, config.context_sentences)
    return layout.sums.spans(layout.merge(layout.tidy(ranges, strip=config.unit == "phrase"), config.merge_gap))


def best_span(text: str, evidence: TokenEvidence, config: TrimConfig) -> Span | None:
    """Find the phrase (for unit "sentence": the sentence) with the highest mean probability.

    Args:
        text: The passage.
        evidence: Probability and character range of each of its tokens.
        config: The unit of a span.

    Returns:
        The best one, the first among equals; None if the passage has no tokens.
    """
    layout = _Layout.of(text, evidence)
    units = layout.sentences[layout.sums.counts(layout.sentences) > 0]
    if not len(units):
        return None
    if config.unit != "sentence":
        # No phrase has a higher mean than its sentence's highest token, and the best phrase none
        # lower than the best sentence: only these sentences can hold it.
        owners = layout.sentence_of(
            layout.sums.anchors[evidence.probabilities >= layout.sums.means(units).max() - 1e-6]
        )
        units = layout.phrases(np.unique(owners))
        units = units[layout.sums.counts(units) > 0]
    best = units[[int(layout.sums.means(units).argmax())]]
    return next(iter(layout.sums.spans(layout.tidy(best, strip=True))), None)


def other_units(text: str, evidence: TokenEvidence, unit: Unit, spans: Sequence[Span]) -> tuple[Span, ...]:
    """List the phrases (for unit "sentence": the sentences) that have tokens and touch no span.

    Args:
        text: The passage.
        evidence: Probability and character range of each of its tokens.
        unit: The unit of a span.
        spans: Disjoint spans in text order.

    Returns:
        Disjoint spans in text order, with the mean probability of their tokens as score.
    """
    layout = _Layout.of(text, evidence)
    units = layout.sentences if unit == "sentence" else layout.phrases(np.arange(len(layout.sentences)))
    units = layout.tidy(units[layout.sums.counts(units) > 0], strip=False)
    taken = as_ranges([(span.start, span.end) for span in spans])
    free = taken[:, 1].searchsorted(units[:, 0], "right") == taken[:, 0].searchsorted(units[:, 1], "left")
    return layout.sums.spans(units[free])


def _by_expected_f1(sums: EvidenceSums, units: Ranges) -> NDArray[np.bool_]:
    """Choose the units that are the evidence with the highest expected F1, if probabilities are honest.

    Keeping n tokens whose probabilities sum to m, where those of the whole passage sum to M, has an
    expected F1 of about 2 m / (n + M). The best choice is a run from the top of the units ordered
    by mean probability; the cut comes out at half of the F1 that is reached, so it is low where a
    passage is hard to judge and high where it is clear.

    Source: Ye et al. 2012, "Optimizing F-measure: a tale of two approaches" (arXiv 1206.4625);
    Lipton et al. 2014 (arXiv 1402.1892), theorem 1.
    """
    order = np.argsort(-sums.means(units), kind="stable")
    masses, counts = sums.masses(units)[order].cumsum(), sums.counts(units)[order].cumsum()
    expected = 2 * masses / (counts + sums.mass[-1])
    chosen = np.zeros(len(units), dtype=np.bool_)
    chosen[order[: int(expected.argmax()) + 1]] = True
    return chosen


def _by_share(sums: EvidenceSums, units: Ranges, hot: NDArray[np.int64], least: float) -> NDArray[np.bool_]:
    """Choose the units of whose tokens the least share passes; if there is none, those with the largest share."""
    owner = units[:, 0].searchsorted(sums.anchors[hot], "right") - 1
    share = np.bincount(owner, minlength=len(units)) / np.maximum(sums.counts(units), 1)
    chosen: NDArray[np.bool_] = share >= min(least, float(share.max()))
    return chosen


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceSums:
    """Running sums over the tokens of a passage; they give the sums of many ranges at once.

    Args:
        anchors: Position of each token's last character, which decides to which range the token
            belongs, (t,) int64.
        mass: Sum of the probabilities of the first i tokens, (t + 1,) float64.
    """

    anchors: NDArray[np.int64]
    mass: NDArray[np.float64]

    @classmethod
    def of(cls, evidence: TokenEvidence) -> EvidenceSums:
        """Sum up the tokens of one passage."""
        anchors = np.maximum.accumulate(evidence.offsets.reshape(-1, 2)[:, 1].astype(np.int64)) - 1
        return cls(anchors, np.concatenate([[0.0], np.cumsum(evidence.probabilities, dtype=np.float64)]))

    def counts(self, ranges: Ranges) -> NDArray[np.int64]:
        """Count the tokens in each range, (n, 2) to (n,)."""
        edges = self.anchors.searchsorted(ranges).astype(np.int64)
        return np.subtract(edges[:, 1], edges[:, 0])

    def masses(self, ranges: Ranges) -> NDArray[np.float64]:
        """Sum the probabilities of the tokens in each range, (n, 2) to (n,)."""
        edges = self.anchors.searchsorted(ranges)
        return np.subtract(self.mass[edges[:, 1]], self.mass[edges[:, 0]])

    def means(self, ranges: Ranges) -> NDArray[np.float64]:
        """Average the probabilities of the tokens in each range, 0 if a range has none."""
        return np.clip(self.masses(ranges) / np.maximum(self.counts(ranges), 1), 0.0, 1.0)

    def spans(self, ranges: Ranges) -> tuple[Span, ...]:
        """Make spans of ranges, with the mean probability of their tokens as score."""
        scores = self.means(ranges).tolist()
        return tuple(Span(start, end, score) for (start, end), score in zip(ranges.tolist(), scores, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """A passage, its sentences and its tokens.

    Args:
        text: The passage.
        sentences: Their character ranges, (n, 2).
        breaks: Where the blank lines are, (b,).
        offsets: The character ranges of the tokens, (t, 2).
        sums: Their places and probabilities.
    """

    text: str
    sentences: Ranges
    breaks: NDArray[np.int64]
    offsets: Ranges
    sums: EvidenceSums

    @classmethod
    def of(cls, text: str, evidence: TokenEvidence) -> _Layout:
        """Segment a passage."""
        offsets = evidence.offsets.astype(np.int64).reshape(-1, 2)
        breaks = np.array(paragraph_breaks(text), dtype=np.int64)
        return cls(text, as_ranges(sentences(text)), breaks, offsets, EvidenceSums.of(evidence))

    def sentence_of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the sentence that holds each position, or else the one before it."""
        return np.maximum(self.sentences[:, 0].searchsorted(positions, "right") - 1, 0)

    def phrases(self, which: NDArray[np.int64]) -> Ranges:
        """List the phrases of some sentences."""
        return as_ranges(
            [unit for start, end in self.sentences[which].tolist() for unit in phrases(self.text, start, end)]
        )

    def units(self, tokens: NDArray[np.int64], unit: Unit) -> Ranges:
        """List the words, phrases or sentences that hold the tokens, disjoint and in text order."""
        if unit == "token":
            return np.unique(self.words(tokens), axis=0)
        which = np.unique(self.sentence_of(self.sums.anchors[tokens]))
        if unit == "sentence":
            return self.sentences[which]
        phrases = self.phrases(which)
        held = np.zeros(len(phrases), dtype=np.bool_)
        held[phrases[:, 0].searchsorted(self.sums.anchors[tokens], "right") - 1] = True
        return phrases[held]

    def stretches(self, which: NDArray[np.int64]) -> list[tuple[int, int]]:
        """Give the ranges that runs of neighbouring sentences cover."""
        split = np.flatnonzero(np.diff(which) > 1)
        first = which[np.r_[0, split + 1]]
        last = which[np.r_[split, len(which) - 1]]
        return list(zip(self.sentences[first, 0].tolist(), self.sentences[last, 1].tolist(), strict=True))

    def words(self, tokens: NDArray[np.int64]) -> Ranges:
        """Grow tokens to whole words (atoms), looking only at the sentences that hold them."""
        if not len(tokens):
            return as_ranges([])
        owner = self.sentence_of(self.sums.anchors[tokens])
        home = self.sentences[owner]
        borders = np.concatenate([cuts(self.text, *stretch) for stretch in self.stretches(np.unique(owner))])
        inside = np.clip(self.offsets[tokens], home[:, :1], home[:, 1:])
        starts = borders[borders.searchsorted(inside[:, 0], "right") - 1]
        ends = borders[borders.searchsorted(inside[:, 1], "left")]
        return np.stack([starts, ends], axis=1)

    def merge(self, ranges: Ranges, gap: int) -> Ranges:
        """Join ranges that overlap or are close, but never across a blank line.

        Close are two ranges with at most `gap` characters between them, or in one sentence
        without a token between them (punctuation is no token).
        """
        if len(ranges) < 2:
            return ranges
        ranges = ranges[ranges[:, 0].argsort(kind="stable")]
        starts, ends = ranges[:, 0], np.maximum.accumulate(ranges[:, 1])
        left, right = ends[:-1], starts[1:]
        no_token = self.sums.anchors.searchsorted(left) == self.sums.anchors.searchsorted(right)
        one_sentence = self.sentence_of(left - 1) == self.sentence_of(right)
        one_paragraph = self.breaks.searchsorted(left) == self.breaks.searchsorted(right)
        close = (right - left <= gap) | (no_token & one_sentence)
        apart = ~((right < left) | (one_paragraph & close))
        return np.stack([starts[np.r_[True, apart]], ends[np.r_[apart, True]]], axis=1)

    def widen(self, ranges: Ranges, context: int) -> Ranges:
        """Grow ranges to whole sentences and by `context` more sentences on either side."""
        first = np.maximum(self.sentence_of(ranges[:, 0]) - context, 0)
        last = np.minimum(self.sentence_of(ranges[:, 1] - 1) + context, len(self.sentences) - 1)
        return np.stack([self.sentences[first, 0], self.sentences[last, 1]], axis=1)

    def tidy(self, ranges: Ranges, *, strip: bool) -> Ranges:
        """Take in the punctuation up to the ends of the sentence, and drop white space.

        Args:
            ranges: Disjoint ranges in text order.
            strip: Also drop a comma, colon or dash at the end of a range inside a sentence.
        """
        first = self.sentences[self.sentence_of(ranges[:, 0]), 0].tolist()
        last = self.sentences[self.sentence_of(ranges[:, 1] - 1), 1].tolist()
        found = []
        for (start, end), opening, closing in zip(ranges.tolist(), first, last, strict=True):
            if opening < start and not _WORD.search(self.text, opening, start):
                start = opening
            if end < closing and not _WORD.search(self.text, end, closing):
                end = closing
            piece = self.text[start:end]
            bare = piece.rstrip(_CLAUSE_MARKS) if strip and end < closing else piece.rstrip()
            if _PREPEND.match(bare[-1:]):
                bare = piece.rstrip()
            if bare := bare.lstrip():
                start += len(piece) - len(piece.lstrip())
                found.append((start, start + len(bare)))
        return as_ranges(found)


def as_ranges(pairs: list[tuple[int, int]]) -> Ranges:
    """Make an array of starts and ends, (n, 2), also from an empty list."""
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)
