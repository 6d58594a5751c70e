"""Office files to text: documents (.docx), slides (.pptx), sheets (.xlsx). Pictures, charts and layout are not kept."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple
from xml.parsers import expat
from zipfile import ZipFile

from fgr_retriever.cli.reading.html import html_text, markdown_row, rule_below
from fgr_retriever.errors import FgrError, InputError, MissingExtraError

_MOST_BYTES = 256 * 2**20  # of all parts
# Of those with XML, which takes up to 43 (.docx), 28 (.xlsx) and 16 times as much in memory when it is read.
_MOST_XML, _MOST_DOCUMENT_XML = 64 * 2**20, 32 * 2**20
_MOST_ROWS = 2**20  # as in Excel: a file of 1 KB can name a cell a billion rows down
_MOST_CELLS = 20_000_000  # of a workbook, with the empty ones
_CHUNK = 2**16
_STYLES = "p[style-name='Title'] => h1:fresh\np[style-name='Subtitle'] => p:fresh"


class Row(NamedTuple):
    """A row of a sheet.

    Args:
        sheet: Name of the sheet.
        number: Its number there, from 1.
        text: Lines of `column: value`, and a blank line; without names of columns, a row as in Markdown.
    """

    sheet: str
    number: int
    text: str


def document_text(path: Path, name: str) -> str:
    """Take the text of a document: headings as in Markdown, list items, tables whose first row is their header, notes.

    Raises:
        MissingExtraError: mammoth is not installed.
        InputError: It cannot be read, needs a password, or is made to unpack to very much.
    """
    with _needs(name):
        import mammoth
    with _opened(path, name, _MOST_DOCUMENT_XML) as file:
        no_picture = mammoth.images.img_element(lambda image: {})
        return html_text(mammoth.convert_to_html(file, style_map=_STYLES, convert_image=no_picture).value, data=True)


def slide_texts(path: Path, name: str) -> Iterator[str]:
    """Give the text of each slide: its title as a heading, text, tables, and the speaker's notes.

    Raises:
        MissingExtraError: python-pptx is not installed.
        InputError: It cannot be read, needs a password, or is made to unpack to very much.
    """
    with _needs(name):
        from pptx import Presentation
    with _opened(path, name) as file:
        for slide in Presentation(file).slides:
            title = slide.shapes.title
            parts = [] if title is None else [f"# {_line(title.text_frame.text)}".rstrip("# ")]
            parts += [
                text for one in slide.shapes if title is None or one.shape_id != title.shape_id for text in _of(one)
            ]
            if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame):
                parts.append(_lines(notes))
            yield "\n\n".join(filter(None, parts)) + "\n"


def sheet_rows(path: Path, name: str) -> Iterator[Row]:
    """Give the rows of all sheets. Names of columns are the first row of several cells, if all are different texts.

    Raises:
        MissingExtraError: openpyxl is not installed.
        InputError: It cannot be read, needs a password, or is made to unpack to very much.
    """
    with _needs(name):
        from openpyxl import load_workbook
    with _opened(path, name) as file:
        read = 0
        for sheet in load_workbook(file, read_only=True, data_only=True).worksheets:
            sheet.reset_dimensions()  # some writers give wrong ones
            columns: list[str] | None = None
            for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
                read += len(values)
                if number > _MOST_ROWS or read > _MOST_CELLS:
                    raise InputError(
                        f"{name}: has more than {_MOST_ROWS:,} rows in {sheet.title!r}, or {_MOST_CELLS:,} cells in "
                        "all: save its sheets as CSV, and index that"
                    )
                cells = [_cell(value) for value in values]
                filled = [one for one in cells if one]
                if columns is None and len(filled) > 1:
                    named = all(isinstance(value, str) for value in values if value is not None)
                    columns = cells if named and len(set(filled)) == len(filled) else []
                    if columns:
                        continue
                if filled:
                    yield Row(sheet.title, number, _record(columns or [], cells))


@contextmanager
def _needs(name: str) -> Iterator[None]:
    """Say which extra brings a reader that is missing."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(f"reading {name}", "office") from error


