"""A sentence and the text that it cites, without a search."""

from fgr_retriever import verify_citations
from fgr_retriever.model.encoder import Encoder


def judged(sentence: str, text: str) -> tuple[bool | None, str]:
    """Say whether a text supports a sentence, as `verify_citations` sees it, and why not."""
    span = {"passage": "p", "start": 0, "end": len(text), "source_start": None, "source_end": None, "score": 1.0}
    source = {"number": 1, "title": "p", "also_in": [], "passages": [], "spans": [{**span, "text": text}]}
    (citation,) = verify_citations(f"{sentence} [1].", {"sources": [source]}, encoder=Encoder.default())
    return citation.supported, citation.reason
