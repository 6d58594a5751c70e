"""Score evidence spans against human spans, word by word, together with two simple baselines.

Words are runs of word characters; punctuation does not count. A word is kept (or gold) when its
range overlaps a kept (or gold) span. Every number is a mean over the examples, so a long passage
weighs as much as a short one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgr_retriever.config import TrimConfig
from fgr_retriever.errors import InputError
from fgr_retriever.evaluation.text_files import read_jsonl
from fgr_retriever.evidence.named_entries import by_name
from fgr_retriever.evidence.spans import find_spans
from fgr_retriever.evidence.token_evidence import evidence_of, resolve_cut
from fgr_retriever.model.maxsim import maxsim_ragged
from fgr_retriever.model.tokens import StoredTokens, TokenEncoder, encode_for_evidence
from fgr_retriever.text.query_words import naming_stems
from fgr_retriever.text.sentences import sentences
from fgr_retriever.types import TokenEvidence

Range: TypeAlias = tuple[int, int]
_WORD = re.compile(r"\w+")
_BATCH = 512


@dataclass(frozen=True, slots=True)
class SpanExample:
    """A question, a passage and what people marked in it.

    Args:
        query: The question.
        passage: The text that the ranges point into.
        annotations: The evidence ranges of each annotator, at least one annotator; an annotator
            with no range says that the passage has no evidence.
        answers: Ranges of short answers, any one of which is enough; may be empty.
    """

    query: str
    passage: str
    annotations: tuple[tuple[Range, ...], ...]
    answers: tuple[Range, ...] = ()


@dataclass(frozen=True, slots=True)
class SpanScores:
    """Means over the examples, each in [0, 1].

    Args:
        f1: F1 over words against the annotator that agrees best.
        precision: Share of the kept words that this annotator marked.
        recall: Share of the marked words that were kept.
        kept: Kept words divided by all words of the passage.
        answer_kept: Share of the examples with an answer that lies wholly inside one kept span; None
            when no example has answers.
    """

    f1: float
    precision: float
    recall: float
    kept: float
    answer_kept: float | None


@dataclass(frozen=True, slots=True)
class SpanReport:
    """The scores of a model and of two baselines that it must beat, from the same run.

    Args:
        n: Number of examples.
        threshold: Lowest evidence probability with which a token counted.
        ours: The model's spans.
        keep_all: The whole passage kept.
        best_sentence: Only the sentence with the highest MaxSim kept.
    """

    n: int
    threshold: float
    ours: SpanScores
    keep_all: SpanScores
    best_sentence: SpanScores

    def to_json(self) -> dict[str, Any]:
        """Write the report as `fgr eval spans --json` prints it."""
        floors = {"keep_all": asdict(self.keep_all), "best_sentence": asdict(self.best_sentence)}
        return {"n": self.n, **asdict(self.ours), "threshold": self.threshold, "floors": floors}


def read_examples(path: Path) -> Iterator[SpanExample]:
    """Read examples lazily from JSON Lines.

    Each line has `query`, `passage`, and `spans` (a list of [start, end]) or `annotations`
    (spans by annotator); `answers` is optional. Other keys are ignored.

    Raises:
        InputError: A line is not valid; the message names file and line.
        OSError: The file cannot be read.
    """
    for where, record in read_jsonl(path):
        query, passage = record.get("query"), record.get("passage")
        if not isinstance(query, str) or not isinstance(passage, str):
            raise InputError(f"{where}: 'query' and 'passage' must be strings")
        annotations = record.get("annotations", {"spans": record.get("spans")})
        if not isinstance(annotations, dict) or not annotations:
            raise InputError(f"{where}: 'annotations' must be an object with at least one annotator")
        ranges = tuple(checked_ranges(spans, len(passage), f"{where}: {name!r}") for name, spans in annotations.items())
        answers = checked_ranges(record.get("answers") or [], len(passage), f"{where}: 'answers'")
        yield SpanExample(query, passage, ranges, answers)


def evaluate_spans(
    encoder: TokenEncoder, examples: Iterable[SpanExample], config: TrimConfig | None = None
) -> SpanReport:
    """Score the spans that `encoder` finds, without the fallback for passages without evidence.

    Args:
        encoder: The model.
        examples: Examples to measure on; consumed lazily, in bounded memory.
        config: How tokens become spans; by default the shipped settings with the model's own
            calibration.

    Raises:
        InputError: There is no example.
    """
    config, threshold = resolve_cut(encoder.calibration, config or TrimConfig())
    rows = []
    for encoded in encode_examples(encoder, examples):
        everything = [(0, len(encoded.example.passage))]
        best = _best_sentence(encoded.example.passage, encoded.query, encoded.tokens)
        choices = (everything, best, kept_ranges(encoded, config, threshold))
        rows.append([score_ranges(encoded.example, kept) for kept in choices])
    if not rows:
        raise InputError("no examples to evaluate: pass at least one")
    means = np.ma.masked_invalid(np.array(rows)).mean(axis=0).filled(np.nan)  # NaN: no answers to keep
    keep_all, best_sentence, ours = (_as_scores(row.tolist()) for row in means)
    return SpanReport(len(rows), float(threshold), ours, keep_all, best_sentence)


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """An example with the stored vectors of its query and passage, and the evidence they give.

    Args:
        example: What was encoded.
        query: (q, d) float32.
        tokens: The passage as an index stores it.
        evidence: Evidence probability of each visible token.
    """

    example: SpanExample
    query: Tensor
    tokens: StoredTokens
    evidence: TokenEvidence


def encode_examples(encoder: TokenEncoder, examples: Iterable[SpanExample]) -> Iterator[Encoded]:
    """Encode examples lazily, in bounded memory, and find their token evidence."""
    remaining = iter(examples)
    while batch := list(islice(remaining, _BATCH)):
        queries = encoder.encode_queries([example.query for example in batch])
        blocks = encode_for_evidence(encoder, (example.passage for example in batch))
        passages = groupby(blocks, key=lambda block: block.passage)
        for example, query, (_, parts) in zip(batch, queries, passages, strict=True):
            tokens = StoredTokens.of(list(parts))
            (evidence,) = evidence_of(encoder, query, [tokens])
            evidence = by_name(example.passage, evidence, naming_stems(example.query))
            yield Encoded(example, query, tokens, evidence)


def kept_ranges(encoded: Encoded, config: TrimConfig, threshold: float) -> list[Range]:
    """Find the evidence spans of an example at a threshold."""
    found = find_spans(encoded.example.passage, encoded.evidence, config, threshold)
    return [(span.start, span.end) for span in found]


def _best_sentence(text: str, query: Tensor, tokens: StoredTokens) -> list[Range]:
    """Find the sentence with the highest MaxSim: none for a passage or query without tokens."""
    if not len(tokens.vectors) or not len(query):
        return []
    visible = tokens.offsets[:, 1] > tokens.offsets[:, 0]  # special tokens are in no sentence
    vectors, offsets = tokens.vectors[visible], tokens.offsets[visible]
    ranges = sentences(text)
    starts = np.array([start for start, _ in ranges])
    # A token belongs where its last character is: some tokenizers let it begin with the space before.
    owners = np.searchsorted(starts, offsets[:, 1] - 1, side="right").clip(min=1) - 1
    lengths = torch.from_numpy(np.bincount(owners, minlength=len(ranges)))
    return [ranges[int(maxsim_ragged(query, torch.from_numpy(vectors), lengths).argmax())]]


def score_ranges(example: SpanExample, kept: Sequence[Range]) -> tuple[float, float, float, float, float]:
    """Score kept ranges.

    Returns:
        f1, precision, recall, kept, and whether an answer is kept (NaN: none to keep).
    """
    words = words_of(example.passage)
    ours = overlapping(words, kept)
    f1, precision, recall = max(_agreement(ours, overlapping(words, gold)) for gold in example.annotations)
    fraction = float(ours.mean()) if len(words) else 0.0
    answered = holds_answer(example, kept)
    return f1, precision, recall, fraction, np.nan if answered is None else float(answered)


def holds_answer(example: SpanExample, kept: Sequence[Range]) -> bool | None:
    """Say whether an answer lies wholly inside one kept range; None if there are no answers."""
    if not example.answers:
        return None
    return any(start <= first and last <= end for first, last in example.answers for start, end in kept)


def _agreement(kept: NDArray[np.bool_], gold: NDArray[np.bool_]) -> tuple[float, float, float]:
    """F1, precision and recall of word masks: all 1 when both are empty, all 0 when one is."""
    both, ours, theirs = int((kept & gold).sum()), int(kept.sum()), int(gold.sum())
    if not ours or not theirs:
        same = float(ours == theirs)
        return same, same, same
    return 2 * both / (ours + theirs), both / ours, both / theirs


def words_of(text: str) -> NDArray[np.int64]:
    """Find the character ranges of the words of a text: (w, 2)."""
    return np.array([word.span() for word in _WORD.finditer(text)], dtype=np.int64).reshape(-1, 2)


def overlapping(words: NDArray[np.integer[Any]], ranges: Sequence[Range]) -> NDArray[np.bool_]:
    """Mark the words or tokens, (w, 2), that overlap any range: (w,)."""
    spans = np.array(ranges, dtype=np.int64).reshape(-1, 2)
    overlaps = (words[:, :1] < spans[:, 1]) & (words[:, 1:] > spans[:, 0])  # (w, spans)
    found: NDArray[np.bool_] = np.logical_or.reduce(overlaps, axis=1)
    return found


def _as_scores(row: Sequence[float]) -> SpanScores:
    f1, precision, recall, kept, answered = row
    return SpanScores(f1, precision, recall, kept, None if np.isnan(answered) else answered)


def checked_ranges(value: Any, length: int, where: str) -> tuple[Range, ...]:
    """Check a list of [start, end] against a text of `length` characters.

    Raises:
        InputError: It is something else; the message begins with `where`.
    """
    if not isinstance(value, list):
        raise InputError(f"{where} must be a list of [start, end], got {value!r}")
    return tuple(_range(item, length, where) for item in value)


def _range(item: Any, length: int, where: str) -> Range:
    pair = isinstance(item, list) and len(item) == 2 and all(type(bound) is int for bound in item)
    if not pair or not 0 <= item[0] < item[1] <= length:
        raise InputError(f"{where}: {item!r} is not a [start, end] with 0 <= start < end <= {length}")
    return item[0], item[1]
