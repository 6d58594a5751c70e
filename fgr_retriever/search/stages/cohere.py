"""Cohere Rerank: a hosted model that reads question and passage together."""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, ClassVar

from fgr_retriever.arguments import check, is_count, is_number
from fgr_retriever.errors import ConfigError, MissingExtraError
from fgr_retriever.search.stages import Candidate, Request, Stage, best_first
from fgr_retriever.search.stages._reranked_text import Text, check_text, with_texts

if TYPE_CHECKING:
    from cohere import ClientV2

logger = logging.getLogger(__name__)

_FIRST_WAIT_S = 0.5  # doubles with every attempt
_WORTH_RETRYING = (408, 409, 429)  # beside everything from 500 on; other refusals stay


class _NoScoresError(Exception):
    """The service gave no usable scores; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohere(Stage):
    """Ranks candidates by Cohere's rerank endpoint (v2), through the official client.

    The key is in the environment variable `CO_API_KEY`. The question and the passages go to the service.
    If the service refuses a request for the moment, or fails, the request is sent again: after as long as
    the service says (`Retry-After`), or after 0.5, 1, 2, ... seconds. If not every candidate has a score
    in time, the candidates stay as they were. A warning and the trust report (`notes`) then say so.

    Args:
        model: Name of the model, such as `rerank-v3.5`.
        count: How many of the best candidates the stage reads and passes on.
        text: What it reads of a passage: `full` is the whole text, `trimmed` is the evidence that the
            engine would keep.
        timeout: Seconds for all attempts together.
        batch_size: Number of passages in one call, at most 1000.
        base_url: Address of the service; None means Cohere's own.
    """

    kind: ClassVar[str] = "cohere"

    model: str
    count: int = 50
    text: Text = "full"
    timeout: float = 10.0
    batch_size: int = 1000
    base_url: str | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        Stage.__post_init__(self)
        check("model", self.model, isinstance(self.model, str) and bool(self.model), "the name of a model")
        check_text(self.text)
        in_time = is_number(self.timeout) and 0 < self.timeout < math.inf
        check("timeout", self.timeout, in_time, "a number of seconds above 0")
        few = is_count(self.batch_size, 1) and self.batch_size <= 1000
        check("batch_size", self.batch_size, few, "an integer from 1 to 1000")
        known = self.base_url is None or (isinstance(self.base_url, str) and self.base_url.startswith("http"))
        check("base_url", self.base_url, known, "None or a URL that begins with http")

    def run(self, request: Request, candidates: Sequence[Candidate] | None) -> list[Candidate]:
        """Rank the best candidates, or leave them as they were; see `Stage.run`.

        Raises:
            ConfigError: It is the first stage, or there is no key.
            MissingExtraError: The client is not installed.
        """
        read = with_texts(request, candidates, self.text, self.count, self.kind)
        try:
            scores = self._scores(request.query, [text for _, text in read])
        except _NoScoresError as error:
            note = f"{self.label}: {error}; the order of the stage before stays"
            logger.warning(note)
            request.watch.notes.append(note)
            return [one for one, _ in read]
        return best_first([one.scored(self.label, score) for (one, _), score in zip(read, scores, strict=True)])

    def _scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """Score texts, a batch at a time."""
        end = time.monotonic() + self.timeout
        found: list[float] = []
        for start in range(0, len(texts), self.batch_size):
            batch = texts[start : start + self.batch_size]
            found += _in_order(self._ask(query, batch, end), len(batch))
        return found

    def _ask(self, query: str, texts: Sequence[str], end: float) -> Any:
        """Call the service until it answers. The client's own retries know no end in time: they are off."""
        client, failures = _connect(self.base_url)
        wait = _FIRST_WAIT_S
        while (left := end - time.monotonic()) > 0:
            try:
                options: Any = {"timeout_in_seconds": left, "max_retries": 0}
                answer = client.rerank(model=self.model, query=query, documents=texts, request_options=options)
                return getattr(answer, "results", None)
            except failures as error:
                pause = _pause(error, wait)
                if pause is None or time.monotonic() + pause >= end:
                    raise _NoScoresError(_told(error)) from error
            time.sleep(pause)
            wait *= 2
        raise _NoScoresError(f"no answer within {self.timeout} s")


@functools.cache
def _connect(base_url: str | None) -> tuple[ClientV2, tuple[type[Exception], ...]]:
    """Make the client of a service, once a process, and list what a call of it can fail with."""
    try:
        import httpx
        from cohere import ClientV2
        from cohere.core import ApiError
    except ImportError as error:
        raise MissingExtraError("the stage cohere", "cohere") from error
    place: Any = {} if base_url is None else {"base_url": base_url}  # without one, the client looks for CO_API_URL
    try:
        client = ClientV2(**place, client_name="fgr-retriever")
    except ApiError as error:
        raise ConfigError("the stage cohere has no key: set the environment variable CO_API_KEY") from error
    # The client checks no types: an answer of another form fails somewhere in its parser.
    return client, (ApiError, httpx.HTTPError, TypeError, ValueError)


def _pause(error: Exception, wait: float) -> float | None:
    """Give the seconds until the next attempt; None when there is no use in one."""
    status = getattr(error, "status_code", None) or 0
    if 400 <= status < 500 and status not in _WORTH_RETRYING:
        return None
    return max(wait, _retry_after(getattr(error, "headers", None) or {}))


def _retry_after(headers: Mapping[str, str]) -> float:
    """Read the `Retry-After` of an answer, in seconds or as a date (RFC 9110, section 10.2.3); 0 without one."""
    value = {name.lower(): text for name, text in headers.items()}.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    # A date without a zone is UTC.
    then = then if then.tzinfo else then.replace(tzinfo=timezone.utc)
    return max(0.0, (then - datetime.now(timezone.utc)).total_seconds())


def _told(error: Exception) -> str:
    """Say what failed, without headers, and shortly: an answer can be a page."""
    status = getattr(error, "status_code", None)
    if status is None:
        failure = "an answer that cannot be read" if isinstance(error, (TypeError, ValueError)) else "no answer"
        return f"{failure} ({type(error).__name__}: {error})"
    body = str(getattr(error, "body", ""))[:200]
    return f"status {status} ({body})" if status >= 400 else f"an answer that cannot be read ({body})"


def _in_order(results: Any, count: int) -> list[float]:
    """Put scores into the order of the texts.

    Raises:
        _NoScoresError: A text has no score, or more than one, or a score is for none or no number.
    """
    found: dict[int, float] = {}
    for one in results if isinstance(results, list) else ():
        place: Any = getattr(one, "index", None)
        score: Any = getattr(one, "relevance_score", None)
        if not (is_count(place, 0) and place < count and place not in found):
            raise _NoScoresError(f"an answer with the index {place!r:.50}, which is wrong or comes twice")
        if not (is_number(score) and math.isfinite(score)):
            raise _NoScoresError(f"an answer with the score {score!r:.50}, which is no number")
        found[place] = float(score)
    if len(found) != count:
        raise _NoScoresError(f"an answer that scores {len(found)} of {count} passages")
    return [found[place] for place in range(count)]
