"""What is in the files, in bounded memory for lines and records.

=============================  =====================================================================
`.jsonl`, `.csv` ...           one record, one passage; what is neither id nor text becomes metadata; where the
                               first has no field for the text, lines of `field: value`
`.json`                        the same, if it is an array of objects, else text
`.html`, `.ipynb`, `.docx`     their text, then as below
`.pdf`, `.pptx`                the same, each page or slide by itself, with its number
`.xlsx`                        one row of a sheet, one passage
everything else                text: cut at blank lines into passages of about as many characters as
                               asked for; see `cut`
=============================  =====================================================================

Every passage has the metadata `source`, the name of its file. Where a record has a `source` of its own, the name is
under `fgr_file` (see `fgr_retriever.index.sources`).
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fgr_retriever.cli.reading.cut import Cutter
from fgr_retriever.cli.reading.documents import notebook_text, pdf_pages
from fgr_retriever.cli.reading.excluding import or_excluded
from fgr_retriever.cli.reading.html import html_text
from fgr_retriever.cli.reading.office import document_text, sheet_rows, slide_texts
from fgr_retriever.cli.reading.records import Fields, Record, read_csv, read_json, read_jsonl
from fgr_retriever.errors import InputError
from fgr_retriever.types import Passage

if TYPE_CHECKING:
    from fgr_retriever.cli.reading.sources import Source

Format = Literal["auto", "text", "markdown", "html", "notebook", "pdf", "docx", "pptx", "xlsx", "jsonl", "json", "csv"]
STDIN = "-"
_TEXT = (".txt", ".rst", ".tex", ".org", ".log", ".vtt", ".srt")
_CODE = (
    *(
        ".py",
        ".js",
        ".ts",
        ".jsx",
        ".tsx",
        ".java",
        ".kt",
        ".go",
        ".rs",
        ".c",
        ".h",
        ".cc",
        ".cpp",
        ".hpp",
        ".cs",
        ".rb",
    ),
    *(
        ".php",
        ".swift",
        ".scala",
        ".sh",
        ".sql",
        ".r",
        ".lua",
        ".yaml",
        ".yml",
        ".toml",
        ".ini",
        ".cfg",
        ".xml",
        ".css",
    ),
)
KINDS: dict[str, Format] = {
    **dict.fromkeys((*_TEXT, *_CODE), "text"),
    **dict.fromkeys((".md", ".markdown"), "markdown"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    **dict.fromkeys((".csv", ".tsv"), "csv"),
    ".json": "json",
    ".ipynb": "notebook",
    ".pdf": "pdf",
    ".docx": "docx",
    ".pptx": "pptx",
    ".xlsx": "xlsx",
}
_NOT_READ = {".doc", ".ppt", ".xls", ".odt", ".odp", ".ods", ".epub"}
_RECORDS: dict[Format, Callable[[Iterable[str], str], Iterator[Record] | str]] = {
    "jsonl": read_jsonl,
    "json": read_json,
    "csv": read_csv,
}
_PAGES: dict[Format, Callable[[Path, str], Iterator[str]]] = {"pdf": pdf_pages, "pptx": slide_texts}
_WITH_HEADINGS: tuple[Format, ...] = ("markdown", "html", "notebook", "docx", "pptx")
_LONGEST_LINE = 65_536
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")  # what no text has; an escape colours logs
_MOST_CONTROL = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How files become passages.

    Args:
        format: What the files are; `auto` goes by their names, and what has no known name is text.
        fields: Which fields of records are what.
        passage_chars: About how many characters of a text make a passage.
    """

    format: Format = "auto"
    fields: Fields = Fields()  # noqa: RUF009 - immutable
    passage_chars: int = 1500

    def of(self, path: Path) -> Format:
        """Say what a file is.

        Raises:
            InputError: It is of a kind that is not read.
        """
        if self.format != "auto":
            return self.format
        ending = path.suffix.lower()
        if ending in _NOT_READ:
            raise InputError(f"{path}: {ending} files are not read: save it as PDF, HTML, text, .docx, .pptx or .xlsx")
        return KINDS.get(ending, "text")

    def has_records(self, path: Path) -> bool:
        """Say whether a file is one of records."""
        return self.of(path) in _RECORDS


