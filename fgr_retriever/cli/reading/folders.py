"""Which files of a folder are read, and what of it is left out.

Left out are names that begin with a dot, unless they are asked for; what was installed or made there (`node_modules`,
`__pycache__`, virtual environments); links to folders; what a pattern names; and files of unknown kinds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from fgr_retriever.cli.reading.excluding import excluding
from fgr_retriever.cli.reading.files import KINDS
from fgr_retriever.errors import InputError

_INSTALLED = {"node_modules", "__pycache__"}
_ENVIRONMENT = "pyvenv.cfg"  # lies in a virtual environment of Python
_NAMED, _LONGEST = 3, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What of a folder is read.

    Args:
        hidden: Also names that begin with a dot.
        exclude: Patterns of `fnmatch` for what is not. One without a slash is compared with names of files and folders
            at any depth, one with a slash with the whole path, with or without the name of the folder that was given.
    """

    hidden: bool = False
    exclude: tuple[str, ...] = ()


@dataclass(slots=True)
class LeftOut:
    """What was found in folders and is not read, other than what was excluded.

    Args:
        names: Hidden and installed files and folders, as the index would name them.
        endings: How many files there are of unknown kinds, by the ending of their names.
        matched: Patterns that excluded something.
    """

    names: list[str] = field(default_factory=list)
    endings: Counter[str] = field(default_factory=Counter)
    matched: set[str] = field(default_factory=set)

    def told(self) -> str:
        """Say it on one line; an empty one if nothing was left out."""
        parts = []
        if self.endings:
            most = [f"{count} {ending[:_LONGEST] or 'without an ending'}" for ending, count in self._most()]
            rest = self.endings.total() - sum(count for _, count in self._most())
            most += [f"{rest} others"] * bool(rest)
            parts.append(f"not read, since their kind is unknown: {self.endings.total()} files ({', '.join(most)})")
        if self.names:
            parts.append(f"left out: {some_of(self.names)}")
        return "; ".join(parts)

    def _most(self) -> list[tuple[str, int]]:
        return sorted(self.endings.items(), key=lambda one: (-one[1], one[0]))[: 2 * _NAMED]


def some_of(names: Sequence[str]) -> str:
    """Name the first few of many."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + f" and {more} more" * (more > 0)


def files_in(top: Path, choice: Choice, left: LeftOut) -> list[Path]:
    """List the files of a folder that are read, in the order of their paths, and note what is left out.

    Raises:
        InputError: A folder in it cannot be listed.
        OSError: The folder itself cannot be listed.
    """
    found, folders, root = list[Path](), [top], top.resolve().name
    while folders:
        for path in _listed(folders.pop(), top, root):
            inside = path.relative_to(top).as_posix()
            name = f"{root}/{inside}"
            if matching := {one for one in choice.exclude if _matches(one, path.name, inside, name)}:
                left.matched |= matching
            elif (path.name.startswith(".") and not choice.hidden) or _is_installed(path):
                left.names.append(name)
            elif path.is_dir():
                folders.append(path)
            elif path.is_file() and not path.name.startswith("~$"):  # which says who has an Office file open
                if path.suffix.lower() in KINDS:
                    found.append(path)
                else:
                    left.endings[path.suffix.lower()] += 1
    left.names.sort()
    return sorted(found)


def _matches(pattern: str, last: str, *paths: str) -> bool:
    pattern = pattern.rstrip("/")
    return any(fnmatchcase(one, pattern) for one in (paths if "/" in pattern else (last,)))


def _is_installed(path: Path) -> bool:
    """Say whether this is a folder whose files nobody wrote there, or a link to one that may lie anywhere."""
    return path.is_dir() and (path.name in _INSTALLED or path.is_symlink() or (path / _ENVIRONMENT).is_file())


def _listed(folder: Path, top: Path, root: str) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        if folder == top:
            raise
        told = f"{folder}: {error.strerror}; {excluding(f'{root}/{folder.relative_to(top).as_posix()}')}"
        raise InputError(told) from error
