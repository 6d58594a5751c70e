"""The connections to the database of an index: lent to one thread at a time, and to the database that is there now.

A folder may be removed or replaced while it is open, such as by a restored copy. A connection holds on to the file
that it has opened, so each call compares that file with the one in the folder. A folder that cannot be written, such
as one on read-only media, is read without SQLite's log.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from fgr_retriever.errors import IndexCorruptError, IndexNotFoundError, IndexWriteError, InputError
from fgr_retriever.index.storage import columns
from fgr_retriever.index.storage.folders import DATABASE
from fgr_retriever.index.storage.schema import check_schema
from fgr_retriever.index.storage.word_table import WordTable

READ_WAIT_S = 10.0  # readers only ever wait for another process that recovers or cleans the log
_Identity: TypeAlias = tuple[int, int]  # device and inode: which file it is, whatever its name


class Connections:
    """The connections to the database of one index folder.

    Args:
        folder: The folder of an index; the database must exist.
        words: What the index keeps of the words of its passages.
        replaced: Called when another database has taken the place of the one before; may raise.
    """

    def __init__(self, folder: Path, words: WordTable, replaced: Callable[[], None]) -> None:
        """Connect to nothing yet."""
        self._folder, self._words, self._replaced = folder, words, replaced
        self._idle: deque[tuple[_Identity | None, sqlite3.Connection]] = deque()
        self._identity: _Identity | None = None
        self._closed = False

    @contextmanager
    def lent(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection to one thread; after an error it is closed, which undoes its work.

        Raises:
            InputError: All were closed.
            IndexNotFoundError: The database was removed since it was opened.
            IndexCorruptError: The database cannot be opened.
        """
        if self._closed:
            raise InputError(f"the index in {self._folder} was closed: open it again")
        identity = self._present()
        connection = self._take(identity)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if self._closed or not is_writable(self._folder):  # without the log nothing tells a connection of changes
            connection.close()
        else:
            self._idle.append((identity, connection))

    def close(self) -> None:
        """Close every connection; those in use are closed when they come back."""
        self._closed = True
        while self._idle:
            self._idle.pop()[1].close()

    def _present(self) -> _Identity | None:
        """Look which database the folder has now."""
        try:
            found = (self._folder / DATABASE).stat()
        except OSError as error:
            if self._identity is None:
                return None  # never opened: SQLite says what is wrong
            raise IndexNotFoundError(
                f"{self._folder} holds no index any more ({error}): put it back, or open another one"
            ) from error
        identity = found.st_dev, found.st_ino
        if self._identity not in (None, identity):
            self._replaced()
        self._identity = identity
        return identity

    def _take(self, identity: _Identity | None) -> sqlite3.Connection:
        """Take an idle connection to the present database, or open one."""
        while True:
            try:
                opened, connection = self._idle.pop()
            except IndexError:  # none is idle
                with read_errors(self._folder):
                    return connect(self._folder, self._words)
            if opened == identity:
                return connection
            connection.close()


def is_writable(folder: Path) -> bool:
    """Say whether this process may write to an index: to its database and to its folder, for SQLite's log."""
    return os.access(folder, os.W_OK) and os.access(folder / DATABASE, os.W_OK)


def connect(folder: Path, words: WordTable, create: bool = False) -> sqlite3.Connection:
    """Connect with durable commits; threads may hand the connection on, not share it.

    Raises:
        IndexWriteError: The folder cannot be written, and an interrupted writer left a log in it.
        IndexCorruptError: The database has views, triggers or tables that are not ours.
    """
    mode = "rwc" if create else _mode(folder)
    uri = f"{(folder / DATABASE).resolve().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, READ_WAIT_S, isolation_level=None, check_same_thread=False, uri=True)
    if sys.version_info >= (3, 11):  # before, SQLite loads up to 1,000,000,000 bytes
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, columns.MOST_ROW)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")  # what a query sorts is small, and needs no temporary folder
    connection.execute("PRAGMA secure_delete = ON")  # what was deleted cannot be read from the file, either
    words.define(connection)
    if not create:
        try:
            check_schema(folder, connection)
        except (IndexCorruptError, sqlite3.DatabaseError):
            connection.close()
            raise
    return connection


def _mode(folder: Path) -> str:
    """Choose how SQLite opens the database of an existing index."""
    if is_writable(folder) or not (folder / DATABASE).exists():
        return "rw"
    if (folder / f"{DATABASE}-shm").exists():  # somebody who may write has it open
        return "ro"
    log = folder / f"{DATABASE}-wal"
    if log.exists() and log.stat().st_size:
        raise IndexWriteError(
            f"{folder} cannot be written, and an interrupted writer left a log in it that must be folded in first: "
            "open it once where it can be written, or copy it there"
        )
    return "ro&immutable=1"


@contextmanager
def read_errors(folder: Path) -> Iterator[None]:
    """Report what SQLite says while reading as a damaged index."""
    try:
        yield
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise IndexCorruptError(f"{folder / DATABASE} cannot be read ({error}): restore it from a copy") from error
