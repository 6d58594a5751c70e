"""`manifest.json`: what an index is. Written last when the index is created, and again when it is upgraded.

The database has a copy, which counts: it is written in the transaction that changes what the index is. If
that transaction was committed but `manifest.json` not yet written, the next writer writes it.
"""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import asdict, dataclass
from pathlib import Path

from fgr_retriever.arguments import is_count
from fgr_retriever.config import IndexConfig
from fgr_retriever.errors import ConfigError, IndexCorruptError, IndexFormatError, IndexNotFoundError
from fgr_retriever.index.storage import columns
from fgr_retriever.index.storage.folders import MANIFEST, check_own

FORMAT_VERSION = 3
_KNOWN_VERSIONS = (2, FORMAT_VERSION)
_COPY, _COPY_BEFORE = "manifest", "manifest_before"  # names in the table `state`
_WIDEST = 1 << 16  # of a token embedding
_SINCE_3 = ("evidence", "evidence_bytes")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index is.

    Args:
        model: Fingerprint of the model whose vectors are stored.
        dim: Width of a token embedding.
        config: How vectors are stored.
        library: Who wrote the index.
        format_version: Which layout the folder has: 3, or 2 as it was written by older versions.
        evidence: Fingerprint of what makes the evidence codes that the index keeps; empty for none.
        evidence_bytes: Bytes of a token's evidence code; 0 for none.
    """

    model: str
    dim: int
    config: IndexConfig
    library: str = "fgr-retriever"
    format_version: int = FORMAT_VERSION
    evidence: str = ""
    evidence_bytes: int = 0

    @property
    def units(self) -> bool:
        """Say whether the units of the texts are kept."""
        return self.format_version > 2

    def to_json(self) -> str:
        """Write every field that the format has as a JSON object."""
        values = asdict(self)
        if self.format_version == 2:
            values = {name: value for name, value in values.items() if name not in _SINCE_3}
        return json.dumps(values, indent=2)


def parse_manifest(text: str, where: Path) -> Manifest:
    """Read what `Manifest.to_json` wrote.

    Raises:
        IndexCorruptError: It is not a manifest.
        IndexFormatError: Its format is none that this version reads.
    """
    try:
        values = json.loads(text)
        version = values["format_version"]
        if not is_count(version, 0) or version not in _KNOWN_VERSIONS:
            known = " and ".join(map(str, _KNOWN_VERSIONS))
            raise IndexFormatError(
                f"{where} has index format {version!r}, this version reads {known}: "
                "open it with the version of fgr-retriever that wrote it, or build the index anew"
            )
        config = {"words": "", "importance": False, "refine": False, **values["config"]}  # the first indexes knew none
        found = Manifest(**{**values, "config": IndexConfig.from_json(json.dumps(config))})
        if not isinstance(found.model, str) or not isinstance(found.library, str) or not is_count(found.dim, 1):
            raise ValueError(f"a model {found.model!r:.200} of width {found.dim!r:.50}")
        if found.dim > _WIDEST:
            raise ValueError(f"a width of {found.dim}, more than any model has")
        if not isinstance(found.evidence, str) or not is_count(found.evidence_bytes, int(bool(found.evidence))):
            raise ValueError(f"evidence codes {found.evidence!r:.200} of {found.evidence_bytes!r:.50} bytes")
        return found
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, ConfigError) as error:
        raise IndexCorruptError(f"{where} is damaged ({error}): restore it from a copy") from error


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an index.

    Raises:
        IndexNotFoundError: There is none.
        IndexCorruptError: It is not a manifest.
        IndexFormatError: Its format is none that this version reads.
    """
    return parse_manifest(read_manifest_text(folder), folder / MANIFEST)


def read_manifest_text(folder: Path) -> str:
    """Read `manifest.json` as it is.

    Raises:
        IndexNotFoundError: There is none.
        IndexCorruptError: It is not UTF-8, or links or other things lie in the place of our files.
    """
    check_own(folder)
    path = folder / MANIFEST
    try:
        if (size := path.stat().st_size) > columns.MOST_FACTS:
            raise IndexCorruptError(
                f"{path} has {size} bytes, and no manifest has more than {columns.MOST_FACTS}: restore it"
            )
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        lacking = f"there is no {MANIFEST}" if folder.is_dir() else "there is no such folder"
        raise IndexNotFoundError(
            f"{folder.absolute()} holds no index: {lacking}. Look for a typing error; to make an index, call "
            "Engine.open(path), or from_documents(..., path=path) of an adapter, or `fgr index`"
        ) from error
    except UnicodeDecodeError as error:
        raise IndexCorruptError(f"{path} is damaged ({error}): restore it from a copy") from error


def write_manifest_text(folder: Path, text: str) -> None:
    """Write `manifest.json` so that it is there whole or not at all, also after a power cut."""
    unfinished = folder / f"{MANIFEST}.{os.getpid()}.tmp"
    unfinished.unlink(missing_ok=True)  # of an interrupted writer, or a link that somebody put there
    with unfinished.open("x", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(folder / MANIFEST)
    sync_folder(folder)


def stored_texts(connection: sqlite3.Connection) -> list[str]:
    """Read the copy of the manifest in the database, and after it the one before the last upgrade, if any."""
    select = f"SELECT name, {columns.text('value', columns.MOST_FACTS)} FROM state WHERE name IN (?, ?)"
    found = dict(connection.execute(select, (_COPY, _COPY_BEFORE)))
    return [str(found[name]) for name in (_COPY, _COPY_BEFORE) if name in found] if _COPY in found else []


def stored_manifest(connection: sqlite3.Connection, folder: Path) -> Manifest:
    """Read what the index is, as a transaction sees it.

    Raises:
        IndexCorruptError: The copy in the database is missing or damaged.
        IndexFormatError: Its format is none that this version reads.
    """
    texts = stored_texts(connection)
    if not texts:
        raise IndexCorruptError(f"the database in {folder} has no copy of {MANIFEST}: restore it from a copy")
    return parse_manifest(texts[0], folder / MANIFEST)


def replace_manifest(connection: sqlite3.Connection, manifest: Manifest) -> None:
    """Change what the index is; `settle_manifest` then writes the file."""
    put = "INSERT OR REPLACE INTO state VALUES (?, ?)"
    connection.execute(put, (_COPY_BEFORE, stored_texts(connection)[0]))
    connection.execute(put, (_COPY, manifest.to_json()))


def settle_manifest(folder: Path, connection: sqlite3.Connection) -> None:
    """Write `manifest.json` if it is that before the last upgrade. To be called by a writer after its commit.

    Raises:
        OSError: The disk refused.
        IndexCorruptError: The file is not UTF-8.
    """
    texts = stored_texts(connection)
    if len(texts) > 1 and read_manifest_text(folder) == texts[1]:
        write_manifest_text(folder, texts[0])


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
