"""BM25 over the words of the passages: an FTS5 table in `passages.sqlite`, kept by triggers.

The triggers of `passages` write the words of every row that comes, goes or gets another number, so no
write can forget them, and they are part of its transaction. What is stored are prepared words
(`fgr_retriever.index.storage.lexicon`), separated by spaces; FTS5 only splits them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Set
from functools import partial

from tqdm.auto import tqdm

from fgr_retriever.errors import ConfigError, IndexCorruptError
from fgr_retriever.index.storage import columns
from fgr_retriever.index.storage.lexicon import KeptWords, Lexicon, check_language, fingerprint

_DELETE = "INSERT INTO words (words, rowid, text) VALUES ('delete', old.row, fgr_words(old.text));"
_INSERT = "INSERT INTO words (rowid, text) VALUES (new.row, fgr_words(new.text));"
# This tokenizer leaves everything beyond ASCII alone, so that the words are those that were prepared.
SCHEMA = (
    """CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(text, content='', tokenize="ascii tokenchars '_'")""",
    f"CREATE TRIGGER IF NOT EXISTS words_insert AFTER INSERT ON passages BEGIN {_INSERT} END",
    f"CREATE TRIGGER IF NOT EXISTS words_delete AFTER DELETE ON passages BEGIN {_DELETE} END",
    f"CREATE TRIGGER IF NOT EXISTS words_move AFTER UPDATE OF row ON passages BEGIN {_DELETE} {_INSERT} END",
)
_SEARCH = "SELECT rowid, -bm25(words) AS score FROM words WHERE words MATCH ?"
_AMONG = " AND +rowid IN (SELECT value FROM json_each(?))"  # with +, FTS5 is asked once, not for every row
_BEST = " ORDER BY score DESC, rowid LIMIT ?"
_SIZE, _TOTALS = columns.blob("sz", columns.MOST_NAME), columns.blob("block", columns.MOST_NAME)


class WordTable:
    """The words of an index.

    Args:
        language: As `IndexConfig.words` says it; empty where the index keeps no words.
    """

    def __init__(self, language: str) -> None:
        """Prepare nothing yet."""
        self.language = language

    def check(self) -> None:
        """Make sure that words can be prepared, if there are to be any.

        Raises:
            ConfigError: There is no stemmer for the language.
            MissingExtraError: The stemmers are not installed.
        """
        if self.language:
            check_language(self.language)

    def define(self, connection: sqlite3.Connection) -> None:
        """Teach a connection the function `fgr_words`, which the triggers call."""
        if self.language:
            connection.create_function("fgr_words", 1, partial(_prepared, Lexicon(self.language)), deterministic=True)

    def create(self, connection: sqlite3.Connection) -> None:
        """Create table and triggers, if the index is to keep words.

        Raises:
            ConfigError: This SQLite has no FTS5.
        """
        if not self.language:
            return
        try:
            for statement in SCHEMA:
                connection.execute(statement)
        except sqlite3.OperationalError as error:
            if "fts5" not in str(error):
                raise
            raise ConfigError(
                f"words={self.language!r}: the SQLite {sqlite3.sqlite_version} of this Python has no FTS5: "
                "use words='' or a Python whose SQLite has it"
            ) from error
        self._stamp(connection)

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Prepare all words anew if another version of the stemmer or of Unicode prepared them.

        Else what is to be deleted would not be what was stored. To be called before every write.

        Raises:
            MissingExtraError: The stemmer is not installed.
        """
        self.check()
        if not self.language:
            return
        if not self._is_current(connection):
            connection.execute("INSERT INTO words (words) VALUES ('delete-all')")
            connection.execute("INSERT INTO words (rowid, text) SELECT row, fgr_words(text) FROM passages")
            self._stamp(connection)

    def compact(self, connection: sqlite3.Connection) -> None:
        """Drop what the table still holds of deleted rows, and make one list of many for each word."""
        if self.language:
            connection.execute("INSERT INTO words (words) VALUES ('optimize')")

    def search(
        self, connection: sqlite3.Connection, query: str, k: int, allowed: Set[int] | None
    ) -> list[tuple[int, float]]:
        """Find the rows with the best BM25.

        Args:
            connection: In a transaction.
            query: The question.
            k: How many to find.
            allowed: Rows that count; None takes all.

        Returns:
            Rows and scores above 0, best first, the earlier row first among equals.

        Raises:
            ConfigError: The index keeps no words.
            MissingExtraError: The stemmer is not installed.
        """
        if not self.language:
            raise ConfigError(
                "the index keeps no words for BM25: `fgr copy` it into a new folder with --words english, or create it "
                "with IndexConfig(words='english'), or another language"
            )
        self.check()
        prepared = Lexicon(self.language).words(query)
        if not prepared:
            return []
        matching = " OR ".join(f'"{word}"' for word in prepared)
        if allowed is None:
            return connection.execute(_SEARCH + _BEST, (matching, k)).fetchall()
        among = json.dumps(sorted(allowed))
        return connection.execute(_SEARCH + _AMONG + _BEST, (matching, among, k)).fetchall()

    def kept(self, connection: sqlite3.Connection) -> KeptWords | None:
        """Say which words are kept, and how many a passage has in the mean; None where there are none.

        Args:
            connection: In a transaction.
        """
        if not self.language:
            return None
        connection.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.counted_words USING fts5vocab(main, words, row)")
        (total,) = connection.execute("SELECT sum(cnt) FROM temp.counted_words").fetchone()
        (passages,) = connection.execute("SELECT count(*) FROM passages").fetchone()
        measured = (total / passages, passages) if total else ()
        return KeptWords(self.language, self._stamped(connection), *measured)

    def verify(self, connection: sqlite3.Connection, progress: bool = False) -> None:
        """Compare the stored words with the passages.

        Args:
            connection: In a transaction.
            progress: Show a bar on stderr.

        Raises:
            IndexCorruptError: They differ.
            MissingExtraError: The stemmer is not installed.
        """
        self.check()
        if not self.language:
            return
        if not self._is_current(connection):
            return  # the next write prepares all words anew
        lexicon = Lexicon(self.language)
        expected = lengths = count = total = 0
        (passages,) = connection.execute("SELECT count(*) FROM passages").fetchone()
        texts = connection.execute(f"SELECT row, {columns.blob('text', columns.MOST_TEXT)} FROM passages")
        for row, text in tqdm(texts, total=passages, unit=" passages", desc="words", disable=not progress):
            words = _prepared(lexicon, text).split()
            expected += sum(hash((word, row, place)) for place, word in enumerate(words))
            lengths += hash((row, _varint(len(words))))
            count, total = count + 1, total + len(words)
        (largest,) = connection.execute("SELECT max(length(block)) FROM words_data").fetchone()
        if (largest or 0) > columns.MOST_BLOCK:
            raise _damaged()
        connection.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.seen_words USING fts5vocab(main, words, instance)")
        stored = sum(map(hash, connection.execute("SELECT term, doc, offset FROM temp.seen_words")))
        sizes = sum(map(hash, connection.execute(f"SELECT id, {_SIZE} FROM words_docsize")))
        (totals,) = connection.execute(f"SELECT {_TOTALS} FROM words_data WHERE id = 1").fetchone() or (None,)
        sound = (totals or bytes(2)) == _varint(count) + _varint(total)  # nothing is written as long as there is none
        if (stored, sizes) != (expected, lengths) or not sound:
            raise _damaged()

    def _is_current(self, connection: sqlite3.Connection) -> bool:
        return self._stamped(connection) == fingerprint(self.language)

    def _stamped(self, connection: sqlite3.Connection) -> str:
        """Read what prepared the words; empty if that is not known."""
        select = f"SELECT {columns.text('value', columns.MOST_NAME)} FROM state WHERE name = 'words'"
        found = connection.execute(select).fetchone()
        return str(found[0]) if found else ""

    def _stamp(self, connection: sqlite3.Connection) -> None:
        """Note what prepared the words."""
        connection.execute("INSERT OR REPLACE INTO state VALUES ('words', ?)", (fingerprint(self.language),))


def _prepared(lexicon: Lexicon, text: object) -> str:
    """Give the words of a stored text, for a trigger or for `verify`.

    Raises:
        IndexCorruptError: It is none.
    """
    if not isinstance(text, bytes) or len(text) > columns.MOST_TEXT:
        raise _damaged()
    return lexicon.prepared(text)


def _damaged() -> IndexCorruptError:
    return IndexCorruptError("the words of the index are not those of its passages: run `fgr repair`")


def _varint(number: int) -> bytes:
    """Write a number as SQLite does: seven bits a byte, the highest first."""
    found = [number & 0x7F]
    while number := number >> 7:
        found.append(number & 0x7F | 0x80)
    return bytes(reversed(found))
