"""Convert LangChain documents to passages and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from langchain_core.documents import Document

from fgr_retriever import Passage, Trimmed
from fgr_retriever.adapters import RESERVED_KEY, result_of, source_start
from fgr_retriever.errors import InputError


def to_passage(document: Document) -> Passage:
    """Make the passage of a document; without an id it gets a hash of its text and metadata."""
    return Passage(document.id or _content_id(document), document.page_content, document.metadata)


def to_passages(documents: Iterable[Document], ids: list[str]) -> Iterator[Passage]:
    """Turn documents into passages, appending the id of each document to `ids`.

    Documents without an id that are equal have the same id; only the first becomes a passage.

    Raises:
        InputError: One is no document.
    """
    if isinstance(documents, Document):
        raise InputError(f"{documents!r:.200}: must be an iterable of documents; put it into a list")
    without_id: set[str] = set()
    for document in documents:
        if not isinstance(document, Document):
            raise InputError(f"{document!r:.200}: must be a Document; Document(page_content=...) makes one")
        passage = to_passage(document)
        ids.append(passage.id)
        if document.id is None:
            if passage.id in without_id:
                continue
            without_id.add(passage.id)
        yield passage


def text_documents(
    texts: Iterable[str], metadatas: Sequence[dict[str, Any]] | None, ids: Sequence[str] | None
) -> list[Document]:
    """Make documents of texts, with one of the metadatas and one of the ids for each, if there are any.

    Raises:
        InputError: The numbers differ.
    """
    listed = list(texts)
    for name, given in (("metadatas", metadatas), ("ids", ids)):
        if given is not None and len(given) != len(listed):
            raise InputError(f"{len(given)} {name} for {len(listed)} texts: give one for each text")
    return [
        Document(text, metadata=metadatas[at] if metadatas else {}, id=ids[at] if ids else None)
        for at, text in enumerate(listed)
    ]


def trimmed_document(document: Document, trimmed: Trimmed) -> Document:
    """Copy a document with its trimmed text; `start_index` says where it begins in its source."""
    passage = Passage(document.id or "", document.page_content, document.metadata)
    text, metadata = result_of(passage, trimmed)
    update: dict[str, Any] = {"page_content": text, "metadata": metadata}
    if hasattr(document, "state"):  # LangChain's filters keep the vector of the whole text there
        update["state"] = {}
    return document.model_copy(update=update)


def from_passage(passage: Passage) -> Document:
    """Make the document of a whole passage, also if another framework stored the passage."""
    metadata = dict(passage.metadata)
    start = source_start(passage)
    if metadata.pop(RESERVED_KEY, None) is not None and start is not None:
        metadata.setdefault("start_index", start)
    return Document(id=passage.id, page_content=passage.text, metadata=metadata)


def _content_id(document: Document) -> str:
    """Hash text and metadata; the same content always has the same id."""
    # `default=repr` lets a value through that JSON does not know: the index refuses it by name.
    content = json.dumps([document.page_content, document.metadata], sort_keys=True, default=repr)
    return hashlib.sha256(content.encode()).hexdigest()[:32]
