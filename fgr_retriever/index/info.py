"""What an index holds, in numbers. Needs no model."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from fgr_retriever.index.database import DATABASE
from fgr_retriever.index.manifest import MANIFEST
from fgr_retriever.index.store import Store
from fgr_retriever.types import Json

_NBITS = 16


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What an index holds; every value is JSON-safe.

    Args:
        passages: Live passages.
        tokens: Token vectors of the live passages.
        nbits: Bits per dimension of a stored vector.
        bytes: Size of all files, without SQLite's passing log.
        bytes_per_token: Size of the vectors, offsets and lengths divided by the stored tokens,
            those of deleted passages included; 0 for an empty index.
        model: Fingerprint of the model.
        format_version: Layout of the folder.
        calibration: Every field of the `Calibration` that `fgr calibrate` left in the index; None
            when there is none, and the model's own counts.
    """

    passages: int
    tokens: int
    nbits: int
    bytes: int
    bytes_per_token: float
    model: str
    format_version: int
    calibration: dict[str, Json] | None


def describe(store: Store) -> IndexInfo:
    """Count what an open index folder holds."""
    stored = store.calibration()
    with store.reading() as (snapshot, _):
        stored_tokens = sum(segment.info.tokens for segment in snapshot.segments)
        segment_bytes = sum(segment.nbytes for segment in snapshot.segments)
        other_bytes = sum((store.folder / file).stat().st_size for file in (DATABASE, MANIFEST))
        return IndexInfo(
            passages=int(snapshot.alive.sum()),
            tokens=snapshot.tokens,
            nbits=_NBITS,
            bytes=segment_bytes + other_bytes,
            bytes_per_token=segment_bytes / max(1, stored_tokens),
            model=store.manifest.model,
            format_version=store.manifest.format_version,
            calibration=asdict(stored.calibration) if stored else None,
        )
