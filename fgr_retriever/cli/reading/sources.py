"""Which files are meant, and under which names the index knows them.

A file of a folder is named from that folder on, so that it has the same name wherever the command is run: `notes/a.md`
for `a.md` in the folder `notes`, however the way to `notes` was written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fgr_retriever.cli.reading.files import KINDS, STDIN
from fgr_retriever.cli.reading.folders import Choice, LeftOut, files_in
from fgr_retriever.errors import InputError
from fgr_retriever.index.sources import is_within


@dataclass(frozen=True, slots=True)
class Source:
    """A file to be indexed.

    Args:
        name: Its name in the index.
        path: Where it is; `-` for stdin.
        in_folder: Whether it was found in a folder; else it was given itself.
    """

    name: str
    path: Path
    in_folder: bool = False


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that was given: what the index has of it and is not among the files is gone.

    Args:
        name: Its name in the index.
        path: Where it is.
    """

    name: str
    path: Path

    def has(self, name: str) -> bool:
        """Say whether a file that the index knows lies there still."""
        return is_within(name, {self.name}) and (self.path / name[len(self.name) + 1 :]).is_file()


@dataclass(frozen=True, slots=True)
class Sources:
    """What a command is to index.

    Args:
        files: The files, each once.
        folders: The folders that were given.
        left: What was left out of them.
    """

    files: tuple[Source, ...]
    folders: tuple[Folder, ...]
    left: LeftOut


def find_sources(given: Sequence[str], choice: Choice = Choice()) -> Sources:  # noqa: B008 - immutable
    """Find the files that are meant; a folder stands for all files in it of a known kind that are not left out.

    Raises:
        FileNotFoundError: A file is missing, or a folder has no such file.
        InputError: Two files would have the same name in the index, or a folder cannot be listed.
    """
    files, folders, left = list[Source](), list[Folder](), LeftOut()
    for name in given:
        path = Path(name)
        if name == STDIN or path.is_file():
            files.append(Source(path.as_posix(), path))
        elif not path.exists():
            raise FileNotFoundError(f"{name}: no such file or folder")
        else:
            folder = Folder(path.resolve().name, path)
            inside = files_in(path, choice, left)
            if not inside:
                but = f"; {told}" if (told := left.told()) else ""
                raise FileNotFoundError(f"{name}: no file in this folder whose name ends in {', '.join(KINDS)}{but}")
            files += [
                Source((Path(folder.name) / item.relative_to(path)).as_posix(), item, in_folder=True) for item in inside
            ]
            folders.append(folder)
    _check_names(files)
    return Sources(tuple(files), tuple(folders), left)


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
