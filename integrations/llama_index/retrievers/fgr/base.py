"""A LlamaIndex retriever over an FGR index."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.indices.base import BaseIndex
from llama_index.core.schema import BaseNode, Document, IndexNode, NodeWithScore, QueryBundle, TransformComponent
from llama_index.core.storage.docstore.types import BaseDocumentStore
from llama_index.core.vector_stores.types import MetadataFilters
from typing_extensions import Self, Unpack

from fgr_retriever import Context, TrimConfig
from fgr_retriever.adapters import (
    OpenOptions,
    aretrieve_context,
    budgeted,
    checked_engine,
    copy_index,
    find_whole,
    open_engine,
    retrieve_context,
    trim_config,
    with_text,
)
from fgr_retriever.adapters.names import taken, takes
from fgr_retriever.errors import InputError
from llama_index.postprocessor.fgr.events import send_report
from llama_index.postprocessor.fgr.nodes import query_text, result_nodes
from llama_index.retrievers.fgr.assigned import AssignedSettings
from llama_index.retrievers.fgr.filters import to_filter
from llama_index.retrievers.fgr.given import (
    Place,
    given_docstore,
    given_documents,
    given_nodes,
    given_place,
    given_steps,
)
from llama_index.retrievers.fgr.nodes import TrimmedNode, from_passage, whole_nodes
from llama_index.retrievers.fgr.options import BaseSettings, IndexedOptions, RetrieverOptions, RetrieverSettings
from llama_index.retrievers.fgr.settings import SETTINGS, read_settings, written
from llama_index.retrievers.fgr.storage import NodeStorage

if TYPE_CHECKING:
    from fgr_retriever import Engine


class FGRRetriever(AssignedSettings, NodeStorage, BaseRetriever):
    """Finds nodes by late interaction and returns them trimmed to their evidence.

    Every returned node has the id, metadata and relationships of the stored one, and the trimmed text. Its metadata
    also has `fgr_score`, `fgr_kept` and `fgr_spans` (`[start, end, score]`, character ranges of the whole text), which
    neither the LLM nor an embedding model sees. `start_char_idx` and `end_char_idx` are the range of the whole node in
    its source. If the start is known, `fgr_source_spans` has the spans in the source. Every call sends a
    `TrustReportEvent`.

    Args:
        engine: The open index.
        similarity_top_k: How many nodes to return.
        filters: Conditions on the metadata of the nodes.
        trim: How nodes are trimmed: a `TrimConfig` or a dict of its fields. None gives whole nodes, with nothing
            added to their metadata. These are the same for every question, as everything needs that joins the
            results of several questions or retrievers.
        max_tokens: Hard limit of tokens for all nodes together, in place of the limit of `trim`.
        count_tokens: Function that counts the tokens of the budget; None uses the tokenizer of `trim`.
        full_text: Put the whole text into the metadata as `fgr_text`.
        split_spans: Return a node for each span. Each has its own `start_char_idx` and `end_char_idx`, the id
            `NODE#START-END` and the whole node as its parent. `similarity_top_k` then counts the whole nodes.
        **base: `callback_manager`, `object_map`, `objects` and `verbose`, as everywhere in LlamaIndex.

    Raises:
        InputError: A filter operator is not supported, `engine` is no engine, or there is no such argument; the
            message names the nearest one. So it does if you assign to a name that there is not.
        ConfigError: A value is out of range, or there is a limit of tokens, but nothing is trimmed.
    """

    @takes(BaseSettings)
    def __init__(
        self,
        engine: Engine,
        *,
        similarity_top_k: int = 5,
        filters: MetadataFilters | None = None,
        trim: TrimConfig | Mapping[str, Any] | None = TrimConfig(),  # noqa: B008 - immutable
        max_tokens: int | None = None,
        count_tokens: Callable[[str], int] | None = None,
        full_text: bool = False,
        split_spans: bool = False,
        **base: Unpack[BaseSettings],
    ) -> None:
        """Keep the settings."""
        super().__init__(**base)
        self.engine = checked_engine(engine, type(self))
        self.similarity_top_k = similarity_top_k
        self.filters = filters
        self.trim = budgeted(trim_config(trim), max_tokens)
        self.count_tokens = count_tokens
        self.full_text = full_text
        self.split_spans = split_spans
        self._is_complete = type(self) is FGRRetriever

    @classmethod
    @takes(RetrieverOptions)
    def from_nodes(
        cls,
        nodes: Iterable[BaseNode],
        *,
        path: str | Path | None = None,
        show_progress: bool = False,
        **options: Unpack[RetrieverOptions],
    ) -> Self:
        """Index nodes and make a retriever for them.

        Args:
            nodes: The nodes to index. Nodes without text have nothing to match and are left out.
            path: The folder of the index. If it already has an index, the nodes are added to it. None
                uses a temporary folder that lives as long as the retriever (see `persist`).
            show_progress: Show a progress bar on stderr.
            **options: How the index is opened: `encoder` or `model` (a folder or hub id; by default the
                embedded model), `config`, `search` and `pipeline`, as in `Engine.open`. And the arguments
                of the class: `similarity_top_k`, `filters`, `trim`, ...

        Raises:
            InputError: A node cannot be stored, or an id occurs twice. Or there is no such option, or both
                an `encoder` and a `model`.
            CheckpointError: The `model` cannot be opened.
            ModelMismatchError: The index in `path` was built with another model.
        """
        listed = given_nodes(nodes)
        objects = [node for node in listed if isinstance(node, IndexNode) and node.obj is not None]
        if objects and not options.keys() & {"objects", "object_map"}:
            options["objects"] = objects
        retriever = cls._over(path, options)
        retriever.add_nodes(listed, show_progress=show_progress)
        return retriever

    @classmethod
    @takes(RetrieverOptions)
    def from_documents(
        cls,
        documents: Iterable[Document],
        *,
        transformations: Sequence[TransformComponent] | None = None,
        delete_missing: bool = False,
        path: str | Path | None = None,
        show_progress: bool = False,
        **options: Unpack[RetrieverOptions],
    ) -> Self:
        """Index documents and make a retriever for them; see `refresh_ref_docs`.

        Documents that the index in `path` has already, unchanged, are neither split nor encoded again.

        Args:
            documents: Whole documents, each with an id that stays.
            transformations: How documents become nodes; None uses those of LlamaIndex's `Settings`.
            delete_missing: Also delete every stored node that is of none of these documents.
            path: The folder of the index; see `from_nodes`.
            show_progress: Show progress bars on stderr.
            **options: See `from_nodes`.

        Raises:
            InputError: See `refresh_ref_docs`. Or there is no such option, or both an `encoder` and a `model`.
            CheckpointError: The `model` cannot be opened.
            ModelMismatchError: The index in `path` was built with another model.
        """
        listed, steps = given_documents(documents), given_steps(transformations)
        retriever = cls._over(path, options)
        retriever.refresh_ref_docs(listed, steps, delete_missing=delete_missing, show_progress=show_progress)
        return retriever

    @classmethod
    @takes(IndexedOptions)
    def from_defaults(
        cls,
        index: BaseIndex[Any] | None = None,
        nodes: Sequence[BaseNode] | None = None,
        docstore: BaseDocumentStore | None = None,
        **options: Unpack[IndexedOptions],
    ) -> Self:
        """Index the nodes of an index, a list or a document store; give exactly one of them.

        Args:
            index: A LlamaIndex index whose document store holds its nodes.
            nodes: Nodes.
            docstore: A document store.
            **options: Options of `from_nodes`.

        Raises:
            InputError: None or more than one was given. Or the index has no nodes in its document
                store, as is the case with a remote vector store.
        """
        if sum(given is not None for given in (index, nodes, docstore)) != 1:
            raise InputError("give exactly one of index, nodes and docstore")
        if index is not None:
            docstore = given_docstore(index)
        if docstore is not None:
            nodes = list(docstore.docs.values())
        return cls.from_nodes(nodes or (), **options)

    @classmethod
    @takes(RetrieverOptions)
    def from_persist_dir(cls, persist_dir: str | Path, **options: Unpack[RetrieverOptions]) -> Self:
        """Make a retriever for an existing index, whatever program wrote it.

        Args:
            persist_dir: The folder that `persist` wrote, or the folder of any other index; or the URL of a collection.
            **options: See `from_nodes`. Arguments of the class replace the persisted ones. The model must be the
                one with which the index was built; that which `persist` saved is taken if you name none.

        Raises:
            IndexNotFoundError: There is no index.
            ModelMismatchError: The index was built with another model.
            ConfigError: The persisted settings are damaged.
        """
        settings = read_settings(place := given_place(persist_dir, "persist_dir"))
        if options.get("encoder") is not None:
            settings.pop("model", None)
        return cls._over(place, {**settings, **options}, create=False)

    @classmethod
    def _over(cls, path: Place | None, options: Mapping[str, Any], create: bool = True) -> Self:
        """Open an index and make a retriever for it."""
        engine = open_engine(path, create=create, **taken(options, OpenOptions))
        return cls(engine, **taken(options, RetrieverSettings))

    def persist(self, persist_dir: str | Path) -> None:
        """Save the index, the settings, and the folder or hub id of its model, if a name opens that.

        `count_tokens`, objects, an open `encoder` that has no name, and how the index is searched are not saved.

        Nobody may write to the index meanwhile. What an earlier call saved in the folder is replaced at
        once, when all is saved.

        Args:
            persist_dir: A new or empty folder, one that `persist` wrote, or the folder of this index.

        Raises:
            InputError: The folder contains something else; or the index is a Qdrant collection, which is not copied.
            IndexWriteError: The disk refused the write.
        """
        settings: RetrieverOptions = {
            "similarity_top_k": self.similarity_top_k,
            "filters": self.filters,
            "trim": self.trim,
            "full_text": self.full_text,
            "split_spans": self.split_spans,
            "model": self.engine.model,
        }
        copy_index(self.engine, persist_dir, SETTINGS, written(settings))

    def delete(self, ids: Iterable[str]) -> int:
        """Delete nodes and return how many were deleted; unknown ids are ignored.

        Raises:
            InputError: An id is not a string.
            IndexLockedError: Another process or engine is writing.
        """
        return self.engine.delete(ids)

    async def adelete(self, ids: Iterable[str]) -> int:
        """Delete nodes; see `delete`."""
        return await self.engine.adelete(ids)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """Retrieve nodes."""
        if self.trim is None:
            return whole_nodes(find_whole(self.engine, query_text(query_bundle), **self._search()))
        return self._nodes(retrieve_context(self.engine, query_text(query_bundle), **self._options()))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        """Retrieve nodes."""
        if self.trim is None:
            found = await asyncio.to_thread(find_whole, self.engine, query_text(query_bundle), **self._search())
            return whole_nodes(found)
        return self._nodes(await aretrieve_context(self.engine, query_text(query_bundle), **self._options()))

    def _options(self) -> dict[str, Any]:
        """Translate the settings for the engine."""
        return {**self._search(), "trim": self.trim, "count_tokens": self.count_tokens}

    def _search(self) -> dict[str, Any]:
        """Translate the settings that say what is found."""
        return {"k": self.similarity_top_k, "filter": to_filter(self.filters)}

    def _nodes(self, context: Context) -> list[NodeWithScore]:
        """Report on what was found, and turn it into nodes."""
        send_report(context)
        results = []
        for hit, trimmed in with_text(context):
            whole = from_passage(hit.passage) if self.split_spans else TrimmedNode.to_trim(hit.passage)
            for node in result_nodes(whole, trimmed, self.split_spans):
                if self.full_text:
                    node.metadata["fgr_text"] = hit.passage.text
                results.append(NodeWithScore(node=node, score=hit.score))
        return results
