"""Trim texts to their evidence on the fly, without an index."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import torch
from torch import Tensor

from fgr_retriever.arguments import check, is_count, strict_arguments
from fgr_retriever.calls import Stopwatch, check_time, traced
from fgr_retriever.config import Calibration, TrimConfig, TrimSettings, trimming
from fgr_retriever.errors import InputError
from fgr_retriever.evidence.hit import Hit
from fgr_retriever.evidence.questions import Questions
from fgr_retriever.evidence.token_evidence import read_hits, resolve_cut
from fgr_retriever.index.match import Match
from fgr_retriever.model.choice import check_model
from fgr_retriever.model.maxsim import best_matches
from fgr_retriever.model.tokens import StoredTokens, TokenBlock, TokenEncoder, encode_for_evidence
from fgr_retriever.trim.budget import TokenCounter, check_counter, count_with
from fgr_retriever.trim.choice import trim
from fgr_retriever.trim.context import Context, Trimmed
from fgr_retriever.trim.estimate import budget_counter, note_of
from fgr_retriever.trim.layout import Scored
from fgr_retriever.trim.origin import Origin
from fgr_retriever.trim.report import make_report
from fgr_retriever.types import Passage, TokenEvidence

_GROUP_TOKENS = 8_192  # passage tokens after which their evidence is computed


@strict_arguments(config=TrimConfig)
class Trimmer:
    """Cuts texts down to the verbatim parts that support a question.

    Args:
        encoder: The model.
        config: How to trim: settings, or a dict of their fields.
        count_tokens: Function that counts the tokens of the budget, in every call; None uses `config.tokenizer`.
        show_progress: Show a progress bar on stderr while texts are encoded.

    Raises:
        InputError: `encoder` is no open model.
        ConfigError: `count_tokens` is no function, or a setting is unknown or out of range.
    """

    def __init__(
        self,
        encoder: TokenEncoder,
        config: TrimSettings = TrimConfig(),  # noqa: B008 - immutable
        *,
        count_tokens: TokenCounter | None = None,
        show_progress: bool = False,
    ) -> None:
        """Keep the model and the settings; nothing is computed yet."""
        check_model(encoder)
        self._encoder, self._questions = encoder, Questions(encoder)
        self._config = trimming(config, "config")
        check_counter(count_tokens)
        self._count_tokens = count_tokens
        self._show_progress = show_progress

    def trim(self, query: str, texts: Sequence[str], *, max_tokens: int | None = None) -> list[Trimmed]:
        """Trim every text to its evidence for the query.

        Args:
            query: The question, not blank.
            texts: Any texts; an empty one gives an empty result with a reason.
            max_tokens: Hard limit for all texts together; None uses the limit of the config.

        Returns:
            One result for each text, in the same order.

        Raises:
            InputError: The query is blank, or the query or a text is not a string.
            ConfigError: `max_tokens` is negative or not an integer, or `count_tokens` gives no integer.
            TokenCounterError: There is a limit, and a tokenizer that the config names is not available.
        """
        _check_texts(texts)
        passages = [Passage(str(number), text) for number, text in enumerate(texts, start=1)]
        return list(self.context(query, passages, max_tokens=max_tokens).trimmed)

    async def atrim(self, query: str, texts: Sequence[str], *, max_tokens: int | None = None) -> list[Trimmed]:
        """Trim every text in a worker thread; see `trim`."""
        return await asyncio.to_thread(self.trim, query, texts, max_tokens=max_tokens)

    def context(
        self, query: str, passages: Sequence[Passage], *, max_tokens: int | None = None, top_n: int | None = None
    ) -> Context:
        """Trim passages that another system found, into one text for a prompt.

        Args:
            query: The question, not blank.
            passages: Any passages. Their metadata may name their source, their place in it and a title.
            max_tokens: Hard limit for the text; None uses the limit of the config.
            top_n: Rank the passages by MaxSim and use only this many; None uses all, in their order.

        Returns:
            A context as `Engine.retrieve` gives it. The hits are in the order of `passages`; with `top_n`
            they are best first, and among equals the earlier one comes first.

        Raises:
            InputError: The query is blank or not a string, or `passages` is no sequence of passages.
            ConfigError: `max_tokens` is negative or not an integer, `top_n` is not an integer of at
                least 1, or `count_tokens` gives no integer.
            TokenCounterError: There is a limit, and a tokenizer that the config names is not available.
        """
        _check_passages(passages)
        config = self._config if max_tokens is None else replace(self._config, max_tokens=max_tokens)
        check("top_n", top_n, top_n is None or is_count(top_n, 1), "None or an integer of at least 1")
        watch = Stopwatch()
        with traced("trim") as note:
            hits = self._hits(query, passages, config, watch)
            hits = hits if top_n is None else _ranked(hits, top_n)
            context = trim_hits(query, hits, self._encoder.calibration, config, self._count_tokens, watch)
            note({"passages": len(passages), **context.report.to_dict()})
        return context

    async def acontext(
        self, query: str, passages: Sequence[Passage], *, max_tokens: int | None = None, top_n: int | None = None
    ) -> Context:
        """Trim passages in a worker thread; see `context`."""
        return await asyncio.to_thread(self.context, query, passages, max_tokens=max_tokens, top_n=top_n)

    def evidence(self, query: str, texts: Sequence[str]) -> list[TokenEvidence]:
        """Give the evidence probability of every token of every text.

        Args:
            query: The question, not blank.
            texts: Any texts; an empty one has no tokens.

        Raises:
            InputError: The query is blank, or the query or a text is not a string.
        """
        _check_texts(texts)
        hits = self._hits(query, [Passage("", text) for text in texts], self._config, Stopwatch())
        return [hit.token_scores for hit in hits]

    def _hits(self, query: str, passages: Sequence[Passage], config: TrimConfig, watch: Stopwatch) -> list[Hit]:
        """Score every passage and its tokens, a few passages at a time."""
        texts = [passage.text for passage in passages]
        with watch("encode"):
            (question,) = self._questions.encode([query])
        hits: list[Hit] = []
        groups = _groups(self._encoder, texts, self._show_progress)
        while True:
            with watch("encode"):
                group = next(groups, None)
            if group is None:
                return hits
            with watch("evidence"):
                found = [
                    Match(passages[blocks[0].passage], _maxsim(question.vectors, blocks), StoredTokens.of(blocks))
                    for blocks in group
                ]
                hits += read_hits(self._encoder, question, found, config, first=len(hits) + 1)


def trim_hits(
    query: str,
    hits: Sequence[Hit],
    own: Calibration,
    config: TrimConfig,
    count: TokenCounter | None,
    watch: Stopwatch,
) -> Context:
    """Trim hits for a prompt and report on it.

    Args:
        query: The question.
        hits: The found passages with their evidence.
        own: The calibration of the model.
        config: How to trim.
        count: Function that counts tokens. None uses the tokenizer of the config if there is a budget,
            and otherwise counts nothing, because a tokenizer may need a download.
        watch: The times of the stages before this one.

    Raises:
        ConfigError: `count` is no function, or gives no integer.
        TokenCounterError: There is a budget, and the tokenizer that it names is not available.
    """
    check_counter(count)
    with watch("trim"):
        limited = config.max_tokens is not None
        count = count or (budget_counter(config.tokenizer) if limited else None)
        watch.notes += filter(None, [note_of(count)])
        count = count and _in_time(count)
        scored = [Scored(hit.passage.text, hit.token_scores, hit.score, Origin.of(hit.passage)) for hit in hits]
        done = trim(scored, *resolve_cut(own, config), count if limited else None, query)
        text = done.assembly.text
        before = sum(count(hit.passage.text) for hit in hits) if count else None
        after = count(text) if count else None
        found = any(hit.spans for hit in hits)
        if limited and found and not text:
            watch.notes.append(
                f"max_tokens={config.max_tokens} has no room for any evidence: give a larger budget, of at least "
                f"{done.needed}"
            )
        elif found and done.needed:
            watch.notes.append(
                f"max_tokens={config.max_tokens} has no room for the shortest part of the best evidence (needs "
                f"{done.needed}): weaker evidence is kept; give a larger budget"
            )
    report = make_report(query, hits, scored, done, (before, after), watch)
    trimmed = tuple(replace(one, scores=hit.scores) for one, hit in zip(done.trimmed, hits, strict=True))
    made = done.assembly
    return Context(query, tuple(hits), trimmed, made.text, before, after, made.sources, made.excerpts, report)


def _in_time(count: TokenCounter) -> TokenCounter:
    """Let a counter look at the clock, because a budget counts again and again; and see that it counts."""

    def counted(text: str) -> int:
        check_time()
        return count_with(count, text)

    return counted


def _ranked(hits: Sequence[Hit], count: int) -> list[Hit]:
    """Give the best hits, best first."""
    best = sorted(hits, key=lambda hit: -hit.score)[:count]
    return [replace(hit, rank=rank) for rank, hit in enumerate(best, start=1)]


def _groups(encoder: TokenEncoder, texts: Sequence[str], show_progress: bool) -> Iterator[list[list[TokenBlock]]]:
    """Encode texts lazily, in groups of at least `_GROUP_TOKENS` tokens."""
    encoded = encode_for_evidence(encoder, texts, show_progress=show_progress)
    group: list[list[TokenBlock]] = []
    for _, blocks in groupby(encoded, key=lambda block: block.passage):
        group.append(list(blocks))
        if sum(len(block.vectors) for text in group for block in text) >= _GROUP_TOKENS:
            yield group
            group = []
    if group:
        yield group


def _maxsim(query: Tensor, blocks: Sequence[TokenBlock]) -> float:
    """Score one text, block by block; one without tokens, whose score is -inf, gets the least that JSON knows."""
    best = [best_matches(query, torch.from_numpy(one.vectors), torch.tensor([len(one.vectors)])) for one in blocks]
    return max(float(torch.cat(best).amax(dim=0).sum()), -float(len(query)))


def _check_passages(passages: Sequence[Passage]) -> None:
    """Raise InputError unless passages are a sequence of passages with texts."""
    remedy = "texts go to Trimmer.trim, or make a passage of each: Passage('1', text)"
    if isinstance(passages, (str, Passage)) or not isinstance(passages, Sequence):
        raise InputError(
            f"passages must be a sequence of Passage, got {type(passages).__name__}: the question comes first, and one "
            f"passage goes into a list; {remedy}"
        )
    for position, passage in enumerate(passages):
        if not isinstance(passage, Passage):
            raise InputError(f"passage {position}: must be a Passage, got {type(passage).__name__}: {remedy}")
    _check_texts([passage.text for passage in passages])


def _check_texts(texts: Sequence[str]) -> None:
    """Raise InputError unless texts are a sequence of strings."""
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise InputError(f"texts must be a sequence of strings, got {type(texts).__name__}: put one text into a list")
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"text {position}: must be a string, got {type(text).__name__}")
