"""The documents of an answer as numbered sources."""

from __future__ import annotations

from collections.abc import Iterable

from langchain_core.documents import Document

from fgr_retriever.agents.evidence import NumberedSources
from fgr_retriever.agents.results import numbered
from fgr_retriever.errors import InputError
from langchain_fgr.documents import to_passage


def numbered_sources(documents: Iterable[Document]) -> NumberedSources:
    """Number documents, so that `verify_citations` can check an answer that was made of them.

    The first document is source 1. Your prompt must number them so, too.

    Args:
        documents: What a retriever or compressor returned. The spans of a document are those in its metadata. If it
            has none, or its text was cut since, its text is one span, a range of itself.

    Raises:
        InputError: One is no document.
    """
    listed = [documents] if isinstance(documents, str) else list(documents)
    for document in listed:
        if not isinstance(document, Document):
            raise InputError(f"{document!r:.200}: must be a Document, as a retriever returned it")
    return numbered(map(to_passage, listed))
