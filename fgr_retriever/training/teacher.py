"""Teacher labelling: a large language model marks the evidence in (query, passage) pairs.

The teacher is any LangChain chat model that can answer in a schema. What it quotes must stand in the
passage; an answer that does not is asked for again, and in the end rejected, never guessed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TextIO

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter
from tqdm.auto import tqdm

from fgr_retriever.training.data import Labelled
from fgr_retriever.training.resume import written
from fgr_retriever.training.verbatim import locate

PROMPT = """\
You mark evidence for a search engine. Read the query and the passage. Quote every part of the passage that supports
an answer to the query.

- Comprehensive: together the quotations hold everything in the passage that helps to answer the query.
- Plausible: each quotation convinces a reader that it is relevant, without the rest of the passage.
- Fine-grained: quote clauses and phrases, not whole sentences, where a part of the sentence is enough.
- Verbatim: copy the characters of the passage; change nothing, leave nothing out of the middle.
- If nothing in the passage supports an answer, quote nothing.

Query: {query}

Passage:
{passage}"""

SCHEMA: dict[str, Any] = {
    "title": "Evidence",
    "description": "The parts of the passage that support an answer to the query.",
    "type": "object",
    "properties": {
        "quotations": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Verbatim parts of the passage, in its order; empty if none supports an answer.",
        }
    },
    "required": ["quotations"],
    "additionalProperties": False,
}


class ChatModel(Protocol):
    """What is needed of a LangChain chat model."""

    def with_structured_output(self, schema: dict[str, Any], *, include_raw: bool) -> Any:
        """Give a runnable that answers in the schema."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherConfig:
    """How the teacher is asked.

    Args:
        attempts: How often one pair is asked for, before it is given up.
        concurrency: Requests under way at the same time.
        wait: Seconds before the second attempt; doubled for each further one, with some chance.
        longest_wait: Most seconds before an attempt.
    """

    attempts: int = 5
    concurrency: int = 8
    wait: float = 1.0
    longest_wait: float = 60.0


@dataclass(slots=True)
class TeacherReport:
    """What a run did.

    Args:
        labelled: Pairs with usable labels, those without evidence included.
        empty: Those of them without evidence.
        resumed: Pairs that an earlier run had labelled.
        rejected: Pairs that were given up.
        requests: Answers that the teacher gave.
        input_tokens: Tokens that it read, as it reports them.
        output_tokens: Tokens that it wrote.
    """

    labelled: int = 0
    empty: int = 0
    resumed: int = 0
    rejected: int = 0
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def cost(self, input_price: float, output_price: float) -> float:
        """Price the tokens, in the currency of the prices, which are for a million tokens."""
        return (self.input_tokens * input_price + self.output_tokens * output_price) / 1e6


class UnusableAnswerError(Exception):
    """An answer that is no valid JSON, or quotes what the passage does not hold."""


