"""Open a late-interaction checkpoint: native sentence-transformers, PyLate or Stanford ColBERT.

sentence-transformers' `MultiVectorEncoder` reads all three layouts. This module adds what is
missing there: the evidence head in the `evidence/` subfolder and the fingerprint that ties an index
to its model. It also refuses models that would load but were never trained for late interaction
(sentence-transformers would silently give them a random projection).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from sentence_transformers import MultiVectorEncoder, SentenceTransformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.util import load_file_path
from torch import Tensor

from fgr_retriever.errors import CheckpointError, ConfigError
from fgr_retriever.model.embedded import embedded_model
from fgr_retriever.model.evidence_head import EvidenceHead
from fgr_retriever.model.head import SUBFOLDER, Head, hash_weights
from fgr_retriever.model.heads import load_head
from fgr_retriever.model.importance import Attending
from fgr_retriever.model.linear import use_packed
from fgr_retriever.model.loading import loading
from fgr_retriever.model.token_model import Checkpoint, Features

logger = logging.getLogger(__name__)

# How each layout is told apart, as data: the file, and what in its JSON marks late interaction.
_LATE_INTERACTION_TYPES = {"MultiVectorEncoder", "ColBERT"}
_PYLATE_KEYS = {"query_prefix", "document_prefix", "do_query_expansion", "attend_to_expansion_tokens"}
_STANFORD_ARCHITECTURE = "HF_ColBERT"
_DEFAULT_DOC_MAXLEN = 256


def open_checkpoint(
    folder_or_hub_id: str | Path, *, revision: str | None = None, name: str | None = None, branch: int | None = None
) -> Checkpoint:
    """Open a folder, or download from the Hugging Face hub.

    Args:
        folder_or_hub_id: A local folder, or a hub id such as `lightonai/GTE-ModernColBERT-v1`, as `locate_model`
            gives it.
        revision: Branch, tag or commit on the hub.
        name: What the caller calls it; None for the folder or hub id.
        branch: Number of the last layers that come after the states in `hidden`; None for what its head reads.

    Raises:
        CheckpointError: There is nothing, it is no late-interaction model, or a file is damaged.
    """
    place = str(folder_or_hub_id)
    name = name or place
    _refuse_single_vector_models(name, place, revision)
    with loading(f"the model {name!r}", place):
        model = MultiVectorEncoder(place, device="cpu", revision=revision, model_kwargs={"dtype": torch.float32})
    if not getattr(model.tokenizer, "is_fast", False):
        raise CheckpointError(
            f"the model {name!r} has a slow tokenizer, which gives no character offsets. "
            "Save it with its fast tokenizer (tokenizer.json)."
        )
    model.eval().float()
    use_packed(model)
    transformer: Any = model[0]
    length = transformer.document_length or transformer.max_seq_length or _DEFAULT_DOC_MAXLEN
    head = _open_head(name, place, model, revision)
    branch = head.branch if branch is None else branch
    _show_hidden(transformer, branch)
    attending = partial(Attending, branch=branch)
    return Checkpoint(name, model, head, fingerprint(model), length, partial(_query_mask, model), attending)


def fingerprint(model: MultiVectorEncoder | SentenceTransformer) -> str:
    """Hash everything that changes a vector: weights, tokenizer, lengths, markers, masks.

    The location of the files, their format and the evidence head do not matter.
    """
    # A pooler gives no token vector, and many checkpoints lack it: it is random then.
    weights = {key: value for key, value in model.state_dict().items() if ".pooler." not in key}
    digest = hashlib.sha256()
    hash_weights(digest.update, weights)
    digest.update(model.tokenizer.backend_tokenizer.to_str().encode("utf-8", "surrogatepass"))
    settings = [_module_settings(module) for module in model.children()]
    digest.update(json.dumps([model.prompts, settings], sort_keys=True, default=str).encode())
    return digest.hexdigest()


def save_calibrated(source: Path, head: Head, out: Path) -> None:
    """Save a checkpoint folder with another calibration of its evidence head.

    Args:
        source: The checkpoint folder.
        head: Its evidence head with the new calibration.
        out: A new or empty folder, which appears when it is complete; or `source`, whose head is
            then replaced.

    Raises:
        ConfigError: `out` or `source` cannot be used for this; see `check_output`.
        OSError: The disk refused the write.
    """
    check_output(source, out)
    in_place = out.resolve() == source.resolve()
    home = out if in_place else out.parent
    home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=home, prefix=".calibrated-") as scratch:
        copy = Path(scratch) / "model"
        if not in_place:
            shutil.copytree(source, copy)
        head.save(copy)
        if in_place:
            (out / SUBFOLDER).mkdir(exist_ok=True)
            for file in sorted((copy / SUBFOLDER).iterdir(), reverse=True):  # a new head's weights before its config
                file.replace(out / SUBFOLDER / file.name)
            return
        if out.exists():
            out.rmdir()  # empty, and a rename replaces no folder everywhere
        copy.replace(out)


def check_output(source: Path, out: Path) -> None:
    """Check that a copy of a checkpoint can be written without harm.

    Raises:
        ConfigError: `source` is not a folder; or `out` is in use, lies in `source`, is the embedded
            model, or cannot be written to.
    """
    if not source.is_dir():
        raise ConfigError(f"the model {str(source)!r} is no folder on this machine: download it and give its folder")
    at, place = source.resolve(), out.resolve()
    if place == embedded_model().resolve():
        raise ConfigError(f"{out} is the embedded model, which is never changed: give another folder")
    if at in place.parents:
        raise ConfigError(f"{out} lies in the folder of the model itself: give another folder")
    if place != at and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigError(f"{out} exists: give a new folder, or {source} to change the model in place")
    if place == at and not os.access(out, os.W_OK):
        raise ConfigError(f"{out} cannot be written to: give a new folder")


def _query_mask(model: MultiVectorEncoder, features: Features) -> Tensor:
    """Say which tokens of queries MaxSim counts, (b, t) bool, as the model's own mask does."""
    masked: dict[str, Any] = dict(features)
    for module in model:
        if isinstance(module, MultiVectorMask):
            masked = module(masked, task="query")
    kept: Tensor = masked["attention_mask"].bool()
    return kept


