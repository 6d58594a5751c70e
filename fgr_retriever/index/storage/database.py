"""`passages.sqlite`: the connections and transactions of an index, and what its errors mean.

SQLite's write-ahead log gives what the index promises: a transaction is the one commit point, and a
reader keeps its snapshot without blocking anybody. The one writer holds a lock that dies with its
process: that of the empty database `writer.lock`. The lock of the write transaction would not do. It
ends before the log is folded into the database, and when a writer commits meanwhile, SQLite before
3.51.3 may lose what was committed ("the WAL-reset bug", https://sqlite.org/wal.html).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from fgr_retriever.calls import check_time, time_limit
from fgr_retriever.errors import IndexCorruptError, IndexLockedError, IndexWriteError
from fgr_retriever.index.storage.connections import READ_WAIT_S, Connections, connect, is_writable, read_errors
from fgr_retriever.index.storage.folders import DATABASE, MANIFEST, WRITER_LOCK
from fgr_retriever.index.storage.manifest import parse_manifest, settle_manifest
from fgr_retriever.index.storage.schema import TABLES, add_units, check_schema
from fgr_retriever.index.storage.word_table import WordTable

logger = logging.getLogger(__name__)

_STEPS = 10_000  # of SQLite between two looks at the time limit: well under a millisecond
_WRITE_WAIT_S = 0.1
_SPARE = 0.1  # share of the pages that may be free: later writes take them again


class Database:
    """The transactions of one index folder.

    Args:
        folder: The folder of an index; the database must exist.
        words: What the index keeps of the words of its passages.
        replaced: Called when another database has taken the place of the one before; may raise.
    """

    def __init__(self, folder: Path, words: WordTable, replaced: Callable[[], None]) -> None:
        """Connect to nothing yet."""
        self._folder = folder
        self._connections = Connections(folder, words, replaced)
        self._turn = threading.RLock()  # a thread that writes within its own write is refused, not stuck

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open a read transaction: everything read in it is one snapshot.

        Raises:
            IndexNotFoundError: The index was removed since it was opened.
            IndexCorruptError: The database is damaged or missing.
            TimeLimitError: The time limit of the call has passed; a statement that is running ends, too.
        """
        with self._connections.lent() as connection, read_errors(self._folder), _in_time(connection):
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def writing(self, *, shrink: bool = False) -> Iterator[sqlite3.Connection]:
        """Open the write transaction: commit at the end, undo everything on any error.

        Writes of several threads queue; one within another of the same thread is refused.

        Args:
            shrink: Give back the space of what was deleted when all is committed, if it is worth the rewriting.

        Raises:
            IndexLockedError: Another process or engine is at work, or this thread is already.
            TimeLimitError: The time limit of the call passed in the queue.
            IndexWriteError: The folder cannot be written, or the disk refused the commit.
            IndexNotFoundError: The index was removed since it was opened.
            IndexCorruptError: The database is damaged or missing.
        """
        if (self._folder / DATABASE).exists() and not is_writable(self._folder):
            raise IndexWriteError(f"{self._folder} cannot be written: it is read-only, or belongs to somebody else")
        with (
            _turn_of(self._turn),
            self._connections.lent() as connection,
            _sole_writer(self._folder, _WRITE_WAIT_S),
        ):
            with _lock_errors(self._folder):
                _wait(connection, _WRITE_WAIT_S)
                connection.execute("BEGIN IMMEDIATE")
            yield connection
            with write_errors(self._folder):
                connection.execute("UPDATE state SET value = value + 1 WHERE name = 'generation'")
                connection.execute("COMMIT")
            if shrink:
                _shrink(self._folder, connection)
            with suppress(OSError, IndexCorruptError, sqlite3.DatabaseError):
                settle_manifest(self._folder, connection)  # all is committed: if it fails, the next writer does it
            _fold_in(connection)

    def close(self) -> None:
        """Close every connection; those in use are closed when they come back."""
        self._connections.close()


def create_database(folder: Path, manifest: str, words: WordTable) -> str:
    """Create the tables and keep a copy of the manifest.

    Args:
        folder: The folder of the index.
        manifest: Its manifest, as JSON.
        words: What the index is to keep of the words of its passages.

    Returns:
        The manifest that counts: the given one, or that of another process that was faster.

    Raises:
        ConfigError: This SQLite cannot keep words.
        IndexLockedError: Another process creates it, and does not get done.
        IndexWriteError: The disk refused.
    """
    with (
        _sole_writer(folder, READ_WAIT_S),
        write_errors(folder),
        closing(connect(folder, words, create=True)) as connection,
    ):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(TABLES)
        connection.execute("BEGIN IMMEDIATE")
        rows = [("generation", 0), ("manifest", manifest)]
        connection.executemany("INSERT OR IGNORE INTO state VALUES (?, ?)", rows)
        (kept,) = connection.execute("SELECT value FROM state WHERE name = 'manifest'").fetchone()
        if kept == manifest:
            words.create(connection)
        if parse_manifest(kept, folder / MANIFEST).units:
            add_units(connection)
        connection.execute("COMMIT")
        return str(kept)


