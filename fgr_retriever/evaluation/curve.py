"""How many answers are kept for how many tokens: one point for every threshold and every budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from fgr_retriever.config import Calibration, TrimConfig
from fgr_retriever.errors import InputError
from fgr_retriever.evaluation.calibration import keeps_answer
from fgr_retriever.evaluation.spans import (
    Encoded,
    Range,
    SpanExample,
    encode_examples,
    kept_ranges,
    overlapping,
    score_ranges,
)
from fgr_retriever.evidence.token_evidence import resolve_cut
from fgr_retriever.model.tokens import TokenEncoder
from fgr_retriever.trim.budget import TokenCounter
from fgr_retriever.trim.choice import trim
from fgr_retriever.trim.layout import Scored

Kind = Literal["threshold", "budget", "own"]
THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
BUDGETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class Point:
    """One setting on the curve; rates are in [0, 1].

    Args:
        kind: The setting: a `threshold`, a `budget`, or the model's `own` cut, for which nothing is set.
        value: The threshold, or the budget as a share of each passage's tokens; None for `own`.
        answer_kept: Share of the examples with something to keep that keep it (see `keeps_answer`).
        tokens_saved: Share of the tokens of all passages that is not kept.
        f1: Mean word F1 over all examples.
    """

    kind: Kind
    value: float | None
    answer_kept: float
    tokens_saved: float
    f1: float


@dataclass(frozen=True, slots=True)
class AnswerCurve:
    """The points that were measured.

    Args:
        n: Number of examples.
        answerable: Number of examples with something to keep.
        points: The settings, kind by kind.
    """

    n: int
    answerable: int
    points: tuple[Point, ...]

    def to_json(self) -> dict[str, Any]:
        """Write the curve as `fgr eval curve --json` prints it."""
        return asdict(self)


def answer_curve(
    encoder: TokenEncoder,
    examples: Iterable[SpanExample],
    count: TokenCounter,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    budgets: Sequence[float] = BUDGETS,
) -> AnswerCurve:
    """Measure the default spans at every threshold, and trimming at every budget.

    For thresholds there is no fallback for passages without evidence, as in `evaluate_spans`. For budgets
    there is one, and what the evidence leaves of the budget is filled; otherwise not the whole budget
    would be spent.

    Args:
        encoder: The model.
        examples: Examples to measure on; consumed lazily, in bounded memory.
        count: Function that counts the tokens of budgets.
        thresholds: Evidence probabilities in [0, 1].
        budgets: Shares of each passage's tokens, in [0, 1].

    Raises:
        InputError: No example has something to keep.
    """
    settings: list[tuple[Kind, float | None]] = [
        ("own", None),
        *(("threshold", value) for value in thresholds),
        *(("budget", value) for value in budgets),
    ]
    rows = []
    for encoded in encode_examples(encoder, examples):
        kept = _kept(encoded, encoder.calibration, count, settings)
        rows.append([_score(encoded, ranges) for ranges in kept])
    told = np.ma.masked_invalid(np.array(rows).reshape(-1, len(settings), 4))
    answerable = 0 if not rows else int(told[:, 0, 0].count())
    if not answerable:
        raise InputError(f"none of the {len(rows)} examples has answers or marked words: there is nothing to keep")
    answers, f1 = told[:, :, 0].mean(axis=0), told[:, :, 3].mean(axis=0)
    saved = 1 - told[:, :, 1].sum(axis=0) / told[:, :, 2].sum(axis=0).clip(min=1)
    columns = zip(settings, answers.tolist(), saved.tolist(), f1.tolist(), strict=True)
    return AnswerCurve(len(rows), answerable, tuple(Point(*setting, *values) for setting, *values in columns))


def _kept(
    encoded: Encoded, own: Calibration, count: TokenCounter, settings: Sequence[tuple[Kind, float | None]]
) -> Iterator[list[Range]]:
    """Give what each setting keeps of an example."""
    whole = count(encoded.example.passage)
    for kind, value in settings:
        if kind == "budget" and value is not None:
            yield _within(encoded, own, count, int(value * whole))
        else:
            yield kept_ranges(encoded, *resolve_cut(own, TrimConfig(threshold=value)))


def _within(encoded: Encoded, own: Calibration, count: TokenCounter, budget: int) -> list[Range]:
    """Trim an example to a budget of tokens."""
    text = encoded.example.passage
    passage = Scored(text, encoded.evidence, score=0.0)
    config, threshold = resolve_cut(own, TrimConfig(max_tokens=budget, fill=True))
    (trimmed,) = trim([passage], config, threshold, count, encoded.example.query).trimmed
    return [(span.start, span.end) for span in trimmed.spans]


def _score(encoded: Encoded, kept: Sequence[Range]) -> tuple[float, float, float, float]:
    """Score kept ranges: whether the answer is kept (NaN: there is none), tokens kept, all tokens, word F1."""
    answered = keeps_answer(encoded.example, kept)
    tokens = overlapping(encoded.evidence.offsets, kept)
    told = np.nan if answered is None else float(answered)
    return told, float(tokens.sum()), float(len(tokens)), score_ranges(encoded.example, kept)[0]
