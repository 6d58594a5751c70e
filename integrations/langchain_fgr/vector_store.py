"""The face of an index that LangChain calls a vector store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever
from typing_extensions import Self, Unpack

from fgr_retriever.adapters import OpenOptions, checked_engine, find_whole, open_engine
from fgr_retriever.adapters.names import NO_EMBEDDINGS, takes
from fgr_retriever.arguments import check, whole_number
from fgr_retriever.errors import ConfigError, InputError
from langchain_fgr.documents import from_passage, only_documents, text_documents
from langchain_fgr.options import StoreOptions, checked_kwargs
from langchain_fgr.storage import DocumentStorage

if TYPE_CHECKING:
    from fgr_retriever import Engine

_NO_MMR = (
    "maximal marginal relevance compares passages by one vector each, and this index keeps one for each token: use "
    "similarity_search; FGRCompressor keeps what several documents say in the same words only in the best of them"
)


class FGRVectorStore(DocumentStorage, VectorStore):  # type: ignore[misc]  # arguments by name in place of **kwargs
    """Whole documents by late interaction, where LangChain wants a vector store.

    For `langchain_core.indexing.index` above all: it keeps an index in step with your documents. Its
    documents are as they were stored, with the same text, metadata and id for every question. To trim
    them, put an `FGRCompressor` behind it, or use `FGRRetriever(engine=store.engine)`.

    Scores are MaxSim, or what the pipeline of the index gives: higher is better, and they have no fixed
    range. So there are no relevance scores from 0 to 1. There is no search by a vector and no maximal
    marginal relevance, because a document has one vector for each token.

    Args:
        engine: The open index.

    Raises:
        InputError: `engine` is no engine.
    """

    @takes()
    def __init__(self, engine: Engine) -> None:
        """Keep the index."""
        self.engine = checked_engine(engine, type(self))

    @classmethod
    @takes(OpenOptions)
    def from_texts(  # type: ignore[override]  # an argument that there is not is refused
        cls,
        texts: Iterable[str],
        embedding: None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        path: str | Path | None = None,
        show_progress: bool = False,
        **options: Unpack[OpenOptions],
    ) -> Self:
        """Index texts and make a vector store of them.

        Args:
            texts: The texts to index.
            embedding: Must be None: an index has a late-interaction model, not an embedding.
            metadatas: The metadata of each text.
            ids: The id of each text; None uses a hash of text and metadata.
            path: The folder of the index. If it already has an index, the texts are added to it. None uses
                a temporary folder that lives as long as the store.
            show_progress: Show a progress bar on stderr.
            **options: How the index is opened: `encoder` or `model` (a folder or hub id; by default the
                embedded model), `config`, `search` and `pipeline`, as in `Engine.open`.

        Raises:
            InputError: A text cannot be stored, an id occurs twice, or the numbers of texts, metadatas and
                ids differ. Or there is an `embedding`, no such option, or both an `encoder` and a `model`.
            CheckpointError: The `model` cannot be opened.
            ModelMismatchError: The index in `path` was built with another model.
        """
        documents = text_documents(texts, metadatas, ids)
        return cls.from_documents(documents, embedding, path=path, show_progress=show_progress, **options)

    @classmethod
    @takes(OpenOptions)
    def from_documents(  # type: ignore[override]  # an argument that there is not is refused
        cls,
        documents: Iterable[Document],
        embedding: None = None,
        *,
        ids: list[str] | None = None,
        path: str | Path | None = None,
        show_progress: bool = False,
        **options: Unpack[OpenOptions],
    ) -> Self:
        """Index documents and make a vector store of them; see `from_texts`."""
        if embedding is not None:
            raise InputError(f"embedding={embedding!r:.200}: {NO_EMBEDDINGS}. The folder of the index is `path=`")
        checked = only_documents(documents)  # before there is an index
        store = cls(open_engine(path, **options))
        store.add_documents(checked, ids=ids, show_progress=show_progress)
        return store

    @classmethod
    @takes(OpenOptions)
    def from_index(cls, path: str | Path, **options: Unpack[OpenOptions]) -> Self:
        """Make a vector store of an existing index, whatever program wrote it.

        Args:
            path: The folder of the index.
            **options: See `from_texts`. The model must be the one with which the index was built.

        Raises:
            IndexNotFoundError: There is no index.
            ModelMismatchError: The index was built with another model.
            InputError: There is no such option, or there are both an `encoder` and a `model`.
            CheckpointError: The `model` cannot be opened.
        """
        return cls(open_engine(path, create=False, **options))

    @classmethod
    @takes(StoreOptions)
    async def afrom_texts(  # type: ignore[override]  # an argument that there is not is refused
        cls,
        texts: Iterable[str],
        embedding: None = None,
        metadatas: list[dict[str, Any]] | None = None,
        **options: Unpack[StoreOptions],
    ) -> Self:
        """Index texts, in a worker thread; see `from_texts`."""
        return await asyncio.to_thread(cls.from_texts, texts, embedding, metadatas, **options)

    @classmethod
    @takes(StoreOptions)
    async def afrom_documents(  # type: ignore[override]  # an argument that there is not is refused
        cls, documents: Iterable[Document], embedding: None = None, **options: Unpack[StoreOptions]
    ) -> Self:
        """Index documents, in a worker thread; see `from_documents`."""
        return await asyncio.to_thread(cls.from_documents, documents, embedding, **options)

    @takes()
    def similarity_search(  # type: ignore[override]  # an argument that there is not is refused
        self, query: str, k: int = 4, *, filter: dict[str, Any] | None = None
    ) -> list[Document]:
        """Find whole documents, best first.

        Args:
            query: The question, not blank.
            k: How many documents to find at most.
            filter: Which documents count, by their metadata: `{"year": {"$gte": 1900}}`.

        Raises:
            InputError: The query is blank, or the filter is invalid.
            ConfigError: `k` is not an integer of at least 1.
        """
        return [document for document, _ in self.similarity_search_with_score(query, k, filter=filter)]

    @takes()
    def similarity_search_with_score(
        self, query: str, k: int = 4, *, filter: dict[str, Any] | None = None
    ) -> list[tuple[Document, float]]:
        """Find whole documents with their scores; see `similarity_search`."""
        found = find_whole(self.engine, query, k=k, filter=filter)
        return [(from_passage(passage), score) for passage, score in found]

    @takes()
    def as_retriever(  # type: ignore[override]  # an argument that there is not is refused
        self,
        *,
        search_type: str = "similarity",
        search_kwargs: dict[str, Any] | None = None,
        name: str | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> VectorStoreRetriever:
        """Make a retriever of whole documents.

        Args:
            search_type: "similarity": there is nothing else.
            search_kwargs: `k` and `filter` of `similarity_search`. `invoke` takes them, too, for one call;
                `filter=None` means no filter.
            name: Name of the retriever in traces.
            tags: For traces.
            metadata: For traces.

        Raises:
            InputError: There is no such argument, or there are other `search_kwargs`.
            ConfigError: `search_type` is not "similarity".
        """
        if search_type == "mmr":
            self.max_marginal_relevance_search()
        if search_type == "similarity_score_threshold":
            self._select_relevance_score_fn()
        check("search_type", search_type, search_type == "similarity", '"similarity"')
        kwargs = checked_kwargs(search_kwargs, ("k", "filter"))
        if "k" in kwargs:
            kwargs["k"] = whole_number("k", kwargs["k"], 1)
        return super().as_retriever(
            search_type=search_type, search_kwargs=kwargs, name=name, tags=tags, metadata=metadata
        )

    def max_marginal_relevance_search(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: there is no one vector of a document.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(_NO_MMR)

    def similarity_search_by_vector(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: there is no one vector of a question.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError("a question has one vector for each token: pass its text to similarity_search")

    def max_marginal_relevance_search_by_vector(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: there is no one vector of a document.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(_NO_MMR)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        """Refuse: MaxSim grows with the words of the question, and has no range from 0 to 1."""
        raise ConfigError(
            "MaxSim has no fixed range, so there are no relevance scores from 0 to 1: use similarity_search_with_score"
        )
