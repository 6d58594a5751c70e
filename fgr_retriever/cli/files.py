"""Files to passages, in bounded memory.

=====================  ===========================================================================
`.jsonl`, `.csv`       one record, one passage; what is neither id nor text becomes metadata
everything else        text: cut at blank lines into passages of about as many characters as asked
                       for; id `path#n`, metadata `source` and `start_index` (the passage's first
                       character in the file)
=====================  ===========================================================================

A paragraph is cut, at a line end, only when it is four times as long as a passage should be.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fgr_retriever.errors import InputError
from fgr_retriever.types import Passage

Format = Literal["auto", "text", "jsonl", "csv"]
STDIN = "-"
_FORMATS: dict[str, Format] = {
    ".txt": "text",
    ".md": "text",
    ".markdown": "text",
    ".rst": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
}
_ID_FIELDS = ("id", "_id")
_LONGEST_LINE = 65_536
_LONGEST_PARAGRAPH = 4
_MAX_CELL = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How files become passages.

    Args:
        format: What the files are; `auto` goes by their names, and stdin is text.
        id_field: Field of a record with the passage's id; None takes `id` or `_id`, and numbers
            the records of a file that has neither.
        text_field: Field of a record with the passage's text.
        title_field: Field of a record whose value is put before the text, a blank line between.
        passage_chars: About how many characters of a text file make a passage.
    """

    format: Format = "auto"
    id_field: str | None = None
    text_field: str = "text"
    title_field: str | None = None
    passage_chars: int = 1500


def find_files(names: Sequence[str]) -> list[str]:
    """List the files that are meant; a folder stands for all files in it of a known kind.

    Raises:
        FileNotFoundError: A file is missing, or a folder has no such file.
    """
    found: list[str] = []
    for name in names:
        path = Path(name)
        if name == STDIN or path.is_file():
            found.append(name)
        elif not path.exists():
            raise FileNotFoundError(f"{name}: no such file or folder")
        else:
            inside = sorted(str(item) for item in path.rglob("*") if item.suffix.lower() in _FORMATS and item.is_file())
            if not inside:
                raise FileNotFoundError(f"{name}: no {', '.join(_FORMATS)} file in this folder")
            found += inside
    return found


def require_files(*paths: Path) -> None:
    """Check that files are there, before a model is loaded for them.

    Raises:
        FileNotFoundError: One is missing.
    """
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")


def read_passages(names: Iterable[str], reading: Reading) -> Iterator[Passage]:
    """Read the passages of files lazily.

    Raises:
        InputError: A file or record cannot be read so; the message names file and line.
        OSError: A file cannot be read.
    """
    for name in names:
        format = _FORMATS.get(Path(name).suffix.lower(), "text") if reading.format == "auto" else reading.format
        # A line of a text file may be huge and comes in pieces; a line of a record may not be cut.
        with open_text(name, _LONGEST_LINE if format == "text" else -1) as lines:
            if format == "text":
                yield from _cut(lines, name, reading.passage_chars)
            else:
                records = _jsonl(lines, name) if format == "jsonl" else _csv(lines, name)
                for number, (where, record) in enumerate(records, start=1):
                    yield _passage(record, reading, where, f"{name}#{number}")


@contextmanager
def open_text(name: str, longest: int = -1) -> Iterator[Iterator[str]]:
    """Open a UTF-8 file, or stdin for `-`, as lines with their ends as they are in the file."""
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


def _cut(lines: Iterable[str], name: str, passage_chars: int) -> Iterator[Passage]:
    """Put whole paragraphs together to passages of about `passage_chars` characters."""
    group, start, number = "", 0, 0

    def passage() -> Iterator[Passage]:
        nonlocal number
        if text := group.strip():
            number += 1
            first = start + len(group) - len(group.lstrip())
            yield Passage(id=f"{name}#{number}", text=text, metadata={"source": name, "start_index": first})

    for paragraph in _paragraphs(lines, passage_chars * _LONGEST_PARAGRAPH):
        if len(group) + len(paragraph.rstrip()) > passage_chars:
            yield from passage()
            start, group = start + len(group), ""
        group += paragraph
    yield from passage()


def _paragraphs(lines: Iterable[str], longest: int) -> Iterator[str]:
    """Cut lines into paragraphs, each with the blank lines after it; cut one that is too long."""
    held: list[str] = []
    size = 0
    for line in lines:
        follows_blank = bool(held) and not held[-1].strip()
        if held and ((follows_blank and line.strip()) or size + len(line) > longest):
            yield "".join(held)
            held, size = [], 0
        held.append(line)
        size += len(line)
    if held:
        yield "".join(held)


def _jsonl(lines: Iterable[str], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    from fgr_retriever.evaluation.text_files import parse_jsonl

    return parse_jsonl(lines, name)


def _csv(lines: Iterable[str], name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read CSV with a header line, as `parse_jsonl` reads JSON Lines."""
    csv.field_size_limit(_MAX_CELL)
    rows = csv.DictReader(lines, strict=True)
    try:
        for row in rows:
            if None in row or None in row.values():
                raise InputError(f"{name}:{rows.line_num}: has not as many cells as the header line")
            yield f"{name}:{rows.line_num}", dict(row)
    except csv.Error as error:
        raise InputError(f"{name}:{rows.line_num}: not valid CSV: {error}") from error


def _passage(record: dict[str, Any], reading: Reading, where: str, fallback_id: str) -> Passage:
    """Turn a record into a passage."""
    id_field = reading.id_field or next((field for field in _ID_FIELDS if field in record), None)
    id = fallback_id if id_field is None else _value(record, id_field, "--id-field", where)
    text = _value(record, reading.text_field, "--text-field", where)
    if not isinstance(text, str):
        raise InputError(f"{where}: {reading.text_field!r} must be a string, got {text!r:.80}")
    if reading.title_field is not None:
        text = f"{_value(record, reading.title_field, '--title-field', where)}\n\n{text}"
    metadata = {key: value for key, value in record.items() if key not in (id_field, reading.text_field)}
    return Passage(id=str(id), text=text, metadata=metadata)


def _value(record: dict[str, Any], field: str, option: str, where: str) -> Any:
    """Look up a field; a number may stand for the string that it prints as."""
    value = record.get(field)
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise InputError(f"{where}: no string {field!r}; the fields are {sorted(record)}: choose one with {option}")
    return value
