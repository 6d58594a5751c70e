"""Which file or document a stored passage came from, so that an index can follow its sources."""

from __future__ import annotations

from collections.abc import Collection

from fgr_retriever.types import Metadata

SOURCE, FILE = "source", "fgr_file"
"""Metadata keys with the name of a passage's source; the second one counts where a passage has both."""


def source_of(metadata: Metadata) -> str | None:
    """Name the source of a passage; None if its metadata do not."""
    name = metadata.get(FILE, metadata.get(SOURCE))
    return name if isinstance(name, str) and name else None


def is_within(source: str, names: Collection[str]) -> bool:
    """Say whether a source is one of these, or lies in one of these folders: `notes/a.md` lies in `notes`."""
    parts = source.split("/")
    return any("/".join(parts[:count]) in names for count in range(1, len(parts) + 1))