def _show_hidden(transformer: Any, branch: int) -> None:
    """Let a transformer keep hidden states for evidence codes: those that its last `branch` layers follow."""
    transformer.model.config.output_hidden_states = branch > 0

    def keep(module: Any, inputs: Any, features: Features) -> Features:
        layers = features.pop("all_layer_embeddings", None)
        return {**features, "hidden": layers[-1 - branch] if branch else features["token_embeddings"]}

    transformer.register_forward_hook(keep)


def _module_settings(module: Any) -> dict[str, Any]:
    """List the settings that a sentence-transformers module saves with itself."""
    return {key: getattr(module, key, None) for key in getattr(module, "config_keys", ())}


def _refuse_single_vector_models(name: str, place: str, revision: str | None) -> None:
    settings = read_model_json(place, "config_sentence_transformers.json", revision)
    config = read_model_json(place, "config.json", revision)
    if settings is None and config is None:
        raise CheckpointError(
            f"no model in {name!r}: there is no config.json (nor config_sentence_transformers.json). "
            "Pass the folder that the model was saved to, or the id of a ColBERT model on the hub."
        )
    settings, config = settings or {}, config or {}
    if settings.get("model_type") in _LATE_INTERACTION_TYPES or _PYLATE_KEYS & settings.keys():
        return
    if _STANFORD_ARCHITECTURE in (config.get("architectures") or ()):
        return
    kind = settings.get("model_type") or ", ".join(config.get("architectures") or ["unknown"])
    raise CheckpointError(
        f"the model {name!r} ({kind}) was not trained for late interaction: it has no token projection, and "
        "scores of a random one would be noise. Use a ColBERT checkpoint (sentence-transformers "
        "MultiVectorEncoder, PyLate or Stanford layout), or train one with `fgr train`. If it is an ordinary "
        "bi-encoder, Encoder.from_bi_encoder makes a late-interaction model of it, to be passed as encoder."
    )


def read_model_json(name: str, filename: str, revision: str | None = None) -> dict[str, Any] | None:
    """Read a JSON file of a checkpoint; None if the checkpoint has no such file.

    Raises:
        CheckpointError: The file is not available, or it is not a JSON object.
    """
    try:
        found = load_file_path(name, filename, revision=revision)
        content = None if found is None else json.loads(Path(found).read_text(encoding="utf-8"))
    except Exception as error:  # offline, a wrong id, no permission, broken JSON
        raise CheckpointError(f"cannot read {filename} of the model {name!r}: {error}") from error
    if content is not None and not isinstance(content, dict):
        raise CheckpointError(f"{filename} of the model {name!r} is not a JSON object")
    return content


def _open_head(name: str, place: str, model: MultiVectorEncoder, revision: str | None) -> Head:
    dim = model.get_embedding_dimension()
    if dim is None:
        raise CheckpointError(f"the model {name!r} does not say how wide its token embeddings are")
    config = load_file_path(place, "config.json", subfolder=SUBFOLDER, revision=revision)
    if config is None:
        logger.warning(
            "%s has no evidence head: evidence is calibrated raw MaxSim. `fgr train` adds a trained head.", name
        )
        return EvidenceHead.raw(dim)
    # On the hub, asking for the weights brings them next to the config.
    load_file_path(place, "model.safetensors", subfolder=SUBFOLDER, revision=revision)
    head = load_head(Path(config).parent)
    if head.config.dim != dim:
        raise CheckpointError(
            f"the evidence head of {name!r} is for vectors of {head.config.dim} dimensions, the model gives {dim}"
        )
    return head
