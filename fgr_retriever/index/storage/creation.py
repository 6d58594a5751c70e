"""Make the folder of an empty index, and open one that must be of a certain model."""

from __future__ import annotations

from pathlib import Path

from fgr_retriever.config import IndexConfig
from fgr_retriever.errors import ConfigError, IndexNotFoundError
from fgr_retriever.index.codec.checks import check_sizes
from fgr_retriever.index.storage.database import create_database, write_errors
from fgr_retriever.index.storage.folders import DATABASE, MANIFEST, WRITER_LOCK, check_own
from fgr_retriever.index.storage.manifest import Manifest, sync_folder, write_manifest_text
from fgr_retriever.index.storage.store import Store
from fgr_retriever.index.storage.word_table import WordTable
from fgr_retriever.model.mismatch import mismatch
from fgr_retriever.model.tokens import TokenEncoder, evidence_code_of, telling_importance


def new_manifest(encoder: TokenEncoder, config: IndexConfig) -> Manifest:
    """Say what a new index of a model's vectors is; it keeps evidence codes if the model makes them.

    Raises:
        ConfigError: The index is to keep importance, and the model does not tell it.
    """
    if config.importance:
        telling_importance(encoder)
    code = evidence_code_of(encoder)
    kept = (code.fingerprint, code.nbytes) if code else ("", 0)
    return Manifest(encoder.fingerprint, encoder.dim, config, evidence=kept[0], evidence_bytes=kept[1])


def create_store(folder: Path, manifest: Manifest) -> None:
    """Make an empty index; an interrupted attempt to do so is finished.

    Raises:
        IndexNotFoundError: The folder holds something else.
        IndexCorruptError: Links lie in it in the place of our files.
        ConfigError: Vectors of this width do not fill whole bytes at this number of bits, or words
            cannot be kept.
        MissingExtraError: It is to keep words, and the stemmer is not installed.
        IndexLockedError: Another process creates it, and does not get done.
        IndexWriteError: The disk refused.
    """
    words = WordTable(manifest.config.words)
    words.check()
    if manifest.config.nbits < 16:
        check_sizes(manifest.dim, manifest.config.nbits, manifest.config.refine)
    if folder.exists() and not folder.is_dir():
        raise IndexNotFoundError(f"{folder} is a file: give a folder")
    check_own(folder)
    with write_errors(folder):
        made = [one for one in (folder, *folder.absolute().parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for one in made:
            sync_folder(one.parent)
        ours = (DATABASE, WRITER_LOCK, MANIFEST)
        foreign = [path.name for path in folder.iterdir() if not path.name.startswith(ours)]
    if foreign:
        raise IndexNotFoundError(
            f"{folder} holds no index ({MANIFEST} is missing) but other files such as {sorted(foreign)[0]!r}: "
            "give an empty or a new folder"
        )
    text = create_database(folder, manifest.to_json(), words)
    with write_errors(folder):
        write_manifest_text(folder, text)


def open_store(folder: Path, model: str, dim: int, config: IndexConfig | None, *, name: object = None) -> Store:
    """Open an index that must be of a model.

    Args:
        folder: The folder of the index.
        model: Fingerprint of the model.
        dim: Width of its token embeddings.
        config: What the index must have been created with; None for anything.
        name: Folder or hub id of the model, for messages; None if it is not known.

    Raises:
        ModelMismatchError: The index was built with another model.
        ConfigError: The index was created with another config.
    """
    store = Store(folder)
    manifest = store.manifest
    if (manifest.model, manifest.dim) != (model, dim):
        store.close()
        raise mismatch(folder, (manifest.model, manifest.dim), (model, dim), name)
    if config is not None and config != manifest.config:
        store.close()
        raise ConfigError(f"{folder} was created with {manifest.config}, not {config}: leave config out")
    return store
