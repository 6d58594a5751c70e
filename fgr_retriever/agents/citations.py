"""Check the citations of an answer: does each number exist, and does what it points to support the sentence?

Nothing here asks an LLM. That a citation exists is read off the context. Whether its spans support
the sentence it stands in is judged with the engine's own model, the sentence as the question.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from fgr_retriever.agents.claim_check import Claim, Verdict, judge
from fgr_retriever.agents.evidence_search import Evidence, EvidenceSource, EvidenceSpan, describe
from fgr_retriever.errors import InputError
from fgr_retriever.model.tokens import TokenEncoder
from fgr_retriever.text.sentences import sentences
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


@dataclass(frozen=True, slots=True)
class Citation:
    """One number that an answer cites.

    Args:
        start: First character of its mark in the answer; the numbers of one mark share it.
        end: One past the last character of the mark.
        number: What it cites.
        sentence: First and one past the last character of the sentence that it is to support.
        source: What the number stands for; None when there is no such number.
        spans: The spans of the source that support the sentence, with their characters in passage
            and source document; all spans of the source where no encoder looked.
        supported: False when the number does not exist or an encoder finds no support; True when
            it does; None when the number exists and no encoder looked.
        reason: Why the citation is not supported, or why nobody knows; else empty.
    """

    start: int
    end: int
    number: int
    sentence: tuple[int, int]
    source: EvidenceSource | None
    spans: tuple[EvidenceSpan, ...]
    supported: bool | None
    reason: str


def verify_citations(
    answer: str, context: Context | Evidence, *, encoder: TokenEncoder | None = None
) -> list[Citation]:
    """Lead every citation of an answer back to its spans, and flag those that nothing supports.

    Read are `[1]`, `[1, 3]`, `[2][4]`, `[1-3]` (of a range that leaves the context only the ends are
    reported beside what exists), `[^1]` and `【1】`; not what stands in code. A mark belongs to the
    sentence around it, or to the one before when it stands behind the full stop.

    What decides:

    - without an encoder: only whether the number exists. `supported` is None for those that do.
    - with an encoder: the sentence is asked as a question. A citation is supported when its source
      has a span with a token above the model's evidence threshold, and the sources that the
      sentence cites together have its numbers verbatim, match its names, and match more than two
      thirds of its content words (cosines). That words match is not that it is said: "A sold B" and
      "B sold A" match the same words. Take a False for a reason to look, and a True for no proof.

    Args:
        answer: What the model wrote.
        context: What it wrote it from: the context of `Engine.retrieve`, or the artifact
            (`raw_output`) of an evidence tool.
        encoder: The model that judges; None only checks that the numbers exist.

    Returns:
        The citations in the order of the answer.

    Raises:
        InputError: `answer` is no string, or `context` is neither a context nor such an artifact.
    """
    if not isinstance(answer, str):
        raise InputError(f"answer must be a string, got {type(answer).__name__}")
    sources = {source["number"]: source for source in _evidence(context)["sources"]}
    found = list(_cited(answer, sources))
    if encoder is None:
        return [_existing(citation) for citation in found]
    claims = _claims(answer, found)
    verdicts = dict(zip(claims, judge(encoder, list(claims.values())), strict=True))
    return [_judged(citation, verdicts) for citation in found]


def _evidence(context: Context | Evidence) -> Evidence:
    """Describe a context, or check that a mapping is such a description."""
    if isinstance(context, Context):
        return describe(context)
    if isinstance(context, Mapping) and "sources" in context:
        return context
    raise InputError(
        f"context must be a Context or the artifact of an evidence tool, got {type(context).__name__}: "
        "pass what Engine.retrieve returned, or `artifact` or `raw_output` of the tool's message"
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
    if verdict.missing:
        named = ", ".join(f'"{word}"' for word in verdict.missing)
        return replace(citation, spans=spans, supported=False, reason=f"the cited spans have nothing for {named}")
    return replace(citation, spans=spans, supported=True)
