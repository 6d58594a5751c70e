"""Use an ordinary bi-encoder as a late-interaction model, without training.

A sentence-transformers model pools its token vectors. Here they are compared one by one, on the
principal axes of the user's own texts, because these axes keep most of the dot products. A random
projection would destroy what the model knows.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from sentence_transformers import MultiVectorEncoder, SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from torch import Tensor, nn
from torch.nn.functional import normalize
from tqdm.auto import tqdm

from fgr_retriever.errors import CheckpointError, ConfigError, InputError
from fgr_retriever.model.checkpoint import open_checkpoint
from fgr_retriever.model.hub import locate_model
from fgr_retriever.model.loading import loading
from fgr_retriever.model.token_model import Checkpoint

_BATCH = 32
_LONGEST_WINDOW = 512  # tokens: some models state a length without an end
_PASSAGE_PROMPTS = ("document", "passage", "corpus")


def open_bi_encoder(
    folder_or_hub_id: str | Path,
    texts: Iterable[str],
    dim: int = 128,
    *,
    out: str | Path | None = None,
    revision: str | None = None,
    show_progress: bool = False,
) -> Checkpoint:
    """Make a late-interaction model from a bi-encoder.

    Args:
        folder_or_hub_id: A sentence-transformers model.
        texts: Texts to which the axes are fitted, each encoded once; a few hundred of the user's
            passages are enough.
        dim: Width of a token embedding, at most the width of the model.
        out: A new or empty folder in which to keep the model; it appears when it is complete.
        revision: Branch, tag or commit on the hub.
        show_progress: Show a bar on stderr while texts are encoded.

    Raises:
        CheckpointError: The model cannot be opened, has no token vectors, or is narrower than `dim`.
        ConfigError: `dim` is not an integer of at least 1, or `out` is not empty.
        InputError: There is no text with a token.
        OSError: The disk refused the write.
    """
    if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1:
        raise ConfigError(f"dim={dim!r}: must be an integer of at least 1")
    kept = Path(out) if out is not None else None
    if kept is not None and kept.exists() and not (kept.is_dir() and not any(kept.iterdir())):
        raise ConfigError(f"{kept} exists: give a new or an empty folder")
    name = str(folder_or_hub_id)
    model = late_interaction(*_open(name, revision), tqdm(texts, desc="fitting axes", disable=not show_progress), dim)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=kept.parent if kept else None, prefix=".bi-encoder-") as scratch:
        made = Path(scratch) / "model"
        model.save_pretrained(str(made), create_model_card=False)
        found = open_checkpoint(made, name=str(kept or name))  # as it will be opened again, with the same fingerprint
        if kept is not None:
            if kept.exists():
                kept.rmdir()  # Windows does not rename over an empty folder
            made.rename(kept)
    return found


def late_interaction(
    transformer: Transformer, prompts: Mapping[str, str], texts: Iterable[str], dim: int
) -> MultiVectorEncoder:
    """Turn a transformer into a late-interaction model.

    This adds a projection onto the principal axes of texts, a skiplist of punctuation and a
    normalisation.

    Args:
        transformer: The model.
        prompts: The text before a `query` and a `document`; may lack either.
        texts: Texts to which the axes are fitted; read once, in bounded memory.
        dim: Number of axes.

    Raises:
        CheckpointError: The model is narrower than `dim`.
        InputError: There is no text with a token.
    """
    hidden = transformer.get_embedding_dimension()
    if hidden < dim:
        raise CheckpointError(f"the model gives {hidden} dimensions, fewer than dim={dim}")
    marker = prompts.get("document", "")
    axes = _strongest(_second_moment(transformer, (marker + text for text in texts)), dim)
    projection = Dense(
        hidden,
        dim,
        bias=False,
        activation_function=nn.Identity(),
        init_weight=axes,
        module_input_name="token_embeddings",
    )
    mask = MultiVectorMask(skiplist_words=list(string.punctuation))
    normalizer = Normalize(module_input_name="token_embeddings")
    modules: list[nn.Module] = [transformer, projection, mask, normalizer]
    return MultiVectorEncoder(modules=modules, prompts=dict(prompts) or None, device="cpu")


def principal_axes(vectors: Tensor, dim: int) -> Tensor:
    """Find the directions that keep most of the vectors' dot products.

    Args:
        vectors: (n, h) float32, n >= 1. Not centred: MaxSim compares them as they are.
        dim: Number of directions, at most h.

    Returns:
        Orthonormal rows, (dim, h) float32, strongest first.
    """
    return _strongest(vectors.double().T @ vectors.double(), dim)


def _strongest(second_moment: Tensor, dim: int) -> Tensor:
    """Take the eigenvectors with the largest eigenvalues, (dim, h) float32."""
    _, axes = torch.linalg.eigh(second_moment)  # ascending
    strongest: Tensor = axes.flip(1)[:, :dim].T.float().contiguous()
    return strongest


@torch.inference_mode()
def _second_moment(transformer: Transformer, texts: Iterable[str]) -> Tensor:
    """Add up the outer products of the unit token vectors of texts, (h, h) float64."""
    hidden = transformer.get_embedding_dimension()
    found = torch.zeros(hidden, hidden, dtype=torch.float64)
    for batch in _batches(texts):
        features = transformer(transformer.preprocess(batch, task="document"))
        vectors = features["token_embeddings"][features["attention_mask"].bool()]
        unit = normalize(vectors.float(), dim=-1).double()
        found += unit.T @ unit
    if not found.any():
        raise InputError("no texts to fit the axes on: pass a few hundred of your passages")
    return found.clone()


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(texts)
    while batch := list(islice(remaining, _BATCH)):
        yield batch


def _open(name: str, revision: str | None) -> tuple[Transformer, dict[str, str]]:
    """Open the transformer of a bi-encoder, with what it was trained to see before queries and passages."""
    place = locate_model(name, revision)
    with loading(f"the bi-encoder {name!r}", place):
        model = SentenceTransformer(
            place, device="cpu", revision=revision, model_kwargs={"dtype": torch.float32}
        ).eval()
    transformer = model[0]
    if not isinstance(transformer, Transformer):
        kind = type(transformer).__name__
        raise CheckpointError(f"the bi-encoder {name!r} begins with {kind}, not a Transformer: it has no token vectors")
    transformer.document_length = min(transformer.max_seq_length or _LONGEST_WINDOW, _LONGEST_WINDOW)
    named = {key: text for key, text in (model.prompts or {}).items() if text}
    passage = next((named[key] for key in _PASSAGE_PROMPTS if key in named), "")
    prompts = {"query": named.get("query", ""), "document": passage}
    return transformer, {key: text for key, text in prompts.items() if text}
