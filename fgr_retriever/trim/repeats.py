"""Find text that would stand twice in a context: spans that repeat what another span says.

Nothing is lost: a span counts as a repeat only if all its words stand in the other span, in the same
order. Letter case, punctuation and articles do not matter. A different number, negation or
preposition does matter.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import regex

from fgr_retriever.evidence.spans import EvidenceSums, as_ranges
from fgr_retriever.trim.layout import Block, Scored
from fgr_retriever.types import Span

# Fewer words ("It was built in") say different things in different places.
LEAST_WORDS = 5

_WORD = regex.compile(r"\w+")
_ARTICLES = frozenset(("a", "an", "the"))


@dataclass(frozen=True, slots=True)
class Repeat:
    """A stretch of a passage that is not written, because the same text is written elsewhere.

    Args:
        position: Position of the passage in the input.
        span: The stretch.
        kept_in: Position of the passage that has the text.
    """

    position: int
    span: Span
    kept_in: int


def repeated(
    passages: Sequence[Scored], spans: Sequence[tuple[int, Span]], asked: Set[str] = frozenset()
) -> dict[int, list[int]]:
    """Find spans whose words also stand in a span of another passage.

    Args:
        passages: The passages.
        spans: For each span that may be kept, the position of its passage and its range.
        asked: Stems of the content words of the question.

    Returns:
        A mapping from the number in `spans` of each repeat to the numbers of the spans that it repeats.
        If two spans say the same, the one in the passage with the lower score repeats the other; but what
        a source says that the question names does not count as a repeat of what another one says.
    """
    words = [_words(passages[i].text[span.start : span.end]) for i, span in spans]
    texts = [f" {' '.join(one)} " for one in words]
    named = [passage.origin.names(asked) for passage in passages]
    ranks = [
        (len(text), named[i], passages[i].score, -i, -span.start) for text, (i, span) in zip(texts, spans, strict=True)
    ]
    holders = _holders(words)
    found: dict[int, list[int]] = {}
    for number, one in enumerate(words):
        others = [
            other
            for other in holders[tuple(one[:LEAST_WORDS])]
            if spans[other][0] != spans[number][0]
            and ranks[other] > ranks[number]
            and named[spans[other][0]] >= named[spans[number][0]]
            and texts[number] in texts[other]
        ]
        if others:
            found[number] = others
    return found


def find_words(text: str, passage: Scored, part: Span) -> Span | None:
    """Find all words of a text in a row in a passage; case, punctuation and articles do not matter.

    Args:
        text: The text.
        passage: Where to search.
        part: A span of the passage with some of the words. If it has all of them and no others, it is the answer.
    """
    if _words(passage.text[part.start : part.end]) == _words(text):
        return part
    places = [(word, match.span()) for match in _WORD.finditer(passage.text) for word in _words(match.group())]
    wanted, words = _words(text), [word for word, _ in places]
    for first in range(len(words) - len(wanted) + 1 if wanted else 0):
        if words[first : first + len(wanted)] == wanted:
            range_ = places[first][1][0], places[first + len(wanted) - 1][1][1]
            return EvidenceSums.of(passage.evidence).spans(as_ranges([range_]))[0]
    return None


def clip(passages: Sequence[Scored], block: Block, spans: list[tuple[Span, ...]]) -> list[Repeat]:
    """Cut the spans of merged chunks so that no character of the source is in two of them.

    Args:
        passages: The passages.
        block: Chunks of one source whose places in it are known.
        spans: The kept spans of each passage; the entries of the block are replaced.

    Returns:
        The stretches that were cut off, each with the chunk that has its text.
    """
    starts = {i: passages[i].origin.start or 0 for i in block.positions}  # known, if the block is located
    queue = sorted(
        ((starts[i] + span.start, -starts[i] - span.end, i, span) for i in block.positions for span in spans[i]),
        key=lambda one: one[:3],
    )
    left: dict[int, list[Span]] = {i: [] for i in block.positions}
    cut, reached, owner = [], 0, -1
    for start, _, i, span in queue:
        border = min(max(reached - starts[i], span.start), span.end) if start < reached else span.start
        if border > span.start:
            cut.append(Repeat(i, replace(span, end=border), owner))
        if rest := _bare(passages[i], span, border):
            left[i].append(rest)
        if starts[i] + span.end > reached:
            reached, owner = starts[i] + span.end, i
    for i in block.positions:
        spans[i] = tuple(sorted(left[i]))
    return cut


def _bare(passage: Scored, span: Span, border: int) -> Span | None:
    """Give what is left of a span from a border on, without white space at its start."""
    if border == span.start:
        return span
    rest = passage.text[border : span.end]
    start = span.end - len(rest.lstrip())
    return EvidenceSums.of(passage.evidence).spans(as_ranges([(start, span.end)]))[0] if start < span.end else None


def _holders(words: Sequence[list[str]]) -> defaultdict[tuple[str, ...], set[int]]:
    """Map each run of `LEAST_WORDS` words to the spans that have it."""
    found: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
    for number, one in enumerate(words):
        for run in zip(*(one[shift:] for shift in range(LEAST_WORDS)), strict=False):
            found[run].add(number)
    return found


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return [word for word in _WORD.findall(plain) if word not in _ARTICLES]
