"""Node and query functions that the retriever and the postprocessor share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from llama_index.core.schema import BaseNode, IndexNode, MetadataMode, NodeRelationship, QueryBundle, TextNode

from fgr_retriever import Passage, Trimmed
from fgr_retriever.adapters import RESERVED_KEY, RESULT_KEYS, result_of

_STORED_FIELDS = {
    "end_char_idx",
    "excluded_embed_metadata_keys",
    "excluded_llm_metadata_keys",
    "index_id",
    "metadata_separator",
    "metadata_template",
    "mimetype",
    "relationships",
    "start_char_idx",
    "text_template",
}
_TOOL_CALL = re.compile(r"\n?input is (.*?)\n+", re.DOTALL)


def query_text(query: QueryBundle) -> str:
    r"""Take the question out of a query.

    `RetrieverTool` puts `\ninput is ...\n` around a question; this is removed.
    """
    wrapped = _TOOL_CALL.fullmatch(query.query_str)
    return wrapped.group(1) if wrapped else query.query_str


def node_text(node: BaseNode) -> str:
    """Take the text of a node, without metadata; spans are ranges of it."""
    return node.get_content(MetadataMode.NONE)


def to_passage(node: BaseNode) -> Passage:
    """Make the passage of a node; what is not id, text or metadata goes under the reserved key."""
    # The object of an IndexNode need not be serialisable; it lives in the retriever's object map.
    plain = node.model_copy(update={"obj": None}) if isinstance(node, IndexNode) else node
    fields = plain.model_dump(mode="json", include=_STORED_FIELDS, exclude_defaults=True)
    stored = {
        "source_start": getattr(node, "start_char_idx", None),
        "node": {name: value for name, value in fields.items() if name in _STORED_FIELDS},
    }
    return Passage(node.node_id, node_text(node), {**node.metadata, RESERVED_KEY: stored})


def trimmed_node(node: BaseNode, trimmed: Trimmed) -> BaseNode:
    """Copy a node with its trimmed text, and add the results of trimming to its metadata.

    `start_char_idx` and `end_char_idx` stay: they are the range of the whole node in its source.
    Neither the LLM nor an embedding model sees the new metadata. The embedding of the whole text is dropped.
    """
    text, metadata = result_of(to_passage(node), trimmed)
    copy = node.model_copy(
        update={
            "metadata": metadata,
            "embedding": None,
            "relationships": dict(node.relationships),
            "excluded_embed_metadata_keys": _with_result_keys(node.excluded_embed_metadata_keys),
            "excluded_llm_metadata_keys": _with_result_keys(node.excluded_llm_metadata_keys),
        }
    )
    copy.set_content(text)
    return copy


def result_nodes(node: BaseNode, trimmed: Trimmed, split: bool) -> list[BaseNode]:
    """Copy a node with its trimmed text or, with `split`, once for each span that was kept."""
    return list(_span_nodes(node, trimmed)) if split else [trimmed_node(node, trimmed)]


def _span_nodes(node: BaseNode, trimmed: Trimmed) -> Iterator[BaseNode]:
    """Copy a node for each of its spans, with an id and a place in the source of its own."""
    whole = node_text(node)
    for span in trimmed.spans:
        text = whole[span.start : span.end]
        copy = trimmed_node(node, replace(trimmed, text=text, spans=(span,), kept=len(text) / len(whole)))
        copy.id_ = f"{node.node_id}#{span.start}-{span.end}"
        copy.relationships[NodeRelationship.PARENT] = node.as_related_node_info()
        if isinstance(copy, TextNode):
            places = copy.metadata.get("fgr_source_spans", ())
            # What was trimmed before can have several, with an elision mark between them.
            copy.start_char_idx, copy.end_char_idx = places[0][:2] if len(places) == 1 else (None, None)
        yield copy


def _with_result_keys(excluded: Sequence[str]) -> list[str]:
    return [*excluded, *(key for key in RESULT_KEYS if key not in excluded)]
