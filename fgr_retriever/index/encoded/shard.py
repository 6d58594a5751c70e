"""Which passages are whose: every shard draws its own by a hash of their ids, whoever runs it and when."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import Self

from fgr_retriever.arguments import check, is_count

_WRITTEN = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
_SHARDS = "i/n with i from 0 to n - 1, such as 0/16 for the first of 16 shards and 15/16 for the last"
_NAME = re.compile(r"shard-([0-9]{6})-of-([0-9]{6})")
_ENDING = ".safetensors"


@dataclass(frozen=True, slots=True)
class Shard:
    """One of the parts into which a corpus is cut.

    Args:
        number: Which one, from 0.
        of: How many there are, at most 999,999.

    Raises:
        ConfigError: There is no such part.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        """Check both fields."""
        counts = is_count(self.of, 1) and is_count(self.number, 0)
        known = counts and self.number < self.of < 10**6
        check("shard", f"{self.number}/{self.of}", known, _SHARDS)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` gives, such as `0/16`.

        Raises:
            ConfigError: It is something else, or there is no such part.
        """
        found = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
        check("shard", text, found is not None, _SHARDS)
        number, of = map(int, found.groups()) if found else (0, 1)
        return cls(number, of)

    @classmethod
    def named(cls, path: Path) -> Self | None:
        """Give the shard whose list lies at a path; None if that is the name of something else."""
        found = _NAME.fullmatch(path.name.removesuffix(_ENDING)) if path.suffix == _ENDING else None
        return cls(int(found[1]), int(found[2])) if found and int(found[1]) < int(found[2]) else None

    def __str__(self) -> str:
        """Write it as on the command line."""
        return f"{self.number}/{self.of}"

    def has(self, id: str) -> bool:
        """Say whether a passage is of this part."""
        return _drawn(id)[0] % self.of == self.number

    def list_in(self, folder: Path) -> Path:
        """Name the file that lists what the shard has; it is written last."""
        return folder / f"{self._name}{_ENDING}"

    def file_in(self, folder: Path, fingerprint: str) -> Path:
        """Name a file of passages with their vectors."""
        return folder / f"{self._name}-{fingerprint}{_ENDING}"

    def owns(self, name: str) -> bool:
        """Say whether a name is that of one of its files of passages."""
        return re.fullmatch(f"{self._name}-[0-9a-f]{{32}}{_ENDING}", name) is not None

    def files_besides(self, folder: Path, names: Collection[str]) -> list[Path]:
        """Find its files of passages that are not among some."""
        return [path for path in folder.iterdir() if self.owns(path.name) and path.name not in names]

    @property
    def _name(self) -> str:
        return f"shard-{self.number:06}-of-{self.of:06}"


def ends_file(id: str, every: int) -> bool:
    """Say whether a file ends after this passage, as one in `every` says by its id.

    So a passage that comes or goes changes its own file and not all files after it.
    """
    return _drawn(id)[1] % every == 0


def _drawn(id: str) -> tuple[int, int]:
    """Draw two numbers that depend on an id alone."""
    digest = hashlib.blake2b(id.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")
