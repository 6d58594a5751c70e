"""What a folder of an index may hold: names that this library gives, and no links that lead elsewhere.

An index may come from anybody, so nothing in it decides where files are written or removed. A link in
the place of our own folders and files is refused, a name in the database must have the form of ours
before it becomes a path, and only what has such a name is ever removed.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from fgr_retriever.errors import IndexCorruptError

SEGMENTS, CODECS = "segments", "codecs"
DATABASE, WRITER_LOCK, MANIFEST = "passages.sqlite", "writer.lock", "manifest.json"
_SQLITE_FILES = tuple(f"{name}{end}" for name in (DATABASE, WRITER_LOCK) for end in ("", "-wal", "-shm", "-journal"))
_FOLDER_NAME = re.compile(r"[0-9a-f]{32}")
_FILE_NAME = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*")
_LONGEST_NAME = 100
_JOURNAL_END = bytes.fromhex("d9d505f920a163d7")  # after the name of a file, at the end of SQLite's rollback journal


def new_name() -> str:
    """Make up the name of a new segment or codec."""
    return uuid.uuid4().hex


def check_name(name: object) -> str:
    """Check the name of a segment or codec, before it becomes a path.

    Raises:
        IndexCorruptError: No segment or codec of ours has such a name.
    """
    if not isinstance(name, str) or not _FOLDER_NAME.fullmatch(name):
        raise IndexCorruptError(
            f"{DATABASE} lists a segment or codec named {name!r:.200}, and this library gives names of 32 hex digits "
            "only: restore it from a copy"
        )
    return name


def check_file_name(name: str) -> str:
    """Check the name of a file of a segment or codec, before it becomes a path.

    Raises:
        ValueError: It would lead out of the folder, or hides something.
    """
    if len(name) > _LONGEST_NAME or not _FILE_NAME.fullmatch(name):
        raise ValueError(f"{name!r:.200} is no name of a file of a segment")
    return name


def check_own(folder: Path) -> None:
    """Check that what we write and remove in an index lies there, and not behind a link.

    The folder of the index itself may be reached through a link.

    Args:
        folder: The folder of an index. What is missing in it is fine.

    Raises:
        IndexCorruptError: In the place of our folder is a link or a file, or in that of our file
            something other than a plain file; or a journal of SQLite names another file.
    """
    for name in (SEGMENTS, CODECS):
        check_folder(folder / name)
    for name in (*_SQLITE_FILES, MANIFEST):
        check_file(folder / name)
    for name in (DATABASE, WRITER_LOCK):
        _check_journal(folder / f"{name}-journal")


def check_folder(path: Path) -> None:
    """Check that what lies at a path, if anything does, is a folder and no link.

    Raises:
        IndexCorruptError: It is something else.
    """
    _check_kind(path, stat.S_ISDIR, "a folder")


def check_file(path: Path) -> None:
    """Check that what lies at a path, if anything does, is a plain file and no link.

    Raises:
        IndexCorruptError: It is something else.
    """
    _check_kind(path, stat.S_ISREG, "a plain file")


def remove(folders: Iterable[Path]) -> None:
    """Remove folders of segments and codecs as far as possible; whatever has another name stays."""
    for folder in folders:
        if _FOLDER_NAME.fullmatch(folder.name):
            shutil.rmtree(folder, ignore_errors=True)  # does not follow links


def remove_all_but(folder: Path, named: set[Path]) -> None:
    """Remove the segments and codecs of an index that are not among some.

    Args:
        folder: The folder of an index.
        named: Folders that stay.

    Raises:
        IndexCorruptError: A link lies in the place of a folder of ours.
    """
    check_own(folder)
    for root in (folder / SEGMENTS, folder / CODECS):
        remove(set(root.iterdir()) - named)


def _check_kind(path: Path, is_right: Callable[[int], bool], wanted: str) -> None:
    """Check what lies at a path, if anything does."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if is_link(path):
        raise IndexCorruptError(
            f"{path} is a link to {os.path.realpath(path)}: an index neither reads nor writes nor removes anything "
            "behind a link. Move the folder of the index as a whole to where there is room; it may be a link"
        )
    if not is_right(mode):
        raise IndexCorruptError(f"{path} is not {wanted}: restore the index from a copy")


def _check_journal(path: Path) -> None:
    """Check a rollback journal before SQLite sees it.

    Our transactions are of one database each, so that their journals never name another file.

    Raises:
        IndexCorruptError: It names one.
    """
    try:
        with path.open("rb") as file:
            file.seek(-len(_JOURNAL_END), os.SEEK_END)
            is_named = file.read() == _JOURNAL_END
    except OSError:  # there is none, or it is shorter
        return
    if is_named:
        raise IndexCorruptError(
            f"{path} names another file, as no journal of this library does: restore the index from a copy"
        )


def is_link(path: Path) -> bool:
    """Say whether a path is a symbolic link, or a junction of Windows."""
    return path.is_symlink() or bool(getattr(os.path, "isjunction", lambda _: False)(path))
