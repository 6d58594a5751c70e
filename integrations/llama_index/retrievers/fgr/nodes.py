"""LlamaIndex nodes to passages and back, without loss."""

from __future__ import annotations

from typing import Any

from llama_index.core.schema import BaseNode, IndexNode, TextNode

from fgr_retriever.adapters import RESERVED_KEY, visible_metadata
from fgr_retriever.types import Passage
from llama_index.postprocessor.fgr.nodes import node_text

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


def to_passage(node: BaseNode) -> Passage:
    """Make the passage of a node; what is neither id, text nor metadata goes under the reserved key."""
    # The object of an IndexNode need not be serialisable; it lives in the retriever's object map.
    plain = node.model_copy(update={"obj": None}) if isinstance(node, IndexNode) else node
    fields = plain.model_dump(mode="json", include=_STORED_FIELDS, exclude_defaults=True)
    stored = {
        "source_start": getattr(node, "start_char_idx", None),
        "node": {name: value for name, value in fields.items() if name in _STORED_FIELDS},
    }
    return Passage(node.node_id, node_text(node), {**node.metadata, RESERVED_KEY: stored})


def from_passage(passage: Passage) -> TextNode:
    """Make the whole node of a passage, also of one that another framework stored."""
    stored = passage.metadata.get(RESERVED_KEY)
    fields: dict[str, Any] = {}
    if isinstance(stored, dict) and isinstance(stored["node"], dict):
        fields = stored["node"]
    kind: type[TextNode] = IndexNode if "index_id" in fields else TextNode
    metadata = visible_metadata(passage.metadata)
    return kind.model_validate({"id_": passage.id, "text": passage.text, "metadata": metadata, **fields})
