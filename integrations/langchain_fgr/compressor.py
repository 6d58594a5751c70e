"""A LangChain document compressor: trims what any retriever returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from pydantic import ConfigDict, Field, PrivateAttr

from fgr_retriever import Passage, TrimConfig, Trimmed
from fgr_retriever.adapters import TrimmerFields, trimmed_items
from fgr_retriever.errors import InputError
from langchain_fgr.documents import only_documents, to_passage, trimmed_document
from langchain_fgr.reports import asend_report, send_report


class FGRCompressor(TrimmerFields, BaseDocumentCompressor):
    """Trims documents to their evidence for the query, verbatim.

    Order, ids and metadata stay; `fgr_score`, `fgr_kept` and `fgr_spans` are added to the metadata (see
    `FGRRetriever`). A document of which nothing is kept is left out. Documents are never changed in
    place and never joined. Every call sends its trust report to the callbacks, as the custom event
    `fgr_report`.

    With `top_n`, documents are also ranked by MaxSim, and only the best `top_n` are trimmed and
    returned. You can use this as a second stage over any vector store.

    Raises:
        InputError: There is no such field; the message names the nearest one. Or there are both an
            `encoder` and a `model`.
        ConfigError: A value is of the wrong type or out of range, or `trim` is None.
        CheckpointError: The `model` cannot be opened.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", validate_assignment=True)

    trim: TrimConfig = TrimConfig()
    """How documents are trimmed: a `TrimConfig` or a dict of its fields."""
    max_tokens: int | None = Field(default=None, ge=0, strict=True)
    """Hard limit of tokens for all documents together, in place of that of `trim`; None takes that of `trim`."""
    top_n: int | None = Field(default=None, ge=1, strict=True)
    """How many documents to return, ranked by MaxSim; None keeps all in their order."""
    encoder: Any = Field(default=None, exclude=True, repr=False)
    """The model, a `TokenEncoder`; None takes the one that `model` names."""
    model: str | Path | None = None
    """Folder or hub id of a ColBERT checkpoint; None takes the embedded model, loaded on first use."""
    count_tokens: Callable[[str], int] | None = Field(default=None, exclude=True, repr=False)
    """What counts the tokens of the budget; None takes the tokenizer of `trim`."""

    _opened: Any = PrivateAttr(default=None)

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Trim documents.

        Args:
            documents: What any retriever returned.
            query: The question, not blank.
            callbacks: Get the trust report, as the custom event `fgr_report`.

        Raises:
            InputError: The query is blank, or `documents` are no list of documents.
        """
        passages = _passages(documents, query)
        if not passages:
            return []
        context = self._trimmer().context(query, passages, max_tokens=self.max_tokens, top_n=self.top_n)
        send_report(context, callbacks)
        return _kept(trimmed_items(documents, passages, context))

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Trim documents; see `compress_documents`."""
        passages = _passages(documents, query)
        if not passages:
            return []
        context = await self._trimmer().acontext(query, passages, max_tokens=self.max_tokens, top_n=self.top_n)
        await asend_report(context, callbacks)
        return _kept(trimmed_items(documents, passages, context))

    def as_runnable(self) -> Runnable[dict[str, Any], list[Document]]:
        """Make a runnable that takes `{"documents": [...], "query": "..."}`, for use with `|`."""

        def trim(given: dict[str, Any], config: RunnableConfig) -> list[Document]:
            return self.compress_documents(*_given(given), config.get("callbacks"))

        async def atrim(given: dict[str, Any], config: RunnableConfig) -> list[Document]:
            return await self.acompress_documents(*_given(given), config.get("callbacks"))

        return RunnableLambda(trim, afunc=atrim, name=type(self).__name__)


def _passages(documents: Sequence[Document], query: str) -> list[Passage]:
    """Make the passages of documents.

    Raises:
        InputError: They are no list of documents, or the arguments are swapped.
    """
    if isinstance(documents, str) or not isinstance(documents, Sequence):
        swapped = isinstance(documents, str) and not isinstance(query, str)
        advice = "the documents come first, then the query" if swapped else "put one document into a list"
        raise InputError(f"documents {documents!r:.200}: must be a list of documents; {advice}")
    return [to_passage(document) for document in only_documents(documents)]


def _given(given: Any) -> tuple[Sequence[Document], str]:
    """Take documents and query out of what a runnable was given.

    Raises:
        InputError: A key is missing.
    """
    if not isinstance(given, Mapping) or not {"documents", "query"} <= given.keys():
        found = f"the keys {', '.join(map(repr, given))}" if isinstance(given, Mapping) else type(given).__name__
        raise InputError(f'the input must be {{"documents": [...], "query": "..."}}, got {found:.200}')
    return given["documents"], given["query"]


def _kept(pairs: Sequence[tuple[Document, Trimmed]]) -> list[Document]:
    """Put the trimmed texts into copies of the documents, leaving out the empty ones."""
    return [trimmed_document(document, trim) for document, trim in pairs if trim.text]
