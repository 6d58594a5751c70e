# ruff: noqa: RUF001 (the look-alike characters are meant)
"""Passages on one axis of character positions: ranges of all of them are merged, widened and tidied at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import regex
from numpy.typing import NDArray

from fgr_retriever.evidence.sums import BORDER, TokenAxis
from fgr_retriever.text.units import Ranges, Units, as_ranges

_WORD = regex.compile(r"\w")
_SPACES = "".join(filter(str.isspace, map(chr, range(0x3001))))  # all of Unicode's
_CLAUSE_MARKS = ",;:–—-，、；：" + _SPACES
_SHORTEST_REPEAT = 20  # characters: "Yes, I do." may answer more than one question
_PREPEND = regex.compile(r"\p{GCB=Prepend}")


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Passages, one after the other, with their tokens and units. Every range lies in one passage.

    Args:
        texts: The passages.
        tokens: Their places on the axis, and their tokens.
        units: Their sentences, phrases and breaks, as places on the axis. The borders between
            passages are breaks, too.
    """

    texts: Sequence[str]
    tokens: TokenAxis
    units: Units

    @classmethod
    def of(cls, texts: Sequence[str], tokens: TokenAxis, units: Sequence[Units]) -> Axis:
        """Lay passages on an axis.

        Args:
            texts: The passages, at least one.
            tokens: The axis with their tokens.
            units: The units of each passage.
        """
        starts = tokens.starts
        sentences = np.concatenate([one.sentences for one in units])
        phrases = np.concatenate([one.phrases for one in units])
        breaks = np.concatenate([one.breaks for one in units])
        sentences += starts.repeat([len(one.sentences) for one in units])[:, None]
        phrases += starts.repeat([len(one.phrases) for one in units])[:, None]
        breaks += starts.repeat([len(one.breaks) for one in units])
        breaks = np.concatenate([breaks, starts[1:] - 1])
        breaks.sort()
        return cls(texts, tokens, Units(sentences, phrases, breaks))

    def sentence_of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the sentence that holds each position, or else the one before it."""
        return self.units.sentences[:, 0].searchsorted(positions, "right") - 1

    def holds(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which positions lie in a sentence: what is never evidence lies in none."""
        owners = np.maximum(self.sentence_of(positions), 0)
        low, high = self.units.sentences[owners].T
        found: NDArray[np.bool_] = (low <= positions) & (positions < high)
        return found

    def without_repeats(self, ranges: Ranges) -> Ranges:
        """Leave out ranges of sentences that their passage has said before, word for word.

        Args:
            ranges: Units whose starts ascend.
        """
        if len(ranges) < 2:
            return ranges
        own, owners = self.passage_of(ranges).tolist(), self.sentence_of(ranges[:, 0]).tolist()
        said: dict[tuple[int, str], int] = {}
        first: dict[int, int] = {}  # of each sentence, which one said the same first: found once, however many ranges
        seen: dict[tuple[int, int], int] = {}
        kept = []
        for place, (passage, owner, begin) in enumerate(zip(own, owners, ranges[:, 0].tolist(), strict=True)):
            start, end = self.units.sentences[owner].tolist()
            if owner not in first:
                shift = int(self.tokens.starts[passage])
                first[owner] = said.setdefault((passage, self.texts[passage][start - shift : end - shift]), owner)
            if end - start < _SHORTEST_REPEAT or seen.setdefault((first[owner], begin - start), owner) == owner:
                kept.append(place)
        return ranges if len(kept) == len(ranges) else ranges[kept]

    def merge(self, ranges: Ranges, gap: int) -> Ranges:
        """Join ranges that overlap or are close, but never across a blank line.

        Close are two ranges with at most `gap` characters between them, or in one sentence
        without a token between them (punctuation is no token).

        Args:
            ranges: Ranges whose starts ascend.
            gap: Number of characters.
        """
        if len(ranges) < 2:
            return ranges
        starts, ends = ranges[:, 0], np.maximum.accumulate(ranges[:, 1])
        left, right = ends[:-1], starts[1:]
        anchors, breaks = self.tokens.sums.anchors, self.units.breaks
        no_token = anchors.searchsorted(left) == anchors.searchsorted(right)
        one_sentence = self.sentence_of(left - 1) == self.sentence_of(right)
        one_paragraph = breaks.searchsorted(left) == breaks.searchsorted(right)
        close = (right - left <= gap) | (no_token & one_sentence)
        joined = (right < left) | (one_paragraph & close)
        (apart,) = (~joined).nonzero()
        found = np.empty((len(apart) + 1, 2), dtype=np.int64)
        found[0, 0], found[-1, 1] = starts[0], ends[-1]
        found[1:, 0], found[:-1, 1] = right[apart], left[apart]
        return found

    def widen(self, ranges: Ranges, context: int) -> Ranges:
        """Grow ranges to whole sentences and by `context` more sentences of their passage on either side."""
        sentences = self.units.sentences
        own = self.passage_of(ranges)
        first = sentences[:, 0].searchsorted(self.tokens.starts)
        last = np.append(first[1:], len(sentences)) - 1
        low = np.maximum(self.sentence_of(ranges[:, 0]) - context, first[own])
        high = np.minimum(self.sentence_of(ranges[:, 1] - 1) + context, last[own])
        return np.stack([sentences[low, 0], sentences[high, 1]], axis=1)

    def passage_of(self, ranges: Ranges) -> NDArray[np.int64]:
        """Give the number of the passage that holds each range, (n, 2) to (n,)."""
        return self.tokens.starts.searchsorted(ranges[:, 0], "right") - 1

    def tidy(self, ranges: Ranges, *, words: bool, strip: bool) -> Ranges:
        """Take in the punctuation up to the ends of the sentence, and drop white space.

        Args:
            ranges: Ranges whose starts ascend.
            words: They may begin and end at any word. Else they end where units do, with a word
                in each, so that only punctuation of their own lies up to the ends of the sentence.
            strip: Also drop a comma, colon or dash at the end of a range inside a sentence.
        """
        text = BORDER.join(self.texts)
        closing = self.units.sentences[self.sentence_of(ranges[:, 1] - 1), 1].tolist()
        pairs = ranges.tolist()
        if words:
            opening = self.units.sentences[self.sentence_of(ranges[:, 0]), 0].tolist()
            pairs = [grown(text, *ends) for ends in zip(pairs, opening, closing, strict=True)]
        return bare(text, pairs, closing, strip=strip)


def grown(text: str, pair: tuple[int, int], opening: int, closing: int) -> tuple[int, int]:
    """Take in the punctuation between a range and the ends of its sentence."""
    start, end = pair
    if opening < start and not _WORD.search(text, opening, start):
        start = opening
    if end < closing and not _WORD.search(text, end, closing):
        end = closing
    return start, end


def bare(text: str, pairs: list[tuple[int, int]], closing: list[int], *, strip: bool) -> Ranges:
    """Drop white space around ranges, and those that are nothing else.

    Args:
        text: What the ranges are ranges of.
        pairs: The ranges.
        closing: Where the last sentence of each range ends.
        strip: Also drop a comma, colon or dash at the end of a range inside a sentence.
    """
    found = []
    for (start, end), close in zip(pairs, closing, strict=True):
        marks = _CLAUSE_MARKS if strip and end < close else _SPACES
        if text[end - 1] in marks or text[start].isspace():
            piece = text[start:end]
            kept = piece.rstrip(marks)
            if _PREPEND.match(kept[-1:]):
                kept = piece.rstrip()
            if not (kept := kept.lstrip()):
                continue
            start += len(piece) - len(piece.lstrip())
            end = start + len(kept)
        found.append((start, end))
    return as_ranges(found)
