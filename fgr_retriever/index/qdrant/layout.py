"""A passage as a point of a collection, and back, character for character and bit for bit.

==============  =====================================================================================
vector `tok`    its token vectors, MaxSim, without a graph
vector `mean`   their mean, cosine, with a graph
vector `cen`    sparse: the centroids that its tokens are nearest to, each with weight 1
vector `bm25`   sparse: its words, where the collection keeps them (see `words`)
`id`, `row`     its id, and a number that rises in the order of adding
`text`          its text; where it has lone surrogates, `text64` has its bytes instead
`metadata`      its metadata as JSON; `source`: where it came from, if they say so
`check`         checksums of id and metadata, of the text, and of the units, in hexadecimal
`units`         borders of sentences, phrases and paragraphs (see `fgr_retriever.text.units`)
`offsets`       the characters of each token, in 2 bytes a token
`evidence`      evidence code of each token; `importance`: its importance, where the collection keeps them
`tokens`        how many tokens there are
`f`             what filters read (see `facets`)
==============  =====================================================================================

Bytes are base64. A point without tokens has no vectors but `bm25`, and only its words find it.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models
from torch import Tensor, from_numpy

from fgr_retriever.errors import IndexCorruptError
from fgr_retriever.index.codec.kmeans import nearest
from fgr_retriever.index.match import Match
from fgr_retriever.index.qdrant.facets import facets
from fgr_retriever.index.sources import source_of
from fgr_retriever.index.storage.offsets import CompactOffsets, compact_offsets
from fgr_retriever.index.storage.passage_row import Row, to_metadata, to_passage, verify_row
from fgr_retriever.model.tokens import StoredTokens
from fgr_retriever.text.units import Units
from fgr_retriever.types import Passage

TOKENS, MEAN, CENTROIDS, WORDS = "tok", "mean", "cen", "bm25"
SIDES = ("evidence", "importance")
ROW = "row"
_PASSAGES = uuid.UUID("5b1f3a5e-5d1c-5c52-9c0e-6f4d2f0b9f11")
_TEXT = ("id", "text", "text64", "metadata", "check", "units")
PASSAGE = [*_TEXT, ROW]
"""Payload of which a passage is made."""
MATCH = [*PASSAGE, "offsets", *SIDES, "tokens"]
"""Payload of which a match is made."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is wanted of each token that a collection keeps.

    Args:
        dim: Width of a token vector.
        sides: What else, and its shape: `evidence` (n,), `importance` ().
    """

    dim: int
    sides: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def point_id(id: str) -> str:
    """Name the point of a passage: the same id always has the same point."""
    return str(uuid.uuid5(_PASSAGES, id))


def to_point(
    row: Row, number: int, tokens: StoredTokens, centroids: Tensor | None, words: models.SparseVector | None = None
) -> models.PointStruct:
    """Make a point.

    Args:
        row: The passage, with its units.
        number: Its number in the order of adding.
        tokens: Its tokens.
        centroids: Those of the collection, (k, d) float32; None while there are none.
        words: The words of its text; None if it has none, or the collection keeps none.
    """
    found = compact_offsets(tokens.offsets)
    sides = {name: _written(value) for name in SIDES if (value := getattr(tokens, name)) is not None}
    offsets = _written(found.gaps) + "." + _written(found.widths) + "." + _written(found.wide)
    units = {} if row.units is None else {"units": _base64(row.units)}
    payload = {**described(row), **units, **sides, ROW: number, "offsets": offsets, "tokens": len(tokens.vectors)}
    payload |= _text(row.text)
    vectors = {**_vectors(tokens.vectors, centroids), **({WORDS: words} if words else {})}
    return models.PointStruct(id=point_id(row.id), vector=vectors, payload=payload)


def described(row: Row) -> dict[str, Any]:
    """Write what new metadata of a stored passage change."""
    metadata = to_metadata(row.id, row.metadata)
    named = {"id": row.id, "metadata": row.metadata, "check": row.checksum.hex(), "f": facets(metadata)}
    return {**named, "source": source_of(metadata)}


def sparse(vectors: NDArray[np.float16], centroids: Tensor) -> models.SparseVector:
    """List the centroids of token vectors."""
    found = np.unique(nearest(from_numpy(vectors.astype(np.float32)), centroids).numpy()).tolist()
    return models.SparseVector(indices=found, values=[1.0] * len(found))


def to_row(payload: Mapping[str, Any]) -> Row:
    """Read the columns of a passage.

    Raises:
        IndexCorruptError: Something is missing or of another kind.
    """
    try:
        text = _bytes(payload["text64"]) if "text64" in payload else payload["text"].encode("utf-8")
        units = _bytes(payload["units"]) if "units" in payload else None
        row = Row(str(payload["id"]), payload["metadata"], text, bytes.fromhex(payload["check"]), units)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise damaged(payload, error) from error
    verify_row(row, units is not None)
    return row


def passage_of(payload: Mapping[str, Any]) -> Passage:
    """Read a passage.

    Raises:
        IndexCorruptError: It differs from what was written.
    """
    return to_passage(to_row(payload))


def matches_of(points: Iterable[Any], shape: Shape) -> list[Match]:
    """Make matches of points that were found.

    Args:
        points: With score, payload and token vectors.
        shape: What the collection keeps of a token, as far as it is wanted.

    Raises:
        IndexCorruptError: One differs from what was written.
    """
    read = [(one, to_row(one.payload)) for one in points]
    passages = [to_passage(row) for _, row in read]
    units = Units.read([row.units for _, row in read if row.units is not None], [len(one.text) for one in passages])
    tokens = [tokens_of(one.payload, one.vector, shape) for one, _ in read]
    triples = zip(read, passages, tokens, units, strict=True)
    return [Match(passage, score_of(one), stored, cuts) for (one, _), passage, stored, cuts in triples]


def tokens_of(payload: Mapping[str, Any], vector: Any, shape: Shape) -> StoredTokens:
    """Read the tokens of a passage.

    Raises:
        IndexCorruptError: They do not fit one another.
    """
    try:
        count = int(payload["tokens"])
        vectors = np.array((vector or {}).get(TOKENS) or np.zeros((0, shape.dim)), dtype=np.float16)
        if vectors.shape != (count, shape.dim):
            raise ValueError(f"vectors {vectors.shape} of {count} tokens of width {shape.dim}")
        gaps, widths, wide = map(_bytes, payload["offsets"].split("."))
        table = np.frombuffer(wide, "<i4").reshape(-1, 3)
        offsets = CompactOffsets(np.frombuffer(gaps, np.int8), np.frombuffer(widths, np.uint8), table)
        if not len(offsets.gaps) == len(offsets.widths) == count or not offsets.fits():
            raise ValueError(f"{len(offsets.gaps)} offsets of {count} tokens")
        sides = {name: _side(payload[name], count, width) for name, width in shape.sides.items()}
        return StoredTokens(vectors, offsets.decode(np.array([0]), np.array([count]))[0], **sides)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise damaged(payload, error) from error


def score_of(point: Any) -> float:
    """Give the score of a point, rounded as in a folder: equal passages come out equal."""
    return float(np.float32(point.score).round(5))


def in_order(points: Sequence[Any]) -> list[Any]:
    """Sort points, best first; equals are in the order in which they were added."""
    return sorted(points, key=lambda one: (-score_of(one), one.payload[ROW]))


def damaged(payload: Mapping[str, Any], why: object) -> IndexCorruptError:
    """Make the error that says which point is damaged."""
    return IndexCorruptError(
        f"passage {payload.get('id')!r:.200} of the collection is damaged ({why}): delete it and add it again"
    )


def _vectors(vectors: NDArray[np.float16], centroids: Tensor | None) -> dict[str, Any]:
    if not len(vectors):
        return {}
    wide = vectors.astype(np.float32)
    found: dict[str, Any] = {TOKENS: wide.tolist(), MEAN: wide.mean(axis=0).tolist()}
    return found if centroids is None else {**found, CENTROIDS: sparse(vectors, centroids)}


def _text(text: bytes) -> dict[str, str]:
    try:
        return {"text": text.decode("utf-8")}
    except UnicodeDecodeError:
        return {"text64": _base64(text)}


def _side(text: str, count: int, width: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.frombuffer(_bytes(text), np.uint8).reshape(count, *width)


def _written(array: NDArray[Any]) -> str:
    return _base64(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"))).tobytes())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from error
