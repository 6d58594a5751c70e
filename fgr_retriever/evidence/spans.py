"""Turn token probabilities into spans: the parts of a text that a reader needs as evidence.

The words, phrases or sentences around likely tokens are the units to choose from. By default each
passage finds its own cut: the choice with the highest expected F1. Chosen units that lie close
together become one span. All passages of a search lie on one axis, so that numpy does all of them
at once; Python loops run only over passages and over the final spans.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.config import TrimConfig, Unit
from fgr_retriever.evidence.axis import Axis, bare
from fgr_retriever.evidence.sums import EvidenceSums, TokenAxis, spans
from fgr_retriever.evidence.unit_choice import Choice
from fgr_retriever.text.units import Ranges, Units, as_ranges
from fgr_retriever.types import Span, TokenEvidence

__all__ = ["EvidenceSums", "Ranges", "as_ranges", "best_span", "find_spans", "find_spans_of", "other_units"]

_NONE = Units.of("")
_NOWHERE = np.zeros(0, dtype=np.int64)


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
    return find_spans_of([text], [evidence], config, threshold)[0]


def find_spans_of(
    texts: Sequence[str],
    evidence: Sequence[TokenEvidence],
    config: TrimConfig,
    threshold: float,
    units: Sequence[Units | None] | None = None,
) -> list[tuple[Span, ...]]:
    """Turn the token probabilities of some passages into evidence spans, all at once.

    Args:
        texts: The passages.
        evidence: Probability and character range of the tokens of each passage.
        config: As for `find_spans`.
        threshold: As for `find_spans`.
        units: The units of each passage, where they are known; else they are worked out from the text.

    Returns:
        For each passage what `find_spans` gives.
    """
    if not texts:
        return []
    tokens = TokenAxis.of([len(text) for text in texts], evidence)
    (hot,) = (tokens.probabilities >= threshold).nonzero()
    known, hot = _units_of(texts, tokens, hot, units or [None] * len(texts), config)
    if not len(hot):
        return [()] * len(texts)
    axis = Axis.of(texts, tokens, known)
    hot = hot[axis.holds(tokens.sums.anchors[hot])]
    if not len(hot):
        return [()] * len(texts)
    choice = Choice.of(axis, evidence, hot, config.unit)
    chosen = choice.by_expected_f1() if config.threshold is None else choice.by_share(config.unit)
    merged = axis.merge(axis.without_repeats(choice.ranges[chosen]), config.merge_gap)
    ranges = merged[merged[:, 1] - merged[:, 0] >= max(config.min_length, 1)]
    if config.context_sentences:
        ranges = axis.widen(ranges, config.context_sentences)
    ranges = axis.tidy(ranges, words=config.unit == "token", strip=config.unit == "phrase")
    if config.unit == "token" or config.context_sentences or len(ranges) < len(merged):
        ranges = axis.merge(ranges, config.merge_gap)  # else no two have come closer
    return _split(axis, ranges)


def _units_of(
    texts: Sequence[str], tokens: TokenAxis, hot: NDArray[np.int64], units: Sequence[Units | None], config: TrimConfig
) -> tuple[list[Units], NDArray[np.int64]]:
    """Complete the units of the passages, as far as the likely tokens need them.

    Returns:
        The units, and the likely tokens without those of passages that are nothing but white space.
    """
    edges = hot.searchsorted(tokens.edges).tolist()
    found, blank = [], []
    for place, (low, high) in enumerate(pairwise(edges)):
        known = units[place]
        if known is None and low < high:
            near = tokens.sums.anchors[hot[low:high] if config.unit == "phrase" else hot[:0]] - tokens.starts[place]
            alone = config.unit == "phrase" and not config.context_sentences
            known = Units.holding(texts[place], near) if alone else Units.near(texts[place], near)
        found.append(_NONE if known is None else known)
        if low < high and not len(found[-1].sentences):
            blank.append(np.arange(low, high))
    return found, np.delete(hot, np.concatenate(blank)) if blank else hot


def _split(axis: Axis, ranges: Ranges) -> list[tuple[Span, ...]]:
    """Make the spans of each passage."""
    starts = axis.tokens.starts
    own = ranges - starts[axis.passage_of(ranges), None]
    found = spans(own, axis.tokens.sums.means(ranges))
    edges = [*ranges[:, 0].searchsorted(starts).tolist(), len(found)]
    return [found[low:high] for low, high in pairwise(edges)]


def best_span(text: str, evidence: TokenEvidence, config: TrimConfig) -> Span | None:
    """Find the phrase (for unit "sentence": the sentence) with the highest mean probability.

    Args:
        text: The passage.
        evidence: Probability and character range of each of its tokens.
        config: The unit of a span.

    Returns:
        The best one, the first among equals; None if the passage has no tokens.
    """
    sums, wholes = EvidenceSums.of(evidence), Units.near(text, _NOWHERE).sentences
    units = wholes[sums.counts(wholes) > 0]
    if not len(units):
        return None
    if config.unit != "sentence":
        # No phrase has a higher mean than its sentence's highest token, and the best phrase none
        # lower than the best sentence: only these sentences can hold it.
        likely = sums.anchors[evidence.probabilities >= sums.means(units).max() - 1e-6]
        units = Units.near(text, likely).phrases
        units = units[sums.counts(units) > 0]
    best = units[[int(sums.means(units).argmax())]]
    closing = wholes[wholes[:, 0].searchsorted(best[:, 0], "right") - 1, 1].tolist()
    return next(iter(sums.spans(bare(text, best.tolist(), closing, strip=True))), None)


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
    sums, known = EvidenceSums.of(evidence), Units.of(text)
    units = known.sentences if unit == "sentence" else known.phrases
    units = units[sums.counts(units) > 0]
    taken = as_ranges([(span.start, span.end) for span in spans])
    free = taken[:, 1].searchsorted(units[:, 0], "right") == taken[:, 0].searchsorted(units[:, 1], "left")
    return sums.spans(units[free])
