"""Measure what trimming kept and what it dropped, for the report of a context."""

from __future__ import annotations

from collections.abc import Sequence

from fgr_retriever.calls import Stopwatch
from fgr_retriever.evidence.hit import Hit
from fgr_retriever.evidence.spans import EvidenceSums, Ranges, as_ranges
from fgr_retriever.trim.layout import Scored
from fgr_retriever.trim.missing import missing_words, reworded
from fgr_retriever.trim.offer import Trimming
from fgr_retriever.trim.trust import Dropped, Repeated, TrustReport
from fgr_retriever.types import Span


def make_report(
    query: str,
    hits: Sequence[Hit],
    passages: Sequence[Scored],
    trimming: Trimming,
    tokens: tuple[int | None, int | None],
    watch: Stopwatch,
) -> TrustReport:
    """Report on trimmed hits.

    Args:
        query: The question.
        hits: The hits.
        passages: The same hits, as `trim` took them.
        trimming: What `trim` returned for them.
        tokens: Number of tokens before and after, None where they were not counted.
        watch: The times and notes of the stages.
    """
    kept = covered(trimming)
    share = mass_share(passages, kept)
    sources = trimming.assembly.sources
    dropped = largest_dropped(passages, [hit.spans for hit in hits], kept)
    missing = missing_words(query, hits, passages, kept, sources)
    unfound = missing
    if dropped and missing:
        evidence = [[(span.start, span.end) for span in hit.spans] for hit in hits]
        found = [_union([*own, *map(tuple, ranges.tolist())]) for own, ranges in zip(evidence, kept, strict=True)]
        unfound = missing_words(query, hits, passages, found, sources)
    return TrustReport(
        *tokens,
        mass_kept=share,
        mass_dropped=1 - share,
        largest_dropped=dropped,
        repeated=tuple(
            Repeated(hits[one.position].passage.id, one.span, hits[one.kept_in].passage.id) for one in trimming.repeats
        ),
        uncovered=tuple(word.text for word in missing),
        weak=not any(hit.spans for hit in hits),
        times_ms=dict(watch.times_ms),
        notes=tuple(watch.notes),
        beyond_budget=tuple(word.text for word in missing if word not in unfound),
        needed=trimming.needed or None,
        reworded=reworded(query, missing),
    )


def covered(trimming: Trimming) -> list[Ranges]:
    """Give the ranges of each passage whose text, or a repeat of it, is in the context.

    Returns:
        One (n, 2) array for each passage, ascending and disjoint.
    """
    found = [[(span.start, span.end) for span in one.spans] for one in trimming.trimmed]
    for one in trimming.repeats:
        found[one.position].append((one.span.start, one.span.end))
    return [_union(ranges) for ranges in found]


def mass_share(passages: Sequence[Scored], kept: Sequence[Ranges]) -> float:
    """Give the share of all evidence probability in the kept ranges, 1 if there is none at all."""
    sums = [EvidenceSums.of(passage.evidence) for passage in passages]
    total = sum(float(one.mass[-1]) for one in sums)
    inside = sum(float(one.masses(ranges).sum()) for one, ranges in zip(sums, kept, strict=True))
    return min(max(inside / total, 0.0), 1.0) if total > 0 else 1.0


def largest_dropped(
    passages: Sequence[Scored], evidence: Sequence[Sequence[Span]], kept: Sequence[Ranges]
) -> Dropped | None:
    """Find the stretch of evidence with the most probability that is not kept.

    Args:
        passages: The passages.
        evidence: The evidence spans of each passage.
        kept: The ranges of each passage that are in the context.
    """
    best, found = 0.0, None
    for passage, spans, ranges in zip(passages, evidence, kept, strict=True):
        left = _stripped(passage.text, _without(as_ranges([(span.start, span.end) for span in spans]), ranges))
        masses = EvidenceSums.of(passage.evidence).masses(left)
        if len(left) and masses.max() > best:
            best = float(masses.max())
            (span,) = EvidenceSums.of(passage.evidence).spans(left[[int(masses.argmax())]])
            found = Dropped(passage.origin.id, span)
    return found


def _union(ranges: list[tuple[int, int]]) -> Ranges:
    """Join ranges that overlap or touch, in order."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return as_ranges(found)


def _without(ranges: Ranges, taken: Ranges) -> Ranges:
    """Give the parts of ranges that lie in none of the others; both are ascending and disjoint."""
    found = []
    for start, end in ranges.tolist():
        for first, last in taken[(taken[:, 1] > start) & (taken[:, 0] < end)].tolist():
            found.append((start, min(first, end)))
            start = max(start, last)
        found.append((start, end))
    return as_ranges([(start, end) for start, end in found if start < end])


def _stripped(text: str, ranges: Ranges) -> Ranges:
    """Leave out white space at the ends of ranges, and those that hold nothing else."""
    found = []
    for start, end in ranges.tolist():
        piece = text[start:end]
        start += len(piece) - len(piece.lstrip())
        found.append((start, end - (len(piece) - len(piece.rstrip()))))
    return as_ranges([(start, end) for start, end in found if start < end])
