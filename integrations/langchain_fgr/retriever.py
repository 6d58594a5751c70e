"""A LangChain retriever over an FGR index."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from pydantic import ConfigDict, Field
from typing_extensions import Self, Unpack

from fgr_retriever import Context, Passage, TrimConfig
from fgr_retriever.adapters import (
    NamedFields,
    OpenOptions,
    aretrieve_context,
    budgeted,
    find_whole,
    open_engine,
    retrieve_context,
    with_text,
)
from fgr_retriever.adapters.names import refuse_unknown, taken, takes
from langchain_fgr.documents import from_passage, only_documents, text_documents, trimmed_document
from langchain_fgr.options import RetrieverFields, RetrieverOptions, checked_kwargs
from langchain_fgr.reports import asend_report, send_report
from langchain_fgr.storage import DocumentStorage

if TYPE_CHECKING:
    from fgr_retriever import Engine
else:
    Engine = Any  # `NamedFields` checks it; its module loads torch, which an import of this one does not need

_SEARCH_KWARGS = ("k", "filter", "max_tokens")


class FGRRetriever(NamedFields, DocumentStorage, BaseRetriever):
    """Finds documents by late interaction and returns them trimmed to their evidence.

    Every returned document has the id and the metadata of the stored one, and the trimmed text as
    `page_content`. Its metadata also has `fgr_score`, `fgr_kept` and `fgr_spans` (`[start, end,
    score]`, character ranges of the whole text). If the metadata has an integer `start_index`,
    `fgr_source_spans` has the same ranges in the source document.

    `invoke`, `ainvoke`, `batch` and `abatch` take `k`, `filter` and `max_tokens` for one call, in place of
    the fields; `filter=None` means no filter. Every call sends its trust report to the callbacks, as the
    custom event `fgr_report`.

    Raises:
        InputError: There is no such field; the message names the nearest one. Or `engine` is no engine.
        ConfigError: A value is of the wrong type or out of range. Or there is a budget, but nothing is trimmed.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", validate_assignment=True)

    engine: Engine = Field(exclude=True, repr=False)
    """The open index."""
    k: int = Field(default=5, ge=1, strict=True)
    """How many documents to return."""
    filter: dict[str, Any] | None = None
    """Which documents count, by their metadata: `{"year": {"$gte": 1900}}`."""
    search_kwargs: dict[str, Any] = Field(default_factory=dict, exclude=True, repr=False)
    """`k`, `filter` and `max_tokens`, as LangChain's vector store retrievers take them: they replace
    the fields, and this one is empty afterwards."""
    trim: TrimConfig | None = TrimConfig()
    """How documents are trimmed: a `TrimConfig` or a dict of its fields. None gives whole documents, with nothing
    added to their metadata. These are the same for every question, as everything needs that joins the results of
    several questions or retrievers."""
    max_tokens: int | None = Field(default=None, exclude=True, repr=False)
    """Hard limit of tokens for all documents together. It replaces the limit of `trim`, also if it is assigned, and
    is None afterwards."""
    count_tokens: Callable[[str], int] | None = Field(default=None, exclude=True, repr=False)
    """What counts the tokens of the budget; None takes the tokenizer of `trim`."""
    full_text: bool = Field(default=False, strict=True)
    """Put the whole text into the metadata as `fgr_text`."""

    @classmethod
    def _prepared(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Put `search_kwargs` and `max_tokens` into the other fields, so that these alone say how to search."""
        asked = checked_kwargs(fields.get("search_kwargs"), _SEARCH_KWARGS)
        given = super()._prepared({**fields, **asked, "search_kwargs": {}})
        if (max_tokens := given.pop("max_tokens", None)) is not None:
            given["trim"] = budgeted(given.get("trim", TrimConfig()), max_tokens)
        return given

    def _assigned(self, name: str, value: Any) -> dict[str, Any]:
        if name == "max_tokens" and value is None and self.trim is not None:
            return {"trim": replace(self.trim, max_tokens=None)}
        return super()._assigned(name, value)

    @classmethod
    @takes(RetrieverOptions)
    def from_documents(
        cls,
        documents: Iterable[Document],
        *,
        path: str | Path | None = None,
        delete_missing: bool = False,
        show_progress: bool = False,
        **options: Unpack[RetrieverOptions],
    ) -> Self:
        """Index documents and make a retriever for them.

        Args:
            documents: The documents to index. One without an id gets a hash of its text and metadata.
            path: The folder of the index. If it already has an index, the documents are added to it.
                None uses a temporary folder that lives as long as the retriever.
            delete_missing: Also delete every stored document that is not among these; see `add_documents`.
            show_progress: Show a progress bar on stderr.
            **options: How the index is opened: `encoder` or `model` (a folder or hub id; by default the
                embedded model), `config`, `search` and `pipeline`, as in `Engine.open`. And the fields
                of the retriever: `k`, `filter`, `trim`, ...

        Raises:
            InputError: A document cannot be stored, or an id occurs twice. Or there is no such option, or
                both an `encoder` and a `model`.
            CheckpointError: The `model` cannot be opened.
            ModelMismatchError: The index in `path` was built with another model.
        """
        checked = only_documents(documents)  # before there is an index
        retriever = cls._over(path, True, options)
        retriever.add_documents(checked, delete_missing=delete_missing, show_progress=show_progress)
        return retriever

    @classmethod
    @takes(RetrieverOptions)
    def from_texts(
        cls,
        texts: Iterable[str],
        metadatas: Sequence[dict[str, Any]] | None = None,
        ids: Sequence[str] | None = None,
        *,
        path: str | Path | None = None,
        show_progress: bool = False,
        **options: Unpack[RetrieverOptions],
    ) -> Self:
        """Index texts and make a retriever for them.

        Args:
            texts: The texts to index.
            metadatas: The metadata of each text.
            ids: The id of each text; None uses a hash of text and metadata.
            path: The folder of the index; see `from_documents`.
            show_progress: Show a progress bar on stderr.
            **options: See `from_documents`.

        Raises:
            InputError: The number of metadatas or ids is not the number of texts, or see
                `from_documents`.
        """
        documents = text_documents(texts, metadatas, ids)
        return cls.from_documents(documents, path=path, show_progress=show_progress, **options)

    @classmethod
    @takes(RetrieverOptions)
    def from_index(cls, path: str | Path, **options: Unpack[RetrieverOptions]) -> Self:
        """Make a retriever for an existing index, whatever program wrote it.

        Args:
            path: The folder of the index.
            **options: See `from_documents`. The model must be the one with which the index was built.

        Raises:
            IndexNotFoundError: There is no index.
            ModelMismatchError: The index was built with another model.
            InputError: There is no such option, or there are both an `encoder` and a `model`.
            CheckpointError: The `model` cannot be opened.
        """
        return cls._over(path, False, options)

    @classmethod
    def _over(cls, path: str | Path | None, create: bool, options: Mapping[str, Any]) -> Self:
        """Open an index and make a retriever for it."""
        fields: Any = taken(options, RetrieverFields)
        return cls(engine=open_engine(path, create=create, **taken(options, OpenOptions)), **fields)

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: dict[str, Any] | EllipsisType | None = ...,
        max_tokens: int | None = None,
        **unknown: Any,
    ) -> list[Document]:
        """Retrieve documents; what is left out is as in the fields, and `filter=None` means none."""
        options = self._options(k, filter, max_tokens, unknown)
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
        filter: dict[str, Any] | EllipsisType | None = ...,
        max_tokens: int | None = None,
        **unknown: Any,
    ) -> list[Document]:
        """Retrieve documents; what is left out is as in the fields, and `filter=None` means none."""
        options = self._options(k, filter, max_tokens, unknown)
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

    def _options(
        self,
        k: int | None,
        filter: dict[str, Any] | EllipsisType | None,
        max_tokens: int | None,
        unknown: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Join the fields with what one call asks for.

        Raises:
            InputError: It asks for something that there is not.
        """
        refuse_unknown(f"{type(self).__name__}.invoke", unknown, _SEARCH_KWARGS)
        asked = {
            "k": self.k if k is None else k,
            "filter": self.filter if filter is ... else filter,
            "trim": budgeted(self.trim, max_tokens),
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


def _whole(found: list[tuple[Passage, float]]) -> list[Document]:
    return [from_passage(passage) for passage, _ in found]
