"""Convert LangChain documents to passages and back."""

from __future__ import annotations

import hashlib
import json

from langchain_core.documents import Document

from fgr_retriever import Passage, Trimmed
from fgr_retriever.adapters import RESERVED_KEY, result_metadata


def to_passage(document: Document) -> Passage:
    """Make the passage of a document; without an id it gets a hash of its text and metadata."""
    return Passage(document.id or _content_id(document), document.page_content, document.metadata)


def trimmed_document(document: Document, trimmed: Trimmed) -> Document:
    """Copy a document with its trimmed text; `start_index` says where it begins in its source."""
    metadata = result_metadata(document.metadata, trimmed, document.metadata.get("start_index"))
    return document.model_copy(update={"page_content": trimmed.text, "metadata": metadata})


def from_passage(passage: Passage) -> Document:
    """Make the document of a whole passage, also if another framework stored the passage."""
    metadata = dict(passage.metadata)
    stored = metadata.pop(RESERVED_KEY, None)
    if isinstance(stored, dict) and stored.get("source_start") is not None:
        metadata.setdefault("start_index", stored["source_start"])
    return Document(id=passage.id, page_content=passage.text, metadata=metadata)


def _content_id(document: Document) -> str:
    """Hash text and metadata; the same content always has the same id."""
    # `default=repr` lets a value through that JSON does not know: the index refuses it by name.
    content = json.dumps([document.page_content, document.metadata], sort_keys=True, default=repr)
    return hashlib.sha256(content.encode()).hexdigest()[:32]
