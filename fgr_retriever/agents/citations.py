"""Check the citations of an answer: does each number exist, and does its source support the sentence?

Nothing here asks an LLM. The context tells whether a citation exists. The engine's own model judges
whether the cited spans support the sentence; it takes the sentence as the question.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, cast

from fgr_retriever.agents.claim_check import Claim, Verdict, judge
from fgr_retriever.agents.evidence import EvidenceSource, EvidenceSpan, NumberedSources
from fgr_retriever.agents.evidence_search import describe
from fgr_retriever.arguments import strict_function
from fgr_retriever.engine import Engine
from fgr_retriever.errors import InputError
from fgr_retriever.model.tokens import TokenEncoder
from fgr_retriever.text.sentences import sentences
from fgr_retriever.text.valid import without_surrogates
from fgr_retriever.trim.context import Context

# Code is matched first, so that what looks like a citation in it is none.
_MARK = re.compile(
    r"""
    ```.*?(?:```|\Z) | `[^`\n]+`
    | [\[\u3010] \^?\s*
      (?P<numbers>[0-9]{1,4} (?:\s*[-\u2013,;]\s*\^?[0-9]{1,4})*)
      \s* (?:\u2020[^\]\u3011\n]{0,40})? [\]\u3011]
    """,
    re.DOTALL | re.VERBOSE,
)
_RANGE = re.compile(r"([0-9]+)(?:\s*[-\u2013]\s*\^?([0-9]+))?")
_KEYS = {"number", "spans"}
_Answered: TypeAlias = "Context | NumberedSources | Sequence[Context | NumberedSources]"


class HasEncoder(Protocol):
    """What has a model, such as an engine."""

    @property
    def encoder(self) -> TokenEncoder:
        """The model."""
        ...


class HasEngine(Protocol):
    """What has an engine, such as a retriever."""

    @property
    def engine(self) -> Engine:
        """The open index."""
        ...


@dataclass(frozen=True, slots=True)
class Citation:
    """One number that an answer cites.

    Args:
        start: Position of the first character of its mark in the answer; all numbers of one mark have
            the same.
        end: Position after the last character of the mark.
        number: The cited number.
        sentence: Start and end of the sentence that it should support; the end is not included.
        source: The source that the number stands for; None if there is no such number.
        spans: The spans of the source that support the sentence, with their character ranges in the
            passage and in the source document; without an encoder, all spans of the source.
        supported: False if the number does not exist, or an encoder and the rules find that the source lacks
            something of the sentence or says otherwise; True if they find support and nothing against it; None if
            they cannot tell, or there is no encoder.
        reason: Why the citation is not supported, or why this is unknown; otherwise empty.
    """

    start: int
    end: int
    number: int
    sentence: tuple[int, int]
    source: EvidenceSource | None
    spans: tuple[EvidenceSpan, ...]
    supported: bool | None
    reason: str


@strict_function
def verify_citations(
    answer: str,
    context: _Answered,
    *,
    encoder: TokenEncoder | HasEncoder | HasEngine | None = None,
) -> list[Citation]:
    """Trace every citation of an answer to its spans, and flag those that nothing supports.

    Citation marks are `[1]`, `[1, 3]`, `[2][4]`, `[1-3]`, `[^1]` and `【1】`; marks in code are ignored.
    If a range goes beyond the context, only its two ends and the numbers that exist are reported. A mark
    belongs to the sentence around it; a mark behind the full stop belongs to the sentence before it.

    How `supported` is decided:

    - without an encoder: it is False if the number does not exist, and None if it exists.
    - with an encoder: the sentence is asked as a question. It is False if its source has no span with a
      token above the model's evidence threshold and is not like it either; if the sources that the sentence
      cites together lack one of its numbers ("five seconds" is "5 s"), months or names, or half of the
      content words of a sentence without numbers; if a number stands only in the row of something else; or if
      their sentence closest to it has an antonym, a negation, a limit or a number that contradicts it. It is
      None if the rules cannot tell: the words stand in another order, what it says is said of something else,
      what it says of a record stands in another one, a number stands in another column, only the sentence has a
      negation ("fails to"), or a part of it is hardly like anything in the sources. Otherwise it is True. The whole
      sentences of the kept spans are read, if their passages are known: from a `Context`, or because `encoder` is or
      has the open engine that stores them. Otherwise only the spans are read. The rules know English. They miss some
      errors, so do not take a True for a proof.

    Args:
        answer: What the model wrote.
        context: What the model answered from: the context of `Engine.retrieve`, or the artifact
            (`raw_output`) of an evidence tool, or what `numbered_sources` of an adapter makes of documents or
            nodes; or a list of them, whose numbers must differ (see the argument `start` of the tools).
        encoder: The model that judges, or what has one: an engine, a retriever, a vector store.
            None only checks that the numbers exist.

    Returns:
        The citations in the order of the answer.

    Raises:
        InputError: `answer` is not a string, `context` is neither a context nor such an artifact, two of them
            use a number for different sources, `encoder` has no model, or it is given without its name.
    """
    if not isinstance(answer, str):
        raise InputError(f"answer must be a string, got {type(answer).__name__}")
    sources = _sources(context)
    model = None if encoder is None else _model(encoder)
    found = list(_cited(answer, sources))
    if model is None:
        return [_existing(citation) for citation in found]
    claims = _claims(answer, found)
    passages = _passages(context, claims.values(), encoder) if claims else {}
    verdicts = dict(zip(claims, judge(model, list(claims.values()), passages), strict=True))
    return [_judged(citation, verdicts) for citation in found]


def _model(encoder: object) -> TokenEncoder:
    """Take a model, or that of an engine or of what has an engine."""
    holder = getattr(encoder, "engine", encoder)
    for one in (encoder, getattr(holder, "encoder", None)):
        if callable(getattr(one, "encode_queries", None)):
            return cast(TokenEncoder, one)
    raise InputError(
        f"encoder must be a model, got {type(encoder).__name__}: pass Encoder.default(), the `encoder` of an engine, "
        "or an engine or a retriever itself"
    )


def _several(context: _Answered) -> Sequence[Context | NumberedSources]:
    return context if isinstance(context, Sequence) and not isinstance(context, str) else [context]


def _passages(context: _Answered, claims: Iterable[Claim], encoder: object) -> dict[str, str]:
    """Give the texts of the passages that claims cite: from the context, or else from the index of an open engine."""
    known = {
        hit.passage.id: hit.passage.text for one in _several(context) if isinstance(one, Context) for hit in one.hits
    }
    cited = {span.get("passage") for claim in claims for source in claim.sources for span in source["spans"]}
    lacking = sorted(one for one in cited - known.keys() if isinstance(one, str))
    engine = getattr(encoder, "engine", encoder)
    if lacking and isinstance(engine, Engine) and not engine.closed:
        known |= {one.id: one.text for one in engine.get(lacking)}
    return {id: without_surrogates(text) for id, text in known.items()}


def _sources(context: _Answered) -> dict[int, EvidenceSource]:
    """Give what the numbers of one or more searches stand for."""
    sources = [source for one in _several(context) for source in _evidence(one)["sources"]]
    found: dict[int, EvidenceSource] = {}
    for source in sources:
        if found.setdefault(source["number"], source) != source:
            raise InputError(
                f"number {source['number']} stands for two sources, so a citation may mean either: make one tool "
                "with start=1 for each conversation, and it goes on counting from call to call; one that is made "
                "anew, as after a restart, with start=1 + max(numbers), here "
                f"start={1 + max(one['number'] for one in sources)}"
            )
    return found


def _evidence(context: object) -> NumberedSources:
    """Describe a context, or check that a mapping is such a description."""
    if isinstance(context, Context):
        return describe(context)
    sources = context.get("sources") if isinstance(context, Mapping) else None
    if isinstance(sources, Sequence) and all(isinstance(one, Mapping) and one.keys() >= _KEYS for one in sources):
        return cast(NumberedSources, context)
    given = type(context).__name__
    if isinstance(context, Mapping):
        given = f"a mapping with {', '.join(map(repr, context)) or 'no keys'}"
    raise InputError(
        f"context must be a Context or the artifact of an evidence tool, got {given:.200}: pass what Engine.retrieve "
        "returned, or `artifact` or `raw_output` of the tool's message; Context.from_dict reads what to_dict wrote. "
        "Documents and nodes: numbered_sources(them), from langchain_fgr or llama_index.tools.fgr"
    )


def _cited(answer: str, sources: Mapping[int, EvidenceSource]) -> Iterator[Citation]:
    """Find the citations of an answer; none is judged yet."""
    marks = [match for match in _MARK.finditer(answer) if match["numbers"]]
    owners = _owners(answer, marks)
    for match, sentence in zip(marks, owners, strict=True):
        for number in dict.fromkeys(_numbers(match["numbers"], sources)):
            source = sources.get(number)
            spans = tuple(source["spans"]) if source else ()
            yield Citation(match.start(), match.end(), number, sentence, source, spans, None, "")


def _numbers(text: str, sources: Mapping[int, EvidenceSource]) -> Iterator[int]:
    """List the numbers of a mark; of a range, those that exist and its ends."""
    for first, last in _RANGE.findall(text):
        low, high = sorted((int(first), int(last or first)))
        yield low
        yield from sorted(number for number in sources if low < number < high)
        yield high


def _owners(answer: str, marks: Sequence[re.Match[str]]) -> list[tuple[int, int]]:
    """Find the sentence that each mark belongs to."""
    ranges = sentences(answer)
    ends = [end for _, end in ranges]
    found: list[tuple[int, int]] = []
    for match in marks:
        place = bisect_right(ends, match.start())
        start, end = ranges[place]
        behind_stop = place > 0 and not _bare(answer[start : match.start()]) and _is_apart(answer, match, end)
        same_block = place > 0 and "\n\n" not in answer[ranges[place - 1][1] : start]
        found.append(ranges[place - 1] if behind_stop and same_block else (start, end))
    return found


def _bare(text: str) -> str:
    """Leave out citation marks and white space at the ends."""
    return " ".join(_MARK.sub(lambda match: "" if match["numbers"] else match[0], text).split())


def _is_apart(answer: str, match: re.Match[str], end: int) -> bool:
    """Say whether a mark at the begin of a sentence is no part of it: "[1] says that" is one."""
    following = _bare(answer[match.end() : end]).lstrip("*_\"'“(")
    return not following[:1].islower()


def _claims(answer: str, cited: Sequence[Citation]) -> dict[tuple[int, int], Claim]:
    """Collect each sentence with the sources that it cites, if it says anything."""
    together: dict[tuple[int, int], dict[int, EvidenceSource]] = {}
    for citation in cited:
        if citation.source:
            together.setdefault(citation.sentence, {})[citation.number] = citation.source
    texts = {place: _bare(answer[slice(*place)]) for place in together}
    return {place: Claim(texts[place], tuple(group.values())) for place, group in together.items() if texts[place]}


def _existing(citation: Citation) -> Citation:
    """Judge by the number alone."""
    if citation.source is None:
        return replace(citation, supported=False, reason=f"there is no source [{citation.number}]")
    return replace(citation, reason="not checked: no encoder was given")


def _judged(citation: Citation, verdicts: Mapping[tuple[int, int], Verdict]) -> Citation:
    """Judge by what the model found."""
    if citation.source is None:
        return _existing(citation)
    verdict = verdicts.get(citation.sentence)
    if verdict is None:
        return replace(citation, reason="not checked: the mark stands in no sentence")
    spans = verdict.supporting[citation.number]
    if not spans:
        return replace(citation, spans=(), supported=False, reason=f"no span of [{citation.number}] is evidence for it")
    for doubt in sorted(verdict.doubts, key=lambda one: not one.certain):
        return replace(citation, spans=spans, supported=False if doubt.certain else None, reason=doubt.reason)
    return replace(citation, spans=spans, supported=True)