@dataclass(slots=True)
class Teacher:
    """Asks a chat model for evidence.

    Args:
        model: A LangChain chat model.
        config: How to ask.
        report: What was done so far.
    """

    model: ChatModel
    config: TeacherConfig = field(default_factory=TeacherConfig)
    report: TeacherReport = field(default_factory=TeacherReport)

    def label(self, pairs: Iterable[Labelled], out: Path) -> TeacherReport:
        """Label pairs and write them as they come; what `out` holds already is not asked for again.

        Args:
            pairs: The pairs; their ranges are not looked at.
            out: JSON lines with `query`, `passage` and `spans`, ready for training. Pairs that were
                given up go into a file beside it that ends in `.rejected.jsonl`, with the reason.

        Raises:
            InputError: `out` holds something else.
        """
        return asyncio.run(self.alabel(pairs, out))

    async def alabel(self, pairs: Iterable[Labelled], out: Path) -> TeacherReport:
        """Label pairs; see `label`."""
        done = set(written(out, "query", "passage"))
        wanted = list({(pair.query, pair.passage): pair for pair in pairs}.values())
        todo = [pair for pair in wanted if (pair.query, pair.passage) not in done]
        self.report.resumed += len(wanted) - len(todo)
        with ExitStack() as stack:
            labelled = stack.enter_context(out.open("a", encoding="utf-8"))
            rejected = stack.enter_context(out.with_suffix(".rejected.jsonl").open("w", encoding="utf-8"))
            bar = stack.enter_context(tqdm(total=len(todo), desc="Teacher", unit="pair"))
            waiting = iter(todo)

            async def work() -> None:
                for pair in waiting:  # shared by all workers: each takes the next pair
                    await self._one(pair, labelled, rejected)
                    bar.update()

            await asyncio.gather(*(work() for _ in range(self.config.concurrency)))
        return self.report

    async def _one(self, pair: Labelled, labelled: TextIO, rejected: TextIO) -> None:
        """Label one pair and write it to where it belongs."""
        try:
            spans = await self._ask(pair)
        except Exception as error:  # whatever the many model clients raise: the reason is written down
            self.report.rejected += 1
            return _write(rejected, {"query": pair.query, "passage": pair.passage, "reason": f"{error!r:.500}"})
        self.report.labelled += 1
        self.report.empty += not spans
        return _write(labelled, {"query": pair.query, "passage": pair.passage, "spans": spans})

    async def _ask(self, pair: Labelled) -> list[tuple[int, int]]:
        """Ask until the answer is usable, or the attempts are used up."""
        chain = self.model.with_structured_output(SCHEMA, include_raw=True)
        attempts = AsyncRetrying(
            stop=stop_after_attempt(self.config.attempts),
            wait=wait_exponential_jitter(
                initial=self.config.wait, max=self.config.longest_wait, jitter=self.config.wait
            ),
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )
        async for attempt in attempts:
            with attempt:
                answer = await chain.ainvoke(PROMPT.format(query=pair.query, passage=pair.passage))
                self._count(answer["raw"])
                return _spans(answer, pair.passage)
        raise UnusableAnswerError("not asked")  # not reached: tenacity gives at least one attempt, or raises

    def _count(self, raw: Any) -> None:
        usage = getattr(raw, "usage_metadata", None) or {}
        self.report.requests += 1
        self.report.input_tokens += usage.get("input_tokens", 0)
        self.report.output_tokens += usage.get("output_tokens", 0)


def _spans(answer: dict[str, Any], passage: str) -> list[tuple[int, int]]:
    """Find every quotation of an answer in the passage; overlapping ones become one."""
    parsed, error = answer["parsed"], answer.get("parsing_error") or _cut_off(answer["raw"])
    quotations = parsed.get("quotations") if isinstance(parsed, dict) else None
    if error or not isinstance(quotations, list):
        raise UnusableAnswerError(f"no valid answer in the schema: {error!r:.300}")
    found = []
    for quotation in quotations:
        place = locate(quotation, passage) if isinstance(quotation, str) else None
        if place is None:
            raise UnusableAnswerError(f"not in the passage: {quotation!r:.200}")
        found.append(place)
    return _merged(sorted(found))


def _cut_off(raw: Any) -> ValueError | None:
    """Find JSON that breaks off: LangChain's parser mends it, and half a quotation would pass for a whole one."""
    text = getattr(raw, "content", None)
    if getattr(raw, "tool_calls", None) or not isinstance(text, str):
        return None
    try:
        json.loads(text.strip().removeprefix("```json").removesuffix("```"))
    except ValueError as error:
        return error
    return None


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in ranges:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _may_pass(error: BaseException) -> bool:
    """Say whether asking again may help: not after Ctrl-C, nor when the request itself is refused."""
    status = getattr(error, "status_code", None)
    refused = isinstance(status, int) and 400 <= status < 500 and status not in (408, 409, 429)
    return isinstance(error, Exception) and not refused


def _write(file: TextIO, record: dict[str, Any]) -> None:
    file.write(json.dumps(record) + "\n")
    file.flush()
