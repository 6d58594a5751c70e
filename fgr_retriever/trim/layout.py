"""Write the kept spans of many passages as one text: numbering, order, separators, merged chunks.

Overlapping chunks of one source are written as one stretch if their places in the source are known
and their texts agree there. The layout records what is written where, so every character of the
text can be traced to its passage.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise

from fgr_retriever.config import Order, TrimConfig
from fgr_retriever.evidence.spans import EvidenceSums, as_ranges
from fgr_retriever.text.quotation import in_line
from fgr_retriever.text.sentences import title
from fgr_retriever.text.tables import Table
from fgr_retriever.trim.context import Excerpt, Source
from fgr_retriever.trim.origin import Origin, common_title
from fgr_retriever.types import Span, TokenEvidence

_TITLE = re.compile(r"\s*(?<!\{)\(?\{title\}\)?(?!\})")  # in a citation mark, with what only belongs to it
_MOST_MARKS = 8  # in a gap that is written: a comma, a closing quote and a dash, but no line of dashes


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """A passage with the evidence for one query.

    Args:
        text: The passage.
        evidence: Probability and character range of each of its tokens.
        score: MaxSim of query and passage.
        origin: Where it comes from.
    """

    text: str
    evidence: TokenEvidence
    score: float
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True, slots=True)
class Assembly:
    """The text of a context and what it consists of; see `Context` for each field."""

    text: str
    sources: tuple[Source, ...]
    excerpts: tuple[Excerpt, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Passages that are written under one number.

    Args:
        positions: Their positions in the input, in reading order.
        located: True if their places in the source are known: `start` of their origins is then right.
    """

    positions: tuple[int, ...]
    located: bool


@dataclass(frozen=True, slots=True)
class Shared:
    """A passage of another source that says all that is written of a passage, and nothing else that is written.

    Args:
        position: Its position in the input.
        kept_in: Position of the passage that is written.
        spans: Its own ranges with the same words.
    """

    position: int
    kept_in: int
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """How passages are grouped and ordered; this does not depend on what is kept of them.

    Args:
        passages: The passages of the context.
        config: Citation mark, separators, order and merging.
        blocks: Groups of passages, best first; for the order `source`, as they are written.
    """

    passages: Sequence[Scored]
    config: TrimConfig
    blocks: tuple[Block, ...]

    @classmethod
    def of(cls, passages: Sequence[Scored], config: TrimConfig) -> Layout:
        """Group the passages of each source, and rank the groups."""
        sources = _by_source(passages)
        if config.merge:
            blocks = [block for positions in sources for block in _merged(passages, positions)]
        else:
            blocks = [Block((position,), False) for positions in sources for position in _in_order(passages, positions)]
        if config.order != "source":
            blocks.sort(key=lambda block: (-max(passages[i].score for i in block.positions), min(block.positions)))
        return cls(passages, config, tuple(blocks))

    def write(self, spans: Sequence[Sequence[Span]], shared: Sequence[Shared] = ()) -> Assembly:
        """Write the kept spans as one text.

        Args:
            spans: The kept spans of each passage, in input order. They are ascending and disjoint; the
                spans of merged chunks are also disjoint in the source.
            shared: Passages that are cited beside the one that says the same for them.
        """
        kept = [block for block in self.blocks if any(spans[i] for i in block.positions)]
        text = ""
        sources: list[Source] = []
        excerpts: list[Excerpt] = []
        others: dict[int, Source] = {}  # by position
        for block in _ordered(kept, self.config.order):
            pieces = self._pieces(block, spans)
            positions = tuple(dict.fromkeys(i for i, _ in pieces))
            number = self.config.first_number + len(sources)
            sources.append(Source(number, positions, common_title([self.passages[i].origin.title for i in positions])))
            text += (self.config.passage_separator if excerpts else "") + self._mark(sources[-1])
            for one in shared:
                if (one.kept_in,) == positions:
                    if one.position not in others:
                        title = self.passages[one.position].origin.title
                        other = self.config.first_number + len(sources)
                        others[one.position] = Source(other, (one.position,), title, one.spans)
                        sources.append(others[one.position])
                    text += self._mark(others[one.position])
            glue = ["", *(self._between(block, *pair) for pair in pairwise(pieces))]
            for before, (i, span) in zip(glue, pieces, strict=True):
                text += before
                piece = self.passages[i].text[span.start : span.end]
                excerpts.append(Excerpt(number, i, span, piece, len(text)))
                text += piece
        return Assembly(text, tuple(sources), tuple(excerpts))

    def joined(self, spans: Sequence[Sequence[Span]], shared: Sequence[Shared] = ()) -> set[str]:
        """Give the texts that callers make of the kept spans: a budget is a limit for each of them.

        They are the text of the context, of the same arguments as `write` takes; the trimmed passages in input order,
        as an adapter returns them; and their spans, as an adapter returns them that gives each by itself.
        """
        pieces = [
            [passage.text[span.start : span.end] for span in kept]
            for passage, kept in zip(self.passages, spans, strict=True)
            if kept
        ]
        between = self.config.passage_separator.join
        apart = between(self.config.separator.join(one) for one in pieces), between(chain.from_iterable(pieces))
        return {self.write(spans, shared).text, *apart}

    def _mark(self, source: Source) -> str:
        """Write the citation mark of a source."""
        id = self.passages[source.positions[0]].origin.id
        citation = self.config.citation if source.title else _TITLE.sub("", self.config.citation)
        return citation.format(number=source.number, title=in_line(source.title), id=in_line(id))

    def _between(self, block: Block, one: tuple[int, Span], other: tuple[int, Span]) -> str:
        """Give what stands between two pieces: the source's own white space, or the elision mark."""
        (i, left), (j, right) = one, other
        if i == j or not block.located:
            return self.config.separator
        shift = _start(self.passages[i]) - _start(self.passages[j])
        for text, start, end in (
            (self.passages[i].text, left.end, right.start - shift),
            (self.passages[j].text, left.end + shift, right.start),
        ):
            if 0 <= start <= end <= len(text) and not text[start:end].strip():
                return text[start:end]
        return self.config.separator

    def _pieces(self, block: Block, spans: Sequence[Sequence[Span]]) -> list[tuple[int, Span]]:
        """List position and span of all that is kept of a block, in reading order."""
        pieces = [(i, span) for i in block.positions for span in spans[i]]
        if block.located:
            pieces.sort(key=lambda piece: (_start(self.passages[piece[0]]) + piece[1].start, piece[0]))
        return pieces


