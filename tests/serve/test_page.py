"""The page as a document: what it looks like is tested in a browser."""

import re
from importlib import resources

STATIC = resources.files("fgr_retriever") / "serve" / "static"


def test_hits_come_before_the_settings():
    """In the document, for who reads it aloud or moves by Tab, and on a narrow screen, for who sees it."""
    page, style = ((STATIC / name).read_text(encoding="utf-8") for name in ("index.html", "app.css"))
    assert page.index('id="results"') < page.index('id="trim"') < page.index("</main>")
    assert re.search(r"max-width: 60rem\).*?grid-template-areas: \"results\" \"aside\"", style, re.DOTALL)
