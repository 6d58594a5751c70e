"""A file of arrays with a header and a checksum: safetensors, there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fgr_retriever.errors import IndexCorruptError, IndexFormatError
from fgr_retriever.index.storage.database import write_errors
from fgr_retriever.index.storage.manifest import sync_folder

FORMAT_VERSION = 1
_HEADER = "fgr_encoded"  # the key of ours in the metadata of a safetensors file
_DTYPES = {"F16": "<f2", "I32": "<i4", "I64": "<i8", "U8": "u1"}
_UNFINISHED = ".unfinished"
AGAIN = "run `fgr encode` again, which makes only what is missing"
_ABANDONED_S = 3600  # a file is written in one go, so nobody is still at one that nobody touched for so long


def write_arrays(path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a file, durably; in whatever moment the process ends, no half file has its name.

    Args:
        path: Where; another file there is replaced.
        header: JSON-safe values.
        arrays: float16, int32, int64 or uint8.

    Raises:
        IndexWriteError: The disk refused.
    """
    kept = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    told = {**header, "format_version": FORMAT_VERSION}
    data = save(kept, {_HEADER: json.dumps({**told, "sha256": _checksum(told, kept)})})
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}{_UNFINISHED}")  # two processes may write the same file
    with write_errors(path.parent):
        try:
            with unfinished.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
            sync_folder(path.parent)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


def read_arrays(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Open a file that `write_arrays` wrote, and compare it with its checksum.

    Returns:
        The header, and the arrays, memory-mapped for reading.

    Raises:
        IndexCorruptError: The file is missing, cut off, damaged, or something else.
        IndexFormatError: Its format is none that this version reads.
    """
    try:
        if not path.is_file():
            raise ValueError("there is no such file")
        with safe_open(path, "numpy"):  # compares every size in the header with that of the file
            pass
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            entries = json.loads(file.read(size))
        header = json.loads(entries.pop("__metadata__")[_HEADER])
        if (version := header["format_version"]) != FORMAT_VERSION:
            raise IndexFormatError(
                f"{path} has format {version!r:.50} of encoded files, this version reads {FORMAT_VERSION}: "
                "encode it again, or index it with the version of fgr-retriever that wrote it"
            )
        arrays = {name: _mapped(path, entry, 8 + size) for name, entry in entries.items()}
        if header.pop("sha256") != _checksum(header, arrays):
            raise ValueError("it differs from what was written")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise damaged(path, error) from error
    return header, arrays


def damaged(path: Path, why: object) -> IndexCorruptError:
    """Make the error that says what is wrong with a file, and what to do."""
    return IndexCorruptError(f"{path} cannot be used ({why}): {AGAIN}")


def remove_abandoned(folder: Path) -> None:
    """Remove what processes left that were killed while they wrote."""
    with write_errors(folder):
        for path in folder.glob(f"*.safetensors.*{_UNFINISHED}"):
            try:
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    path.unlink()
            except FileNotFoundError:
                continue  # another process finished it, or removed it


def _mapped(path: Path, entry: Mapping[str, Any], start: int) -> NDArray[Any]:
    dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(entry["shape"])
    if 0 in shape:
        return np.zeros(shape, dtype)  # nothing cannot be mapped
    # A memmap is slower to index than the array that it is.
    return np.memmap(path, dtype, "r", start + entry["data_offsets"][0], shape).view(np.ndarray)


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