def verify_database(folder: Path, connection: sqlite3.Connection) -> None:
    """Let SQLite check its pages, and check that the file ends with a whole one and that the schema is ours.

    Raises:
        IndexCorruptError: Something is damaged; names it.
    """
    check_schema(folder, connection)
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    size = (folder / DATABASE).stat().st_size
    if size % page:
        raise IndexCorruptError(
            f"{folder / DATABASE} is cut off: its {size} bytes are no whole pages of {page}; restore it from a copy"
        )
    for (problem,) in connection.execute("PRAGMA integrity_check"):
        if problem != "ok":
            raise IndexCorruptError(f"{folder / DATABASE} is damaged: {problem}")


@contextmanager
def _in_time(connection: sqlite3.Connection) -> Iterator[None]:
    """Let SQLite look at the time limit of the call while a statement runs: BM25 over many rows takes long."""
    limit = time_limit()
    if limit is None:
        yield
        return
    connection.set_progress_handler(limit.is_over, _STEPS)
    try:
        yield
    except sqlite3.OperationalError:
        limit.check()  # then it was the limit
        raise
    finally:
        connection.set_progress_handler(None, 0)


@contextmanager
def write_errors(folder: Path) -> Iterator[None]:
    """Report what the disk or SQLite says while writing."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        advice = "free space or fix the disk, then retry"
        if "user-defined function" in str(
            error
        ):  # `fgr_words`; SQLite keeps its own error, Ctrl-C or damage, to itself
            advice = "if you did not interrupt it, run `fgr verify`, since a stored text may be damaged"
        raise IndexWriteError(
            f"writing to {folder} failed ({error}): nothing of this write was stored and what was there before is "
            f"unchanged; {advice}"
        ) from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise IndexCorruptError(f"{folder / DATABASE} cannot be read ({error}): restore it from a copy") from error


@contextmanager
def _turn_of(lock: threading.RLock) -> Iterator[None]:
    """Queue for the writes of one open index, and look at the time limit of the call meanwhile."""
    while not lock.acquire(timeout=_WRITE_WAIT_S):
        check_time()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _sole_writer(folder: Path, seconds: float) -> Iterator[None]:
    """Hold the lock of the one writer, after waiting for it for at most some seconds."""
    with _lock_errors(folder):
        lock = sqlite3.connect(folder / WRITER_LOCK, seconds, isolation_level=None, check_same_thread=False)
    with closing(lock):
        with _lock_errors(folder):
            lock.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def _lock_errors(folder: Path) -> Iterator[None]:
    """Report that another one writes."""
    try:
        with write_errors(folder):
            yield
    except IndexWriteError as error:
        if "locked" not in str(error.__cause__):
            raise
        raise IndexLockedError(
            f"{folder} is being written to by another process or engine: wait until it is done, then retry"
        ) from error


def _shrink(folder: Path, connection: sqlite3.Connection) -> None:
    """Rewrite the database without its free pages, unless they are few. All is committed, with or without it."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    if free <= _SPARE * pages:
        return
    connection.execute("PRAGMA temp_store = FILE")  # it makes a copy, as large as what is left
    try:
        connection.execute("VACUUM")
    except sqlite3.OperationalError as error:
        logger.warning(
            "%s is compact, but its database keeps the space of what was deleted (%s): free space there and in the "
            "temporary folder, then run `fgr compact` again",
            folder,
            error,
        )
    connection.execute("PRAGMA temp_store = MEMORY")


def _fold_in(connection: sqlite3.Connection) -> None:
    """Fold the log into the database, so that the folder can be copied file by file.

    All is committed already. Readers may be in the way; the next writer then does it.
    """
    with suppress(sqlite3.OperationalError):
        _wait(connection, 0)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _wait(connection, READ_WAIT_S)


def _wait(connection: sqlite3.Connection, seconds: float) -> None:
    """Set how long a connection waits for a lock of another one."""
    connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")


def row_number(value: object) -> int:
    """Check the number of a row: a damaged page or schema can turn it into anything.

    Raises:
        IndexCorruptError: It is no integer.
    """
    if not isinstance(value, int):
        raise IndexCorruptError(f"{DATABASE} has a row with the number {value!r:.50}: restore it from a copy")
    return value
