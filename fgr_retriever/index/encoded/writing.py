"""Encode one shard of a corpus into files, of which those that are there already are not made again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from fgr_retriever.config import IndexConfig
from fgr_retriever.errors import IndexCorruptError, IndexFormatError
from fgr_retriever.index.encoded.arrays import remove_abandoned
from fgr_retriever.index.encoded.passage_file import PassageFile, write_passages
from fgr_retriever.index.encoded.shard import Shard, ends_file
from fgr_retriever.index.encoded.shard_list import ShardList, write_list
from fgr_retriever.index.sources import source_of, twice
from fgr_retriever.index.storage.creation import new_manifest
from fgr_retriever.index.storage.database import write_errors
from fgr_retriever.index.storage.manifest import Manifest
from fgr_retriever.index.storage.passage_row import to_row
from fgr_retriever.model.tokens import TokenBlock, TokenEncoder, makes_codes, telling_importance
from fgr_retriever.types import Passage

MOST_PASSAGES = 4096  # of a file
_MOST_BYTES = 2_000_000  # of the texts of a file: about 500,000 tokens, which are held in memory
_ENDS = 1024  # one passage in so many ends its file


@dataclass(frozen=True, slots=True)
class EncodedShard:
    """What `encode_shard` did.

    Args:
        passages: Passages of the shard.
        encoded: Those of them that had to be encoded; the files with the others were there.
        files: Files with passages.
    """

    passages: int
    encoded: int
    files: int


@dataclass(slots=True)
class _Group:
    """Passages that make a file: where they stand in the corpus, and checksums of what they are."""

    positions: list[int] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    checksums: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, position: int, passage: Passage, checksum: bytes) -> None:
        self.positions.append(position)
        self.passages.append(passage)
        self.checksums.append(checksum)
        self.size += len(passage.text.encode("utf-8", "surrogatepass"))

    @property
    def is_full(self) -> bool:
        full = len(self.passages) >= MOST_PASSAGES or self.size >= _MOST_BYTES
        return full or ends_file(self.passages[-1].id, _ENDS)

    def fingerprint(self, manifest: Manifest) -> str:
        """Hash what the file depends on: the passages and the model."""
        digest = hashlib.blake2b(manifest.to_json().encode(), digest_size=16)
        digest.update(b"".join(self.checksums))
        return digest.hexdigest()


class _Corpus:
    """The passages of all shards, of which one takes its own.

    Args:
        passages: All of them.
        shard: The one.

    Attributes:
        fingerprint: Of all passages, once they are read.
    """

    def __init__(self, passages: Iterable[Passage], shard: Shard) -> None:
        self._passages, self._shard = passages, shard
        self._digest = hashlib.blake2b(digest_size=16)

    @property
    def fingerprint(self) -> str:
        return self._digest.hexdigest()

    def groups(self) -> Iterator[_Group]:
        """Read all passages, and put those of the shard together to files.

        Raises:
            InputError: A passage cannot be stored, or its id came before.
        """
        group, met = _Group(), dict[str, str | None]()
        for position, passage in enumerate(self._passages):
            row = to_row(passage, units=False)
            self._digest.update(row.checksum)
            if not self._shard.has(passage.id):
                continue
            source = source_of(passage.metadata)
            if passage.id in met:
                raise twice(passage.id, source, met[passage.id])
            met[passage.id] = source
            group.add(position, passage, row.checksum)
            if group.is_full:
                yield group
                group = _Group()
        if group.passages:
            yield group


def encode_shard(
    passages: Iterable[Passage],
    encoder: TokenEncoder,
    folder: str | Path,
    shard: str = "0/1",
    *,
    importance: bool = False,
    show_progress: bool = False,
) -> EncodedShard:
    """Encode the passages of one shard, and write them as files from which an index can be made without the model.

    Every passage belongs to one shard, by a hash of its id. Give each shard the same passages in the same order.
    Shards can be encoded in any order, on any machines, into one folder or several. After an interruption call it
    again: a file that is there is not made again, but for other passages or with another model.

    Args:
        passages: All passages of the corpus; they are read once, and those of a file held in memory.
        encoder: The model.
        folder: Where the files go; made if missing.
        shard: Which shard of how many: `0/16` is the first of 16, `15/16` the last.
        importance: Also keep the importance of tokens, for an index with `IndexConfig.importance`.
        show_progress: Show a progress bar on stderr.

    Returns:
        How many passages the shard has, and how many had to be encoded.

    Raises:
        ConfigError: There is no such shard, or the model cannot compute importance.
        InputError: A passage cannot be stored, or its id comes twice.
        IndexWriteError: The disk refused the write.
    """
    part, out = Shard.parse(shard), Path(folder)
    manifest = new_manifest(encoder, IndexConfig(importance=importance))
    with write_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    remove_abandoned(out)
    corpus, names, positions, encoded = _Corpus(passages, part), list[str](), list[int](), 0
    with closing(tqdm(unit=" passages", desc=f"shard {part}", disable=not show_progress)) as bar:
        for group in corpus.groups():
            path = part.file_in(out, group.fingerprint(manifest))
            if not _is_whole(path):
                blocks = _encode(encoder, (passage.text for passage in group.passages), importance)
                write_passages(path, manifest, group.passages, blocks)
                encoded += len(group.passages)
            names.append(path.name)
            positions += group.positions
            bar.update(len(group.passages))
    write_list(out, ShardList(part, manifest, corpus.fingerprint, names, np.array(positions, np.int64)))
    with write_errors(out):
        for path in part.files_besides(out, set(names)):
            path.unlink(missing_ok=True)
    return EncodedShard(len(positions), encoded, len(names))


def _encode(encoder: TokenEncoder, texts: Iterable[str], importance: bool) -> Iterator[TokenBlock]:
    """Encode passages with all that an index of this model keeps."""
    encode: Callable[..., Iterator[TokenBlock]] = encoder.encode_passages
    if importance:
        encode = partial(telling_importance(encoder).encode_passages, importance=True)
    return encode(texts, evidence=True) if makes_codes(encoder) else encode(texts)


def _is_whole(path: Path) -> bool:
    """Say whether a file is there as it was written; what is in it, its name says."""
    try:
        PassageFile(path)
    except (IndexCorruptError, IndexFormatError):
        return False
    return True
