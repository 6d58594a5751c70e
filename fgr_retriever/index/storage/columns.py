"""How columns of the database are read: only if a value has the kind and the size that this library gives it.

A database may come from anybody, and may have a gigabyte where a few bytes belong. Each function gives the SQL that
reads a column, or NULL where the value is of another kind or too large. No column of ours is NULL, so that this counts
as damage.
"""

from __future__ import annotations

MOST_ID = 1 << 16  # bytes, all of them
MOST_METADATA = 1 << 24
MOST_TEXT = 1 << 24  # also of its units: a hit of such a passage takes gigabytes of vectors
MOST_ROW = 1 << 28  # that SQLite loads or is given at once, such as the rows that a filter leaves
MOST_FACTS = 1 << 20  # of a manifest, a calibration, a list of files
MOST_NAME = 1 << 8  # of a name, a checksum
MOST_BLOCK = 1 << 20  # of what FTS5 keeps in one row: its pages have 4,050 bytes, and a word at most 32,768


def text(column: str, most: int) -> str:
    """Read a text of at most so many bytes; to tell its length SQLite loads it, so that `MOST_ROW` bounds that."""
    # As a text, its length would be counted in characters, and only up to the first NUL.
    return f"CASE WHEN typeof({column}) = 'text' AND length(CAST({column} AS BLOB)) <= {most} THEN {column} END"


def blob(column: str, most: int) -> str:
    """Read at most so many bytes; a larger value is not even loaded."""
    return f"CASE WHEN typeof({column}) = 'blob' AND length({column}) <= {most} THEN {column} END"


def number(column: str) -> str:
    """Read a number."""
    return f"CASE WHEN typeof({column}) IN ('integer', 'real') THEN {column} END"
