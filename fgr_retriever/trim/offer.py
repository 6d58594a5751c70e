"""The spans that may be kept of the passages of one context, and how a choice of them is written and counted."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from fgr_retriever.text.headers import headers
from fgr_retriever.text.query_words import content_stems, stems
from fgr_retriever.text.tables import Table
from fgr_retriever.trim.budget import TokenCounter
from fgr_retriever.trim.context import Trimmed
from fgr_retriever.trim.layout import Assembly, Layout, Scored, Shared, joined, with_headers, with_title
from fgr_retriever.trim.repeats import Repeat, clip, find_words, repeated
from fgr_retriever.types import Span


@dataclass(frozen=True, slots=True, eq=False)
class Trimming:
    """Passages cut down to their evidence, and the text that they make together.

    Args:
        trimmed: One result for each passage, in input order.
        assembly: The text of the context, its sources and excerpts.
        repeats: Stretches that are not written because the same text is written elsewhere.
        needed: Tokens that the shortest part of the best evidence takes, if there was no room for it; else 0.
    """

    trimmed: tuple[Trimmed, ...]
    assembly: Assembly
    repeats: tuple[Repeat, ...]
    needed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A span that may be kept; each is its own.

    Args:
        passage: The position of its passage.
        span: The span.
        mass: The evidence in it.
        name: The name of the row that it is a part of, which comes along, if that stands apart from it.
        headed: If it is a row of a table, the header row comes with it.
    """

    passage: int
    span: Span
    mass: float
    name: Span | None = None
    headed: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """The passages of one context, and how what is kept of them is written and counted.

    Args:
        layout: The passages in their order.
        candidates: The spans that may be kept.
        rest: What else may be kept, if there is room.
        repeated: For each span that repeats others, those that it repeats.
        within: For a span, and the position of a passage with a repeat of it: the range of that passage that has
            all words of the span, if there is one.
        tables: For each passage with a candidate, its tables that have a header row.
        count: Counts tokens; None without a budget.
        asked: Stems of the words of the question.
        known: Those of its content words.
    """

    layout: Layout
    candidates: list[Candidate]
    rest: list[Candidate]
    repeated: dict[Candidate, list[Candidate]]
    within: Mapping[tuple[Candidate, int], Span]
    tables: Mapping[int, Sequence[Table]]
    count: TokenCounter | None
    asked: frozenset[str]
    known: frozenset[str]

    @classmethod
    def of(
        cls,
        layout: Layout,
        candidates: list[Candidate],
        rest: list[Candidate],
        count: TokenCounter | None,
        query: str,
    ) -> Offer:
        """Find out what would stand twice."""
        asked, known = frozenset(stems(query)), content_stems(query)
        offered = candidates + rest
        headed = {place: headers(layout.passages[place].text, known) for place in {one.passage for one in offered}}
        if not layout.config.merge:
            return cls(layout, candidates, rest, {}, {}, headed, count, asked, known)
        found = repeated(layout.passages, [(one.passage, one.span) for one in offered], known)
        holders = {offered[one]: [offered[other] for other in others] for one, others in found.items()}
        within: dict[tuple[Candidate, int], Span] = {}
        for one, holder in ((one, other) for one, others in holders.items() for other in others):
            text = layout.passages[holder.passage].text[holder.span.start : holder.span.end]
            if span := find_words(text, layout.passages[one.passage], one.span):
                within[holder, one.passage] = span
        return cls(layout, candidates, rest, holders, within, headed, count, asked, known)

    @property
    def passages(self) -> Sequence[Scored]:
        """The passages in input order."""
        return self.layout.passages

    def write(self, chosen: list[Candidate], threshold: float, needed: int) -> Trimming:
        """Write every passage, in input order, and all of them together."""
        spans, repeats, shared = self._spans(chosen)
        reasons = self._reasons(spans, repeats, threshold, needed)
        results: list[Trimmed] = []
        for passage, kept, reason in zip(self.passages, spans, reasons, strict=True):
            text = self.layout.config.separator.join(passage.text[span.start : span.end] for span in kept)
            share = sum(span.end - span.start for span in kept) / max(len(passage.text), 1)
            tokens = None if self.count is None else self.count(text) if text else 0
            also = self._also_in(len(results), repeats)
            results.append(Trimmed(text, kept, share, passage.score, tokens, reason, also_in=also))
        return Trimming(tuple(results), self.layout.write(spans, shared), tuple(repeats), needed)

    def tokens(self, chosen: list[Candidate]) -> int:
        """Count the whole context as it would be written or, if that is more, as a caller would join its passages."""
        spans, _, shared = self._spans(chosen)
        return max(map(self._counted, self.layout.joined(spans, shared)))

    def cost(self, one: Candidate) -> int:
        """Count the text of one span."""
        return self._counted(self.passages[one.passage].text[one.span.start : one.span.end])

    def tables_of(self, one: Candidate) -> list[Table]:
        """List the tables with a header that a span touches."""
        known = self.tables.get(one.passage, ())
        first = bisect_right(known, one.span.start, key=attrgetter("close"))
        return list(known[first : bisect_left(known, one.span.end, key=attrgetter("start"))])

    def _counted(self, text: str) -> int:
        return self.count(text) if self.count else 0

    def _spans(self, chosen: list[Candidate]) -> tuple[list[tuple[Span, ...]], list[Repeat], list[Shared]]:
        """Order the chosen spans by passage and place, with the headers and titles that go with them, each text once.

        Returns:
            The spans of each passage, what is not written because it is a repeat, and the passages that are
            cited for such repeats.
        """
        found: list[list[Span]] = [[] for _ in self.passages]
        holders = self._holders(chosen)
        for one in chosen:
            if one not in holders:
                found[one.passage] += [one.span, one.name] if one.name else [one.span]
        spans = [tuple(sorted(kept)) for kept in found]
        if self.rest:
            spans = [joined(passage, kept) for passage, kept in zip(self.passages, spans, strict=True)]
        rows = defaultdict(list)
        for one in chosen:
            if one.headed and one not in holders:
                rows[one.passage].append(one.span)
        for place, tables_there in self.tables.items():
            if tables_there:
                spans[place] = with_headers(self.passages[place], tables_there, spans[place], rows[place])
        if self.layout.config.keep_title:
            spans = [with_title(passage, list(kept)) for passage, kept in zip(self.passages, spans, strict=True)]
        clipped = [one for block in self.layout.blocks if block.located for one in clip(self.passages, block, spans)]
        repeats = [Repeat(one.passage, one.span, _keeper(one, holders, clipped)) for one in holders] + clipped
        return spans, repeats, self._shared([one for one in chosen if one not in holders], holders)

    def _holders(self, chosen: list[Candidate]) -> dict[Candidate, Candidate]:
        """Map what is not written, because it is a repeat, to what it repeats.

        A source without a number would not be cited at all: then its repeat is written, too.
        """
        written = set(chosen)
        holders = {one: holder for one, others in self.repeated.items() for holder in others if holder in written}
        apart = [one for one in chosen if one not in holders]
        cited = {one.passage for one in apart} | {one.position for one in self._shared(apart, holders)}
        names = {self.passages[place].origin.name for place in cited}
        for one in [one for one in chosen if one in holders]:
            name = self._other_name(one.passage, holders[one].passage)
            if name and name not in names:
                names.add(name)
                del holders[one]
        return holders

    def _shared(self, written: list[Candidate], holders: Mapping[Candidate, Candidate]) -> list[Shared]:
        """Find passages of other sources that say all that is written of a passage."""
        own: dict[int, set[Candidate]] = defaultdict(set)
        for one in written:
            own[one.passage].add(one)
        said: dict[tuple[int, int], dict[Candidate, Span]] = defaultdict(dict)
        for one in holders:
            keeper = holders[one]
            while keeper in holders:
                keeper = holders[keeper]
            if span := self.within.get((keeper, one.passage)):
                said[one.passage, keeper.passage][keeper] = span
        found: dict[tuple[int, tuple[str, ...]], Shared] = {}  # one passage of each source
        for (place, holder), spans in said.items():
            name = self._other_name(place, holder)
            if name and not own[place] and spans.keys() >= own[holder]:
                found.setdefault((holder, name), Shared(place, holder, tuple(sorted(spans.values()))))
        return list(found.values())

    def _also_in(self, holder: int, repeats: list[Repeat]) -> tuple[str, ...]:
        """List the passages of other sources whose text is written in a passage for them."""
        places = (one.position for one in repeats if one.kept_in == holder)
        return tuple(dict.fromkeys(self.passages[i].origin.id for i in places if self._other_name(i, holder)))

    def _other_name(self, place: int, holder: int) -> tuple[str, ...] | None:
        """Name the source of a passage, if it has a name and is not that of another passage."""
        name = self.passages[place].origin.name
        return name if name != self.passages[holder].origin.name else None

    def _reasons(
        self, spans: list[tuple[Span, ...]], repeats: list[Repeat], threshold: float, needed: int
    ) -> list[str]:
        """Say for each passage why nothing of it is kept, if nothing is."""
        offered = {one.passage for one in self.candidates}
        elsewhere = {one.position: self.passages[one.kept_in].origin.id or one.kept_in + 1 for one in repeats}
        budget = self.layout.config.max_tokens
        if any(spans):
            crowded = f"the budget of {budget} tokens is spent on passages with more evidence"
        else:
            crowded = f"a budget of {budget} tokens is too small for the shortest piece of evidence (needs {needed})"
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


def _keeper(one: Candidate, holders: dict[Candidate, Candidate], clipped: list[Repeat]) -> int:
    """Follow a span that is not written to the passage that has its text."""
    while one in holders:
        one = holders[one]
    for cut in clipped:
        if cut.position == one.passage and cut.span.start <= one.span.start and one.span.end <= cut.span.end:
            return cut.kept_in
    return one.passage
