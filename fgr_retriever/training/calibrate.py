"""Fit the evidence threshold on held-out spans: the least probability that a passage with evidence shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fgr_retriever.config import TrimConfig
from fgr_retriever.errors import InputError
from fgr_retriever.evaluation.spans import SpanExample, encode_examples, kept_ranges, score_ranges
from fgr_retriever.model.tokens import TokenEncoder

# Probabilities that are tried; finer steps are within the noise of a few hundred examples.
THRESHOLDS = tuple(round(float(value), 2) for value in np.arange(0.02, 0.91, 0.02))
# The best threshold is the middle of those whose F1 is this close to the best one's: a plateau is
# more likely to hold on other texts than its noisy peak.
_PLATEAU = 0.003
# For each held-out example, this many with a foreign question: searches find passages without evidence too.
_FOREIGN = 0.25


def fit_threshold(encoder: TokenEncoder, examples: Sequence[SpanExample]) -> tuple[float, dict[float, float]]:
    """Find the threshold with the best word F1 of the default spans, also on passages without evidence.

    Args:
        encoder: The model.
        examples: Spans that it was not trained on. Some of their passages are judged a second time,
            with the question of another example, where the right answer is to keep nothing.

    Returns:
        The threshold in [0, 1], and the mean F1 of every threshold that was tried.

    Raises:
        InputError: There is no example.
    """
    if not examples:
        raise InputError("no held-out examples to fit the threshold on: raise held_out, or give more spans")
    config = TrimConfig()
    rows = [
        [score_ranges(encoded.example, kept_ranges(encoded, config, threshold))[0] for threshold in THRESHOLDS]
        for encoded in encode_examples(encoder, [*examples, *_foreign(examples)])
    ]
    curve = dict(zip(THRESHOLDS, np.mean(rows, axis=0).tolist(), strict=True))
    plateau = [threshold for threshold, f1 in curve.items() if f1 >= max(curve.values()) - _PLATEAU]
    return plateau[len(plateau) // 2], curve


def _foreign(examples: Sequence[SpanExample]) -> list[SpanExample]:
    """Give every few passages the question of the next example."""
    step = round(1 / _FOREIGN)
    pairs = zip(examples[:-1:step], examples[1::step], strict=False)
    return [
        SpanExample(other.query, example.passage, ((),))
        for example, other in pairs
        if other.query != example.query and other.passage != example.passage
    ]
