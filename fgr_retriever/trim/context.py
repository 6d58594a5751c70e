"""The results of trimming: passages cut to their evidence, their joint text, its sources and its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import Self

from fgr_retriever.errors import InputError
from fgr_retriever.evidence.hit import Hit, check_spans, checked, score_text
from fgr_retriever.text.html import document, escaped, fragment
from fgr_retriever.text.json_values import from_json, same, to_json
from fgr_retriever.text.surroundings import widen
from fgr_retriever.trim.trust import TrustReport
from fgr_retriever.types import Json, Span


@dataclass(frozen=True, slots=True)
class Trimmed:
    """One passage cut down to its evidence, verbatim.

    Args:
        text: The kept spans of the source text, joined by the configured separator; empty when
            nothing was kept.
        spans: The kept spans, as ranges of the source text, ascending and disjoint.
        kept: Kept characters divided by all characters of the source, in [0, 1].
        score: The score of the passage's hit.
        tokens: Tokens of `text` by the budget's tokenizer; None when there was no budget.
        reason: Why nothing was kept; empty if something was kept.
        scores: The `scores` of the passage's hit.
        also_in: Ids of passages of other sources with text that is written here for them, too.
    """

    text: str
    spans: tuple[Span, ...]
    kept: float
    score: float
    tokens: int | None = None
    reason: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    also_in: tuple[str, ...] = ()

    def to_metadata(self, source_start: int | None = None) -> dict[str, Json]:
        """Describe the result in JSON-safe values, under the same keys in every framework.

        Args:
            source_start: Position at which the passage begins in the document that it was cut from. If
                it is given, `fgr_source_spans` has the spans as ranges of that document.

        Returns:
            `fgr_score`, `fgr_kept` and `fgr_spans` (a list of [start, end, score]). If other stages than
            MaxSim scored the passage, also `fgr_scores`, the score from each stage. If passages of other
            sources say the same, `fgr_also_in` has their ids.
        """
        found: dict[str, Json] = {
            "fgr_score": float(self.score),
            "fgr_kept": round(float(self.kept), 4),
            "fgr_spans": _as_json(self.spans, 0),
        }
        if len(self.scores) > 1:
            found["fgr_scores"] = {kind: float(score) for kind, score in self.scores.items()}
        if self.also_in:
            found["fgr_also_in"] = list(self.also_in)
        if source_start is not None:
            found["fgr_source_spans"] = _as_json(self.spans, source_start)
        return found


def _as_json(spans: tuple[Span, ...], shift: int) -> list[Json]:
    return [[span.start + shift, span.end + shift, round(float(span.score), 4)] for span in spans]


@dataclass(frozen=True, slots=True)
class Source:
    """One numbered source of a context: a passage, or the chunks of one document.

    Args:
        number: Its number in the citation mark, ascending in the order of the context.
        positions: Positions in `Context.hits` of the passages whose text it has, in reading order.
        title: Its title on one line, from the metadata, or else the id of its first passage; empty if that is
            only a UUID, ULID or hash.
        repeats: Set if nothing of it is written, because the source before it says the same word for word:
            the ranges of its one passage with these words.
    """

    number: int
    positions: tuple[int, ...]
    title: str
    repeats: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A verbatim stretch of a passage: `text` is `hits[position].passage.text[span.start:span.end]`.

    Args:
        number: Number of the source that it belongs to.
        position: Position of its passage in `Context.hits`.
        span: Its character range in the passage.
        text: The characters of the span.
        start: Where it begins in `Context.text`; None when it is not written there.
    """

    number: int
    position: int
    span: Span
    text: str
    start: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """The results of a search, trimmed to a budget and ready for a prompt.

    Args:
        query: The question as asked.
        hits: The results: whole passages with their evidence, best first. From `Trimmer.context`
            without `top_n`, they are in the order in which the passages were given.
        trimmed: The trimmed passage of each hit, in the same order.
        text: The kept texts with citation marks and separators, as the budget counted it.
        tokens_before: Tokens of all hits' full texts; None if they were not counted.
        tokens_after: Tokens of `text`, never more than the budget; None if they were not counted.
        sources: The sources that the citation numbers stand for, in the order of `text`.
        excerpts: The verbatim stretches in `text`, without marks and separators, in the order of
            `text`.
        report: What trimming kept and dropped, and how long it took.
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

    def __eq__(self, other: object) -> bool:
        """Say whether all values are equal, with every span, score and token."""
        return same(self, other) if isinstance(other, Context) else NotImplemented

    def __hash__(self) -> int:
        """Hash what equal contexts have in common."""
        return hash((self.query, self.text))

    def to_dict(self) -> dict[str, Json]:
        """Write the context in plain JSON, with its hits: what a checkpoint can hold.

        Raises:
            InputError: The metadata of a passage is not JSON-safe.
        """
        return to_json(self)

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Read what `to_dict` wrote.

        Args:
            values: The object. It is not changed.

        Raises:
            InputError: A key is missing or unknown, a value has another type, or texts and ranges contradict one
                another; the message names what is wrong.
        """
        context = from_json(cls, values)
        _check(context)
        return context

    def expand(self, number: int, span: Span, sentences: int = 1, *, position: int | None = None) -> Excerpt:
        """Show a span with the passage's own text around it, up to whole sentences.

        Args:
            number: Number of the source.
            span: A range of the passage's text, such as a span from `excerpts` or `trimmed`.
            sentences: Number of sentences to add on either side. The sentences that the span touches
                are always completed; 0 only does that.
            position: Position in `hits` of the passage. You need it only if several chunks were merged
                and this very span is kept by none or by more than one of them.

        Returns:
            The wider stretch, which contains the span; its score is the mean evidence in it.

        Raises:
            InputError: There is no such source, the span is not a range of the passage, `sentences` is
                negative, or it is not clear which passage is meant.
        """
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
            known = ", ".join(str(source.number) for source in self.sources) or "none"
            raise InputError(f"number={number}: the context has the sources {known}")
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
        return fragment(_body(self))

    def _repr_html_(self) -> str:
        """Show the hits in a notebook."""
        return self.to_html()


