"""What retriever and postprocessor do alike with nodes and queries."""

from __future__ import annotations

import re
from collections.abc import Sequence

from llama_index.core.schema import BaseNode, MetadataMode, QueryBundle

from fgr_retriever.adapters import RESULT_KEYS, result_metadata
from fgr_retriever.types import Trimmed

_TOOL_CALL = re.compile(r"\n?input is (.*?)\n+", re.DOTALL)


def query_text(query: QueryBundle) -> str:
    r"""Take the question out of a query, without what `RetrieverTool` puts around it (`\ninput is ...\n`)."""
    wrapped = _TOOL_CALL.fullmatch(query.query_str)
    return wrapped.group(1) if wrapped else query.query_str


def node_text(node: BaseNode) -> str:
    """Take the text of a node, without metadata; spans are ranges of it."""
    return node.get_content(MetadataMode.NONE)


def trimmed_node(node: BaseNode, trimmed: Trimmed) -> BaseNode:
    """Copy a node with its trimmed text and what the trim found in its metadata.

    `start_char_idx` and `end_char_idx` stay: they are the range of the whole node in its source.
    Neither the LLM nor an embedding model gets to see the new metadata.
    """
    start = getattr(node, "start_char_idx", None)
    source_start = node.metadata.get("start_index") if start is None else start
    metadata = result_metadata(node.metadata, trimmed, source_start)
    copy = node.model_copy(
        update={
            "metadata": metadata,
            "relationships": dict(node.relationships),
            "excluded_embed_metadata_keys": _with_result_keys(node.excluded_embed_metadata_keys),
            "excluded_llm_metadata_keys": _with_result_keys(node.excluded_llm_metadata_keys),
        }
    )
    copy.set_content(trimmed.text)
    return copy


def _with_result_keys(excluded: Sequence[str]) -> list[str]:
    return [*excluded, *(key for key in RESULT_KEYS if key not in excluded)]
