"""A folder of an index that is to be damaged, and how its files and tables are changed."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATABASE = "passages.sqlite"
_HEX = 32  # digits in the name of a segment or codec


@dataclass(frozen=True)
class Place:
    """What one damage works on.

    Args:
        folder: A copy of an intact index.
        other: Another intact index, which must stay as it is.
        outside: Somebody else's files, which must stay as they are.
        drawn: Where and how.
    """

    folder: Path
    other: Path
    outside: Path
    drawn: random.Random

    def files(self) -> list[Path]:
        """List the files that hold bytes."""
        return sorted(path for path in self.folder.rglob("*") if path.is_file() and path.stat().st_size)

    def file(self) -> Path:
        """Draw a file: each kind of file as often as the others."""
        name = self.drawn.choice(sorted({path.name for path in self.files()}))
        return self.drawn.choice([path for path in self.files() if path.name == name])

    def array(self) -> Path:
        """Draw a file of a segment or codec."""
        return self.drawn.choice([path for path in self.files() if len(path.parent.name) == _HEX])

    def fellow(self, path: Path) -> Path:
        """Draw a file of the same name of the other index."""
        return self.drawn.choice(sorted(self.other.rglob(path.name)))

    def bytes(self, size: int) -> bytes:
        """Draw bytes."""
        return self.drawn.randbytes(size)

    def sql(self, *statements: str | tuple[str, tuple[Any, ...]]) -> None:
        """Run statements on the database; what the triggers call is there, but gives no words."""
        with closing(sqlite3.connect(self.folder / DATABASE, isolation_level=None)) as connection:
            connection.create_function("fgr_words", 1, lambda _: "", deterministic=True)
            connection.execute("PRAGMA writable_schema = ON")
            for statement in statements:
                connection.execute(*((statement,) if isinstance(statement, str) else statement))

    def rows(self, select: str, *values: Any) -> list[Any]:
        """Read rows of the database."""
        with closing(sqlite3.connect(self.folder / DATABASE)) as connection:
            return connection.execute(select, values).fetchall()

    def reseal(self, path: Path) -> None:
        """Give a changed file of a segment or codec the size and checksum in the database that it has now."""
        table, name = path.parent.parent.name, path.parent.name
        self.change_files(table, name, {path.name: [path.stat().st_size, _sha256(path)]})

    def change_files(self, table: str, name: str, entries: dict[str, Any]) -> None:
        """Change what the database says of the files of a segment or codec."""
        ((text,),) = self.rows(f"SELECT files FROM {table} WHERE name = ?", name)
        self.sql((f"UPDATE {table} SET files = ? WHERE name = ?", (json.dumps({**json.loads(text), **entries}), name)))


Damage = Callable[[Place], str]
"""Does the damage and says what it was."""


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
