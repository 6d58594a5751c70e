"""Put a corpus that is encoded already into an index: one transaction, in bounded memory, without a model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from fgr_retriever.errors import InputError, ModelMismatchError
from fgr_retriever.index.encoded.reading import EncodedCorpus
from fgr_retriever.index.storage.manifest import Manifest
from fgr_retriever.index.storage.store import Store
from fgr_retriever.index.storage.upgrade import CodeMaker
from fgr_retriever.model.mismatch import called
from fgr_retriever.model.tokens import EvidenceCode
from fgr_retriever.types import Added, Passage


def add_encoded(
    store: Store,
    corpus: EncodedCorpus,
    *,
    replacing: Iterable[str] = (),
    within: Collection[str] | None = None,
    progress: bool = False,
) -> Added:
    """Add or replace passages: all of them or, on any error, none.

    Args:
        store: The index.
        corpus: The passages.
        replacing: Ids of passages to delete, unless they are in the corpus.
        within: Names of the sources whose passages may be replaced; see `Intake`.
        progress: Show bars on stderr.

    Returns:
        How many passages were added, updated and left as they were.

    Raises:
        ModelMismatchError: The index is of another model.
        InputError: The index keeps importance, and the corpus has none; or a passage comes twice.
        IndexCorruptError: A file of the corpus is damaged or missing.
    """
    encoded = corpus.manifest
    check_fits(store.folder, store.manifest, encoded)
    code = EvidenceCode(encoded.evidence, encoded.evidence_bytes) if encoded.evidence else None
    maker = CodeMaker(code, corpus.encode) if code else None
    with closing(corpus.passages()) as passages:
        shown = _shown(passages, len(corpus), progress)
        which: dict[str, Any] = {"replacing": replacing, "within": within, "bordered": corpus.with_units}
        return store.add(shown, corpus.encode, maker, progress=progress, **which)


def check_fits(folder: Path, kept: Manifest, encoded: Manifest) -> None:
    """Check that an index can hold what was encoded.

    Args:
        folder: The folder of the index.
        kept: What the index is.
        encoded: What an index would be that is made of the encoded files alone.

    Raises:
        ModelMismatchError: The index is of another model.
        InputError: The index keeps importance, and the files have none.
    """
    if (kept.model, kept.dim) != (encoded.model, encoded.dim):
        raise ModelMismatchError(
            f"{folder} was built with {called(kept.model)}, and the passages were encoded with "
            f"{called(encoded.model)}: encode them with that model, or build a new index"
        )
    if kept.config.importance and not encoded.config.importance:
        raise InputError(
            f"{folder} keeps the importance of tokens, and the passages were encoded without: encode them with "
            "importance (`fgr encode --importance`)"
        )


def _shown(passages: Iterable[Passage], total: int, progress: bool) -> Iterator[Passage]:
    """Pass passages through, and count them on stderr."""
    yield from tqdm(passages, total=total, unit=" passages", desc="adding", disable=not progress)
