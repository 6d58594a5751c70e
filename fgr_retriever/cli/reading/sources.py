"""Which files are meant, and under which names the index knows them.

A file of a folder is named from that folder on, so that it has the same name wherever the command is run: `notes/a.md`
for `a.md` in the folder `notes`, however the way to `notes` was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fgr_retriever.cli.reading.files import KINDS, STDIN
from fgr_retriever.errors import InputError


@dataclass(frozen=True, slots=True)
class Source:
    """A file to be indexed.

    Args:
        name: Its name in the index.
        path: Where it is; `-` for stdin.
    """

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Sources:
    """What a command is to index.

    Args:
        files: The files, each once.
        folders: Names of the folders that were given: what the index has of them and is not among the files is gone.
    """

    files: tuple[Source, ...]
    folders: tuple[str, ...]


def find_sources(given: Sequence[str]) -> Sources:
    """Find the files that are meant; a folder stands for all files in it of a known kind.

    Raises:
        FileNotFoundError: A file is missing, or a folder has no such file.
        InputError: Two files would have the same name in the index.
    """
    files: list[Source] = []
    folders = []
    for name in given:
        path = Path(name)
        if name == STDIN or path.is_file():
            files.append(Source(path.as_posix(), path))
        elif not path.exists():
            raise FileNotFoundError(f"{name}: no such file or folder")
        else:
            folder = path.resolve().name
            inside = sorted(item for item in path.rglob("*") if _is_text(item))
            if not inside:
                raise FileNotFoundError(f"{name}: no file in this folder whose name ends in {', '.join(KINDS)}")
            files += [Source((Path(folder) / item.relative_to(path)).as_posix(), item) for item in inside]
            folders.append(folder)
    _check_names(files)
    return Sources(tuple(files), tuple(folders))


def _is_text(path: Path) -> bool:
    """Say whether this is a file of a known kind; `~$a.docx` only says who has `a.docx` open."""
    return path.suffix.lower() in KINDS and not path.name.startswith("~$") and path.is_file()


def _check_names(files: Sequence[Source]) -> None:
    """Raise InputError if two files have the same name."""
    met: dict[str, Path] = {}
    for source in files:
        other = met.setdefault(source.name, source.path)
        if other is not source.path:
            raise InputError(
                f"{other} and {source.path} would both be {source.name!r} in the index: give each file once, and "
                "folders of the same name by a folder that holds both"
            )
