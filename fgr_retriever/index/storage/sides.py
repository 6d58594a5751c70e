"""What a segment keeps of each token beside its vector and its offsets: importance, an evidence code."""

from __future__ import annotations

from dataclasses import dataclass

from fgr_retriever.index.storage.manifest import Manifest

EVIDENCE = "evidence"


@dataclass(frozen=True, slots=True)
class Side:
    """A file of bytes, the same number for each token.

    Args:
        name: The field of `TokenBlock` and `StoredTokens` that has them.
        shape: Of what one token has: () for a number, (n,) for n bytes.
        required: Whether a segment cannot be read without it.
    """

    name: str
    shape: tuple[int, ...]
    required: bool

    @property
    def file(self) -> str:
        """The name of the file in the folder of a segment."""
        return f"{self.name}.u8"


def sides_of(manifest: Manifest) -> tuple[Side, ...]:
    """List what an index keeps."""
    importance = (Side("importance", (), required=True),) if manifest.config.importance else ()
    return (*importance, evidence_side(manifest)) if manifest.evidence else importance


def evidence_side(manifest: Manifest) -> Side:
    """Describe the evidence codes of an index that keeps them."""
    return Side(EVIDENCE, (manifest.evidence_bytes,), required=False)
