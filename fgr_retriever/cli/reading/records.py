"""Records to passages: JSON Lines, JSON arrays, CSV and TSV; one record, one passage."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
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
        text: Field with the passage's text; several, joined by commas, become lines of `field: value`.
        title: Field whose value is put before the text, a blank line between.
    """

    id: str | None = None
    text: str = "text"
    title: str | None = None

    def passage(self, record: Record, name: str, number: int) -> Passage:
        """Turn a record of a file into a passage.

        Raises:
            InputError: A field is missing, or is no text.
        """
        where, values = record
        id_field = self.id or next((field for field in _ID_FIELDS if field in values), None)
        id = f"{name}#{number}" if id_field is None else _value(values, id_field, "--id-field", where)
        texts = self.text.split(",") if self.text not in values else [self.text]
        text = self._text(values, texts, where)
        if self.title is not None:
            text = f"{_value(values, self.title, '--title-field', where)}\n\n{text}"
        metadata = {key: value for key, value in values.items() if key not in (id_field, *texts)}
        if isinstance(inner := metadata.get(_METADATA), dict):  # as many tools write passages
            del metadata[_METADATA]
            metadata = {**inner, **metadata}
        metadata.setdefault("source", name)
        if metadata["source"] != name:  # the record has a source of its own
            metadata[FILE] = name
        return Passage(id=str(id), text=text, metadata=metadata)

    def _text(self, values: dict[str, Any], texts: list[str], where: str) -> str:
        found = [(field, _value(values, field, "--text-field", where)) for field in texts]
        if len(found) > 1:
            return "\n".join(f"{field}: {value}" for field, value in found)
        text = found[0][1]
        if not isinstance(text, str):
            raise InputError(f"{where}: {self.text!r} must be a string, got {text!r:.80}")
        return text


def read_jsonl(lines: Iterable[str], name: str) -> Iterator[Record]:
    """Read JSON Lines."""
    from fgr_retriever.evaluation.text_files import parse_jsonl

    return parse_jsonl(lines, name)


def read_json(lines: Iterable[str], name: str) -> Iterator[Record]:
    """Read a JSON array of objects; the whole file is in memory.

    Raises:
        InputError: It is something else.
    """
    try:
        found = json.loads("".join(lines))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: not valid JSON: {error}") from error
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InputError(f"{name}: must be an array of objects; for other JSON use --format text")
    return ((f"{name}: record {number}", one) for number, one in enumerate(found, start=1))


def read_csv(lines: Iterable[str], name: str) -> Iterator[Record]:
    """Read CSV with a header line; commas, semicolons or tabs, whichever the header has most of.

    Raises:
        InputError: It is not valid CSV, or a row has not as many cells as the header.
    """
    csv.field_size_limit(_MAX_CELL)
    following = iter(lines)
    header = next(following, "")
    delimiter = max(_DELIMITERS, key=header.count)
    rows = csv.DictReader(_from(header, following), strict=True, delimiter=delimiter)
    try:
        for row in rows:
            if None in row or None in row.values():
                raise InputError(f"{name}:{rows.line_num}: has not as many cells as the header line")
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
