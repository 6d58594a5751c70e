"""Convert stored passages back to LlamaIndex nodes, without loss."""

from __future__ import annotations

from typing import Any

from llama_index.core.schema import IndexNode, TextNode

from fgr_retriever import Passage
from fgr_retriever.adapters import RESERVED_KEY, visible_metadata


def from_passage(passage: Passage) -> TextNode:
    """Make the whole node of a passage, also if another framework stored the passage."""
    stored = passage.metadata.get(RESERVED_KEY)
    fields: dict[str, Any] = {}
    if isinstance(stored, dict) and isinstance(stored["node"], dict):
        fields = stored["node"]
    kind: type[TextNode] = IndexNode if "index_id" in fields else TextNode
    metadata = visible_metadata(passage.metadata)
    return kind.model_validate({"id_": passage.id, "text": passage.text, "metadata": metadata, **fields})
