"""Open, check and copy the index of an adapter."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import TypedDict, Unpack

from fgr_retriever.adapters.names import listed, makers
from fgr_retriever.errors import IndexWriteError, InputError

if TYPE_CHECKING:
    from fgr_retriever.config import IndexConfig, SearchConfig
    from fgr_retriever.engine import Engine
    from fgr_retriever.index.opening import Place
    from fgr_retriever.model.tokens import TokenEncoder
    from fgr_retriever.search.pipeline import Pipeline


class OpenOptions(TypedDict, total=False):
    """How an adapter opens an index; see `Engine.open`.

    Attributes:
        encoder: An open model; None uses the one that `model` names.
        model: Folder or hub id of a ColBERT checkpoint; None uses the embedded model.
        config: How a new index stores vectors; None uses the defaults.
        search: How the index is searched.
        pipeline: The stages that every search goes through; None means late interaction alone.
    """

    encoder: TokenEncoder | None
    model: str | Path | None
    config: IndexConfig | None
    search: SearchConfig
    pipeline: Pipeline | None


def open_engine(path: Place | None, *, create: bool = True, **options: Unpack[OpenOptions]) -> Engine:
    """Open an index for an adapter.

    Args:
        path: Where the index is, as in `Engine.open`; None makes a temporary folder that is deleted with the engine.
        create: Make an empty index when there is none.
        **options: See `OpenOptions`.

    Raises:
        IndexNotFoundError: There is no index and `create` is False.
        ModelMismatchError: The index was built with another model.
        InputError: There are both an `encoder` and a `model`; or `path` is no path, and `create` is False.
        CheckpointError: The `model` cannot be opened.
    """
    from fgr_retriever.engine import Engine  # loads torch only when an index is opened

    if path is None and not create:
        raise InputError("path=None: must be the folder of an index that is there, or the URL of a collection")
    if path is not None:
        return Engine.open(path, create=create, **options)
    folder = tempfile.TemporaryDirectory(prefix="fgr-", ignore_cleanup_errors=True)
    try:
        engine = Engine.open(folder.name, **options)
    except BaseException:
        folder.cleanup()
        raise
    engine.temporary = True
    weakref.finalize(engine, folder.cleanup)
    return engine


def checked_engine(engine: object, kind: type | None = None) -> Engine:
    """Take an open index.

    Args:
        engine: What was given as one.
        kind: The class that is made with it.

    Raises:
        InputError: It is none; the message says what makes or has one.
    """
    from fgr_retriever.engine import Engine  # it is loaded, if there is one

    if isinstance(engine, Engine):
        return engine
    remedies = ["Engine.open(path) opens one"]
    if isinstance(getattr(engine, "engine", None), Engine):
        remedies = [f"this {type(engine).__name__} has one: pass its `.engine`"]
        if hasattr(engine, "as_retriever"):
            remedies.append("its as_retriever() finds whole documents")
    elif kind and makers(kind):
        remedies.append(f"{listed(kind.__name__, makers(kind))} makes a {kind.__name__} with one")
    raise InputError(f"engine={engine!r:.200}: must be an Engine; {'; '.join(remedies)}")


def copy_index(engine: Engine, path: str | Path, name: str, settings: str) -> None:
    """Copy the files of an open index, with the settings of an adapter. Nobody may write to it meanwhile.

    Args:
        engine: The open index.
        path: A new or empty folder, or one to which an index was copied before: that copy is replaced, when the
            new one is complete. In the folder of the index itself, only the settings are written.
        name: Name of the file of the settings, which marks a copy.
        settings: What is in it.

    Raises:
        InputError: The folder contains something else, or the index lies in none.
        IndexWriteError: The disk refused the write.
    """
    try:
        source, target = engine.folder, Path(path)
    except InputError as error:
        raise InputError(
            f"{error}. The collection keeps all but the settings: to open it again, give its URL to "
            "`from_persist_dir`, or its engine to the class, with these settings"
        ) from None
    try:
        if target.exists() and target.samefile(source):
            (target / name).write_text(settings, encoding="utf-8")
            return
        if target.exists() and not (target / name).is_file() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(f"{target} is not empty: give a new or empty folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
            fresh, old = Path(scratch) / "fresh", Path(scratch) / "old"
            shutil.copytree(source, fresh)
            (fresh / name).write_text(settings, encoding="utf-8")
            if target.exists():
                target.rename(old)
            try:
                fresh.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
    except OSError as error:
        raise IndexWriteError(f"copying the index to {target} failed ({error}): free space or fix the disk") from error
