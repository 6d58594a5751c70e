"""Which cells of a record a question asks for: the header of their column or their own key says so."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from operator import attrgetter

import numpy as np
import regex
from numpy.typing import NDArray

from fgr_retriever.text.parts import Parts, fields
from fgr_retriever.text.query_words import stems
from fgr_retriever.text.tables import Table

_CAMEL = regex.compile(r"(?<=[\p{Ll}\p{N}])(?=\p{Lu})")  # "fuelSurcharge"
_LISTED = regex.compile(r"\n[^\S\n]*-[ ]")
_KEY = regex.compile(r"[\"']?(?P<key>[\p{L}_][\w .\-/]{0,60}+)[\"']?\s*+[:=]")


def asked_cells(text: str, parts: Parts, tables: Sequence[Table], known: frozenset[str]) -> NDArray[np.int64]:
    """Count the words of a question by which it asks for each cell, (n,).

    These are words of the header of its column, or of its key, that not every other cell of its row has there. The
    first cell names its row, and has none.

    Args:
        text: Any text.
        parts: Parts of it.
        tables: Its tables, ascending and disjoint.
        known: Stems of the content words of the question.
    """
    found = np.zeros(len(parts.cells), dtype=np.int64)
    edges = [*parts.cells[:, 0].searchsorted(parts.units[:, 0]).tolist(), len(found)]
    for unit, (first, last) in zip(parts.units.tolist(), pairwise(edges), strict=True):
        if last - first > 1 and not holds_several(text, *unit):
            cells = parts.cells[first:last].tolist()
            heads = _headers(text, unit, cells, tables) or [_key(text, *one) for one in cells]
            counts = [len(known.intersection(stems(_CAMEL.sub(" ", head)))) for head in heads[1:]]
            found[first + 1 : last] = np.array(counts) - min(counts)
    return found


def holds_several(text: str, start: int, end: int) -> bool:
    """Say whether a record holds several others, in JSON or YAML: then its first cell does not name the rest."""
    return text.count("{", start, end) > 1 or _LISTED.search(text, start, end) is not None


def _headers(text: str, row: Sequence[int], cells: Sequence[Sequence[int]], tables: Sequence[Table]) -> list[str]:
    """Give the header of each cell's column; nothing if there is no header, or one of another width."""
    place = bisect_right(tables, row[0], key=attrgetter("body")) - 1
    if place < 0 or tables[place].close <= row[0]:
        return []
    columns = list(fields(text, tables[place].start, tables[place].end))
    starts = [start for start, _ in fields(text, *row)]
    if len(columns) != len(starts) or len(columns) < 2:
        return []
    return [text[slice(*columns[bisect_right(starts, start) - 1])] for start, _ in cells]


def _key(text: str, start: int, end: int) -> str:
    """Give the key of a pair; empty if a cell is none."""
    match = _KEY.match(text, start, end)
    return match["key"] if match else ""
