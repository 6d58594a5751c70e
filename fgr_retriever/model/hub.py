"""Find and open a model: a folder, or an id on the Hugging Face hub, without long waits if that is not there."""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from fgr_retriever.calls import in_time
from fgr_retriever.errors import CheckpointError
from fgr_retriever.model.embedded import embedded_model, open_embedded
from fgr_retriever.model.token_model import Checkpoint

logger = logging.getLogger(__name__)

# Any model has one of them.
_CONFIGS = ("config.json", "config_sentence_transformers.json")
# How files end that are taken for models; a hub id may have a dot, too, as in `Qwen3-Embedding-0.6B`.
_FILES = {
    ".bin",
    ".gz",
    ".json",
    ".jsonl",
    ".onnx",
    ".pt",
    ".pth",
    ".py",
    ".safetensors",
    ".tar",
    ".txt",
    ".yaml",
    ".zip",
}
_SECONDS = 2.0  # to wait for a first answer, unless the user says otherwise
_LOGIN = "log in (`hf auth login`, or HF_TOKEN in the environment)"
_PATIENCE = "HF_HUB_ETAG_TIMEOUT"  # the hub client's own setting


def locate_model(name: str, revision: str | None = None) -> str:
    """Say from where a model can be loaded, after one question to the hub.

    Args:
        name: A folder or a hub id.
        revision: Branch, tag or commit on the hub.

    Returns:
        The name itself; or, where the hub does not answer, the folder of its cache that has the model.

    Raises:
        CheckpointError: There is neither a folder nor a repository; or the hub cannot be reached, or refuses
            it, and its cache does not have it.
    """
    if Path(name).is_dir():
        return name
    if Path(name).exists():
        raise CheckpointError(f"cannot open the model {name!r}: it is a file. {_remedy(Path(name))}")
    try:
        if _is_path(name):
            raise HFValidationError
        url = hf_hub_url(name, _CONFIGS[0], revision=revision)
    except HFValidationError:
        raise CheckpointError(
            f"cannot open the model {name!r}: there is no such folder, and it is no id of the hub, such as OWNER/NAME"
        ) from None
    problem = _problem(url, name, revision)
    if problem is None:
        return name
    for config in _CONFIGS:
        if isinstance(found := try_to_load_from_cache(name, config, revision=revision), str):
            logger.info("%s: taken from the cache of the hub (%s)", name, problem)
            return str(Path(found).parent)
    raise CheckpointError(f"cannot open the model {name!r}: there is no such folder, and {problem}")


def open_located(name: str, revision: str | None = None) -> Checkpoint:
    """Open a model: a folder, that of the embedded model, or an id of the hub.

    Raises:
        CheckpointError: There is nothing, the hub cannot be reached, it is no late-interaction model, or a file is
            damaged.
    """
    if Path(name).resolve() == embedded_model().resolve():
        return open_embedded()
    place = locate_model(name, revision)  # before the next import, which takes long
    from fgr_retriever.model.checkpoint import open_checkpoint

    return open_checkpoint(place, revision=revision, name=name)


def _is_path(name: str) -> bool:
    """Say whether a name can only be that of a folder or a file, which is not here."""
    return name.startswith((".", "~")) or "\\" in name or name.count("/") > 1 or Path(name).suffix in _FILES


def _remedy(file: Path) -> str:
    """Say which folder was meant by one of its files."""
    held = any((file.parent / config).is_file() for config in _CONFIGS)
    return (
        f"Pass the folder that it lies in: {str(file.parent)!r}" if held else "Pass the folder of a model, or a hub id"
    )


def _problem(url: str, name: str, revision: str | None) -> str | None:
    """Ask the hub for a model, and say what speaks against it and what to do."""
    if constants.HF_HUB_OFFLINE:
        return (
            "HF_HUB_OFFLINE forbids to ask the hub, whose cache here does not have it: give a folder, or unset it and "
            f"download the model once (`hf download {name}`)"
        )
    patience = float(os.environ.get(_PATIENCE) or _SECONDS)
    try:
        in_time(patience, partial(get_hf_file_metadata, url, timeout=patience))
    except GatedRepoError:
        return f"it is gated on the hub: ask for access at {constants.ENDPOINT}/{name}, then {_LOGIN}"
    except RevisionNotFoundError:
        return f"the hub has no revision {revision!r} of it: give a branch, a tag or a commit"
    except RepositoryNotFoundError:
        return f"the hub ({constants.ENDPOINT}) has no such model: check the id; if it is private, {_LOGIN}"
    except EntryNotFoundError:
        return None  # the repository is there, without this file: what is missing is said by who needs it
    except HfHubHTTPError as error:
        return f"the hub ({constants.ENDPOINT}) answers {error.response.status_code}: try again later, or give a folder"
    except Exception as error:  # the client passes on what its connections and ours raise
        return (
            f"the hub ({constants.ENDPOINT}) could not be reached ({error}): give a folder, or download the model once "
            f"where there is a network (`hf download {name}`). HF_HUB_OFFLINE=1 says that there is none; if it is only "
            f"slow, set {_PATIENCE}, in seconds"
        )
    return None
