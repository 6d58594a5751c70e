"""The contents of an index in numbers. Needs no model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from fgr_retriever.index.storage.folders import DATABASE, MANIFEST
from fgr_retriever.index.storage.snapshot import Snapshot
from fgr_retriever.index.storage.store import Store
from fgr_retriever.model.kernel.library import NONE, kernel
from fgr_retriever.model.tokens import EvidenceCode
from fgr_retriever.types import Json

EvidenceState: TypeAlias = Literal["present", "partial", "missing", "of another model"]


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What an index holds; every value is JSON-safe.

    Args:
        passages: Number of live passages.
        tokens: Number of token vectors of the live passages.
        nbits: Bits per dimension of a stored vector; 16 while there is no codec.
        bytes: Size of the index: segments, codec, texts and words; without SQLite's temporary log, and
            without the vectors that a `Dense` stage keeps in the folder `dense`.
        bytes_per_token: Size of the segments and the codec, which is everything but the texts, divided
            by the number of stored tokens, including tokens of deleted passages; 0 for an empty index.
        raw_segments: Number of segments of float16 vectors, which are searched exactly.
        coded_segments: Number of segments of codes and residuals.
        centroids: Number of centroids of the codec; 0 while there is no codec.
        quantisation_error: Mean squared distance between a vector and its decoded copy, from 0 to 4,
            over the tokens that the codec was trained for; None while there is no codec.
        drift: The same error over the tokens that were encoded later, divided by `quantisation_error`;
            None if there are no such tokens. Above 1.25, `compact` trains a new codec.
        model: Fingerprint of the model.
        format_version: Version of the folder's layout.
        words: Which words the index keeps, as in `IndexConfig.words`; empty for none.
        importance: Whether it keeps the importance of tokens, as in `IndexConfig.importance`.
        refine: Whether it keeps a second layer of residuals, as in `IndexConfig.refine`.
        evidence: Whether it keeps evidence codes of tokens: `present`, `missing`, `partial` where some
            segments have none, or `of another model`. Only `present` codes are used; `fgr upgrade` adds
            them.
        units: Whether it keeps the borders of sentences, phrases and paragraphs; `fgr upgrade` adds them.
        kernel: What searches it on this machine: the compiled kernel for a level of processor, `avx512`, `avx2` or
            `base`; `none` where the package was built without a C compiler, and torch searches more slowly.
        calibration: Every field of the `Calibration` that `fgr calibrate` left in the index; None if
            there is none and the model's own calibration is used.
    """

    passages: int
    tokens: int
    nbits: int
    bytes: int
    bytes_per_token: float
    raw_segments: int
    coded_segments: int
    centroids: int
    quantisation_error: float | None
    drift: float | None
    model: str
    format_version: int
    words: str
    importance: bool
    refine: bool
    evidence: EvidenceState
    units: bool
    kernel: str
    calibration: dict[str, Json] | None


def describe(store: Store, code: EvidenceCode | None = None) -> IndexInfo:
    """Count what an open index folder holds; with the codes of a model, say whether it has those."""
    stored = store.calibration()
    with store.reading() as (snapshot, _):
        codec, info, manifest = snapshot.codec, snapshot.codec_info, snapshot.manifest
        coded = sum(segment.info.coded for segment in snapshot.segments)
        stored_tokens = sum(segment.info.tokens for segment in snapshot.segments)
        data_bytes = sum(segment.info.nbytes for segment in snapshot.segments) + (info.nbytes if info else 0)
        other_bytes = sum((store.folder / file).stat().st_size for file in (DATABASE, MANIFEST))
        return IndexInfo(
            passages=int(snapshot.alive.sum()),
            tokens=snapshot.tokens,
            nbits=codec.nbits if codec else 16,
            bytes=data_bytes + other_bytes,
            bytes_per_token=data_bytes / max(1, stored_tokens),
            raw_segments=len(snapshot.segments) - coded,
            coded_segments=coded,
            centroids=len(codec.centroids) if codec else 0,
            quantisation_error=info.error if info else None,
            drift=info.added_error / info.error if info and info.added and info.error else None,
            model=manifest.model,
            format_version=manifest.format_version,
            words=manifest.config.words,
            importance=manifest.config.importance,
            refine=manifest.config.refine,
            evidence=evidence_state(snapshot, code),
            units=manifest.units,
            kernel=compiled.level if (compiled := kernel()) else NONE,
            calibration=asdict(stored.calibration) if stored else None,
        )


def evidence_state(snapshot: Snapshot, code: EvidenceCode | None) -> EvidenceState:
    """Say which evidence codes an index has, beside those of a model if they are given."""
    kept = snapshot.manifest.evidence
    if not kept:
        return "missing"
    if code is not None and kept != code.fingerprint:
        return "of another model"
    return "present" if snapshot.evidence else "partial"
