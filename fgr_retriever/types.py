"""The values that flow through the engine: passages in, hits and trimmed passages out.

All are immutable. Character offsets are half-open ranges of Python string positions in the
passage's own text, so ``passage.text[span.start:span.end]`` is always what the user sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.errors import InputError
from fgr_retriever.tokens import ImportanceEncoder as ImportanceEncoder
from fgr_retriever.tokens import StoredTokens as StoredTokens
from fgr_retriever.tokens import TokenBlock as TokenBlock
from fgr_retriever.tokens import TokenEncoder as TokenEncoder

if TYPE_CHECKING:
    from fgr_retriever.report import TrustReport
    from fgr_retriever.support import Support

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Metadata: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Passage:
    """What is indexed and returned.

    Args:
        id: A stable, non-empty name; adding the same id again replaces the passage.
        text: The full text. Stored and returned character for character.
        metadata: JSON-safe values with string keys; returned with every hit.
    """

    id: str
    text: str
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open character range of a passage's text and its evidence probability.

    Args:
        start: First character.
        end: One past the last character.
        score: Evidence probability in [0, 1].
    """

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """A passage that something found, with what evidence needs.

    Args:
        passage: The passage as it was stored.
        score: MaxSim of query and passage.
        tokens: Its tokens as they are stored.
    """

    passage: Passage
    score: float
    tokens: StoredTokens


@dataclass(frozen=True, slots=True, eq=False)
class TokenEvidence:
    """How likely each kept token of one passage is evidence for the query.

    Args:
        offsets: Character range of each token, (t, 2) int32, ascending.
        probabilities: Evidence probability of each token, (t,) float32 in [0, 1].
    """

    offsets: NDArray[np.int32]
    probabilities: NDArray[np.float32]

    def __len__(self) -> int:
        """Count the tokens."""
        return len(self.probabilities)

    def mean(self, start: int, end: int) -> float:
        """Average the probabilities of the tokens that end in a range of characters, 0 where none does."""
        inside = (self.offsets[:, 1] > start) & (self.offsets[:, 1] <= end)
        return float(self.probabilities[inside].mean()) if inside.any() else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """One result of a search, best first, with its evidence.

    Args:
        passage: The whole passage as it was stored.
        score: What ranks it: MaxSim of query and passage, in [-q, q] for q query tokens, or what
            the last stage of a pipeline gave it.
        rank: Position in the results, from 1.
        spans: Evidence spans in text order, disjoint; empty when nothing passes the threshold.
        token_scores: The evidence probability of every kept token.
        support: Which words of the question each kept token matches.
        scores: What each stage gave it, by the stage's name or kind; MaxSim is always there, as `late`.
    """

    passage: Passage
    score: float
    rank: int
    spans: tuple[Span, ...]
    token_scores: TokenEvidence = field(repr=False)
    support: Support = field(repr=False)
    scores: Mapping[str, float]

    def to_html(self) -> str:
        """Write the passage with its evidence marked, as an HTML fragment; everything is escaped."""
        from fgr_retriever.html import hit_html

        return hit_html(self)

    def _repr_html_(self) -> str:
        """Show the hit in a notebook."""
        return self.to_html()


@dataclass(frozen=True, slots=True)
class Trimmed:
    """One passage cut down to its evidence, verbatim.

    Args:
        text: The kept spans of the source text, joined by the configured separator; empty when
            nothing was kept.
        spans: What was kept, as ranges of the source text, ascending and disjoint.
        kept: Kept characters divided by all characters of the source, in [0, 1].
        score: That of the passage's hit.
        tokens: Tokens of `text` by the budget's tokenizer; None when there was no budget.
        reason: Why nothing was kept, when nothing was; else empty.
        scores: Those of the passage's hit.
    """

    text: str
    spans: tuple[Span, ...]
    kept: float
    score: float
    tokens: int | None = None
    reason: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)

    def to_metadata(self, source_start: int | None = None) -> dict[str, Json]:
        """Describe the trim in JSON-safe values, under the same keys in every framework.

        Args:
            source_start: Where the passage begins in the document that it was cut from; adds
                `fgr_source_spans`, the spans in that document's coordinates.

        Returns:
            `fgr_score`, `fgr_kept` and `fgr_spans` (a list of [start, end, score]), and
            `fgr_scores`, what each stage gave the passage, where more than MaxSim did.
        """
        found: dict[str, Json] = {
            "fgr_score": float(self.score),
            "fgr_kept": round(float(self.kept), 4),
            "fgr_spans": _as_json(self.spans, 0),
        }
        if len(self.scores) > 1:
            found["fgr_scores"] = {kind: float(score) for kind, score in self.scores.items()}
        if source_start is not None:
            found["fgr_source_spans"] = _as_json(self.spans, source_start)
        return found


