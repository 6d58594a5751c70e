"""Files with known sizes and checksums: how segments and codecs are written and checked."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.errors import IndexCorruptError
from fgr_retriever.index.storage.folders import check_file, check_file_name, check_folder
from fgr_retriever.index.storage.manifest import sync_folder


class StoredFile(NamedTuple):
    """What the database keeps of one file.

    Args:
        bytes: Its size.
        sha256: Its checksum, in hex.
    """

    bytes: int
    sha256: str


def files_to_json(files: Mapping[str, StoredFile]) -> str:
    """Write sizes and checksums as a JSON object, by file name."""
    return json.dumps(files)


def files_from_json(text: str) -> dict[str, StoredFile]:
    """Read what `files_to_json` wrote.

    Raises:
        ValueError: It is something else.
    """
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    files = {}
    for name, value in values.items():
        if not (isinstance(value, list) and list(map(type, value)) == [int, str]):
            raise ValueError(f"{name}: {value!r:.200} is no size and checksum")
        files[check_file_name(name)] = StoredFile(*value)
    return files


def check_sizes(folder: Path, files: Mapping[str, StoredFile]) -> None:
    """Compare the sizes of files, without reading them.

    Raises:
        FileNotFoundError: A file is missing.
        IndexCorruptError: A file has another size, or something else lies in its place.
    """
    check_folder(folder.parent)
    check_folder(folder)
    for name, expected in files.items():
        path = folder / name
        check_file(path)
        if (found := path.stat().st_size) != expected.bytes:
            raise IndexCorruptError(f"{path} has {found} bytes instead of {expected.bytes}: restore it from a copy")


def check_bytes(folder: Path, files: Mapping[str, StoredFile]) -> None:
    """Compare every byte of files.

    Raises:
        IndexCorruptError: A file differs from what was written, or cannot be read.
    """
    for name, expected in files.items():
        path = folder / name
        try:
            check_sizes(folder, {name: expected})  # a pipe or a device has no end
            with path.open("rb") as stream:
                found = _sha256(stream)
        except OSError as error:
            raise IndexCorruptError(f"{path} cannot be read ({error}): restore it from a copy") from error
        if found != expected.sha256:
            raise IndexCorruptError(f"{path} differs from what was written: restore it from a copy")


def seal(folder: Path) -> dict[str, StoredFile]:
    """Make every file of a new folder durable, and the folder itself."""
    sealed = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())
            sealed[path.name] = StoredFile(path.stat().st_size, _sha256(stream))
    sync_folder(folder)
    sync_folder(folder.parent)
    return sealed


class HashedFile:
    """A new file that is hashed while it is written.

    Args:
        path: Where; the folder exists.
    """

    def __init__(self, path: Path) -> None:
        """Create the file."""
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        self._bytes = 0

    def write(self, array: NDArray[Any]) -> None:
        """Append the bytes of an array."""
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        self._digest.update(data)
        self._bytes += self._file.write(data)

    def finish(self) -> StoredFile:
        """Make the file durable."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()
        return StoredFile(self._bytes, self._digest.hexdigest())

    def close(self) -> None:
        """Close the file, durable or not."""
        self._file.close()


def _sha256(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := stream.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()
