"""What the server does: it searches, remembers the last searches, and trims these anew."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

import fgr_retriever
from fgr_retriever.adapters import visible_metadata
from fgr_retriever.calls import Stopwatch
from fgr_retriever.config import TrimConfig
from fgr_retriever.engine import Engine
from fgr_retriever.errors import InputError
from fgr_retriever.evidence.hit import Hit
from fgr_retriever.evidence.spans import find_spans
from fgr_retriever.evidence.support import LEAST_MATCH
from fgr_retriever.evidence.token_evidence import resolve_cut
from fgr_retriever.serve.api import (
    FoundHit,
    Info,
    KeptSpan,
    KeptText,
    SearchAnswer,
    SearchRequest,
    TrimAnswer,
    TrimRequest,
    Word,
)
from fgr_retriever.text.query_words import QueryWord
from fgr_retriever.trim.budget import TokenCounter
from fgr_retriever.trim.context import Context, Trimmed
from fgr_retriever.trim.origin import Origin
from fgr_retriever.trim.trimmer import trim_hits
from fgr_retriever.types import Span

_REMEMBERED = 32
_MOST_CHARACTERS = 4_000_000  # of all passages of the remembered searches: about 100 MB with what is known of them
_LEAST_SHARE = 0.2  # of the evidence of a span that a word must have to count as supported by it


class ForgottenSearchError(InputError):
    """The server does not remember a search."""


class Searches:
    """Searches one index for several users at once, and remembers what the last searches found, 32 at most.

    A trim with other settings then needs no model: it takes a few milliseconds, and is of the very
    passages that the user sees, whatever was written to the index since.

    Args:
        engine: The index.
        count: What counts tokens.
    """

    def __init__(self, engine: Engine, count: TokenCounter) -> None:
        self._engine = engine
        self._count = count
        self._found: OrderedDict[str, Context] = OrderedDict()
        self._lock = threading.Lock()

    def info(self) -> Info:
        """Say what is served."""
        info = self._engine.info()
        return Info(self._engine.name, info.passages, info.tokens, info.model, fgr_retriever.__version__)

    def search(self, request: SearchRequest) -> SearchAnswer:
        """Search, trim, and remember what was found.

        Raises:
            InputError: The query is blank or the filter is invalid.
        """
        start = time.perf_counter()
        config = request.trim.config()
        context = self._engine.retrieve(
            request.query, k=request.k, filter=request.filter, trim=config, count_tokens=self._count
        )
        took = _since(start)
        result = _trim_answer(context, took)
        words = [Word(one.text, one.start, one.end, one.is_content) for one in _words(context.hits)]
        hits = [_found_hit(hit) for hit in context.hits]
        return SearchAnswer(self._remember(context), context.query, words, hits, result, took)

    def trim(self, request: TrimRequest) -> TrimAnswer:
        """Trim what a search found with other settings.

        Raises:
            ForgottenSearchError: There was no such search, or too many others since.
        """
        start = time.perf_counter()
        context = self._recall(request.search)
        config, own = request.trim.config(), self._engine.calibration
        hits = [_cut_anew(hit, *resolve_cut(own, config)) for hit in context.hits]
        trimmed = trim_hits(context.query, hits, own, config, self._count, Stopwatch())
        return _trim_answer(trimmed, _since(start))

    def _remember(self, context: Context) -> str:
        name = secrets.token_urlsafe(12)
        with self._lock:
            self._found[name] = context
            while len(self._found) > _REMEMBERED or (len(self._found) > 1 and self._characters() > _MOST_CHARACTERS):
                self._found.popitem(last=False)
        return name

    def _characters(self) -> int:
        return sum(len(hit.passage.text) for context in self._found.values() for hit in context.hits)

    def _recall(self, name: str) -> Context:
        with self._lock:
            if name not in self._found:
                raise ForgottenSearchError(
                    f"search {name!r} is not remembered, only the last {_REMEMBERED} at most: search again"
                )
            self._found.move_to_end(name)
            return self._found[name]


def _cut_anew(hit: Hit, config: TrimConfig, threshold: float) -> Hit:
    return replace(hit, spans=find_spans(hit.passage.text, hit.token_scores, config, threshold))


def _words(hits: Sequence[Hit]) -> Sequence[QueryWord]:
    """Give the words of the question, the same in every hit."""
    return hits[0].support.words if hits else ()


def _matched(hit: Hit) -> NDArray[np.int64]:
    """Find the word that each token matches, (t,); -1 where it matches none."""
    best, cosines = hit.support.best()
    return np.where(cosines >= LEAST_MATCH, best, -1)


def _found_hit(hit: Hit) -> FoundHit:
    ranges, chances = hit.token_scores.offsets.tolist(), hit.token_scores.probabilities.astype(float).round(3).tolist()
    rows = zip(ranges, chances, _matched(hit).tolist(), strict=True)
    tokens = [(start, end, chance, word if word >= 0 else None) for (start, end), chance, word in rows]
    passage, scores = hit.passage, dict(hit.scores)
    title = Origin.of(passage).title or passage.id
    metadata = visible_metadata(passage.metadata)
    return FoundHit(hit.rank, passage.id, title, hit.score, scores, passage.text, metadata, tokens)


def _trim_answer(context: Context, took: float) -> TrimAnswer:
    kept = [_kept_text(hit, trimmed) for hit, trimmed in zip(context.hits, context.trimmed, strict=True)]
    before, after = context.tokens_before or 0, context.tokens_after or 0
    return TrimAnswer(kept, context.text, before, after, context.report.to_dict(), took)


def _kept_text(hit: Hit, trimmed: Trimmed) -> KeptText:
    matched = _matched(hit)
    spans = [KeptSpan(one.start, one.end, round(one.score, 4), _supported(hit, matched, one)) for one in trimmed.spans]
    return KeptText(round(trimmed.kept, 4), trimmed.reason, spans)


def _supported(hit: Hit, matched: NDArray[np.int64], span: Span) -> list[int]:
    """Find the words that a span supports: each token's evidence goes to the word that it matches.

    Returns:
        Numbers of words with a meaning of their own, the one with the most evidence first.
    """
    ranges = hit.token_scores.offsets
    inside = (ranges[:, 0] >= span.start) & (ranges[:, 1] <= span.end) & (matched >= 0)
    words = hit.support.words
    content = np.array([word.is_content for word in words], dtype=np.bool_)
    mass = content * np.bincount(matched[inside], hit.token_scores.probabilities[inside], len(words))
    least = _LEAST_SHARE * mass.sum()
    return [int(word) for word in np.argsort(-mass, kind="stable") if mass[word] > 0 and mass[word] >= least]


def _since(start: float) -> float:
    return round(1000 * (time.perf_counter() - start), 2)
