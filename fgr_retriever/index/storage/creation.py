"""Make the folder of an empty index."""

from __future__ import annotations

from pathlib import Path

from fgr_retriever.errors import IndexNotFoundError
from fgr_retriever.index.codec.checks import check_sizes
from fgr_retriever.index.storage.database import create_database, write_errors
from fgr_retriever.index.storage.folders import DATABASE, MANIFEST, WRITER_LOCK, check_own
from fgr_retriever.index.storage.manifest import Manifest, sync_folder, write_manifest_text
from fgr_retriever.index.storage.word_table import WordTable


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
