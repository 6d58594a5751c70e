"""A file of passages with all that an index keeps of them.

=============  ================  =============================================================
`lines`        (bytes,) uint8    JSON Lines: `id`, `text`, `metadata`, and `units` in hex
`line_ends`    (passages,) int64  one past the last byte of each line
`lengths`      (passages,) int32  tokens of each passage
`vectors`      (tokens, dim)     L2-normalised token embeddings, float16
`offsets`      (tokens, 2) int32  characters of each token
`evidence`     (tokens, n) uint8  evidence codes, if the model makes any
`importance`   (tokens,) uint8   importance of each token, if it was asked for
=============  ================  =============================================================

The header has the manifest of an index that would be made of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.errors import IndexCorruptError, InputError
from fgr_retriever.index.encoded.arrays import damaged, read_arrays, write_arrays
from fgr_retriever.index.storage.manifest import Manifest, parse_manifest
from fgr_retriever.index.storage.sides import sides_of
from fgr_retriever.index.storage.writing import check_block, side_of
from fgr_retriever.model.tokens import TokenBlock
from fgr_retriever.text.units import Units
from fgr_retriever.types import Passage

_MANIFEST = "manifest"


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A passage with all that is made of its text.

    Args:
        passage: The passage.
        units: The borders of its sentences and phrases; see `Units.to_bytes`.
        tokens: Its tokens, as the one block of the first passage that is encoded.
    """

    passage: Passage
    units: bytes
    tokens: TokenBlock


def write_passages(path: Path, manifest: Manifest, passages: Sequence[Passage], blocks: Iterable[TokenBlock]) -> None:
    """Write a file.

    Args:
        path: Where.
        manifest: Of the index that would be made of it.
        passages: The passages.
        blocks: Their tokens, as an encoder gives them.

    Raises:
        InputError: The encoder gave something else than tokens for each passage.
        IndexWriteError: The disk refused.
    """
    sides = sides_of(manifest)
    given: dict[str, list[NDArray[Any]]] = {name: [] for name in ("vectors", "offsets", *(side.name for side in sides))}
    lengths = [0]
    for block in blocks:
        check_block(block, manifest.dim)
        given["vectors"].append(block.vectors)
        given["offsets"].append(block.offsets)
        for side in sides:
            given[side.name].append(side_of(block, side))
        lengths[-1] += len(block.vectors)
        if block.last:
            lengths.append(0)
    if len(lengths) != len(passages) + 1:
        raise InputError(f"the encoder took {len(passages)} texts and gave {len(lengths) - 1} passages")
    lines = [_line(passage) for passage in passages]
    arrays = {
        **{name: np.concatenate(found) for name, found in given.items()},
        "lengths": np.array(lengths[:-1], np.int32),
        "lines": np.frombuffer(b"".join(lines), np.uint8),
        "line_ends": np.cumsum([len(line) for line in lines], dtype=np.int64),
    }
    write_arrays(path, {_MANIFEST: manifest.to_json()}, arrays)


class PassageFile:
    """A file that `write_passages` wrote, opened for reading.

    Args:
        path: Where it is.

    Raises:
        IndexCorruptError: It is missing, damaged or something else.
        IndexFormatError: Its format is none that this version reads.

    Attributes:
        manifest: Of the index that would be made of it.
    """

    def __init__(self, path: Path) -> None:
        """Check that the arrays fit one another."""
        self._path = path
        header, self._arrays = read_arrays(path)
        text = header.get(_MANIFEST)
        if not isinstance(text, str):
            raise damaged(path, "it has no passages")
        self.manifest = parse_manifest(text, path)
        count, tokens = (len(self._arrays.get(name, ())) for name in ("lengths", "vectors"))
        as_bytes, as_numbers = np.dtype("u1"), np.dtype("<i4")
        right = {
            "lines": ((len(self._arrays.get("lines", ())),), as_bytes),
            "line_ends": ((count,), np.dtype("<i8")),
            "lengths": ((count,), as_numbers),
            "vectors": ((tokens, self.manifest.dim), np.dtype("<f2")),
            "offsets": ((tokens, 2), as_numbers),
            **{side.name: ((tokens, *side.shape), as_bytes) for side in sides_of(self.manifest)},
        }
        if {name: (array.shape, array.dtype) for name, array in self._arrays.items()} != right:
            raise damaged(path, "its arrays do not fit one another")
        self._line_ends = self._borders("line_ends", self._arrays["line_ends"], len(self._arrays["lines"]))
        self._token_ends = self._borders("lengths", np.cumsum(self._arrays["lengths"], dtype=np.int64), tokens)

    def __len__(self) -> int:
        """Count the passages."""
        return len(self._arrays["lengths"])

    def read(self, slot: int) -> Encoded:
        """Read one passage.

        Raises:
            IndexCorruptError: It is damaged.
        """
        line = self._arrays["lines"][self._line_ends[slot] : self._line_ends[slot + 1]].tobytes()
        tokens = slice(*self._token_ends[slot : slot + 2].tolist())
        take = partial(self._side, tokens)
        try:
            passage, units = _parse(line)
            offsets = self._arrays["offsets"][tokens]
            if len(offsets) and not (offsets[:, 0].min() >= 0 and offsets[:, 1].max() <= len(passage.text)):
                raise ValueError("tokens lie outside of its text")
            if (offsets[:, 0] > offsets[:, 1]).any():
                raise ValueError("tokens end before they begin")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, IndexCorruptError) as error:
            raise damaged(self._path, f"its passage {slot}: {error}") from error
        found = TokenBlock(0, self._arrays["vectors"][tokens], offsets, True, take("importance"), take("evidence"))
        return Encoded(passage, units, found)

    def _side(self, tokens: slice, name: str) -> NDArray[np.uint8] | None:
        return self._arrays[name][tokens] if name in self._arrays else None

    def _borders(self, name: str, ends: NDArray[np.int64], size: int) -> NDArray[np.int64]:
        """Put a 0 before the ends of parts, which must fill what there is."""
        borders = np.concatenate([np.zeros(1, np.int64), ends])
        if (np.diff(borders) < 0).any() or borders[-1] != size:
            raise damaged(self._path, f"`{name}` does not add up")
        return borders


def _line(passage: Passage) -> bytes:
    """Write a passage as a line of ASCII, so that lone surrogates survive, too."""
    values = {"id": passage.id, "text": passage.text, "metadata": dict(passage.metadata)}
    return json.dumps({**values, "units": Units.of(passage.text).to_bytes().hex()}).encode() + b"\n"


def _parse(line: bytes) -> tuple[Passage, bytes]:
    """Read what `_line` wrote.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, RecursionError, IndexCorruptError: It is something else.
    """
    values = json.loads(line)
    id, text, metadata = values["id"], values["text"], values["metadata"]
    if not (isinstance(id, str) and isinstance(text, str) and isinstance(metadata, dict)):
        raise ValueError("is no passage")
    units = bytes.fromhex(values["units"])
    Units.from_bytes(units, len(text))
    return Passage(id, text, metadata), units
