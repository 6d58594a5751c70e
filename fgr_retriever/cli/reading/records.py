"""Records to passages: JSON Lines, JSON arrays, CSV and TSV; one record, one passage."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fgr_retriever.errors import InputError
from fgr_retriever.index.sources import FILE
from fgr_retriever.types import Passage

Record = tuple[str, dict[str, Any]]  # where it stands, and its fields
_ID_FIELDS = ("id", "_id")
_METADATA = "metadata"
_MAX_CELL = 2**31 - 1
_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Which fields of a record are what; all others become metadata, and so do those of an object named `metadata`.

    Args:
        id: Field with the passage's id; None takes `id` or `_id`, and numbers the records of a file that has neither.
            An empty name numbers them all.
        per_file: Whether the id of a record is unique in its file only: the passage's is then `FILE#ID`.
        text: Field with the passage's text, None for `text`; several, joined by commas, become lines of `field: value`.
        title: Field whose value is put before the text, a blank line between.
    """

    id: str | None = None
    per_file: bool = False
    text: str | None = None
    title: str | None = None

    def passages(self, records: Iterable[Record], name: str, as_lines: Callable[[str], object]) -> Iterator[Passage]:
        """Turn the records of a file into passages.

        If the first record has no field for the text, this is a sheet: each record becomes lines of `field: value`,
        numbered as rows are, since `id` of one sheet may be that of another. Its fields are metadata as well.

        Args:
            records: The records.
            name: Name of the file in the index.
            as_lines: Called with the name if it is a sheet.

        Raises:
            InputError: A field is missing, or is no text.
        """
        is_sheet = False
        for number, (where, values) in enumerate(records, start=1):
            texts = self._texts(values)
            if number == 1 and values.keys().isdisjoint(texts):
                is_sheet = True
                as_lines(name)
            if is_sheet and not values.keys().isdisjoint(texts):
                raise InputError(
                    f"{where}: has {texts[0]!r}, which the first record has not: give all records of a file the same "
                    "fields, or choose one that all have with --text-field"
                )
            if not is_sheet:
                yield self._passage(where, values, name, number)
            elif text := self._lines(values):
                named = self.id if self.id and self.id in values else None
                yield self._made(self._id(values, named, where, name, number), text, values, name)

    def _id(self, values: dict[str, Any], field: str | None, where: str, name: str, number: int) -> str:
        """Take the id of a record from a field, or number it."""
        if field is None:
            return f"{name}#{number}"
        id = str(_value(values, field, "--id-field", where))
        return f"{name}#{id}" if self.per_file else id

    def _texts(self, values: dict[str, Any]) -> list[str]:
        """List the fields that make the text."""
        text = "text" if self.text is None else self.text
        return [text] if text in values else text.split(",")

    def _passage(self, where: str, values: dict[str, Any], name: str, number: int) -> Passage:
        named = next((field for field in _ID_FIELDS if field in values), None)
        id_field = named if self.id is None else self.id or None
        texts = self._texts(values)
        text = self._text(values, texts, where)
        if self.title is not None:
            text = f"{_value(values, self.title, '--title-field', where)}\n\n{text}"
        others = {key: value for key, value in values.items() if key not in (id_field, *texts)}
        return self._made(self._id(values, id_field, where, name, number), text, others, name)

    def _made(self, id: str, text: str, fields: dict[str, Any], name: str) -> Passage:
        metadata = dict(fields)
        if isinstance(inner := metadata.get(_METADATA), dict):  # as many tools write passages
            del metadata[_METADATA]
            metadata = {**inner, **metadata}
        metadata.setdefault("source", name)
        if metadata["source"] == name:
            metadata.setdefault("title", name)  # as that of a text, so that files of one name are told apart
        else:  # the record has a source of its own
            metadata[FILE] = name
        return Passage(id=id, text=text, metadata=metadata)

    def _lines(self, values: dict[str, Any]) -> str:
        """Write a whole record as lines of `field: value`, behind its title; what is empty is left out."""
        told = {field: _told(value) for field, value in values.items() if field not in (self.title, _METADATA)}
        title = _told(values.get(self.title)) if self.title else ""
        lines = "\n".join(f"{field}: {value}" if field else value for field, value in told.items() if value)
        return "\n\n".join(filter(None, (title, lines)))

    def _text(self, values: dict[str, Any], texts: list[str], where: str) -> str:
        found = [(field, _value(values, field, "--text-field", where)) for field in texts]
        if len(found) > 1:
            return "\n".join(f"{field}: {value}" for field, value in found)
        text = found[0][1]
        if not isinstance(text, str):
            raise InputError(f"{where}: {texts[0]!r} must be a string, got {text!r:.80}")
        return text


def _told(value: Any) -> str:
    """Write a value of a sheet."""
    if isinstance(value, str):
        return value.strip()
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def read_jsonl(lines: Iterable[str], name: str) -> Iterator[Record]:
    """Read JSON Lines."""
    from fgr_retriever.evaluation.text_files import parse_jsonl

    return parse_jsonl(lines, name)


def read_json(lines: Iterable[str], name: str) -> Iterator[Record] | str:
    """Read a JSON array of objects; the whole file is in memory. Other JSON comes back as the text that it is.

    Raises:
        InputError: It is no JSON, or an array of objects and something else.
    """
    text = "".join(lines)
    try:
        found = json.loads(text) if text.strip() else None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: not valid JSON: {error}") from error
    others = (
        [number for number, one in enumerate(found, start=1) if not isinstance(one, dict)]
        if isinstance(found, list)
        else []
    )
    if not isinstance(found, list) or (others and len(others) == len(found)):
        return text
    if others:
        raise InputError(
            f"{name}: must be an array of objects, and record {others[0]} is none; for other JSON use --format text"
        )
    return ((f"{name}: record {number}", one) for number, one in enumerate(found, start=1))


def read_csv(lines: Iterable[str], name: str) -> Iterator[Record]:
    """Read CSV with a header line; commas, semicolons or tabs, whichever the header has most of.

    Raises:
        InputError: It is not valid CSV, or a row has not as many cells as the header (empty ones at its end aside).
    """
    csv.field_size_limit(_MAX_CELL)
    following = iter(lines)
    header = next(following, "")
    delimiter = max(_DELIMITERS, key=header.count)
    rows = csv.DictReader(_from(header, following), strict=True, delimiter=delimiter)
    try:
        for row in rows:
            more = row.pop(None, [])  # as `csv` calls cells beyond those of the header
            found, wanted = sum(value is not None for value in row.values()) + len(more), len(rows.fieldnames or ())
            if found < wanted or any(cell.strip() for cell in more):
                raise InputError(
                    f"{name}:{rows.line_num}: {found} cells, and {wanted} in the header line: add what is "
                    "missing, or quote a cell that has the separator in it"
                )
            yield f"{name}:{rows.line_num}", dict(row)
    except csv.Error as error:
        raise InputError(f"{name}:{rows.line_num}: not valid CSV: {error}") from error


def _from(first: str, following: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from following


def _value(record: dict[str, Any], field: str, option: str, where: str) -> Any:
    """Look up a field; a number may stand for the string that it prints as."""
    value = record.get(field)
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise InputError(f"{where}: no string {field!r}; the fields are {sorted(record)}: choose one with {option}")
    return value
