"""What a collection is, in points of its own that no search finds: they have no vectors.

One point has the facts: format, model, evidence codes, storage, calibration, words. Others have the centroids, float16,
some thousand each. Those are written first: whoever reads of centroids in the facts finds them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models
from torch import Tensor, from_numpy

from fgr_retriever.arguments import is_count
from fgr_retriever.config import Calibration
from fgr_retriever.errors import ConfigError, IndexCorruptError, IndexFormatError
from fgr_retriever.index.qdrant.layout import Shape
from fgr_retriever.index.qdrant.server import Server
from fgr_retriever.index.storage.calibration import StoredCalibration
from fgr_retriever.index.storage.lexicon import KeptWords

FORMAT_VERSION = 1
_SYSTEM = uuid.UUID("9c1a0c57-95c5-5e55-8f5e-0c2f3b8d7a20")
_FACTS, _CALIBRATION, _WORDS, _CENTROIDS = "fgr", "fgr_calibration", "fgr_words", "fgr_centroids"
_ROWS = 4096  # centroids of one point: a megabyte of float16, 128 wide


@dataclass(frozen=True, slots=True)
class Facts:
    """What a collection is.

    Args:
        model: Fingerprint of the model whose vectors are stored.
        dim: Width of a token vector.
        storage: How they are stored, as in `QdrantCollection`.
        evidence: Fingerprint of what makes the evidence codes; empty for none.
        evidence_bytes: Bytes of a token's code; 0 for none.
        importance: Whether the importance of tokens is kept.
        centroids: How many there are; 0 while there are none.
        checksum: Of the centroids.
        told: Whether all passages that were stored before there were centroids have been told theirs.
        library: Who made the collection.
        format_version: Of the layout of its points.
    """

    model: str
    dim: int
    storage: str
    evidence: str = ""
    evidence_bytes: int = 0
    importance: bool = False
    centroids: int = 0
    checksum: str = ""
    told: bool = False
    library: str = "fgr-retriever"
    format_version: int = FORMAT_VERSION

    def shape(self, *, evidence: bool = True) -> Shape:
        """Say what is kept of a token; without `evidence` its code is left out."""
        sides: dict[str, tuple[int, ...]] = {"importance": ()} if self.importance else {}
        return Shape(self.dim, {**sides, "evidence": (self.evidence_bytes,)} if evidence and self.evidence else sides)


def read_facts(server: Server) -> Facts | None:
    """Read what the collection is; None if it does not say.

    Raises:
        IndexFormatError: It has a format that this version cannot read.
        IndexCorruptError: What it says is damaged.
    """
    payload = _payload(server, _FACTS)
    if payload is None:
        return None
    try:
        values = json.loads(payload[_FACTS])
        version = values["format_version"]
        if version != FORMAT_VERSION:
            raise IndexFormatError(
                f"{server.place.location} has format {version!r}, this version reads {FORMAT_VERSION}: open it with "
                "the version of fgr-retriever that wrote it, or copy its passages into a new collection"
            )
        found = Facts(**values)
        if not isinstance(found.model, str) or not is_count(found.dim, 1) or not is_count(found.centroids, 0):
            raise ValueError(f"a model {found.model!r:.100} of width {found.dim!r:.50}")
        return found
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(server, "what it is", error) from error


def write_facts(server: Server, facts: Facts, words: KeptWords | None = None) -> None:
    """Say what the collection is; its calibration stays, and so do its words without others."""
    payload = {_FACTS: json.dumps(asdict(facts)), **({_WORDS: json.dumps(asdict(words))} if words else {})}
    if _payload(server, _FACTS) is None:
        server("upsert", points=[_point(_FACTS, payload)], wait=True)
    else:
        server("set_payload", payload=payload, points=[_id(_FACTS)], wait=True)


def read_calibration(server: Server) -> StoredCalibration | None:
    """Read the calibration that the collection keeps, if any.

    Raises:
        IndexCorruptError: It is damaged.
    """
    text = (_payload(server, _FACTS) or {}).get(_CALIBRATION)
    if not text:
        return None
    try:
        values = json.loads(text)
        return StoredCalibration(Calibration.from_json(json.dumps(values["calibration"])), str(values["head"]))
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise _damaged(server, "its calibration", error) from error


def write_calibration(server: Server, stored: StoredCalibration | None) -> None:
    """Keep a calibration in place of the one that is there; None removes it."""
    text = json.dumps(asdict(stored)) if stored else ""
    server("set_payload", payload={_CALIBRATION: text}, points=[_id(_FACTS)], wait=True)


def read_words(server: Server) -> KeptWords | None:
    """Read which words the collection keeps; None if it keeps none.

    Raises:
        IndexCorruptError: What it says is damaged.
    """
    text = (_payload(server, _FACTS) or {}).get(_WORDS)
    if not text:
        return None
    try:
        found = KeptWords(**json.loads(text))
        if not isinstance(found.language, str) or not is_count(found.passages, 0) or not found.mean_length > 0:
            raise ValueError(f"{found}")
        return found
    except (ValueError, TypeError) as error:
        raise _damaged(server, "what it says of its words", error) from error


def write_words(server: Server, words: KeptWords) -> None:
    """Say which words the collection keeps."""
    server("set_payload", payload={_WORDS: json.dumps(asdict(words))}, points=[_id(_FACTS)], wait=True)


def read_centroids(server: Server, facts: Facts) -> Tensor | None:
    """Read the centroids, (k, dim) float32; None if there are none.

    Raises:
        IndexCorruptError: They are missing or damaged.
    """
    if not facts.centroids:
        return None
    try:
        names = [_part(facts.checksum, start) for start in range(0, facts.centroids, _ROWS)]
        data = b"".join(base64.b64decode((_payload(server, name) or {})[_CENTROIDS]) for name in names)
        if hashlib.sha256(data).hexdigest() != facts.checksum:
            raise ValueError("their checksum is wrong")
        return from_numpy(np.frombuffer(data, "<f2").reshape(facts.centroids, facts.dim).astype(np.float32))
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(server, "its centroids", error) from error


def write_centroids(server: Server, facts: Facts, centroids: Tensor) -> Facts:
    """Keep centroids, (k, dim), and give the facts that name them."""
    rows = np.ascontiguousarray(centroids.numpy().astype("<f2"))
    checksum = hashlib.sha256(rows.tobytes()).hexdigest()
    for name, part in _parts(rows, checksum):
        payload = {_CENTROIDS: base64.b64encode(part.tobytes()).decode()}
        server("upsert", points=[_point(name, payload)], wait=True)
    named = replace(facts, centroids=len(rows), checksum=checksum)
    write_facts(server, named)
    return named


def _parts(rows: NDArray[np.float16], checksum: str) -> Iterator[tuple[str, NDArray[np.float16]]]:
    for start in range(0, len(rows), _ROWS):
        yield _part(checksum, start), rows[start : start + _ROWS]


def _part(checksum: str, start: int) -> str:
    return f"{_CENTROIDS} {checksum} {start}"


def _payload(server: Server, name: str) -> dict[str, Any] | None:
    found = server("retrieve", ids=[_id(name)], with_payload=True, with_vectors=False)
    return dict(found[0].payload or {}) if found else None


def _point(name: str, payload: dict[str, Any]) -> models.PointStruct:
    return models.PointStruct(id=_id(name), vector={}, payload=payload)


def _id(name: str) -> str:
    return str(uuid.uuid5(_SYSTEM, name))


def _damaged(server: Server, what: str, error: Exception) -> IndexCorruptError:
    return IndexCorruptError(f"{server.place.location}: {what} is damaged ({error}): restore it from a snapshot")