def _as_json(spans: tuple[Span, ...], shift: int) -> list[Json]:
    return [[span.start + shift, span.end + shift, round(float(span.score), 4)] for span in spans]


@dataclass(frozen=True, slots=True)
class Source:
    """One numbered source of a context: a passage, or the chunks of one document.

    Args:
        number: What the citation mark calls it, from 1 in the order of the context.
        positions: Places in `Context.hits` of the passages that give text to it, in reading order.
        title: What to call it, on one line; from the metadata, else the id of its first passage.
    """

    number: int
    positions: tuple[int, ...]
    title: str


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A verbatim stretch of a passage: `text` is `hits[position].passage.text[span.start:span.end]`.

    Args:
        number: The source that it belongs to.
        position: Place of its passage in `Context.hits`.
        span: Its characters in the passage.
        text: These characters.
        start: Where it begins in `Context.text`; None when it is not written there.
    """

    number: int
    position: int
    span: Span
    text: str
    start: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What a search found, trimmed to a budget and ready for a prompt.

    Args:
        query: The question as asked.
        hits: The results, best first, whole passages with their evidence; of `Trimmer.context`, the
            passages in the order in which they were given.
        trimmed: What was kept of each hit, in the same order.
        text: The kept texts with citations and separators, as the budget counted it.
        tokens_before: Tokens of all hits' full texts; None when nothing counted them.
        tokens_after: Tokens of `text`, never more than the budget; None when nothing counted them.
        sources: What the numbers of the citations mean, in the order of `text`.
        excerpts: The verbatim stretches that `text` consists of, beside marks and separators, in
            its order.
        report: What trimming kept, dropped and took.
    """

    query: str
    hits: tuple[Hit, ...]
    trimmed: tuple[Trimmed, ...]
    text: str
    tokens_before: int | None
    tokens_after: int | None
    sources: tuple[Source, ...]
    excerpts: tuple[Excerpt, ...]
    report: TrustReport

    def expand(self, number: int, span: Span, sentences: int = 1, *, position: int | None = None) -> Excerpt:
        """Show what stands around a span: the passage's own text, up to whole sentences.

        Args:
            number: The source.
            span: A range of the passage's text; any that `excerpts` or `trimmed` has will do.
            sentences: Sentences to add on either side, beside the rest of those that the span
                touches; 0 only completes these.
            position: Which passage of the source, by its place in `hits`; needed only where several
                chunks were merged and none, or more than one of them, keeps this very span.

        Returns:
            The wider stretch, which contains the span; its score is the mean evidence in it.

        Raises:
            InputError: There is no such source, the span is no range of the passage, `sentences` is
                negative, or the passage cannot be told.
        """
        from fgr_retriever.widen import widen  # loads the segmentation only where it is used

        place = self._position(number, span) if position is None else position
        if place not in self._source(number).positions:
            raise InputError(f"position={position}: source {number} has {list(self._source(number).positions)}")
        hit = self.hits[place]
        start, end = widen(hit.passage.text, span.start, span.end, sentences)
        wider = Span(start, end, hit.token_scores.mean(start, end))
        return Excerpt(number, place, wider, hit.passage.text[start:end])

    def _source(self, number: int) -> Source:
        found = next((source for source in self.sources if source.number == number), None)
        if found is None:
            raise InputError(f"number={number}: the context has the sources 1 to {len(self.sources)}")
        return found

    def _position(self, number: int, span: Span) -> int:
        """Find the passage of a source that keeps a span."""
        positions = self._source(number).positions
        where = span.start, span.end
        keeping = [one for one in positions if where in [(kept.start, kept.end) for kept in self.trimmed[one].spans]]
        keeping = keeping or list(positions)
        if len(keeping) > 1:
            raise InputError(f"span {where}: may be in any of the passages {keeping} of source {number}; say position=")
        return keeping[0]

    def to_html(self) -> str:
        """Write the hits with their evidence marked, as an HTML fragment; everything is escaped."""
        from fgr_retriever.html import context_html

        return context_html(self)

    def _repr_html_(self) -> str:
        """Show the hits in a notebook."""
        return self.to_html()