def page(context: Context) -> str:
    """Write the hits of a context as an HTML page."""
    return document(context.query, _body(context))


def saving(before: int | None, after: int | None) -> str:
    """Say how many tokens trimming saves."""
    if before is None or after is None:
        return "Tokens were not counted"
    share = f" ({after / before - 1:+.0%})" if before else ""
    return f"{before} tokens before, {after} after trimming{share}"


def _body(context: Context) -> str:
    articles = [
        hit.article(trimmed.spans, f"{score_text(hit)}, kept {trimmed.kept:.0%}")
        for hit, trimmed in zip(context.hits, context.trimmed, strict=True)
    ]
    facts = f"{saving(context.tokens_before, context.tokens_after)}. Marked: evidence and its probability."
    missing = ", ".join(context.report.uncovered)
    warnings = [*context.report.notes, *([f"Nothing supports: {missing}"] if missing else [])]
    warning = "".join(f'\n<p class="facts" dir="auto">{escaped(one)}</p>' for one in warnings)
    hits = "\n".join(articles) or "<p>No passage found.</p>"
    return f'<h1 dir="auto">{escaped(context.query)}</h1>\n<p class="facts">{facts}</p>{warning}\n{hits}'


def _check(context: Context) -> None:
    """Raise InputError unless the parts of a context fit one another."""
    texts = [checked(hit, f"hits[{place}]").passage.text for place, hit in enumerate(context.hits)]
    if len(context.trimmed) != len(texts):
        raise InputError(f"trimmed has {len(context.trimmed)} passages for {len(texts)} hits: must be one for each")
    for place, (trimmed, text) in enumerate(zip(context.trimmed, texts, strict=True)):
        check_spans(trimmed.spans, text, f"trimmed[{place}].spans")
    for source in context.sources:
        if not set(source.positions) <= set(range(len(texts))) or not source.positions:
            raise InputError(f"source {source.number} has the positions {list(source.positions)} of {len(texts)} hits")
    numbers = {source.number for source in context.sources}
    for place, one in enumerate(context.excerpts):
        told = texts[one.position][one.span.start : one.span.end] if 0 <= one.position < len(texts) else None
        written = one.text if one.start is None else context.text[one.start : one.start + len(one.text)]
        if not told == written == one.text or one.number not in numbers:
            raise InputError(f"excerpts[{place}] {one.text!r:.80}: does not stand at its place in the context")
