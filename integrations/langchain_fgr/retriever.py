"""A LangChain retriever over an FGR index."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from pydantic import ConfigDict, Field, model_validator
from typing_extensions import Self

from fgr_retriever import Context, Engine, Passage, TrimConfig
from fgr_retriever.adapters import aretrieve_context, find_whole, open_engine, retrieve_context, with_text
from fgr_retriever.errors import ConfigError
from langchain_fgr.documents import from_passage, text_documents, trimmed_document
from langchain_fgr.reports import asend_report, send_report
from langchain_fgr.storage import DocumentStorage

if TYPE_CHECKING:
    from fgr_retriever.model.tokens import TokenEncoder

_SEARCH_KWARGS = ("k", "filter", "max_tokens")


class FGRRetriever(DocumentStorage, BaseRetriever):
    """Finds documents by late interaction and returns them trimmed to their evidence.

    Every returned document has the id and the metadata of the stored one, and the trimmed text as
    `page_content`. Its metadata also has `fgr_score`, `fgr_kept` and `fgr_spans` (`[start, end,
    score]`, character ranges of the whole text). If the metadata has an integer `start_index`,
    `fgr_source_spans` has the same ranges in the source document.

    `invoke`, `ainvoke`, `batch` and `abatch` take `k`, `filter` and `max_tokens` for one call.
    Every call sends its trust report to the callbacks, as the custom event `fgr_report`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    engine: Engine = Field(exclude=True, repr=False)
    """The open index."""
    k: int = Field(default=5, ge=1)
    """How many documents to return."""
    filter: dict[str, Any] | None = None
    """Which documents count, by their metadata: `{"year": {"$gte": 1900}}`."""
    search_kwargs: dict[str, Any] = Field(default_factory=dict, exclude=True, repr=False)
    """`k`, `filter` and `max_tokens`, as LangChain's vector store retrievers take them: they replace
    the fields, and this one is empty afterwards."""
    trim: TrimConfig | None = TrimConfig()
    """How documents are trimmed; None gives whole documents, with nothing added to their metadata. These are the
    same for every question, as everything needs that joins the results of several questions or retrievers."""
    count_tokens: Callable[[str], int] | None = Field(default=None, exclude=True, repr=False)
    """What counts the tokens of the budget; None takes the tokenizer of `trim`."""
    full_text: bool = False
    """Put the whole text into the metadata as `fgr_text`."""

    @model_validator(mode="after")
    def _take_search_kwargs(self) -> Self:
        """Put `search_kwargs` into the fields, so that these alone say how to search."""
        asked, self.search_kwargs = self.search_kwargs, {}
        if unknown := asked.keys() - set(_SEARCH_KWARGS):
            raise ConfigError(f"search_kwargs: unknown {sorted(unknown)}; use {', '.join(_SEARCH_KWARGS)}")
        self.k = asked.get("k", self.k)
        self.filter = asked.get("filter", self.filter)
        self.trim = _budgeted(self.trim, asked.get("max_tokens"))
        return self

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        *,
        encoder: TokenEncoder | None = None,
        path: str | Path | None = None,
        **fields: Any,
    ) -> Self:
        """Index documents and make a retriever for them.

        Args:
            documents: The documents to index. One without an id gets a hash of its text and metadata.
            encoder: The model; None uses the embedded one.
            path: The folder of the index. If it already has an index, the documents are added to it.
                None uses a temporary folder that lives as long as the retriever.
            **fields: Fields of the retriever: `k`, `filter`, `trim`, ...

        Raises:
            InputError: A document cannot be stored, or an id occurs twice.
            ModelMismatchError: The index in `path` was built with another model.
        """
        retriever = cls(engine=open_engine(path, encoder), **fields)
        retriever.add_documents(documents)
        return retriever

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        metadatas: Sequence[dict[str, Any]] | None = None,
        ids: Sequence[str] | None = None,
        **options: Any,
    ) -> Self:
        """Index texts and make a retriever for them.

        Args:
            texts: The texts to index.
            metadatas: The metadata of each text.
            ids: The id of each text; None uses a hash of text and metadata.
            **options: Options of `from_documents` and fields of the retriever.

        Raises:
            InputError: The number of metadatas or ids is not the number of texts, or see
                `from_documents`.
        """
        return cls.from_documents(text_documents(texts, metadatas, ids), **options)

    @classmethod
    def from_index(cls, path: str | Path, *, encoder: TokenEncoder | None = None, **fields: Any) -> Self:
        """Make a retriever for an existing index, whatever program wrote it.

        Args:
            path: The folder of the index.
            encoder: The model with which it was built; None uses the embedded one.
            **fields: Fields of the retriever.

        Raises:
            IndexNotFoundError: There is no index.
            ModelMismatchError: The index was built with another model.
        """
        return cls(engine=open_engine(path, encoder, create=False), **fields)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: dict[str, Any] | None = None,
        max_tokens: int | None = None,
    ) -> list[Document]:
        """Retrieve documents; None uses the value of the field."""
        options = self._options(k, filter, max_tokens)
        if options["trim"] is None:
            return _whole(find_whole(self.engine, query, **options))
        context = retrieve_context(self.engine, query, **options)
        send_report(context, run_manager.get_child())
        return self._documents(context)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: dict[str, Any] | None = None,
        max_tokens: int | None = None,
    ) -> list[Document]:
        """Retrieve documents; None uses the value of the field."""
        options = self._options(k, filter, max_tokens)
        if options["trim"] is None:
            return _whole(await asyncio.to_thread(find_whole, self.engine, query, **options))
        context = await aretrieve_context(self.engine, query, **options)
        await asend_report(context, run_manager.get_child())
        return self._documents(context)

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        """Name index and model for tracing."""
        params = super()._get_ls_params(**kwargs)
        params["ls_vector_store_provider"] = "fgr-retriever"
        params["ls_embedding_provider"] = "fgr-retriever"
        params["ls_embedding_model"] = self.engine.info().model
        return params

    def _options(self, k: int | None, filter: dict[str, Any] | None, max_tokens: int | None) -> dict[str, Any]:
        """Join the fields with what one call asks for."""
        asked = {
            "k": self.k if k is None else k,
            "filter": self.filter if filter is None else filter,
            "trim": _budgeted(self.trim, max_tokens),
        }
        return asked if self.trim is None else {**asked, "count_tokens": self.count_tokens}

    def _documents(self, context: Context) -> list[Document]:
        """Turn what was found into documents."""
        documents = []
        for hit, trimmed in with_text(context):
            document = trimmed_document(from_passage(hit.passage), trimmed)
            if self.full_text:
                document.metadata["fgr_text"] = hit.passage.text
            documents.append(document)
        return documents


def _budgeted(trim: TrimConfig | None, max_tokens: int | None) -> TrimConfig | None:
    """Give the trimming a budget, if one is asked for.

    Raises:
        ConfigError: Nothing is trimmed.
    """
    if max_tokens is None:
        return trim
    if trim is None:
        raise ConfigError(
            f"max_tokens={max_tokens} with trim=None: whole documents have no budget; trim them afterwards"
        )
    return replace(trim, max_tokens=max_tokens)


def _whole(found: list[tuple[Passage, float]]) -> list[Document]:
    return [from_passage(passage) for passage, _ in found]
