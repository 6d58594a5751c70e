"""Choose the spans to keep within a budget, and make the trimmed passages and their text.

Without a budget every span is kept. With a budget, the spans of all passages compete, and those
with the most evidence per token win; within a long page, `ranking.py` counts the question's words, too.
Token counts cannot be added up, because a separator can fuse with its neighbours. So each decision
counts the whole context as it will be written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from fgr_retriever.config import TrimConfig
from fgr_retriever.evidence.spans import EvidenceSums, as_ranges, best_span, find_spans_of
from fgr_retriever.text.tables import Table
from fgr_retriever.trim.bisection import most
from fgr_retriever.trim.budget import TokenCounter, token_counter
from fgr_retriever.trim.layout import Layout, Scored
from fgr_retriever.trim.offer import Candidate, Offer, Trimming
from fgr_retriever.trim.ranking import Ranking
from fgr_retriever.trim.record_parts import Kept, Room, best_record
from fgr_retriever.trim.shrink import shrink
from fgr_retriever.types import Span

# Rounds of giving the room that something too long leaves to what is shorter.
_ROUNDS = 16
# Tokens of room from which a part of the next span is tried.
_LEAST_PART = 3
# Words that a part of a sentence must have to be of use: of evidence beside what is kept already, and of what fills
# the rest. Of the best span, which comes first, a word may be left.
_LEAST_WORDS, _LEAST_FILLING, _WHOLE_ONLY = 5, 3, 1_000_000


def trim(
    passages: Sequence[Scored], config: TrimConfig, threshold: float, count: TokenCounter | None, query: str = ""
) -> Trimming:
    """Cut passages down to their evidence, within the token budget of `config`.

    Args:
        passages: Passages with their evidence.
        config: Span settings, policy for passages without evidence, and budget.
        threshold: Lowest evidence probability in [0, 1] with which a token counts.
        count: Function that counts tokens; None uses `config.tokenizer` if there is a budget.
        query: The question. A budget leaves out first what only repeats it, and on a long page keeps first the
            sentences with its rare words.

    Returns:
        One result for each passage, in input order, and the text of all passages. The `count` of this
        text is never more than `config.max_tokens`.

    Raises:
        TokenCounterError: The tokens cannot be counted.
    """
    if config.max_tokens is not None:
        count = count or token_counter(config.tokenizer)
    candidates = _candidates(passages, config, threshold)
    layout = Layout.of(passages, config)
    context = Offer.of(layout, candidates, [], count, query)
    if config.max_tokens is None:
        return context.write(candidates, threshold, 0)
    ranked = {place: Ranking.of(passages[place], context.known) for place in {one.passage for one in candidates}}
    chosen, needed = _choose(context, ranked, config.max_tokens)
    if config.fill and chosen:
        fuller = Offer.of(layout, candidates, _rest(ranked, candidates, config), count, query)
        if fuller.tokens(chosen) <= config.max_tokens:  # spans that touch are joined, which few counters charge for
            context, chosen = fuller, _add(fuller, chosen, fuller.rest, config.max_tokens)
    return context.write(chosen, threshold, needed)


def _candidates(passages: Sequence[Scored], config: TrimConfig, threshold: float) -> list[Candidate]:
    """List the spans that may be kept: the evidence of each passage, or what `on_empty` says."""
    texts, evidence = [one.text for one in passages], [one.evidence for one in passages]
    candidates = []
    for place, (passage, spans) in enumerate(
        zip(passages, find_spans_of(texts, evidence, config, threshold), strict=True)
    ):
        sums = EvidenceSums.of(passage.evidence)
        if not spans and config.on_empty == "best_span":
            best = best_span(passage.text, passage.evidence, config)
            spans = (best,) if best else ()
        elif not spans and config.on_empty == "keep" and passage.text:
            spans = sums.spans(as_ranges([(0, len(passage.text))]))
        candidates += _with_masses(place, sums, spans)
    return candidates


def _rest(ranked: Mapping[int, Ranking], candidates: list[Candidate], config: TrimConfig) -> list[Candidate]:
    """List what else could be kept of the passages that have a candidate, the best first."""
    taken: dict[int, list[Span]] = {}
    for one in candidates:
        taken.setdefault(one.passage, []).append(one.span)
    found: list[tuple[float, Candidate]] = []
    for place, spans in taken.items():
        others = ranked[place].others(config.unit, spans)
        masses = _with_masses(place, ranked[place].sums, [span for _, span in others])
        found += [(worth, one) for (worth, _), one in zip(others, masses, strict=True)]
    return [one for _, one in sorted(found, key=lambda pair: -pair[0])]


def _with_masses(place: int, sums: EvidenceSums, spans: Sequence[Span]) -> list[Candidate]:
    masses = sums.masses(as_ranges([(span.start, span.end) for span in spans])).tolist()
    return [Candidate(place, span, mass) for span, mass in zip(spans, masses, strict=True)]


def _choose(context: Offer, ranked: Mapping[int, Ranking], budget: int) -> tuple[list[Candidate], int]:
    """Choose what to keep of too much: first the best span, then the densest evidence.

    Returns:
        What is kept; and the least number of tokens that was tried for the best span, if nothing of it fits, else 0.
    """
    candidates = context.candidates
    if not candidates or context.tokens(candidates) <= budget:
        return candidates, 0
    offered = _rows_for_headers(context, ranked)
    candidates = [one for one in offered if ranked[one.passage].is_of_use(one.span, context.asked)]
    if not candidates:
        return [], context.tokens(offered)

    def worth(one: Candidate, evidence: float) -> float:
        return ranked[one.passage].worth(evidence, one.span)

    best = max(candidates, key=lambda one: (context.passages[one.passage].score, worth(one, one.span.score)))
    part, tried = _part(context, [], best, budget, 1)
    others = [one for one in candidates if one is not best]
    worths = {one: worth(one, one.mass / max(context.cost(one), 1)) for one in others}
    queue = sorted(others, key=lambda one: -worths[one])
    return _add(context, [part] if part else [], queue, budget), 0 if part else tried


def _add(context: Offer, chosen: list[Candidate], queue: list[Candidate], budget: int) -> list[Candidate]:
    """Add what fits from the front of a queue, the best part of the next one, and what still fits after it."""
    least = _LEAST_FILLING if queue is context.rest else _LEAST_WORDS
    for _ in range(_ROUNDS):
        fitting = _longest_fitting(context, chosen, queue, budget)
        chosen = chosen + queue[:fitting]
        if fitting == len(queue):
            break
        room = budget - (context.tokens(chosen) if chosen else 0)
        part = _part(context, chosen, queue[fitting], budget, least)[0] if room >= _LEAST_PART else None
        if part and context.cost(part) >= _LEAST_PART:
            chosen = [*chosen, part]
            room = budget - context.tokens(chosen)
        queue = [one for one in queue[fitting + 1 :] if context.cost(one) <= room]
    return chosen


def _part(
    context: Offer, chosen: list[Candidate], one: Candidate, budget: int, least: int
) -> tuple[Candidate | None, int]:
    """Keep a span, or as much of it as fits beside what is chosen.

    Returns:
        What is kept, and the least number of tokens that was tried.
    """
    tried = []

    def fits(span: Span, name: Span | None = None, headed: bool = False) -> bool:
        tried.append(context.tokens([*chosen, replace(one, span=span, name=name, headed=headed)]))
        return tried[-1] <= budget

    if (whole := context.tokens([*chosen, one])) <= budget:
        return one, whole
    passage = context.passages[one.passage]
    room = Room(fits, least, context.tables_of(one), context.known)
    # Without the header of its table, and the marks of other sources that say the same, it may fit as it is.
    kept = Kept(one.span) if fits(one.span) else shrink(passage, one.span, context.asked, room)
    if kept is None:
        return None, min(tried)
    span, name = kept
    headed = one.headed and fits(span, name, True)
    if headed or name or not one.headed:
        return replace(one, span=span, name=name, headed=headed), min(tried)
    # The header is of more use than one more row, and of less than the best row.
    within = replace(room, fits=partial(fits, headed=True), least=_WHOLE_ONLY)
    fewer = shrink(passage, span, context.asked, within)
    best = best_record(passage, span, context.asked, room)
    if fewer and fewer.span.start <= best.start and best.end <= fewer.span.end:
        return replace(one, span=fewer.span), min(tried)
    return replace(one, span=span, headed=False), min(tried)


def _rows_for_headers(context: Offer, ranked: Mapping[int, Ranking]) -> list[Candidate]:
    """Offer the best row of a table in place of its header alone, which comes along with a row if there is room."""
    spans, alone = defaultdict[int, list[Span]](list), defaultdict[int, list[Table]](list)
    found = []
    for one in context.candidates:
        spans[one.passage].append(one.span)
        if table := next((it for it in context.tables_of(one) if one.span.end <= it.body), None):
            alone[one.passage].append(table)
        else:
            found.append(one)
    for place, headers in alone.items():
        starts, ends = as_ranges(sorted((span.start, span.end) for span in spans[place])).T
        rows = as_ranges([(table.body, table.close) for table in headers])
        bare = starts.searchsorted(rows[:, 1]) == ends.searchsorted(rows[:, 0], "right")  # no row is offered yet
        found += _with_masses(place, ranked[place].sums, ranked[place].best_within(rows[bare]))
    return found


def _longest_fitting(context: Offer, chosen: list[Candidate], queue: list[Candidate], budget: int) -> int:
    """Find how many from the front of the queue fit beside what is chosen."""

    def fits(count: int) -> bool:
        return context.tokens(chosen + queue[:count]) <= budget

    reach = 1  # mostly few fit of many, and counting many takes long
    while reach < len(queue) and fits(reach):
        reach *= 2
    return most(min(reach, len(queue)), fits)
