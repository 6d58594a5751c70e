"""Copy an index into another place: from a folder into a Qdrant collection and back, without its model."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fgr_retriever.config import IndexConfig
from fgr_retriever.errors import ConfigError, ModelMismatchError
from fgr_retriever.index.contents import Contents, Playback
from fgr_retriever.index.opening import Place, as_collection, config_of, open_stored
from fgr_retriever.index.storage.creation import create_store
from fgr_retriever.index.storage.folders import MANIFEST
from fgr_retriever.index.storage.lexicon import new_words
from fgr_retriever.index.storage.manifest import Manifest
from fgr_retriever.index.storage.store import Store
from fgr_retriever.index.storage.upgrade import CodeMaker
from fgr_retriever.model.mismatch import called
from fgr_retriever.model.tokens import EvidenceCode
from fgr_retriever.types import Added

if TYPE_CHECKING:
    from fgr_retriever.index.qdrant.place import QdrantCollection


def copy(
    source: Place,
    target: Place,
    config: IndexConfig | None = None,
    *,
    retrain: bool = False,
    alias: str = "",
    show_progress: bool = False,
) -> Added:
    """Copy all passages of an index with their tokens, metadata and calibration; no text is encoded again.

    A passage that the target has with the same text is left as it is, so that an interrupted copy is finished by the
    same call. What the target has besides stays. Vectors come as the source gives them back, and are compressed as the
    target stores them. A collection takes the centroids of a folder; a folder learns its own. A new target keeps words
    for BM25 if the source does; they are prepared anew.

    Args:
        source: Where the index is.
        target: Another folder or collection; made if missing.
        config: How a new folder stores vectors; for a new collection, `words` alone. None uses the defaults. What the
            source keeps besides, words and importance, a new target keeps, too, unless `words` names another language.
            For a target that is there, None or that of its creation.
        retrain: From one collection into a new one: learn centroids from all that is there now.
        alias: A name that the target, a collection, gets when all is copied, in the place of the one that had it.
        show_progress: Show progress bars on stderr.

    Returns:
        How many passages were added, updated, unchanged and deleted.

    Raises:
        IndexNotFoundError: There is no source.
        ModelMismatchError: The target was built with another model.
        ConfigError: The target was created with another config, or cannot be made with this one; or a folder was given
            what is for collections.
        MissingExtraError: A new target is to keep words, and the stemmer is not installed.
        IndexCorruptError: What the source holds is damaged.
        IndexWriteError: The disk refused the write.
        IndexServerError: A server does not answer, or refuses.
    """
    origin, collection = as_collection(source), as_collection(target)
    if ((retrain or alias) and collection is None) or (retrain and origin is None):
        raise ConfigError("retrain is for a copy of a collection into a new one, and an alias names a collection")
    with closing(open_stored(source)) as stored:
        contents = stored.contents()
        if collection is None:
            return _into_folder(Path(target), contents, config, show_progress)  # type: ignore[arg-type]
        from fgr_retriever.index.qdrant.filling import fill

        if retrain and origin is not None:
            contents = _retrained(origin, contents, show_progress)
        return fill(collection, _with_words(contents, config, config_of(target)), show_progress, alias)


def _retrained(origin: QdrantCollection, contents: Contents, progress: bool) -> Contents:
    """Learn centroids and the mean length of passages from what a collection has."""
    from fgr_retriever.index.qdrant.stored import QdrantStored

    with closing(QdrantStored.open(origin)) as stored:
        return replace(contents, centroids=stored.retrained(show_progress=progress), words=stored.measured_words())


def _with_words(contents: Contents, config: IndexConfig | None, kept: IndexConfig | None) -> Contents:
    """Say which words are written into a collection that has been made like `kept`, if it is there.

    Raises:
        ConfigError: The config is none of a collection, or not that of this one.
    """
    if config is None:
        return contents
    if config != IndexConfig(words=config.words):
        raise ConfigError(f"{config}: a config is for a folder; of it, a new collection takes `words` alone")
    words = config.words or _language(contents)
    if kept is not None and kept.words not in (words, config.words):
        raise ConfigError(f"the collection was created with words={kept.words!r}: copy into a new one")
    return contents if words == _language(contents) else replace(contents, words=new_words(words))


def _language(contents: Contents) -> str:
    return contents.words.language if contents.words else ""


def _into_folder(folder: Path, contents: Contents, config: IndexConfig | None, progress: bool) -> Added:
    """Write contents into a folder, in one transaction."""
    asked = config or IndexConfig()
    full = replace(asked, importance=asked.importance or contents.importance, words=asked.words or _language(contents))
    if not (folder / MANIFEST).exists():
        made = Manifest(contents.model, contents.dim, full)
        create_store(folder, replace(made, evidence=contents.evidence, evidence_bytes=contents.evidence_bytes))
    with closing(Store(folder)) as store:
        manifest = store.manifest
        if (manifest.model, manifest.dim) != (contents.model, contents.dim):
            raise ModelMismatchError(
                f"{folder} was built with {called(manifest.model)}, not with {called(contents.model)}: "
                "copy into a new folder"
            )
        if config is not None and manifest.config not in (config, full):
            raise ConfigError(f"{folder} was created with {manifest.config}, not {config}: copy into a new folder")
        if manifest.config.importance and not contents.importance:
            raise ConfigError(f"{folder} keeps the importance of tokens, which the source does not: copy elsewhere")
        played = Playback(contents)
        code = EvidenceCode(contents.evidence, contents.evidence_bytes) if contents.evidence else None
        maker = CodeMaker(code, played.encode) if code else None
        done = store.add(played.passages(), played.encode, maker, progress=progress)
        if contents.calibration is not None:
            store.calibrate(contents.calibration)
        return done
