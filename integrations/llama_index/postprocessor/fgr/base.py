"""A LlamaIndex node postprocessor: trims what any retriever returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr
from llama_index.core.callbacks import CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher

from fgr_retriever import TrimConfig, Trimmed
from fgr_retriever.adapters import TrimmerFields, trimmed_items
from fgr_retriever.errors import InputError
from llama_index.postprocessor.fgr.events import send_report
from llama_index.postprocessor.fgr.nodes import node_text, query_text, result_nodes, to_passage
from llama_index.postprocessor.fgr.pickling import PickledWhole

_dispatcher = get_dispatcher(__name__)


class FGRPostprocessor(TrimmerFields, PickledWhole, BaseNodePostprocessor):
    """Trims nodes to their evidence for the query, verbatim.

    Order, scores, ids, relationships and metadata stay. `fgr_score`, `fgr_kept` and `fgr_spans`
    (`[start, end, score]`, character ranges of the whole text) are added to the metadata. If
    `start_char_idx` is known, `fgr_source_spans`, the same ranges in the source document, is added too.
    A node of which nothing is kept is left out. A node without text (an image, say) passes unchanged.
    Nodes are never changed in place and never joined. Every call that trims sends a `TrustReportEvent`.

    With `top_n`, nodes are also ranked by MaxSim, which becomes their score. Only the best `top_n` are
    trimmed and returned, followed by the nodes without text. You can use this as a second stage over any
    index.

    Args:
        trim: How nodes are trimmed: a `TrimConfig` or a dict of its fields.
        max_tokens: Hard limit of tokens for all nodes together, in place of that of `trim`; None uses that of `trim`.
        top_n: How many nodes with text to return, ranked by MaxSim; None keeps all in their order.
        split_spans: Return a node for each span instead of one for each node. Each has its own
            `start_char_idx` and `end_char_idx`, the id `NODE#START-END` and the whole node as its parent.
        encoder: The model, a `TokenEncoder`; None uses the one that `model` names.
        model: Folder or hub id of a ColBERT checkpoint; None uses the embedded model, loaded on first use.
        count_tokens: Function that counts the tokens of the budget; None uses the tokenizer of `trim`.

    Raises:
        InputError: There is no such argument; the message names the nearest one. Or there are both an
            `encoder` and a `model`.
        ConfigError: A value is of the wrong type or out of range, or `trim` is None.
        CheckpointError: The `model` cannot be opened.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", validate_assignment=True)

    trim: TrimConfig = Field(default=TrimConfig(), description="How nodes are trimmed.")
    max_tokens: int | None = Field(
        default=None, ge=0, strict=True, description="Hard limit of tokens for all nodes together."
    )
    top_n: int | None = Field(default=None, ge=1, strict=True, description="How many to return, ranked by MaxSim.")
    split_spans: bool = Field(default=False, description="Give a node for each span.")
    encoder: Any = Field(default=None, exclude=True, repr=False, description="The model, a `TokenEncoder`.")
    model: str | Path | None = Field(default=None, description="Folder or hub id of a ColBERT checkpoint.")
    count_tokens: Callable[[str], int] | None = Field(
        default=None, exclude=True, repr=False, description="What counts the tokens of the budget."
    )

    _opened: Any = PrivateAttr(default=None)

    @classmethod
    def class_name(cls) -> str:
        """Name the class, for serialisation."""
        return "FGRPostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        """Trim nodes.

        Raises:
            InputError: There is no query, it is blank, or something is not of the kind that LlamaIndex passes.
        """
        query = _checked(nodes, query_bundle)
        with self._reported(nodes, query) as results:
            if texts := [node for node in nodes if _has_text(node)]:
                passages = [to_passage(node.node) for node in texts]
                context = self._trimmer().context(
                    query_text(query), passages, max_tokens=self.max_tokens, top_n=self.top_n
                )
                send_report(context)
                results += self._merge(nodes, trimmed_items(texts, passages, context))
            else:
                results += nodes
        return results

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        """Trim nodes; see `_postprocess_nodes`."""
        query = _checked(nodes, query_bundle)
        with self._reported(nodes, query) as results:
            if texts := [node for node in nodes if _has_text(node)]:
                passages = [to_passage(node.node) for node in texts]
                context = await self._trimmer().acontext(
                    query_text(query), passages, max_tokens=self.max_tokens, top_n=self.top_n
                )
                send_report(context)
                results += self._merge(nodes, trimmed_items(texts, passages, context))
            else:
                results += nodes
        return results

    def _merge(
        self, nodes: Sequence[NodeWithScore], pairs: Sequence[tuple[NodeWithScore, Trimmed]]
    ) -> list[NodeWithScore]:
        """Put the trimmed texts into copies of their nodes, leaving out the empty ones; others stay as they are."""
        others = [node for node in nodes if not _has_text(node)]
        if self.top_n is not None:
            return [one for pair in pairs for one in self._results(*pair, pair[1].score)] + others
        following = iter(pairs)
        found = (self._results(*next(following), node.score) if _has_text(node) else [node] for node in nodes)
        return [one for results in found for one in results]

    def _results(self, node: NodeWithScore, trimmed: Trimmed, score: float | None) -> list[NodeWithScore]:
        """Copy a node with its trimmed text; nothing when that is empty."""
        kept = result_nodes(node.node, trimmed, self.split_spans) if trimmed.text else []
        return [NodeWithScore(node=one, score=score) for one in kept]

    @contextmanager
    def _reported(self, nodes: list[NodeWithScore], query: QueryBundle) -> Iterator[list[NodeWithScore]]:
        """Report start and end to the instrumentation and the callbacks; the body fills the list."""
        results: list[NodeWithScore] = []
        name, count = self.class_name(), self.top_n or len(nodes)
        _dispatcher.event(ReRankStartEvent(query=query, nodes=nodes, top_n=count, model_name=name))
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: name,
            EventPayload.QUERY_STR: query.query_str,
            EventPayload.TOP_K: count,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            yield results
            event.on_end(payload={EventPayload.NODES: results})
        _dispatcher.event(ReRankEndEvent(nodes=results))


def _checked(nodes: object, query: object) -> QueryBundle:
    """Give the query, if nodes and query are what LlamaIndex passes.

    Raises:
        InputError: They are not, or there is no query; it is a ValueError, too.
    """
    if isinstance(nodes, str) or not isinstance(nodes, Sequence):
        raise InputError(f"nodes={nodes!r:.200}: must be a list of NodeWithScore; put a single one into a list")
    for node in nodes:
        if not isinstance(node, NodeWithScore):
            raise InputError(f"{node!r:.200}: must be a NodeWithScore; NodeWithScore(node=...) makes one of a node")
    if query is None:
        raise InputError("FGRPostprocessor got no query: pass query_bundle or query_str")
    if not isinstance(query, QueryBundle):
        raise InputError(f"query_bundle={query!r:.200}: must be a QueryBundle; a question as text is query_str=...")
    if not isinstance(query.query_str, str):
        raise InputError(f"query_str={query.query_str!r:.200}: must be a string; a QueryBundle is query_bundle=...")
    return query


def _has_text(node: NodeWithScore) -> bool:
    return bool(node_text(node.node).strip())
