"""`manifest.json`: what an index is. Written once, last, when the index is created."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from fgr_retriever.config import IndexConfig
from fgr_retriever.errors import ConfigError, IndexCorruptError, IndexFormatError, IndexNotFoundError

FORMAT_VERSION = 2
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index is.

    Args:
        model: Fingerprint of the model whose vectors are stored.
        dim: Width of a token embedding.
        config: How vectors are stored.
        library: Who wrote the index.
        format_version: Which layout the folder has.
    """

    model: str
    dim: int
    config: IndexConfig
    library: str = "fgr-retriever"
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """Write every field as a JSON object."""
        return json.dumps(asdict(self), indent=2)


def parse_manifest(text: str, where: Path) -> Manifest:
    """Read what `Manifest.to_json` wrote.

    Raises:
        IndexCorruptError: It is not a manifest.
        IndexFormatError: Its format is not the one that this version reads.
    """
    try:
        values = json.loads(text)
        version = values["format_version"]
        if version != FORMAT_VERSION:
            raise IndexFormatError(
                f"{where} has index format {version!r}, this version reads {FORMAT_VERSION}: "
                "open it with the version of fgr-retriever that wrote it, or build the index anew"
            )
        config = {"words": "", "importance": False, **values["config"]}  # the first indexes knew neither
        return Manifest(**{**values, "config": IndexConfig.from_json(json.dumps(config))})
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise IndexCorruptError(f"{where} is damaged ({error}): restore it from a copy") from error


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an index.

    Raises:
        IndexNotFoundError: There is none.
        IndexCorruptError: It is not a manifest.
        IndexFormatError: Its format is not the one that this version reads.
    """
    return parse_manifest(read_manifest_text(folder), folder / MANIFEST)


def read_manifest_text(folder: Path) -> str:
    """Read `manifest.json` as it is.

    Raises:
        IndexNotFoundError: There is none.
        IndexCorruptError: It is not UTF-8.
    """
    path = folder / MANIFEST
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise IndexNotFoundError(f"{folder} holds no index: there is no {MANIFEST}") from error
    except UnicodeDecodeError as error:
        raise IndexCorruptError(f"{path} is damaged ({error}): restore it from a copy") from error


def write_manifest_text(folder: Path, text: str) -> None:
    """Write `manifest.json` so that it is there whole or not at all, also after a power cut."""
    unfinished = folder / f"{MANIFEST}.{os.getpid()}.tmp"
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(folder / MANIFEST)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