def _start(passage: Scored) -> int:
    """Give the place of a passage in its source, 0 if it is unknown."""
    return passage.origin.start or 0


def _by_source(passages: Sequence[Scored]) -> list[list[int]]:
    """Group passages by their source; one whose source is unknown stands alone."""
    groups: dict[object, list[int]] = {}
    for position, passage in enumerate(passages):
        groups.setdefault(passage.origin.source or position, []).append(position)
    return list(groups.values())


def _in_order(passages: Sequence[Scored], positions: list[int]) -> list[int]:
    """Order passages of one source by their place in it, if all places are known."""
    if any(passages[i].origin.start is None for i in positions):
        return positions
    return sorted(positions, key=lambda i: (_start(passages[i]), i))


def _merged(passages: Sequence[Scored], positions: list[int]) -> list[Block]:
    """Make one block of the passages of a source if their places in it are known and true.

    Texts that overlap must agree: a name such as "web" can be that of many documents, and some
    loaders count from the top of each page.
    """
    ordered = _in_order(passages, positions)
    if len(ordered) == 1 or any(passages[i].origin.start is None for i in ordered):
        return [Block((i,), False) for i in ordered]
    longest = ordered[0]
    for i in ordered[1:]:
        shift = _start(passages[i]) - _start(passages[longest])
        overlap, text = passages[longest].text[shift:], passages[i].text
        if overlap[: len(text)] != text[: len(overlap)]:
            return [Block((i,), False) for i in positions]
        longest = i if shift + len(text) > len(passages[longest].text) else longest
    return [Block(tuple(ordered), True)]


def _ordered(ranked: list[Block], order: Order) -> list[Block]:
    """Put the best at both ends for `edges`; else leave the order."""
    return [*ranked[::2], *ranked[1::2][::-1]] if order == "edges" else ranked


def joined(passage: Scored, spans: tuple[Span, ...]) -> tuple[Span, ...]:
    """Join spans with only white space and a few marks, such as a comma, between them."""
    ranges: list[tuple[int, int]] = []
    for span in spans:
        if ranges and _says_nothing(passage.text[ranges[-1][1] : span.start]):
            ranges[-1] = ranges[-1][0], span.end
        else:
            ranges.append((span.start, span.end))
    return spans if len(ranges) == len(spans) else EvidenceSums.of(passage.evidence).spans(as_ranges(ranges))


def _says_nothing(gap: str) -> bool:
    """Say whether a gap holds no letter and no digit, and no long rule of dashes, which would cost many tokens."""
    marks = gap.strip()
    return len(marks) <= _MOST_MARKS and not any(map(str.isalnum, marks))


def with_headers(
    passage: Scored, tables: Sequence[Table], spans: tuple[Span, ...], headed: Iterable[Span]
) -> tuple[Span, ...]:
    """Put the header row of a table before its rows; a row right below it becomes part of one span with it.

    Args:
        passage: The passage.
        tables: Its tables that have a header.
        spans: What is kept of it, ascending and disjoint.
        headed: The spans whose tables show their header.
    """
    wanted = _with_rows(tables, sorted(headed))
    if not wanted:
        return spans
    ranges, place = [], 0
    for one in wanted:
        while place < len(spans) and spans[place].end < one.start:
            ranges.append((spans[place].start, spans[place].end))
            place += 1
        start, end = one.start, one.end
        if ranges and ranges[-1][1] >= start:  # of the table before
            start, end = ranges[-1][0], max(end, ranges.pop()[1])
        while place < len(spans) and spans[place].start <= one.body:
            start, end = min(start, spans[place].start), max(end, spans[place].end)
            place += 1
        ranges.append((start, end))
    known = {(span.start, span.end): span for span in spans}
    fresh = [one for one in ranges if one not in known]
    known |= zip(fresh, EvidenceSums.of(passage.evidence).spans(as_ranges(fresh)), strict=True)
    return (*map(known.__getitem__, ranges), *spans[place:])


def _with_rows(tables: Sequence[Table], rows: Sequence[Span]) -> list[Table]:
    """Find the tables that have a row; both are ascending and disjoint."""
    found, place = [], 0
    for one in tables:
        while place < len(rows) and rows[place].end <= one.body:
            place += 1
        if place < len(rows) and rows[place].start < one.close:
            found.append(one)
    return found


def with_title(passage: Scored, spans: list[Span]) -> tuple[Span, ...]:
    """Put the title line before the spans of a passage; spans next to it become part of it."""
    head = title(passage.text) if spans else None
    if head is None:
        return tuple(spans)
    start, end = head
    rest = list(spans)
    while rest and (rest[0].start <= end or passage.text[end : rest[0].start].isspace()):
        start, end = min(start, rest[0].start), max(end, rest[0].end)
        rest.pop(0)
    return (*EvidenceSums.of(passage.evidence).spans(as_ranges([(start, end)])), *rest)
