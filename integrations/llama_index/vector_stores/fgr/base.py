"""The face of an index that LlamaIndex calls a vector store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from typing_extensions import Self, Unpack

from fgr_retriever.adapters import OpenOptions, checked_engine, find_whole, open_engine
from fgr_retriever.adapters.names import takes
from fgr_retriever.arguments import whole_number
from fgr_retriever.errors import ConfigError, InputError
from llama_index.postprocessor.fgr.pickling import PickledWhole
from llama_index.retrievers.fgr.filters import to_filter
from llama_index.retrievers.fgr.given import given_place
from llama_index.retrievers.fgr.nodes import from_passage
from llama_index.retrievers.fgr.storage import NodeStorage

if TYPE_CHECKING:
    from fgr_retriever import Engine

_MODES = (VectorStoreQueryMode.DEFAULT, VectorStoreQueryMode.TEXT_SEARCH)


class FGRVectorStore(PickledWhole, NodeStorage, BasePydanticVectorStore):
    """Whole nodes by late interaction, for `IngestionPipeline` and `VectorStoreIndex`.

    Both hand over only nodes that have an embedding, which this store does not read: its vectors come
    from the model of the index. So any embedding does, such as that of `MockEmbedding(embed_dim=1)`.

    What it finds is as it was stored, with the same text, metadata and hash for every question. To trim
    it, put an `FGRPostprocessor` behind it, or use `FGRRetriever(store.engine)`. Scores are MaxSim:
    higher is better, and they have no fixed range.

    Args:
        engine: The open index.

    Raises:
        InputError: `engine` is no engine.
    """

    stores_text: bool = True
    is_embedding_query: bool = False

    _engine: Any = PrivateAttr()  # an `Engine`, whose module loads only where an index is opened

    @takes()
    def __init__(self, engine: Engine) -> None:
        """Keep the index."""
        super().__init__(stores_text=True, is_embedding_query=False)
        self._engine = checked_engine(engine, type(self))

    @classmethod
    @takes(OpenOptions)
    def from_path(cls, path: str | Path, **options: Unpack[OpenOptions]) -> Self:
        """Open the index in a folder, and make an empty one if there is none.

        Args:
            path: The folder of the index.
            **options: How the index is opened: `encoder` or `model` (a folder or hub id; by default the
                embedded model), `config`, `search` and `pipeline`, as in `Engine.open`.

        Raises:
            ModelMismatchError: The index was built with another model.
            InputError: There is no such option, or there are both an `encoder` and a `model`.
            CheckpointError: The `model` cannot be opened.
        """
        return cls(open_engine(given_place(path, "path"), **options))

    @classmethod
    def class_name(cls) -> str:
        """Name the class, for serialisation."""
        return "FGRVectorStore"

    @property
    def engine(self) -> Engine:  # type: ignore[override]  # read only
        """The open index."""
        return cast("Engine", self._engine)

    @property
    def client(self) -> Engine:
        """The open index."""
        return self.engine

    def add(self, nodes: Sequence[BaseNode], *, show_progress: bool = False, **kwargs: Any) -> list[str]:
        """Index nodes; see `add_nodes`. What else LlamaIndex passes is ignored."""
        return self.add_nodes(nodes, show_progress=show_progress)

    async def async_add(self, nodes: Sequence[BaseNode], *, show_progress: bool = False, **kwargs: Any) -> list[str]:
        """Index nodes, in a worker thread; see `add`."""
        return await self.aadd_nodes(nodes, show_progress=show_progress)

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete all nodes of a document; see `delete_ref_doc`."""
        self.delete_ref_doc(ref_doc_id)

    async def adelete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:
        """Delete all nodes of a document, in a worker thread; see `delete_ref_doc`."""
        await self.adelete_ref_doc(ref_doc_id)

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Fetch whole nodes that have one of the ids and pass the filters; None takes all.

        Raises:
            InputError: A filter operator is not supported.
        """
        return [*self.get_by_ids(self._ids(node_ids, filters))]

    def delete_nodes(
        self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None, **delete_kwargs: Any
    ) -> None:
        """Delete nodes that have one of the ids and pass the filters.

        Raises:
            InputError: There are neither ids nor filters, or a filter operator is not supported.
        """
        if node_ids is None and filters is None:
            raise InputError("delete_nodes needs node_ids or filters; clear() deletes all nodes")
        self.engine.delete(self._ids(node_ids, filters))

    def clear(self) -> None:
        """Delete all nodes."""
        self.engine.delete(self.engine.ids())

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Find whole nodes by the text of the question, best first.

        Raises:
            ConfigError: The mode is not `DEFAULT` or `TEXT_SEARCH`, there are `node_ids`, or `similarity_top_k` is not
                an integer of at least 1.
            InputError: There is no text, or a filter operator is not supported.
        """
        if query.mode not in _MODES:
            raise ConfigError(
                f"vector_store_query_mode {query.mode.value!r}: use one of {[one.value for one in _MODES]}"
            )
        if query.node_ids or query.doc_ids:
            raise ConfigError("node_ids and doc_ids cannot be searched among: use filters on the metadata")
        if query.query_str is None:
            raise InputError("the query has no text: this store searches by query_str, not by query_embedding")
        k = whole_number("similarity_top_k", query.similarity_top_k, 1)
        found = find_whole(self.engine, query.query_str, k=k, filter=to_filter(query.filters))
        nodes: list[BaseNode] = [from_passage(passage) for passage, _ in found]
        ids = [passage.id for passage, _ in found]
        return VectorStoreQueryResult(nodes=nodes, similarities=[score for _, score in found], ids=ids)

    async def aquery(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:
        """Find whole nodes, in a worker thread; see `query`."""
        return await asyncio.to_thread(self.query, query)

    def _ids(self, node_ids: list[str] | None, filters: MetadataFilters | None) -> list[str]:
        """List the ids of the nodes that are among some and pass filters."""
        if filters is None and node_ids is not None:
            return node_ids
        passing = dict.fromkeys(self.engine.ids(to_filter(filters)))
        return list(passing) if node_ids is None else [id for id in node_ids if id in passing]
