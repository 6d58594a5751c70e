"""Fit temperature and threshold of a model to your own labelled data, for a target answer-kept rate.

The temperature makes the token probabilities honest (Guo et al. 2017, "On calibration of modern
neural networks", arXiv 1706.04599, section 4.2). The threshold is then the highest at which enough
examples keep their answer. It is a fixed cut: a rate can be promised for one threshold for all
passages, but not if each passage finds its own cut.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from fgr_retriever.config import Calibration, TrimConfig
from fgr_retriever.errors import ConfigError, InputError
from fgr_retriever.evaluation.spans import (
    Range,
    SpanExample,
    encode_examples,
    holds_answer,
    overlapping,
    score_ranges,
    words_of,
)
from fgr_retriever.evidence.spans import find_spans
from fgr_retriever.evidence.token_evidence import resolve_cut
from fgr_retriever.model.tokens import TokenEncoder
from fgr_retriever.types import TokenEvidence

logger = logging.getLogger(__name__)

# Thresholds that are tried: equal steps of log-odds, so that low ones are as fine as they matter.
THRESHOLDS = tuple(round(1 / (1 + math.exp(-odds / 20)), 4) for odds in range(-140, 141))
TEMPERATURES = (0.05, 20.0)  # beyond, the probabilities say nothing or the data is too easy to tell
_BINS = 15
_EDGE = 1e-7  # float32 knows no probability nearer to 1

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CutScores:
    """The scores of a calibration on the data; rates are in [0, 1].

    Args:
        calibration: The calibration that was measured.
        nll: Mean negative log-likelihood of the token labels, in nats.
        ece: Expected calibration error of the token probabilities, in 15 bins of equal width.
        answer_kept: Share of the examples with something to keep (see `keeps_answer`) that keep it.
        tokens_saved: Share of the tokens of all passages that is not kept.
        f1: Mean word F1 over all examples, as `evaluate_spans` measures it.
        abstained: Share of the examples with nothing to keep of which nothing is kept; None if there
            are none.
    """

    calibration: Calibration
    nll: float
    ece: float
    answer_kept: float
    tokens_saved: float
    f1: float
    abstained: float | None


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """A calibration that was fitted, and what it changes.

    Args:
        n: Number of examples.
        answerable: Number of examples with something to keep.
        keep: The target for `answer_kept`.
        before: The calibration that the model had.
        after: The fitted one, on the same data: on other data it may keep a little less.
    """

    n: int
    answerable: int
    keep: float
    before: CutScores
    after: CutScores

    def to_json(self) -> dict[str, Any]:
        """Write the report as `fgr calibrate --json` prints it."""
        scores = {name: asdict(getattr(self, name)) for name in ("before", "after")}
        flat = {name: {**row.pop("calibration"), **row} for name, row in scores.items()}
        return {"n": self.n, "answerable": self.answerable, "keep": self.keep, **flat}


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """An example and its token evidence."""

    example: SpanExample
    evidence: TokenEvidence

    def kept(self, calibration: Calibration) -> list[Range]:
        """Find what the default spans keep; the temperature is in the evidence already."""
        found = find_spans(self.example.passage, self.evidence, *resolve_cut(calibration, TrimConfig()))
        return [(span.start, span.end) for span in found]


def fit_calibration(
    encoder: TokenEncoder, examples: Iterable[SpanExample], keep: float = 0.95, *, show_progress: bool = False
) -> CalibrationReport:
    """Fit the temperature to the labels, and find the threshold that keeps enough answers.

    The temperature is the one under which the labels are most likely; the threshold is the highest that
    keeps enough answers. The default spans are measured, without a budget and without the fallback for
    passages without evidence.

    Args:
        encoder: The model, with the calibration that you want to improve.
        examples: Labelled data like that on which the model will be used; a few hundred examples.
        keep: Of the examples with something to keep, the least share that must keep it, in (0, 1].
        show_progress: Show a progress bar on stderr.

    Raises:
        ConfigError: `keep` is not a number in (0, 1].
        InputError: No example has something to keep, or not enough keep it at any threshold.
    """
    if isinstance(keep, bool) or not isinstance(keep, (int, float)) or not 0 < keep <= 1:
        raise ConfigError(f"keep={keep!r}: must be a number above 0 and at most 1")
    own = encoder.calibration
    raw = encoder.calibrated(replace(own, temperature=1.0))  # at another temperature, more may round to 0 or 1
    cases = [_Case(encoded.example, encoded.evidence) for encoded in encode_examples(raw, examples)]
    answerable = [keeps_answer(case.example, ()) is not None for case in cases]
    if not any(answerable):
        raise InputError(f"none of the {len(cases)} examples has answers or marked words: there is nothing to keep")
    labels = np.concatenate([token_labels(case.example, case.evidence) for case in cases])
    temperature = round(fit_temperature(_logits(_probabilities(cases)), labels), 4)
    before, after = ([_at_temperature(case, one) for case in cases] for one in (own.temperature, temperature))
    fitted = Calibration(temperature=temperature, cut="threshold")
    asked = [case for case, counts in zip(after, answerable, strict=True) if counts]

    def keeps(place: int, threshold: float) -> bool:
        case = asked[place]
        return bool(keeps_answer(case.example, case.kept(replace(fitted, threshold=threshold))))

    fitted = replace(fitted, threshold=highest_threshold(keeps, len(asked), keep, show_progress=show_progress))
    return CalibrationReport(len(cases), len(asked), keep, _score(before, labels, own), _score(after, labels, fitted))


def keeps_answer(example: SpanExample, kept: Sequence[Range]) -> bool | None:
    """Say whether kept ranges answer the question.

    They do if one of the short answers lies wholly inside one range. If an example has no short
    answers, all words that one of the annotators marked must be kept.

    Returns:
        None if there is nothing to keep: no answers, and no annotator marked a word.
    """
    if example.answers:
        return holds_answer(example, kept)
    words = words_of(example.passage)
    marked = [gold for gold in (overlapping(words, ranges) for ranges in example.annotations) if gold.any()]
    ours = overlapping(words, kept)
    return any(bool(ours[gold].all()) for gold in marked) if marked else None


def token_labels(example: SpanExample, evidence: TokenEvidence) -> Floats:
    """Label each token with the share of the annotators who marked a character of it.

    Returns:
        (t,) in [0, 1].
    """
    marked = [overlapping(evidence.offsets, ranges) for ranges in example.annotations]
    labels: Floats = np.mean(marked, axis=0, dtype=np.float64)
    return labels


def fit_temperature(logits: Floats, labels: Floats) -> float:
    """Find the temperature under which labels are most likely.

    This is the T with the least mean negative log-likelihood of labels y under sigmoid(z / T). It is convex in
    1 / T, so bisection on the sign of its slope, mean((sigmoid(z / T) - y) z), ends at the minimum. Guo et al.
    2017 (arXiv 1706.04599), section 4.2, for two classes.

    Args:
        logits: z, (t,).
        labels: y, (t,) in [0, 1].

    Returns:
        T within `TEMPERATURES`; one of these limits if the minimum lies beyond it.
    """
    low, high = (-math.log(temperature) for temperature in reversed(TEMPERATURES))  # of log(1 / T)
    for _ in range(40):
        middle = (low + high) / 2
        slope = float(((_sigmoid(logits * math.exp(middle)) - labels) * logits).sum())
        low, high = (low, middle) if slope > 0 else (middle, high)
    found = math.exp(-low)
    if min(abs(found / limit - 1) for limit in TEMPERATURES) < 1e-6:
        logger.warning(
            "the best temperature is beyond %g: the model tells the labels apart without an error, or not at all. "
            "Check the labels, and give more examples.",
            found,
        )
    return found


def highest_threshold(
    keeps: Callable[[int, float], bool], count: int, keep: float, *, show_progress: bool = False
) -> float:
    """Find the highest of `THRESHOLDS` at which enough examples keep their answer.

    Thresholds are tried downwards without a gap; bisection could miss the highest. A lower
    threshold sometimes keeps less, because a phrase that was kept for want of a better one meets a better one. A
    threshold is given up as soon as too many answers are lost. The answers lost at the threshold above are tried
    first, so most thresholds cost little.

    Args:
        keeps: Says whether the example at a position, from 0, keeps its answer at a threshold.
        count: Number of examples, at least 1.
        keep: The least share of the examples that must keep their answer, in (0, 1].
        show_progress: Show a progress bar on stderr.

    Raises:
        InputError: Too few examples keep their answer, even at the lowest threshold.
    """
    may_lose = count - math.ceil(keep * count - 1e-9)
    order: Sequence[int] = range(count)
    threshold: float
    for threshold in tqdm(THRESHOLDS[::-1], desc="thresholds", disable=not show_progress, leave=False):
        lost: list[int] = []
        for place in order:
            if not keeps(place, threshold):
                lost.append(place)
            if len(lost) > may_lose:
                break
        else:
            return threshold
        order = list(dict.fromkeys([*lost, *order]))
    kept = sum(keeps(place, THRESHOLDS[0]) for place in order)
    raise InputError(
        f"even at the threshold {THRESHOLDS[0]} only {kept} of {count} examples keep their answer "
        f"({kept / count:.3f}, not {keep}): lower the target, or check the labels"
    )


def expected_calibration_error(probabilities: Floats, labels: Floats) -> float:
    """Average |mean probability - mean label| over 15 bins of equal width, weighted by tokens.

    Guo et al. 2017 (arXiv 1706.04599), equation 3, for the probability of one class.
    """
    bins = np.minimum((probabilities * _BINS).astype(np.int64), _BINS - 1)
    return float(np.abs(np.bincount(bins, probabilities - labels)).sum() / max(len(labels), 1))


def _score(cases: Sequence[_Case], labels: Floats, calibration: Calibration) -> CutScores:
    """Measure a calibration on evidence that has its temperature."""
    probabilities = _probabilities(cases)
    ranges = [case.kept(calibration) for case in cases]
    answered = [keeps_answer(case.example, kept) for case, kept in zip(cases, ranges, strict=True)]
    silent = [not kept for kept, told in zip(ranges, answered, strict=True) if told is None]
    tokens = [overlapping(case.evidence.offsets, kept) for case, kept in zip(cases, ranges, strict=True)]
    return CutScores(
        calibration=calibration,
        nll=_nll(probabilities, labels),
        ece=expected_calibration_error(probabilities, labels),
        answer_kept=float(np.mean([told for told in answered if told is not None])),
        tokens_saved=1 - float(np.concatenate(tokens).mean()),
        f1=float(np.mean([score_ranges(case.example, kept)[0] for case, kept in zip(cases, ranges, strict=True)])),
        abstained=float(np.mean(silent)) if silent else None,
    )


def _probabilities(cases: Sequence[_Case]) -> Floats:
    return np.concatenate([case.evidence.probabilities for case in cases]).astype(np.float64)


def _at_temperature(case: _Case, temperature: float) -> _Case:
    """Divide the evidence logits of a case by a temperature."""
    if temperature == 1:
        return case
    found = _sigmoid(_logits(case.evidence.probabilities.astype(np.float64)) / temperature).astype(np.float32)
    return replace(case, evidence=replace(case.evidence, probabilities=found))


def _nll(probabilities: Floats, labels: Floats) -> float:
    chances = probabilities.clip(_EDGE, 1 - _EDGE)
    return -float(np.mean(labels * np.log(chances) + (1 - labels) * np.log1p(-chances)))


def _logits(probabilities: Floats) -> Floats:
    chances = probabilities.clip(_EDGE, 1 - _EDGE)
    found: Floats = np.log(chances) - np.log1p(-chances)
    return found


def _sigmoid(logits: Floats) -> Floats:
    found: Floats = 0.5 * (1 + np.tanh(0.5 * logits))  # never overflows
    return found
