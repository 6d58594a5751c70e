"""The text of a candidate that rerankers read: all of it, or what the engine would keep of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from fgr_retriever.arguments import check
from fgr_retriever.errors import ConfigError
from fgr_retriever.evidence.token_evidence import evidence_of, resolve_cut
from fgr_retriever.search.stages import Candidate, Request
from fgr_retriever.text.valid import without_surrogates
from fgr_retriever.trim.choice import trim
from fgr_retriever.trim.layout import Scored
from fgr_retriever.trim.origin import Origin

Text = Literal["full", "trimmed"]


def check_text(text: str) -> None:
    """Raise ConfigError unless the setting `text` is valid."""
    check("text", text, text in get_args(Text), f"one of {get_args(Text)}")


def with_texts(
    request: Request, candidates: Sequence[Candidate] | None, text: Text, count: int, kind: str
) -> list[tuple[Candidate, str]]:
    """Pair the best candidates with the text that a reranker reads of each.

    Args:
        request: The question.
        candidates: The candidates of the previous stage, best first.
        text: `full`, or `trimmed`: the spans that the engine would keep without a budget, and the best
            span of a passage without evidence.
        count: How many candidates the reranker reads; if more hits are wanted, that many.
        kind: Name of the reranker's kind.

    Returns:
        Candidates in the same order, with their texts. The texts have no lone surrogates, which no
        model accepts. Candidates that are no longer in the index are left out.

    Raises:
        ConfigError: There is no previous stage.
    """
    if candidates is None:
        raise ConfigError(f"{kind} ranks what another stage found: put one before it, such as Late()")
    best = candidates[: request.at_least_k(count)]
    ids = [one.id for one in best]
    texts = _trimmed(request, ids) if text == "trimmed" else _full(request, ids)
    return [(one, without_surrogates(texts[one.id])) for one in best if one.id in texts]


def _full(request: Request, ids: Sequence[str]) -> dict[str, str]:
    return {one.id: one.text for one in request.index.get(ids)}


def _trimmed(request: Request, ids: Sequence[str]) -> dict[str, str]:
    """Trim passages, each for itself; one without tokens stays whole."""
    found = request.index.score(request.vectors, ids)
    kept = request.trim.on_empty if request.trim.on_empty == "keep" else "best_span"
    config = replace(request.trim, max_tokens=None, merge=False, on_empty=kept)
    evidence = evidence_of(request.encoder, request.vectors, [one.tokens for one in found])
    scored = [
        Scored(one.passage.text, told, one.score, Origin.of(one.passage))
        for one, told in zip(found, evidence, strict=True)
    ]
    trimmed = trim(scored, *resolve_cut(request.encoder.calibration, config), None).trimmed
    return {one.passage.id: short.text or one.passage.text for one, short in zip(found, trimmed, strict=True)}
