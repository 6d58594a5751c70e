"""Which files of a folder are read, and what of it is left out.

Left out are names that begin with a dot, unless they are asked for; what was installed or made there (`node_modules`,
`__pycache__`, virtual environments); links to folders; what a pattern names; and files of unknown kinds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from fgr_retriever.cli.reading.excluding import or_excluded
from fgr_retriever.cli.reading.files import KINDS

_INSTALLED = {"node_modules", "__pycache__"}
_ENVIRONMENT = "pyvenv.cfg"  # lies in a virtual environment of Python
_NAMED, _LONGEST = 3, 16


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
            parts.append(f"not read, since their kind is unknown: {', '.join(most)}")
        if self.names:
            parts.append(f"left out: {some_of(self.names)}")
        return "; ".join(parts)

    def _most(self) -> list[tuple[str, int]]:
        return sorted(self.endings.items(), key=lambda one: (-one[1], one[0]))[: 2 * _NAMED]


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

    def takes(self, path: Path, inside: str, root: str, left: LeftOut) -> bool:
        """Say whether a file or folder is read, as far as its name tells; note if not.

        Args:
            path: Where it is.
            inside: Its path in the folder that was given.
            root: The name of that folder.
            left: What is left out.
        """
        name = f"{root}/{inside}"
        if matching := {one for one in self.exclude if _matches(one, path.name, inside, name)}:
            left.matched |= matching
            return False
        hidden = path.name.startswith(".") and not self.hidden
        if hidden or (path.is_dir() and (path.name in _INSTALLED or path.is_symlink())):  # a link may lead anywhere
            left.names.append(name)
            return False
        return True


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
        folder = folders.pop()
        inside = folder.relative_to(top)
        with nullcontext() if folder == top else or_excluded(f"{root}/{inside.as_posix()}"):
            paths = list(folder.iterdir())
            if folder != top and any(path.name == _ENVIRONMENT for path in paths):
                left.names.append(f"{root}/{inside.as_posix()}")
                continue
            for path in paths:
                if choice.takes(path, (inside / path.name).as_posix(), root, left):
                    if path.is_dir():
                        folders.append(path)
                    elif _is_known(path, left):
                        found.append(path)
    left.names.sort()
    return sorted(found)


def _is_known(path: Path, left: LeftOut) -> bool:
    """Say whether this is a file of a known kind; `~$a.docx` only says who has `a.docx` open."""
    if path.name.startswith("~$") or not path.is_file():
        return False
    if path.suffix.lower() in KINDS:
        return True
    left.endings[path.suffix.lower()] += 1
    return False


def _matches(pattern: str, last: str, *paths: str) -> bool:
    pattern = pattern.rstrip("/")
    return any(fnmatchcase(one, pattern) for one in (paths if "/" in pattern else (last,)))
