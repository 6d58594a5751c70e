"""The schema of the database: what this library makes, and nothing else.

SQLite runs views and triggers of a database without asking: a view in place of a table may never end, and a trigger
may change each write. So every new connection compares the schema before it reads anything.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import lru_cache
from pathlib import Path

from fgr_retriever.errors import IndexCorruptError
from fgr_retriever.index.storage import word_table
from fgr_retriever.index.storage.folders import DATABASE

TABLES = """
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segments (
    first_row INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, passages INTEGER NOT NULL,
    tokens INTEGER NOT NULL, files TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS codecs (
    name TEXT PRIMARY KEY, files TEXT NOT NULL, tokens INTEGER NOT NULL, error REAL NOT NULL,
    added INTEGER NOT NULL, added_error REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS passages (
    row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, metadata TEXT NOT NULL,
    text BLOB NOT NULL, checksum BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS tombstones (row INTEGER PRIMARY KEY);
"""
# What ANALYZE leaves; only SQLite itself can give such names. (In LIKE, `_` would stand for any character.)
_SELECT = "SELECT type, name, sql FROM sqlite_master WHERE name NOT GLOB 'sqlite_stat*'"


def add_units(connection: sqlite3.Connection) -> None:
    """Give the table of passages the column of units, if it has none: format 2 had none."""
    if "units" not in {name for _, name, *_ in connection.execute("PRAGMA table_info(passages)")}:
        connection.execute("ALTER TABLE passages ADD COLUMN units BLOB")


def check_schema(folder: Path, connection: sqlite3.Connection) -> None:
    """Compare the tables, indexes, views and triggers of a database with ours.

    Args:
        folder: The folder of the index, for the message.
        connection: To its database.

    Raises:
        IndexCorruptError: Something is not ours, or a table is missing.
        sqlite3.DatabaseError: The schema cannot be read.
    """
    found = {(kind, name): _plain(sql) for kind, name, sql in connection.execute(_SELECT)}
    for (kind, name), sql in found.items():
        if sql not in _ours().get((kind, name), ()):
            raise IndexCorruptError(
                f"{folder / DATABASE} has the {kind} {name!r:.200}, which this library does not make so: "
                "remove it, or restore the database from a copy"
            )
    if missing := sorted(name for kind, name in _base() if (kind, name) not in found):
        raise IndexCorruptError(f"{folder / DATABASE} has no table {missing[0]!r}: restore it from a copy")


@lru_cache(maxsize=1)
def _ours() -> dict[tuple[str, str], set[str]]:
    """Make every form of our schema, in memory, and list its parts by kind and name, each with its forms."""
    forms: dict[tuple[str, str], set[str]] = {}
    for units in (False, True):
        for part, sql in _made(units, words=True).items():
            forms.setdefault(part, set()).add(sql)
    return forms


@lru_cache(maxsize=1)
def _base() -> frozenset[tuple[str, str]]:
    """List what every index has."""
    return frozenset(_made(units=False, words=False))


def _made(units: bool, words: bool) -> dict[tuple[str, str], str]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES)
        if units:
            add_units(connection)
        if words and any("FTS5" in option for (option,) in connection.execute("PRAGMA compile_options")):
            for statement in word_table.SCHEMA:
                connection.execute(statement)
        return {(kind, name): _plain(sql) for kind, name, sql in connection.execute(_SELECT)}


def _plain(sql: object) -> str:
    """Write SQL with single spaces: an index of an older version may break its lines elsewhere."""
    return " ".join(str(sql).split())
