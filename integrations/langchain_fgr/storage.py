"""What the retriever and the vector store both do with the documents of an index: add, fetch, delete."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from fgr_retriever.adapters.names import takes
from fgr_retriever.errors import InputError
from langchain_fgr.documents import for_each, from_passage, only_documents, text_documents, to_passages

if TYPE_CHECKING:
    from fgr_retriever import Engine


class DocumentStorage:
    """The documents of an index.

    Attributes:
        engine: The open index.
    """

    engine: Engine

    @takes()
    def add_documents(
        self,
        documents: Iterable[Document],
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        delete_missing: bool = False,
        show_progress: bool = False,
    ) -> list[str]:
        """Index documents: all of them or, if there is an error, none.

        A document replaces the stored one that has the same id. One that is stored with the same text is
        not encoded again, so you can add all documents every day. `engine.last_added` says how many were
        added, updated and unchanged.

        Args:
            documents: Read once. One without an id gets a hash of its text and metadata. Equal documents
                without an id are stored once.
            ids: The id of each document, in place of its own; None leaves it as it is.
            batch_size: LangChain's indexing passes it. Nothing depends on it: every call is one transaction.
            delete_missing: Also delete, in the same transaction, every stored document that is not among these.
                Without documents this is refused: to empty the index, use `delete`.
            show_progress: Show a progress bar on stderr.

        Returns:
            The id of each document, in the same order.

        Raises:
            InputError: A document cannot be stored, an id occurs twice, or there are not as many ids as
                documents.
            IndexLockedError: Another process or engine is writing.
        """
        found: list[str] = []
        passages = to_passages(_with_ids(documents, ids), found)
        gone = self.engine.ids() if delete_missing else ()
        self.engine.add(passages, replacing=gone, show_progress=show_progress)
        return found

    @takes()
    async def aadd_documents(
        self,
        documents: Iterable[Document],
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        delete_missing: bool = False,
        show_progress: bool = False,
    ) -> list[str]:
        """Index documents, in a worker thread; see `add_documents`."""
        return await asyncio.to_thread(
            self.add_documents, documents, ids=ids, delete_missing=delete_missing, show_progress=show_progress
        )

    @takes()
    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[dict[str, Any] | None] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        show_progress: bool = False,
    ) -> list[str]:
        """Index texts: all of them or, if there is an error, none; see `add_documents`.

        Args:
            texts: The texts.
            metadatas: The metadata of each text.
            ids: The id of each text; None uses a hash of text and metadata.
            batch_size: As in `add_documents`.
            show_progress: Show a progress bar on stderr.

        Returns:
            The id of each text, in the same order.

        Raises:
            InputError: A text cannot be stored, an id occurs twice, or the numbers of texts, metadatas and ids differ.
            IndexLockedError: Another process or engine is writing.
        """
        return self.add_documents(text_documents(texts, metadatas, ids), show_progress=show_progress)

    @takes()
    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: Sequence[dict[str, Any] | None] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        batch_size: int | None = None,
        show_progress: bool = False,
    ) -> list[str]:
        """Index texts, in a worker thread; see `add_texts`."""
        return await asyncio.to_thread(self.add_texts, texts, metadatas, ids=ids, show_progress=show_progress)

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Fetch whole documents, in the order of the ids; unknown ids are left out.

        Raises:
            InputError: An id is not a string.
        """
        return [from_passage(passage) for passage in self.engine.get(ids)]

    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Fetch whole documents; see `get_by_ids`."""
        return [from_passage(passage) for passage in await self.engine.aget(ids)]

    def delete(self, ids: list[str] | None = None) -> bool:
        """Delete documents; unknown ids are ignored.

        Args:
            ids: Their ids. To delete all documents, pass `engine.ids()`.

        Returns:
            True.

        Raises:
            InputError: There are no ids, or an id is not a string.
            IndexLockedError: Another process or engine is writing.
        """
        if ids is None:
            raise InputError("delete needs ids: pass a list, or engine.ids() to delete all documents")
        self.engine.delete(ids)
        return True

    async def adelete(self, ids: list[str] | None = None) -> bool:
        """Delete documents; see `delete`."""
        return await asyncio.to_thread(self.delete, ids)


def _with_ids(documents: Iterable[Document], ids: Sequence[str | None] | None) -> Iterable[Document]:
    """Give documents their ids, in copies.

    Raises:
        InputError: The numbers differ, or there is something else than documents and strings.
    """
    if ids is None:
        return documents
    listed = list(only_documents(documents))
    return [
        document if id is None else document.model_copy(update={"id": id})
        for document, id in zip(listed, for_each("ids", ids, str, len(listed), "documents"), strict=True)
    ]
