"""Documents to text: Jupyter notebooks and PDF. What is kept is text; pictures and layout are not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from fgr_retriever.errors import InputError, MissingExtraError


def notebook_text(content: str, name: str) -> str:
    """Take the cells of a Jupyter notebook, Markdown as it is and code in fences, without outputs.

    Raises:
        InputError: It is no notebook.
    """
    try:
        cells = json.loads(content)["cells"]
        found = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{name}: not a Jupyter notebook: {error!r}") from error
    return "\n\n".join(f"```\n{text}\n```" if kind == "code" else text for kind, text in found if text.strip())


def pdf_pages(path: Path, name: str) -> Iterator[str]:
    """Give the text of each page of a PDF file.

    Raises:
        MissingExtraError: pypdf is not installed.
        InputError: It cannot be read, or needs a password.
    """
    try:
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError
    except ImportError as error:
        raise MissingExtraError(f"reading {name}", "pdf") from error
    try:
        for page in PdfReader(path).pages:
            yield page.extract_text()
    except (PyPdfError, ValueError, KeyError, TypeError) as error:  # what it raises for damaged files
        raise InputError(f"{name}: not a PDF file that can be read: {error}") from error
