"""Pooled vectors next to an index, one for each text, in files that are never changed.

A folder has files `SHA256.safetensors`, each named by its own checksum, with `digests`, (n, 16) uint8,
and `vectors`, (n, d) float16. A vector is found by the digest of its text. So it stays valid when ids
or metadata change, and when the index is compacted or copied. All files can be made again: a damaged
file is ignored, and vectors that cannot be written are kept in memory. A folder that is reached through
a link inside the index is left alone: it may be somebody else's.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save
from tqdm.auto import tqdm

from fgr_retriever.index.storage.folders import is_link
from fgr_retriever.index.storage.manifest import sync_folder

logger = logging.getLogger(__name__)

_FILE_TEXTS = 1 << 16  # encoded before they are written: what an interruption loses
_CHUNK = 1024  # texts in memory at once
_MOST_FILES = 16  # or more than half of the vectors unused: then all become one file
_SUFFIX = ".safetensors"
_NAME = re.compile(rf"[0-9a-f]{{64}}{re.escape(_SUFFIX)}")

Encode = Callable[[Sequence[int]], NDArray[np.float16]]


class PooledVectors:
    """The vectors that one model gives to the texts of an index.

    Args:
        folder: The folder of the files; created when there is something to write.
        dim: Width of a vector.
    """

    def __init__(self, folder: Path, dim: int) -> None:
        """Read nothing yet."""
        self._folder = folder
        self._dim = dim

    def of(self, digests: Sequence[bytes], encode: Encode, *, show_progress: bool = False) -> NDArray[np.float16]:
        """Give the vectors of texts; missing vectors are made and written.

        Args:
            digests: 16 bytes for each text, the same for equal texts.
            encode: Gives the vectors of texts, (m, dim) float16, from their positions in `digests`.
            show_progress: Show a bar on stderr while vectors are made.

        Returns:
            (len(digests), dim) float16.
        """
        files, known, vectors = self._read()
        first = dict(zip(reversed(digests), range(len(digests) - 1, -1, -1), strict=True))
        missing = [place for digest, place in first.items() if digest not in known]
        parts = [vectors]
        with tqdm(total=len(missing), unit=" passages", desc="pooling", disable=not show_progress) as bar:
            for start in range(0, len(missing), _FILE_TEXTS):
                group = missing[start : start + _FILE_TEXTS]
                new = [self._encode(encode, group[at : at + _CHUNK], bar) for at in range(0, len(group), _CHUNK)]
                parts.append(np.concatenate(new))
                names = [digests[place] for place in group]
                known.update(zip(names, range(len(known), len(known) + len(names)), strict=True))
                files += self._write(names, parts[-1])
        vectors = np.concatenate(parts)
        if len(files) > _MOST_FILES or len(vectors) > 2 * len(first):
            self._replace(files, list(first), vectors[[known[digest] for digest in first]])
        return vectors[[known[digest] for digest in digests]]

    @property
    def _is_foreign(self) -> bool:
        """Say whether a link in the index leads to the folder."""
        return is_link(self._folder) or is_link(self._folder.parent)

    def _encode(self, encode: Encode, places: Sequence[int], bar: tqdm) -> NDArray[np.float16]:
        found = encode(places)
        bar.update(len(places))
        return found

    def _read(self) -> tuple[list[Path], dict[bytes, int], NDArray[np.float16]]:
        """Read all files: which they are, where the vector of each digest is, and the vectors."""
        while True:
            files = [] if self._is_foreign else sorted(filter(_is_ours, self._folder.glob(f"*{_SUFFIX}")))
            try:
                parts = [part for path in files if (part := _load(path)) is not None]
                break
            except FileNotFoundError:  # another process has made one file of many
                continue
        places: dict[bytes, int] = {}
        names = chain.from_iterable(map(bytes, part["digests"]) for part in parts)
        for place, name in enumerate(names):  # two processes may both have written a text: the last one counts
            places[name] = place
        vectors = np.concatenate([np.zeros((0, self._dim), np.float16), *(part["vectors"] for part in parts)])
        kept = np.fromiter(places.values(), np.int64, len(places))
        return files, dict(zip(places, range(len(places)), strict=True)), vectors[kept]

    def _write(self, digests: Sequence[bytes], vectors: NDArray[np.float16]) -> list[Path]:
        """Write a file that is there whole or not at all: its path, or nothing where the disk refused."""
        rows = np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), -1)
        data = save({"digests": rows, "vectors": np.ascontiguousarray(vectors)})
        path = self._folder / f"{hashlib.sha256(data).hexdigest()}{_SUFFIX}"
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            if self._is_foreign:
                raise OSError("its folder is a link")
            self._folder.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
            sync_folder(self._folder)
        except OSError as error:
            logger.warning(
                "pooled vectors cannot be written to %s (%s): they last as long as this process", path, error
            )
            return []
        return [path]

    def _replace(self, files: Sequence[Path], digests: Sequence[bytes], vectors: NDArray[np.float16]) -> None:
        """Make one file of many."""
        written = self._write(digests, vectors) if digests else []
        if written or not digests:
            for path in set(files) - set(written):
                with suppress(OSError):  # what is left over is read once more
                    path.unlink()


def _is_ours(path: Path) -> bool:
    """Say whether a file has a name that we give; others are neither read nor removed."""
    return _NAME.fullmatch(path.name) is not None and path.is_file() and not is_link(path)


def _load(path: Path) -> dict[str, NDArray[np.generic]] | None:
    """Read a file; None, and a warning, when it is damaged."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() == path.stem:
        return load(data)
    logger.warning("%s is damaged: its vectors are made anew", path)
    with suppress(OSError):
        path.unlink()
    return None
