"""Evidence and budget to trimmed passages: which spans to keep, and the text they make.

Without a budget every span is kept. With one, spans of all passages compete: those with the most
evidence per token win. Counting tokens is not additive (a separator can fuse with its neighbours),
so what is kept is only ever decided by counting the whole context as it will be written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fgr_retriever.budget import TokenCounter, token_counter
from fgr_retriever.config import TrimConfig
from fgr_retriever.errors import ConfigError
from fgr_retriever.sentences import title
from fgr_retriever.shrink import shrink
from fgr_retriever.spans import EvidenceSums, as_ranges, best_span, find_spans
from fgr_retriever.types import Span, TokenEvidence, Trimmed

# Rounds of filling the room that a span too large for it leaves to smaller ones.
_FILL_ROUNDS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """A passage with the evidence for one query.

    Args:
        text: The passage.
        evidence: Probability and character range of each of its tokens.
        score: MaxSim of query and passage.
    """

    text: str
    evidence: TokenEvidence
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """A span that may be kept, the position of its passage, and the evidence in it."""

    passage: int
    span: Span
    mass: float


def trim(passages: Sequence[Scored], config: TrimConfig, threshold: float, count: TokenCounter | None) -> list[Trimmed]:
    """Cut passages down to their evidence, within the token budget of `config`.

    Args:
        passages: Passages with their evidence, in the order of the context.
        config: Span settings, policy for passages without evidence, and budget.
        threshold: Evidence probability in [0, 1] from which a token counts.
        count: What counts tokens; None takes `config.tokenizer` if there is a budget.

    Returns:
        One result for each passage, in input order. `count(assemble(...))` of them is never more
        than `config.max_tokens`.

    Raises:
        ConfigError: `config.citation` is no format string of `{number}`.
        TokenCounterError: No tokens can be counted.
    """
    if config.max_tokens is not None:
        count = count or token_counter(config.tokenizer)
    context = _Context(passages, config, count)
    candidates = [
        one for place, passage in enumerate(passages) for one in _candidates(place, passage, config, threshold)
    ]
    chosen, least = (candidates, 0) if config.max_tokens is None else _choose(context, candidates, config.max_tokens)
    return context.write(chosen, _reasons(context, candidates, chosen, threshold, least))


def assemble(trimmed: Sequence[Trimmed], config: TrimConfig) -> str:
    """Write the kept texts as one context, the way the budget counts them.

    Args:
        trimmed: Results of `trim`; those without text are left out.
        config: The citation mark before each passage and the separator between two.

    Returns:
        The text for a prompt.

    Raises:
        ConfigError: `config.citation` is no format string of `{number}`.
    """
    return _join((one.text for one in trimmed), config)


def _join(texts: Iterable[str], config: TrimConfig) -> str:
    try:
        marked = [
            config.citation.format(number=number) + text for number, text in enumerate(filter(None, texts), start=1)
        ]
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"citation={config.citation!r}: must be a format string whose only field is {{number}}"
        ) from error
    return config.passage_separator.join(marked)


def _candidates(place: int, passage: Scored, config: TrimConfig, threshold: float) -> list[_Candidate]:
    """List the spans of one passage that may be kept: its evidence, or what `on_empty` says."""
    sums = EvidenceSums.of(passage.evidence)
    spans = find_spans(passage.text, passage.evidence, config, threshold)
    if not spans and config.on_empty == "best_span":
        best = best_span(passage.text, passage.evidence, config)
        spans = (best,) if best else ()
    elif not spans and config.on_empty == "keep" and passage.text:
        spans = sums.spans(as_ranges([(0, len(passage.text))]))
    masses = sums.masses(as_ranges([(span.start, span.end) for span in spans])).tolist()
    return [_Candidate(place, span, mass) for span, mass in zip(spans, masses, strict=True)]


def _choose(context: _Context, candidates: list[_Candidate], budget: int) -> tuple[list[_Candidate], int]:
    """Choose what to keep of too much: first the best span, then the densest evidence.

    Returns:
        What is kept, and the least number of tokens that was tried for the best span.
    """
    if not candidates or context.tokens(candidates) <= budget:
        return candidates, 0
    best = max(candidates, key=lambda one: (context.passages[one.passage].score, one.span.score))
    costs = {one: context.cost(one) for one in candidates}
    queue = [one for one in candidates if one is not best]
    queue.sort(key=lambda one: -one.mass / max(costs[one], 1))
    chosen, least = _fit_best(context, best, budget)
    for _ in range(_FILL_ROUNDS):
        fitting = _longest_fitting(context, chosen, queue, budget)
        chosen = chosen + queue[:fitting]
        room = budget - (context.tokens(chosen) if chosen else 0)
        # The next in the queue is too long; shorter ones may still fit.
        queue = [one for one in queue[fitting + 1 :] if costs[one] <= room]
        if not queue:
            break
    return chosen, least


def _fit_best(context: _Context, best: _Candidate, budget: int) -> tuple[list[_Candidate], int]:
    """Keep the best span, or as much of it as fits."""
    tried = []

    def fits(span: Span) -> bool:
        tried.append(context.tokens([replace(best, span=span)]))
        return tried[-1] <= budget

    passage = context.passages[best.passage]
    span = best.span if fits(best.span) else shrink(passage.text, passage.evidence, best.span, fits)
    return ([replace(best, span=span)] if span else []), min(tried)


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


def _reasons(
    context: _Context, candidates: list[_Candidate], chosen: list[_Candidate], threshold: float, least: int
) -> list[str]:
    """Say for each passage why nothing of it is kept, if nothing is."""
    kept = {one.passage for one in chosen}
    offered = {one.passage for one in candidates}
    budget = context.config.max_tokens
    if kept:
        crowded = f"the budget of {budget} tokens is spent on passages with more evidence"
    else:
        crowded = f"a budget of {budget} tokens is too small for the shortest piece of evidence (needs {least})"
    found = []
    for place, passage in enumerate(context.passages):
        if place in kept:
            found.append("")
        elif place in offered:
            found.append(crowded)
        elif len(passage.evidence):
            found.append(f"no evidence reaches the threshold of {threshold:g}")
        else:
            found.append("the passage has no tokens")
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Context:
    """The passages of one context, and how what is kept of them is written and counted."""

    passages: Sequence[Scored]
    config: TrimConfig
    count: TokenCounter | None

    def write(self, chosen: list[_Candidate], reasons: list[str]) -> list[Trimmed]:
        """Write every passage, in input order."""
        results = []
        for passage, spans, reason in zip(self.passages, self._spans(chosen), reasons, strict=True):
            text = self._text(passage, spans)
            kept = sum(span.end - span.start for span in spans) / max(len(passage.text), 1)
            tokens = None if self.count is None else self.count(text) if text else 0
            results.append(Trimmed(text, spans, kept, passage.score, tokens, reason))
        return results

    def tokens(self, chosen: list[_Candidate]) -> int:
        """Count the whole context as it would be written."""
        texts = (self._text(passage, spans) for passage, spans in zip(self.passages, self._spans(chosen), strict=True))
        return self._counted(_join(texts, self.config))

    def cost(self, one: _Candidate) -> int:
        """Count the text of one span."""
        return self._counted(self.passages[one.passage].text[one.span.start : one.span.end])

    def _counted(self, text: str) -> int:
        return self.count(text) if self.count else 0

    def _text(self, passage: Scored, spans: tuple[Span, ...]) -> str:
        return self.config.separator.join(passage.text[span.start : span.end] for span in spans)

    def _spans(self, chosen: list[_Candidate]) -> list[tuple[Span, ...]]:
        """Order the chosen spans by passage and place, with the titles that go with them."""
        found: list[list[Span]] = [[] for _ in self.passages]
        for one in chosen:
            found[one.passage].append(one.span)
        if self.config.keep_title:
            return [_with_title(passage, sorted(spans)) for passage, spans in zip(self.passages, found, strict=True)]
        return [tuple(sorted(spans)) for spans in found]


def _with_title(passage: Scored, spans: list[Span]) -> tuple[Span, ...]:
    """Put the title line before the spans of a passage, fused with those that overlap or follow it."""
    head = title(passage.text) if spans else None
    if head is None:
        return tuple(spans)
    start, end = head
    rest = list(spans)
    while rest and (rest[0].start <= end or passage.text[end : rest[0].start].isspace()):
        start, end = min(start, rest[0].start), max(end, rest[0].end)
        rest.pop(0)
    return (*EvidenceSums.of(passage.evidence).spans(as_ranges([(start, end)])), *rest)
