"""Code that the adapters of all frameworks share.

Every adapter uses this module, so that all of them give the same texts, spans and metadata.

The metadata key `_fgr` is reserved: there an adapter keeps what its framework knows about a passage
in addition to text and metadata. Users never see it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from fgr_retriever.adapters.fields import NamedFields as NamedFields
from fgr_retriever.adapters.fields import TrimmerFields as TrimmerFields
from fgr_retriever.adapters.fields import budgeted as budgeted
from fgr_retriever.adapters.fields import trim_config as trim_config
from fgr_retriever.adapters.fields import with_limit_of as with_limit_of
from fgr_retriever.adapters.opening import OpenOptions as OpenOptions
from fgr_retriever.adapters.opening import checked_engine as checked_engine
from fgr_retriever.adapters.opening import copy_index as copy_index
from fgr_retriever.adapters.opening import open_engine as open_engine
from fgr_retriever.config import TrimConfig
from fgr_retriever.evidence.hit import Hit
from fgr_retriever.trim.budget import TokenCounter as TokenCounter
from fgr_retriever.trim.budget import check_counter as check_counter
from fgr_retriever.trim.composed import compose
from fgr_retriever.trim.context import Context, Trimmed
from fgr_retriever.trim.origin import RESERVED_KEY as RESERVED_KEY
from fgr_retriever.trim.origin import Origin
from fgr_retriever.types import Json, Metadata, Passage

if TYPE_CHECKING:
    from fgr_retriever.engine import Engine
    from fgr_retriever.index.filters import Filter

Item = TypeVar("Item")

RESULT_KEYS = (
    "fgr_score",
    "fgr_scores",
    "fgr_kept",
    "fgr_spans",
    "fgr_source_spans",
    "fgr_input_spans",
    "fgr_also_in",
    "fgr_text",
)
"""Metadata keys that a retriever or a trimmer adds to what it returns."""


def retrieve_context(engine: Engine, query: str, *, k: int, trim: TrimConfig, **options: Any) -> Context:
    """Retrieve `k` passages of which text is kept, and make one context of them.

    The search goes on past passages without evidence (with `on_empty="drop"`) and past passages whose
    text other passages have word for word. It ends when there are `k` passages or no more passages in
    the index. The hits may then be more than `k`; `with_text` leaves out those of which nothing is
    kept. A budget can still leave fewer than `k` passages.

    Args:
        engine: Where to search.
        query: The question, not blank.
        k: How many passages to give at most.
        trim: How to trim.
        **options: Further options of `Engine.retrieve`.

    Returns:
        The context with its text, sources and report.
    """
    depth = k
    context = engine.retrieve(query, k=depth, trim=trim, **options)
    while len(_results(context, trim)) < k and len(context.hits) == depth:
        depth *= 2
        context = engine.retrieve(query, k=depth, trim=trim, **options)
    ranks = _results(context, trim)
    # Once more for exactly as many as it takes, so that a budget is shared by `k` passages.
    context = engine.retrieve(query, k=ranks[k - 1], trim=trim, **options) if len(ranks) > k else context
    engine.unmet_filters.logged(options.get("filter"), context.hits)  # frameworks show the report to callbacks alone
    return context


def find_whole(
    engine: Engine, query: str, *, k: int, filter: Filter | None = None, trim: None = None
) -> list[tuple[Passage, float]]:
    """Find whole passages with their scores, best first.

    What a passage is does not depend on the question: so a framework knows it again in the results of
    other questions and of other retrievers.

    Args:
        engine: Where to search.
        query: The question, not blank.
        k: How many passages to find at most.
        filter: Condition on the metadata of the passages.
        trim: Nothing is trimmed.
    """
    scores = dict(engine.rank(query, k=k, filter=filter))
    # What was deleted in between is left out, and nothing is searched twice.
    return [(passage, scores[passage.id]) for passage in engine.get(scores)]


async def aretrieve_context(engine: Engine, query: str, *, k: int, trim: TrimConfig, **options: Any) -> Context:
    """Retrieve the whole context in a worker thread; see `retrieve_context`."""
    return await asyncio.to_thread(retrieve_context, engine, query, k=k, trim=trim, **options)


def visible_metadata(metadata: Metadata) -> dict[str, Json]:
    """Copy metadata without the reserved key."""
    return {key: value for key, value in metadata.items() if key != RESERVED_KEY}


def source_start(passage: Passage) -> int | None:
    """Give the position in its source at which a passage begins, if it is known and can be true."""
    return Origin.of(passage).start


def result_of(passage: Passage, trimmed: Trimmed) -> tuple[str, dict[str, Any]]:
    """Give text and metadata of a result: those of the passage, with what trimming adds.

    Of a passage that was trimmed before, `fgr_spans`, `fgr_source_spans` and `fgr_kept` say what is left of
    the whole text. If its text is not what the earlier trimming left, `fgr_input_spans` has the ranges of
    the text at hand instead.

    Args:
        passage: What was trimmed.
        trimmed: What was kept of it.
    """
    kept = {key: value for key, value in visible_metadata(passage.metadata).items() if key not in RESULT_KEYS}
    if "fgr_spans" not in passage.metadata:
        return trimmed.text, {**kept, **trimmed.to_metadata(source_start(passage))}
    if composed := compose(passage.metadata, passage.text, trimmed):
        whole, start = composed
        return whole.text, {**kept, **whole.to_metadata(start)}
    found = trimmed.to_metadata()
    spans = found.pop("fgr_spans")
    return trimmed.text, {**kept, **found, "fgr_input_spans": spans}


def trimmed_items(items: Sequence[Item], passages: Sequence[Passage], context: Context) -> list[tuple[Item, Trimmed]]:
    """Pair each document or node with its trimmed passage, in the order of the context.

    Args:
        items: Documents or nodes.
        passages: The passages made from `items`, in the same order; the same objects as were trimmed.
        context: The context made from the passages. With `top_n` it has another order, and it does not
            have all of them.
    """
    # Not by id: what somebody else stored need not have one of its own.
    places = {id(passage): place for place, passage in enumerate(passages)}
    pairs = zip(context.hits, context.trimmed, strict=True)
    return [(items[places[id(hit.passage)]], trimmed) for hit, trimmed in pairs]


def _results(context: Context, trim: TrimConfig) -> list[int]:
    """List the ranks of the hits that give a result, or would with a larger budget."""
    repeated = {one.id for one in context.report.repeated}
    return [
        hit.rank
        for hit, trimmed in zip(context.hits, context.trimmed, strict=True)
        if trimmed.text or (hit.passage.id not in repeated and (hit.spans or trim.on_empty != "drop"))
    ]


def with_text(context: Context) -> list[tuple[Hit, Trimmed]]:
    """Pair every hit with its trimmed passage, without the hits of which nothing was kept."""
    return [(hit, trimmed) for hit, trimmed in zip(context.hits, context.trimmed, strict=True) if trimmed.text]
