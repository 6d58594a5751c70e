"""Tables in Markdown, by themselves or between two markers of a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from fgr_retriever.errors import InputError


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table whose first column is text and whose other columns are numbers.

    Args:
        heads: Heads of the columns.
        rows: Rows with as many cells each.
    """
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in cells)} |" for cells in lines)


def replace_between(path: Path, name: str, text: str) -> None:
    """Replace the text between `<!-- name -->` and `<!-- /name -->` in a page.

    Raises:
        InputError: The page does not have each marker once.
        OSError: The page cannot be read or written.
    """
    page = path.read_text(encoding="utf-8")
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    if page.count(first) != 1 or page.count(last) != 1 or page.index(first) > page.index(last):
        raise InputError(f"{path}: must have {first} and, after it, {last} once each")
    head, _, rest = page.partition(first)
    path.write_text(f"{head}{first}\n{text}\n{last}{rest.partition(last)[2]}", encoding="utf-8")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
