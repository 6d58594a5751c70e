"""What the retriever and the vector store both do with the nodes of an index: add, fetch, refresh, delete."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from llama_index.core.ingestion import run_transformations
from llama_index.core.schema import BaseNode, Document, NodeRelationship, TextNode, TransformComponent

from fgr_retriever.adapters import RESERVED_KEY
from fgr_retriever.adapters.names import takes
from fgr_retriever.errors import InputError
from fgr_retriever.types import Added, Passage
from llama_index.postprocessor.fgr.nodes import node_text, to_passage
from llama_index.retrievers.fgr.given import given_document, given_documents, given_nodes, given_steps
from llama_index.retrievers.fgr.nodes import from_passage

if TYPE_CHECKING:
    from fgr_retriever import Engine

_REF_DOC_ID = f"{RESERVED_KEY}.node.relationships.{NodeRelationship.SOURCE.value}.node_id"


class NodeStorage:
    """The nodes of an index.

    Attributes:
        engine: The open index.
    """

    if TYPE_CHECKING:  # else pydantic makes a field of it
        engine: Engine

    @takes()
    def add_nodes(self, nodes: Iterable[BaseNode], *, show_progress: bool = False) -> list[str]:
        """Index nodes: all of them or, if there is an error, none.

        A node replaces the stored one that has the same id. One that is stored with the same text is not
        encoded again. `engine.last_added` says how many were added, updated and unchanged.

        Args:
            nodes: The nodes to index; nodes without text are left out.
            show_progress: Show a progress bar on stderr.

        Returns:
            The ids of the indexed nodes.

        Raises:
            InputError: A node cannot be stored, or an id occurs twice.
            IndexLockedError: Another process or engine is writing.
        """
        passages = _passages(given_nodes(nodes))
        self.engine.add(passages, show_progress=show_progress)
        return [passage.id for passage in passages]

    @takes()
    async def aadd_nodes(self, nodes: Iterable[BaseNode], *, show_progress: bool = False) -> list[str]:
        """Index nodes, in a worker thread; see `add_nodes`."""
        return await asyncio.to_thread(self.add_nodes, nodes, show_progress=show_progress)

    @takes()
    def insert(
        self,
        document: Document,
        transformations: Sequence[TransformComponent] | None = None,
        *,
        show_progress: bool = False,
    ) -> bool:
        """Index one document; see `refresh_ref_docs`, which takes many at once."""
        return self.refresh_ref_docs([given_document(document)], transformations, show_progress=show_progress)[0]

    @takes()
    async def ainsert(
        self,
        document: Document,
        transformations: Sequence[TransformComponent] | None = None,
        *,
        show_progress: bool = False,
    ) -> bool:
        """Index one document, in a worker thread; see `insert`."""
        return await asyncio.to_thread(self.insert, document, transformations, show_progress=show_progress)

    @takes()
    def refresh_ref_docs(
        self,
        documents: Iterable[Document],
        transformations: Sequence[TransformComponent] | None = None,
        *,
        delete_missing: bool = False,
        show_progress: bool = False,
    ) -> list[bool]:
        """Index the documents that are new or changed, in place of the nodes that they had.

        It is one transaction. Documents that are stored as they are cost nothing: they are neither split
        nor encoded, also if the transformations are others now. A document is known by its id, so give it a
        stable one, such as its file name. `engine.last_added` counts nodes.

        Args:
            documents: Whole documents; nodes are for `add_nodes`.
            transformations: How documents become nodes; None uses those of LlamaIndex's `Settings`.
            delete_missing: Also delete every stored node that is of none of these documents. Without any text to
                index this is refused: to empty the index, use `delete`.
            show_progress: Show progress bars on stderr.

        Returns:
            For each document whether it was new or changed.

        Raises:
            InputError: A document or a node cannot be stored, an id occurs twice, or something is no list or no
                document. Or all that is stored would be missing.
            IndexLockedError: Another process or engine is writing.
        """
        listed, steps = given_documents(documents), given_steps(transformations)
        ids = [document.id_ for document in listed]
        if len(set(ids)) < len(ids):
            raise InputError(f"document id {max(ids, key=ids.count)!r} comes twice: ids must be unique")
        stored = self._nodes_of(ids)
        changed = [document for document in listed if not _holds(stored[document.id_], document)]
        nodes = run_transformations(changed, steps, in_place=False, show_progress=show_progress) if changed else []
        new = {document.id_ for document in changed}
        unchanged = [node.node_id for id in ids if id not in new for node in stored[id]]
        gone = [node.node_id for id in new for node in stored[id]]
        if delete_missing:
            gone = [*set(self.engine.ids()).difference(unchanged)]
        passages = _passages(nodes)
        if passages or delete_missing:
            done = self.engine.add(passages, replacing=gone, show_progress=show_progress)
        else:  # a document without text any more may be the only one
            done = Added(0, 0, 0, self.engine.delete(gone))
        self.engine.last_added = Added(done.added, done.updated, done.unchanged + len(unchanged), done.deleted)
        return [id in new for id in ids]

    @takes()
    async def arefresh_ref_docs(
        self,
        documents: Iterable[Document],
        transformations: Sequence[TransformComponent] | None = None,
        *,
        delete_missing: bool = False,
        show_progress: bool = False,
    ) -> list[bool]:
        """Index what is new or changed, in a worker thread; see `refresh_ref_docs`."""
        options = {"delete_missing": delete_missing, "show_progress": show_progress}
        return await asyncio.to_thread(self.refresh_ref_docs, documents, transformations, **options)

    def get_by_ids(self, ids: Iterable[str]) -> list[TextNode]:
        """Fetch whole nodes, in the order of the ids; unknown ids are left out.

        Raises:
            InputError: An id is not a string.
        """
        return [from_passage(passage) for passage in self.engine.get(ids)]

    async def aget_by_ids(self, ids: Iterable[str]) -> list[TextNode]:
        """Fetch whole nodes, in a worker thread; see `get_by_ids`."""
        return await asyncio.to_thread(self.get_by_ids, ids)

    def delete_ref_doc(self, ref_doc_id: str) -> int:
        """Delete all nodes of a document, and the document itself if it was stored whole.

        It reads the metadata of all nodes.

        Returns:
            How many nodes were deleted.

        Raises:
            IndexLockedError: Another process or engine is writing.
        """
        return self.engine.delete(node.node_id for node in self._nodes_of([ref_doc_id])[ref_doc_id])

    async def adelete_ref_doc(self, ref_doc_id: str) -> int:
        """Delete all nodes of a document, in a worker thread; see `delete_ref_doc`."""
        return await asyncio.to_thread(self.delete_ref_doc, ref_doc_id)

    def _nodes_of(self, ref_doc_ids: Sequence[str]) -> dict[str, list[TextNode]]:
        """Fetch the stored nodes of documents; a document that was stored whole is its own node."""
        found: dict[str, list[TextNode]] = defaultdict(list)
        for node in self.get_by_ids(self.engine.ids({_REF_DOC_ID: {"$in": list(ref_doc_ids)}})):
            found[str(node.ref_doc_id)].append(node)
        for node in self.get_by_ids(ref_doc_ids):
            if node.ref_doc_id is None:
                found[node.node_id].append(node)
        return found


def _passages(nodes: Iterable[BaseNode]) -> list[Passage]:
    """Make the passages of the nodes that have text."""
    return [to_passage(node) for node in nodes if node_text(node).strip()]


def _holds(nodes: Sequence[TextNode], document: BaseNode) -> bool:
    """Say whether stored nodes were made of a document as it is now."""
    if len(nodes) == 1 and nodes[0].source_node is None:  # stored whole
        return (nodes[0].text, nodes[0].metadata) == (node_text(document), document.metadata)
    return {node.source_node.hash if node.source_node else None for node in nodes} == {document.hash}
