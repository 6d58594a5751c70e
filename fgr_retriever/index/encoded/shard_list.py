"""The list of a shard: its files, and where their passages stand in the corpus.

It is written last, so a shard that has one is finished.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.index.encoded.arrays import damaged, read_arrays, write_arrays
from fgr_retriever.index.encoded.shard import Shard
from fgr_retriever.index.storage.manifest import Manifest, parse_manifest

_POSITIONS = "positions"


@dataclass(frozen=True, slots=True, eq=False)
class ShardList:
    """What a shard has.

    Args:
        shard: Which one it is.
        manifest: Of the index that would be made of its files.
        corpus: Fingerprint of the passages of all shards.
        files: Names of its files, in the order of their passages.
        positions: Places of its passages in the corpus, (passages,) int64, ascending.
    """

    shard: Shard
    manifest: Manifest
    corpus: str
    files: list[str]
    positions: NDArray[np.int64]


def write_list(folder: Path, found: ShardList) -> None:
    """Write the list of a shard beside its files.

    Raises:
        IndexWriteError: The disk refused.
    """
    header = {"manifest": found.manifest.to_json(), "corpus": found.corpus, "files": found.files}
    write_arrays(found.shard.list_in(folder), header, {_POSITIONS: found.positions})


def read_list(folder: Path, shard: Shard) -> ShardList:
    """Read the list of a shard.

    Raises:
        IndexCorruptError: It is missing, damaged or something else.
        IndexFormatError: Its format is none that this version reads.
    """
    path = shard.list_in(folder)
    header, arrays = read_arrays(path)
    manifest, corpus, files = (header.get(name) for name in ("manifest", "corpus", "files"))
    if not (isinstance(manifest, str) and isinstance(corpus, str) and _are_names(files, shard)):
        raise damaged(path, "it lists no files of its shard")
    positions = arrays.get(_POSITIONS, np.zeros((0, 0)))
    if positions.dtype != np.int64 or positions.ndim != 1 or (np.diff(positions, prepend=-1) < 1).any():
        raise damaged(path, "the places of its passages do not ascend")
    return ShardList(shard, parse_manifest(manifest, path), corpus, files, positions)


def _are_names(files: Any, shard: Shard) -> TypeGuard[list[str]]:
    """Say whether it is a list of names of a shard's files, which lead nowhere else."""
    return isinstance(files, list) and all(isinstance(name, str) and shard.owns(name) for name in files)
