"""Choose the spans to keep within a budget, and make the trimmed passages and their text.

Without a budget every span is kept. With a budget, the spans of all passages compete, and those
with the most evidence per token win; within a long page, `ranking.py` counts the question's words, too.
Token counts cannot be added up, because a separator can fuse with its neighbours. So each decision
counts the whole context as it will be written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fgr_retriever.config import TrimConfig
from fgr_retriever.evidence.spans import EvidenceSums, as_ranges, best_span, find_spans_of
from fgr_retriever.text.query_words import content_stems
from fgr_retriever.trim.budget import TokenCounter, token_counter
from fgr_retriever.trim.context import Trimmed
from fgr_retriever.trim.layout import Assembly, Layout, Scored, joined, with_title
from fgr_retriever.trim.ranking import Ranking
from fgr_retriever.trim.repeats import Repeat, clip, repeated
from fgr_retriever.trim.shrink import shrink
from fgr_retriever.types import Span

# Rounds of giving the room that something too long leaves to what is shorter.
_ROUNDS = 16
# Tokens that a part of a span must have to be of use; the best span may shrink to a word.
_LEAST_PART = 3


@dataclass(frozen=True, slots=True, eq=False)
class Trimming:
    """Passages cut down to their evidence, and the text that they make together.

    Args:
        trimmed: One result for each passage, in input order.
        assembly: The text of the context, its sources and excerpts.
        repeats: Stretches that are not written because the same text is written elsewhere.
    """

    trimmed: tuple[Trimmed, ...]
    assembly: Assembly
    repeats: tuple[Repeat, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """A span that may be kept, the position of its passage, and the evidence in it; each is its own."""

    passage: int
    span: Span
    mass: float


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
    context = _Context.of(layout, candidates, [], count)
    if config.max_tokens is None:
        return context.write(candidates, threshold, 0)
    known = content_stems(query)
    ranked = {place: Ranking.of(passages[place], known) for place in dict.fromkeys(one.passage for one in candidates)}
    context = replace(context, known=known)
    chosen, least = _choose(context, ranked, config.max_tokens)
    if config.fill and chosen:
        fuller = replace(_Context.of(layout, candidates, _rest(ranked, candidates, config), count), known=known)
        if fuller.tokens(chosen) <= config.max_tokens:  # spans that touch are joined, which few counters charge for
            context, chosen = fuller, _add(fuller, chosen, fuller.rest, config.max_tokens)
    return context.write(chosen, threshold, least)


def _candidates(passages: Sequence[Scored], config: TrimConfig, threshold: float) -> list[_Candidate]:
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


def _rest(ranked: Mapping[int, Ranking], candidates: list[_Candidate], config: TrimConfig) -> list[_Candidate]:
    """List what else could be kept of the passages that have a candidate, the best first."""
    taken: dict[int, list[Span]] = {}
    for one in candidates:
        taken.setdefault(one.passage, []).append(one.span)
    found: list[tuple[float, _Candidate]] = []
    for place, spans in taken.items():
        others = ranked[place].others(config.unit, spans)
        masses = _with_masses(place, ranked[place].sums, [span for _, span in others])
        found += [(worth, one) for (worth, _), one in zip(others, masses, strict=True)]
    return [one for _, one in sorted(found, key=lambda pair: -pair[0])]


def _with_masses(place: int, sums: EvidenceSums, spans: Sequence[Span]) -> list[_Candidate]:
    masses = sums.masses(as_ranges([(span.start, span.end) for span in spans])).tolist()
    return [_Candidate(place, span, mass) for span, mass in zip(spans, masses, strict=True)]


def _choose(context: _Context, ranked: Mapping[int, Ranking], budget: int) -> tuple[list[_Candidate], int]:
    """Choose what to keep of too much: first the best span, then the densest evidence.

    Returns:
        What is kept, and the least number of tokens that was tried for the best span.
    """
    candidates = context.candidates
    if not candidates or context.tokens(candidates) <= budget:
        return candidates, 0

    def worth(one: _Candidate, evidence: float) -> float:
        return ranked[one.passage].worth(evidence, one.span)

    best = max(candidates, key=lambda one: (context.passages[one.passage].score, worth(one, one.span.score)))
    part, least = _part(context, [], best, budget)
    others = [one for one in candidates if one is not best]
    worths = {one: worth(one, one.mass / max(context.cost(one), 1)) for one in others}
    queue = sorted(others, key=lambda one: -worths[one])
    return _add(context, [part] if part else [], queue, budget), least


def _add(context: _Context, chosen: list[_Candidate], queue: list[_Candidate], budget: int) -> list[_Candidate]:
    """Add what fits from the front of a queue, the best part of the next one, and what still fits after it."""
    for _ in range(_ROUNDS):
        fitting = _longest_fitting(context, chosen, queue, budget)
        chosen = chosen + queue[:fitting]
        if fitting == len(queue):
            break
        room = budget - (context.tokens(chosen) if chosen else 0)
        part = _part(context, chosen, queue[fitting], budget)[0] if room >= _LEAST_PART else None
        if part and context.cost(part) >= _LEAST_PART:
            chosen = [*chosen, part]
            room = budget - context.tokens(chosen)
        queue = [one for one in queue[fitting + 1 :] if context.cost(one) <= room]
    return chosen


def _part(context: _Context, chosen: list[_Candidate], one: _Candidate, budget: int) -> tuple[_Candidate | None, int]:
    """Keep a span, or as much of it as fits beside what is chosen; and tell the least number of tokens tried."""
    tried = []

    def fits(span: Span) -> bool:
        tried.append(context.tokens([*chosen, replace(one, span=span)]))
        return tried[-1] <= budget

    if fits(one.span):
        return one, tried[0]
    passage = context.passages[one.passage]
    span = shrink(passage.text, passage.evidence, one.span, fits, context.known)
    return (replace(one, span=span) if span else None), min(tried)


def _keeper(one: _Candidate, holders: dict[_Candidate, _Candidate], clipped: list[Repeat]) -> int:
    """Follow a span that is not written to the passage that has its text."""
    while one in holders:
        one = holders[one]
    for cut in clipped:
        if cut.position == one.passage and cut.span.start <= one.span.start and one.span.end <= cut.span.end:
            return cut.kept_in
    return one.passage


def _longest_fitting(context: _Context, chosen: list[_Candidate], queue: list[_Candidate], budget: int) -> int:
    """Find by bisection how many from the front of the queue fit beside what is chosen."""
    fits, too_many = 0, len(queue) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if context.tokens(chosen + queue[:middle]) <= budget:
            fits = middle
        else:
            too_many = middle
    return fits


@dataclass(frozen=True, slots=True, eq=False)
class _Context:
    """The passages of one context, and how what is kept of them is written and counted."""

    layout: Layout
    candidates: list[_Candidate]
    rest: list[_Candidate]
    repeated: dict[_Candidate, list[_Candidate]]
    count: TokenCounter | None
    known: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, layout: Layout, candidates: list[_Candidate], rest: list[_Candidate], count: TokenCounter | None
    ) -> _Context:
        """Find out what would stand twice."""
        if not layout.config.merge:
            return cls(layout, candidates, rest, {}, count)
        offered = candidates + rest
        found = repeated(layout.passages, [(one.passage, one.span) for one in offered])
        holders = {offered[one]: [offered[other] for other in others] for one, others in found.items()}
        return cls(layout, candidates, rest, holders, count)

    @property
    def passages(self) -> Sequence[Scored]:
        """The passages in input order."""
        return self.layout.passages

    def write(self, chosen: list[_Candidate], threshold: float, least: int) -> Trimming:
        """Write every passage, in input order, and all of them together."""
        spans, repeats = self._spans(chosen)
        reasons = self._reasons(spans, repeats, threshold, least)
        results = []
        for passage, kept, reason in zip(self.passages, spans, reasons, strict=True):
            text = self.layout.config.separator.join(passage.text[span.start : span.end] for span in kept)
            share = sum(span.end - span.start for span in kept) / max(len(passage.text), 1)
            tokens = None if self.count is None else self.count(text) if text else 0
            results.append(Trimmed(text, kept, share, passage.score, tokens, reason))
        return Trimming(tuple(results), self.layout.write(spans), tuple(repeats))

    def tokens(self, chosen: list[_Candidate]) -> int:
        """Count the whole context as it would be written."""
        return self._counted(self.layout.write(self._spans(chosen)[0]).text)

    def cost(self, one: _Candidate) -> int:
        """Count the text of one span."""
        return self._counted(self.passages[one.passage].text[one.span.start : one.span.end])

    def _counted(self, text: str) -> int:
        return self.count(text) if self.count else 0

    def _spans(self, chosen: list[_Candidate]) -> tuple[list[tuple[Span, ...]], list[Repeat]]:
        """Order the chosen spans by passage and place, with the titles that go with them, each text once."""
        found: list[list[Span]] = [[] for _ in self.passages]
        written = set(chosen)
        holders = {one: holder for one, others in self.repeated.items() for holder in others if holder in written}
        for one in chosen:
            if one not in holders:
                found[one.passage].append(one.span)
        spans = [tuple(sorted(kept)) for kept in found]
        if self.rest:
            spans = [joined(passage, kept) for passage, kept in zip(self.passages, spans, strict=True)]
        if self.layout.config.keep_title:
            spans = [with_title(passage, list(kept)) for passage, kept in zip(self.passages, spans, strict=True)]
        clipped = [one for block in self.layout.blocks if block.located for one in clip(self.passages, block, spans)]
        return spans, [Repeat(one.passage, one.span, _keeper(one, holders, clipped)) for one in holders] + clipped

    def _reasons(self, spans: list[tuple[Span, ...]], repeats: list[Repeat], threshold: float, least: int) -> list[str]:
        """Say for each passage why nothing of it is kept, if nothing is."""
        offered = {one.passage for one in self.candidates}
        elsewhere = {one.position: self.passages[one.kept_in].origin.id or one.kept_in + 1 for one in repeats}
        budget = self.layout.config.max_tokens
        if any(spans):
            crowded = f"the budget of {budget} tokens is spent on passages with more evidence"
        else:
            crowded = f"a budget of {budget} tokens is too small for the shortest piece of evidence (needs {least})"
        found = []
        for place, (passage, kept) in enumerate(zip(self.passages, spans, strict=True)):
            if kept:
                found.append("")
            elif place in elsewhere:
                found.append(f"the same text is kept in passage {elsewhere[place]}")
            elif place in offered:
                found.append(crowded)
            elif len(passage.evidence):
                found.append(f"no evidence reaches the threshold of {threshold:g}")
            else:
                found.append("the passage has no tokens")
        return found