def read_passages(
    sources: Iterable[Source], reading: Reading, as_lines: Callable[[str], object] = lambda name: None
) -> Iterator[Passage]:
    """Read the passages of files lazily.

    Args:
        sources: The files.
        reading: How they are read.
        as_lines: Called with the name of each file whose records have no field for the text.

    Raises:
        InputError: A file or record cannot be read so; the message names file and line.
        MissingExtraError: A PDF or Office file is to be read, and its reader is not installed.
        OSError: A file cannot be read.
    """
    for source in sources:
        with or_excluded(source.name) if source.in_folder else nullcontext():
            format = reading.of(source.path)
            if format in _RECORDS:
                yield from _records(source, format, reading, as_lines)
            else:
                yield from _texts(source, format, reading)


def _records(source: Source, format: Format, reading: Reading, as_lines: Callable[[str], object]) -> Iterator[Passage]:
    """Make passages of records, or of a text if it is JSON only by its name and has none."""
    from fgr_retriever.evaluation.text_files import read_lines

    name = str(source.path)
    with open_text(name) as lines:
        found = _RECORDS[format](lines, name)
        if not isinstance(found, str):
            yield from reading.fields.passages(found, source.name, as_lines)
        elif reading.format == "auto":
            pieces = read_lines(io.StringIO(found, newline=""), name, _LONGEST_LINE)
            yield from Cutter(source.name, reading.passage_chars).cut(_checked(pieces, name))
        else:
            raise InputError(f"{name}: must be an array of objects; for other JSON use --format text")


def _texts(source: Source, format: Format, reading: Reading) -> Iterator[Passage]:
    """Make passages of the text of a file."""
    cutter = Cutter(source.name, reading.passage_chars, markdown=format in _WITH_HEADINGS)
    if format in _PAGES:
        for page, text in enumerate(_PAGES[format](source.path, source.name), start=1):
            yield from cutter.cut(_lines(text), page=page)
    elif format == "xlsx":
        yield from _rows(source, cutter)
    elif format == "docx":
        yield from cutter.cut(_lines(document_text(source.path, source.name)))
    else:
        with open_text(str(source.path), _LONGEST_LINE) as lines:
            if format == "html":
                lines = _lines(html_text("".join(lines)))
            elif format == "notebook":
                lines = _lines(notebook_text("".join(lines), source.name))
            yield from cutter.cut(_checked(lines, str(source.path)))


def _rows(source: Source, cutter: Cutter) -> Iterator[Passage]:
    """Make passages of the rows of a workbook; their places are those in the text of all rows."""
    start, line = 0, 1
    for row in sheet_rows(source.path, source.name):
        title = f"{source.name} > {row.sheet}"
        yield from cutter.cut(_lines(row.text), start, line, title=title, sheet=row.sheet, row=row.number)
        start, line = start + len(row.text), line + row.text.count("\n")


def _lines(text: str) -> Iterator[str]:
    """Give the lines of a text with their ends."""
    return iter(io.StringIO(text, newline=""))


@contextmanager
def open_text(name: str, longest: int = -1) -> Iterator[Iterator[str]]:
    """Open a UTF-8 file, or stdin for `-`, as lines with their ends as they are in the file.

    Args:
        name: The file.
        longest: A longer line comes in pieces of so many characters; -1 for whole lines.
    """
    from fgr_retriever.evaluation.text_files import read_lines

    if name == STDIN:
        stdin = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline="")
        try:
            yield read_lines(stdin, "stdin", longest)
        finally:
            stdin.detach()
    else:
        with Path(name).open(encoding="utf-8-sig", newline="") as file:
            yield read_lines(file, name, longest)


def _checked(lines: Iterable[str], name: str) -> Iterator[str]:
    """Give lines of text.

    Raises:
        InputError: They have control characters as a binary file has.
    """
    for line in lines:
        if len(_CONTROL.findall(line)) > _MOST_CONTROL * len(line):
            raise InputError(f"{name}: has control characters as a binary file has, and no text: leave it out")
        yield line
