"""Convert stored passages back to LlamaIndex nodes, without loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import IndexNode, NodeWithScore, TextNode

from fgr_retriever import Passage
from fgr_retriever.adapters import RESERVED_KEY, visible_metadata


class TrimmedNode(TextNode):
    """A node whose text is trimmed for one question, and whose hash is that of the whole node.

    `QueryFusionRetriever` counts votes by the hash: so the votes of several questions and of other
    retrievers for one node add up. In everything else it is a `TextNode`, and equals one.
    """

    _whole_hash: str = PrivateAttr(default="")

    @property
    def hash(self) -> str:
        """Hash of the whole node."""
        return self._whole_hash or super().hash

    def __eq__(self, other: object) -> bool:
        """Compare as text nodes."""
        return isinstance(other, TextNode) and not isinstance(other, IndexNode) and dict(self) == dict(other)

    __hash__ = None  # type: ignore[assignment]  # like every node

    @classmethod
    def to_trim(cls, passage: Passage) -> TextNode:
        """Make the whole node of a passage, to be trimmed. An `IndexNode` stays one."""
        node = from_passage(passage)
        if isinstance(node, IndexNode):
            return node
        found = cls.model_construct(None, **dict(node))
        found._whole_hash = node.hash
        return found


def from_passage(passage: Passage) -> TextNode:
    """Make the whole node of a passage, also if another framework stored the passage."""
    stored = passage.metadata.get(RESERVED_KEY)
    fields: dict[str, Any] = {}
    if isinstance(stored, dict) and isinstance(stored["node"], dict):
        fields = stored["node"]
    kind: type[TextNode] = IndexNode if "index_id" in fields else TextNode
    metadata = visible_metadata(passage.metadata)
    return kind.model_validate({"id_": passage.id, "text": passage.text, "metadata": metadata, **fields})


def whole_nodes(found: Sequence[tuple[Passage, float]]) -> list[NodeWithScore]:
    """Make the whole nodes of passages with their scores."""
    return [NodeWithScore(node=from_passage(passage), score=score) for passage, score in found]