@contextmanager
def _opened(path: Path, name: str, most_xml: int = _MOST_XML) -> Iterator[IO[bytes]]:
    """Open a file, look at what it unpacks to, and turn what the readers raise for a damaged one into our error."""
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is not read anyway, such as drop-down lists
        try:
            _check_parts(file, name, most_xml)
            yield file
        except (FgrError, MemoryError):
            raise
        # Whatever part is missing or wrong: KeyError, AttributeError, ExpatError, RecursionError, zlib.error and more.
        except Exception as error:
            raise InputError(
                f"{name}: not an Office file that can be read ({type(error).__name__}: {error}): it is damaged, of an "
                "older format or needs a password; save it again without one, or as PDF, HTML or text"
            ) from error


def _check_parts(file: IO[bytes], name: str, most_xml: int) -> None:
    """Refuse what would take very much memory: many bytes (zipfile unpacks no more than announced), or entities.

    Raises:
        InputError: It is such a file.
    """
    with ZipFile(file) as archive:
        parts = archive.infolist()
        _check_size(sum(part.file_size for part in parts), _MOST_BYTES, "", name)
        xml = 0
        for part in parts:
            with archive.open(part) as content:
                first = _first_in_xml(content)
            if first == "type":
                raise InputError(f"{name}: {part.filename} has a document type, as no Office file has: not read")
            xml += part.file_size if first == "element" else 0
        _check_size(xml, most_xml, " of XML", name)
    file.seek(0)


def _check_size(size: int, most: int, what: str, name: str) -> None:
    if size > most:
        raise InputError(
            f"{name}: unpacks to {size / 2**20:,.0f} MiB{what}, and at most {most / 2**20:,.0f} are read: save it in "
            "parts, or as PDF, HTML, CSV or text"
        )


def _first_in_xml(content: IO[bytes]) -> Literal["type", "element"] | None:
    """Say what comes first in XML: a document type, where entities are defined, or an element; None if it is no XML."""
    met: list[Literal["type", "element"]] = []
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = lambda *_: met.append("type")
    parser.StartElementHandler = lambda *_: met.append("element")
    try:
        while not met and (chunk := content.read(_CHUNK)):
            parser.Parse(chunk)
    except expat.ExpatError:
        pass  # a picture, or what its reader will refuse, unless an element came before
    return met[0] if met else None


def _of(shape: Any) -> Iterator[str]:
    """Give the texts of a shape on a slide, and of those grouped in it."""
    for one in getattr(shape, "shapes", ()):
        yield from _of(one)
    if getattr(shape, "has_table", False):
        rows = [[_line(cell.text) for cell in row.cells] for row in shape.table.rows]
        lines = [markdown_row(cells) for cells in rows]
        if shape.table.first_row and len(rows) > 1:
            lines.insert(1, rule_below(rows[0]))
        yield "\n".join(lines)
    elif shape.has_text_frame:
        yield _lines(shape.text_frame)


def _lines(frame: Any) -> str:
    """Write the paragraphs of a text frame, several as list items."""
    texts = [text for one in frame.paragraphs if (text := _line(one.text))]
    return "\n".join(f"- {text}" for text in texts) if len(texts) > 1 else "".join(texts)


def _line(text: str) -> str:
    return " ".join(text.split())


def _record(columns: list[str], cells: list[str]) -> str:
    """Write a row: lines of `column: value` if the columns have names, else one line."""
    if not columns:
        return (markdown_row(cells) if sum(map(bool, cells)) > 1 else "".join(cells)) + "\n\n"
    lines = [f"{name}: {cell}" if name else cell for name, cell in zip_longest(columns, cells, fillvalue="") if cell]
    return "\n".join(lines) + "\n\n"


def _cell(value: Any) -> str:
    """Write the value of a cell on one line: numbers as Excel shows them, dates in ISO 8601."""
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, datetime.datetime) and value.time() == datetime.time.min:
        value = value.date()
    return "" if value is None else _line(str(value))
