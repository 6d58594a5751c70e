"""The shards of a corpus, as one: passages in the order in which they were read, with their tokens."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from pathlib import Path

from fgr_retriever.errors import InputError, ModelMismatchError
from fgr_retriever.index.encoded.arrays import AGAIN, damaged
from fgr_retriever.index.encoded.passage_file import Encoded, PassageFile
from fgr_retriever.index.encoded.shard import Shard
from fgr_retriever.index.encoded.shard_list import ShardList, read_list
from fgr_retriever.index.storage.manifest import Manifest
from fgr_retriever.index.storage.passage_row import Row, with_units
from fgr_retriever.model.mismatch import called
from fgr_retriever.model.tokens import TokenBlock
from fgr_retriever.types import Passage

_NAMED = 10  # missing shards in a message


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where a passage lies, and where it stood in the corpus."""

    position: int
    file: PassageFile
    slot: int


class EncodedCorpus:
    """What `encode_shard` wrote, opened for an index.

    Args:
        folders: Folders with the files of shards, which together have every shard once.
        incomplete: Do without the shards that are missing.

    Raises:
        InputError: A shard is missing, or comes twice; or the shards are not of one corpus.
        ModelMismatchError: They were encoded with different models.
        IndexCorruptError: A list of files is damaged.
        IndexFormatError: The format is none that this version reads.

    Attributes:
        manifest: Of the index that would be made of them.
    """

    def __init__(self, folders: Sequence[Path], *, incomplete: bool = False) -> None:
        """Read the lists; the files are opened when it is their turn."""
        found = _lists(folders)
        shards = {shard: listed for shard, (_, listed) in found.items()}
        _check_alike(shards)
        if not incomplete:
            _check_complete(shards)
        self.manifest: Manifest = next(iter(shards.values())).manifest
        self._lists = list(found.values())
        self._current: Encoded | None = None

    def __len__(self) -> int:
        """Count the passages."""
        return sum(len(listed.positions) for _, listed in self._lists)

    def passages(self) -> Generator[Passage, None, None]:
        """Read the passages in the order of the corpus; of each shard, one file is open at a time.

        Raises:
            IndexCorruptError: A file is missing or damaged.
            ModelMismatchError: A file was encoded with another model than its list says.
        """
        places = (self._places(folder, listed) for folder, listed in self._lists)
        for place in merge(*places, key=lambda place: place.position):
            self._current = place.file.read(place.slot)
            yield self._current.passage

    def encode(self, texts: Iterable[str]) -> Iterator[TokenBlock]:
        """Stand in for an encoder: give the tokens of those passages whose texts come back from `passages`."""
        for number, _ in enumerate(texts):
            yield replace(self._now.tokens, passage=number)

    def with_units(self, row: Row) -> Row:
        """Stand in for `passage_row.with_units`, for the row of the passage at hand."""
        return with_units(row, self._now.units)

    @property
    def _now(self) -> Encoded:
        if self._current is None:
            raise InputError("no passage was read yet: `encode` takes the texts of `passages`")
        return self._current

    def _places(self, folder: Path, listed: ShardList) -> Iterator[_Place]:
        """Open the files of a shard one after the other."""
        start = 0
        for name in listed.files:
            file = PassageFile(folder / name)
            if file.manifest != listed.manifest:
                raise ModelMismatchError(
                    f"{folder / name} was not encoded with the model of its list: delete it, and {AGAIN}"
                )
            positions = listed.positions[start : start + len(file)].tolist()
            start += len(file)
            if len(positions) < len(file):
                break
            yield from (_Place(position, file, slot) for slot, position in enumerate(positions))
        if start != len(listed.positions):
            raise damaged(listed.shard.list_in(folder), "its files do not have as many passages as it says")


def _lists(folders: Sequence[Path]) -> dict[Shard, tuple[Path, ShardList]]:
    """Read the lists of all shards.

    Raises:
        InputError: There is none, or one twice.
        IndexCorruptError: A list is damaged, or a file of it is missing.
    """
    found: dict[Shard, tuple[Path, ShardList]] = {}
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder: give those that `fgr encode` wrote")
        for shard in sorted(filter(None, map(Shard.named, folder.iterdir())), key=lambda shard: shard.number):
            if shard in found:
                raise InputError(f"shard {shard} is in {found[shard][0]} and in {folder}: give each shard once")
            found[shard] = folder, read_list(folder, shard)
            for path in (folder / name for name in found[shard][1].files):
                if not path.is_file():  # which shows now, and not after hours
                    raise damaged(path, "there is no such file")
    if not found:
        raise InputError(f"no shard is finished in {', '.join(map(str, folders))}: run `fgr encode` there first")
    return found


def _check_alike(shards: dict[Shard, ShardList]) -> None:
    """Check that shards are of one corpus and one model.

    Raises:
        InputError: They are not of one corpus.
        ModelMismatchError: They are not of one model.
    """
    first, *others = shards.items()
    for shard, listed in others:
        if shard.of != first[0].of:
            raise InputError(
                f"there are shards of {first[0].of} and of {shard.of}: give each number a folder of its own"
            )
        if listed.manifest != first[1].manifest:
            raise ModelMismatchError(
                f"shard {first[0]} was encoded with {called(first[1].manifest.model)}, shard {shard} with "
                f"{called(listed.manifest.model)}, or one with importance and one without: {AGAIN}"
            )
        if listed.corpus != first[1].corpus:
            raise InputError(f"shards {first[0]} and {shard} were made of different passages: {AGAIN}")


def _check_complete(shards: dict[Shard, ShardList]) -> None:
    """Check that no shard is missing.

    Raises:
        InputError: One is; names the first ones.
    """
    of = next(iter(shards)).of
    missing = [str(shard) for shard in (Shard(number, of) for number in range(of)) if shard not in shards]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise InputError(
            f"of {of} shards, {len(missing)} are not finished: {', '.join(missing[:_NAMED])}{more}. Run `fgr encode` "
            "for them, or leave their passages out with `incomplete` (`--incomplete`)"
        )
