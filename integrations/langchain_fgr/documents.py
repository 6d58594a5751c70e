"""Convert LangChain documents to passages and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, TypeVar

from langchain_core.documents import Document

from fgr_retriever import Passage, Trimmed
from fgr_retriever.adapters import RESERVED_KEY, result_of, source_start
from fgr_retriever.errors import InputError

_T = TypeVar("_T")


def to_passage(document: Document) -> Passage:
    """Make the passage of a document; without an id it gets a hash of its text and metadata."""
    return Passage(document.id or _content_id(document), document.page_content, document.metadata)


def to_passages(documents: Iterable[Document], ids: list[str]) -> Iterator[Passage]:
    """Turn documents into passages, appending the id of each document to `ids`.

    Documents without an id that are equal have the same id; only the first becomes a passage.

    Raises:
        InputError: They are no documents; see `only_documents`.
    """
    without_id: set[str] = set()
    for document in only_documents(documents):
        passage = to_passage(document)
        ids.append(passage.id)
        if document.id is None:
            if passage.id in without_id:
                continue
            without_id.add(passage.id)
        yield passage


def only_documents(documents: Iterable[Document]) -> Iterator[Document]:
    """Pass documents on, one by one; what is no iterable of them at all is refused at once.

    Raises:
        InputError: One is no document, or all together are one, a string or no iterable.
    """
    if isinstance(documents, Document):
        raise InputError(f"{documents!r:.200}: must be an iterable of documents; put it into a list")
    if isinstance(documents, (str, PathLike, Mapping)) or not isinstance(documents, Iterable):
        raise InputError(
            f"documents={documents!r:.200}: must be an iterable of documents; Document(page_content=...) makes one of "
            "a text, a document loader those of files, and the folder of an index is `path`"
        )
    return map(_checked, documents)


def text_documents(
    texts: Iterable[str],
    metadatas: Sequence[dict[str, Any] | None] | None,
    ids: Sequence[str | None] | None,
) -> list[Document]:
    """Make documents of texts, with one of the metadatas and one of the ids for each, if there are any.

    Raises:
        InputError: The texts are no strings, the metadatas no dicts or the ids no strings, or their numbers differ.
    """
    if isinstance(texts, (str, Document)) or not isinstance(texts, Iterable):
        raise InputError(f"texts={texts!r:.200}: must be an iterable of strings; put one text into a list")
    listed = list(texts)
    for text in listed:
        if not isinstance(text, str):
            raise InputError(f"text {text!r:.200}: must be a string; documents go to add_documents or from_documents")
    named = for_each("ids", ids, str, len(listed), "texts")
    described = for_each("metadatas", metadatas, Mapping, len(listed), "texts")
    return [
        Document(text, metadata=dict(metadata or {}), id=id)
        for text, metadata, id in zip(listed, described, named, strict=True)
    ]


def for_each(name: str, given: Sequence[_T | None] | None, kind: type, count: int, what: str) -> Sequence[_T | None]:
    """Take a list with one value for each of some things; None is none for all.

    Args:
        name: Name of the list.
        given: The list.
        kind: What each value is, unless it is None.
        count: How many there are of the things.
        what: What the things are.

    Raises:
        InputError: It is no list, the numbers differ, or a value is something else.
    """
    if given is None:
        return [None] * count
    wanted = f"must be a list with one for each of the {count} {what}"
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise InputError(f"{name}={given!r:.200}: {wanted}")
    if len(given) != count:
        raise InputError(f"{len(given)} {name} for {count} {what}: {wanted}")
    for value in given:
        if value is not None and not isinstance(value, kind):
            raise InputError(
                f"{name} has {value!r:.200}: must be {'a dict' if kind is Mapping else 'a string'} or None"
            )
    return given


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


def _checked(document: object) -> Document:
    if not isinstance(document, Document):
        raise InputError(f"{document!r:.200}: must be a Document; Document(page_content=...) makes one")
    return document


def _content_id(document: Document) -> str:
    """Hash text and metadata; the same content always has the same id."""
    # `default=repr` lets a value through that JSON does not know: the index refuses it by name.
    content = json.dumps([document.page_content, document.metadata], sort_keys=True, default=repr)
    return hashlib.sha256(content.encode()).hexdigest()[:32]
