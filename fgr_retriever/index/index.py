"""The index in a folder, with its model: passages and their token vectors on disk, and search over them.

No code above it knows segments; what the engine knows of it is in `seam`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from pathlib import Path

from typing_extensions import Self

from fgr_retriever.config import Calibration, IndexConfig
from fgr_retriever.errors import InputError
from fgr_retriever.index.emptying import refuse_emptying
from fgr_retriever.index.encoded.adding import add_encoded
from fgr_retriever.index.encoded.reading import EncodedCorpus
from fgr_retriever.index.info import IndexInfo, describe, evidence_state
from fgr_retriever.index.search.lookup import checked_ids
from fgr_retriever.index.storage.calibration import StoredCalibration, with_calibration
from fgr_retriever.index.storage.creation import create_store, new_manifest, open_store
from fgr_retriever.index.storage.folders import MANIFEST
from fgr_retriever.index.storage.store import Store
from fgr_retriever.index.storage.upgrade import CodeMaker
from fgr_retriever.index.stored import StoredIndex
from fgr_retriever.model.tokens import TokenBlock, TokenEncoder, evidence_code_of, telling_importance
from fgr_retriever.types import Added, Passage


class Index(StoredIndex):
    """A persistent index of passages. Make one with `Index.open`.

    You can use it from many threads and processes. Only one writes at a time, all others read. A
    search sees the index as it was when the search began.
    """

    def __init__(self, store: Store, encoder: TokenEncoder) -> None:
        """Join an open store with the model whose vectors it holds; use `Index.open`."""
        self._encoder, self._code = encoder, evidence_code_of(encoder)
        super().__init__(store, self._code.fingerprint if self._code else "")

    @classmethod
    def open(
        cls, path: str | Path, encoder: TokenEncoder, config: IndexConfig | None = None, *, create: bool = True
    ) -> Self:
        """Open the index in a folder.

        Args:
            path: The folder.
            encoder: The model.
            config: How to store vectors in a new index; None uses the defaults. For an existing
                index, None or exactly the config with which it was created.
            create: Make an empty index if there is none.

        Raises:
            IndexNotFoundError: There is no index and `create` is False, or the folder contains
                something else.
            ModelMismatchError: The index was built with another model.
            ConfigError: The index was created with another config, or a new index is not possible with
                this model: `nbits` does not suit its width, or it cannot compute importance.
            IndexFormatError: The index has a format that this version cannot read.
            IndexCorruptError: A file is damaged, missing or has the wrong size.
            IndexLockedError: Another process is creating the index and does not finish.
            IndexWriteError: The disk refused to create the index.
        """
        folder = Path(path)
        if create and not (folder / MANIFEST).exists():
            config = config or IndexConfig()
            create_store(folder, new_manifest(encoder, config))
        name = getattr(encoder, "name", None)
        return cls(open_store(folder, encoder.fingerprint, encoder.dim, config, name=name), encoder)

    def add(
        self,
        passages: Iterable[Passage],
        *,
        replacing: Iterable[str] = (),
        within: Collection[str] | None = None,
        show_progress: bool = False,
    ) -> Added:
        """Encode and store passages: all of them or, if there is an error, none.

        The passages are read once, and never all held in memory. If the id of a passage is already
        stored, the new passage replaces the stored one; a stored text is not encoded again.

        Args:
            passages: The passages to store; each id may occur only once in a call.
            replacing: Ids of passages that are deleted, unless they are among `passages`.
            within: Names of sources: a stored passage of another one is not replaced, but by one of its own source.
                None lets a passage replace any.
            show_progress: Show a progress bar on stderr.

        Returns:
            How many passages there were, and how many of them were added, updated or unchanged.

        Raises:
            InputError: A passage cannot be stored, or its id occurs twice, or is that of another source; or an id is
                not a string.
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused the write.
        """
        if isinstance(passages, (Passage, str)) or not isinstance(passages, Iterable):
            raise InputError(f"passages must be an iterable of Passage, got {type(passages).__name__}")
        encode = partial(self._encoder.encode_passages, show_progress=show_progress)
        if self.config.importance:
            encode = partial(
                telling_importance(self._encoder).encode_passages, show_progress=show_progress, importance=True
            )
        gone = checked_ids(replacing)
        maker = self._maker(encode)
        return self._store.add(passages, encode, maker, replacing=gone, within=within, progress=show_progress)

    def add_encoded(
        self,
        folders: Iterable[str | Path],
        *,
        replacing: Iterable[str] = (),
        incomplete: bool = False,
        show_progress: bool = False,
    ) -> Added:
        """Store passages that `encode_shard` encoded, without the model: all of them or, on any error, none.

        Args:
            folders: Folders with the files of shards, which together have every shard once.
            replacing: Ids of passages that are deleted, unless they are among those that are added.
            incomplete: Do without the shards that are missing.
            show_progress: Show progress bars on stderr.

        Returns:
            How many passages there were, and how many of them were added, updated or unchanged.

        Raises:
            InputError: A shard is missing, or comes twice; or the shards are not of one corpus. Or they have no
                passages, and all that is stored would be deleted.
            ModelMismatchError: They were encoded with another model than that of the index.
            IndexCorruptError: A file is damaged or missing.
            IndexFormatError: A file has a format that this version cannot read.
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused the write.
        """
        corpus = EncodedCorpus([Path(folder) for folder in folders], incomplete=incomplete)
        gone = checked_ids(replacing)
        if not len(corpus):
            refuse_emptying(self.ids(), gone)
        return add_encoded(self._store, corpus, replacing=gone, progress=show_progress)

    def calibrate(self, calibration: Calibration | None) -> None:
        """Keep a calibration with the index; everyone who opens the index then uses it.

        Args:
            calibration: A calibration fitted with the model of this index; None removes the one that
                the index keeps.

        Raises:
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused the write.
        """
        kept = StoredCalibration(calibration, self._encoder.head_fingerprint) if calibration else None
        self._store.calibrate(kept)

    def calibrated_model(self) -> TokenEncoder:
        """Give the model with the calibration that the index keeps, or else with its own.

        A calibration that was fitted with another evidence head is not used; a warning says so.

        Raises:
            IndexCorruptError: The calibration is damaged.
        """
        return with_calibration(self._encoder, self._store.calibration(), self.location)

    @property
    def encoder(self) -> TokenEncoder:
        """The model, as it was given: without the calibration that the index keeps."""
        return self._encoder

    @property
    def config(self) -> IndexConfig:
        """The config with which the index was created."""
        return self._store.manifest.config

    def info(self) -> IndexInfo:
        """Describe the index."""
        return describe(self._store, self._code)

    def lacks(self) -> tuple[str, ...]:
        """Name what `upgrade` would add, if anything."""
        with self._store.reading() as (snapshot, _):
            has_codes = self._code is None or evidence_state(snapshot, self._code) == "present"
            codes = () if has_codes else ("evidence codes of this model",)
            return codes if snapshot.manifest.units else (*codes, "borders of sentences and phrases")

    def upgrade(self, *, show_progress: bool = False) -> bool:
        """Add what the index lacks: the evidence codes of this model, and the units of the texts.

        The stored texts are encoded once more, lazily; stored vectors stay as they are. It is one
        transaction, like every other write. An index that lacks nothing is left alone.

        Args:
            show_progress: Show progress bars on stderr.

        Returns:
            Whether something was missing.

        Raises:
            IndexCorruptError: The stored data is damaged, or a passage has not as many tokens as the model
                gives its text.
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused the write.
        """
        return self._store.upgrade(self._maker(self._encoder.encode_passages), progress=show_progress)

    def _maker(self, encode: Callable[..., Iterator[TokenBlock]]) -> CodeMaker | None:
        """Let a call of the encoder make codes, too, if it can."""
        return CodeMaker(self._code, partial(encode, evidence=True)) if self._code else None
