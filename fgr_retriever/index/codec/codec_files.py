"""A codec on disk: `codec.safetensors` with its tensors, and `config.json`, which says what must be in there."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from fgr_retriever.errors import IndexCorruptError
from fgr_retriever.index.codec.residual_codec import Codec

FILES = _CONFIG, _TENSORS = "config.json", "codec.safetensors"
_FIRST, _SECOND = ("centroids", "scales", "cutoffs", "weights"), ("cutoffs", "weights")


def save_codec(codec: Codec, folder: Path) -> None:
    """Write a codec into a folder, which is made if missing.

    Raises:
        OSError: The disk refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _CONFIG).write_text(json.dumps(_config(codec), indent=2) + "\n", encoding="utf-8")
    tensors = save({name: tensor.contiguous() for name, tensor in _tensors(codec).items()})
    (folder / _TENSORS).write_bytes(tensors)  # where `save_file` would raise an error of its own on a full disk


def load_codec(folder: Path) -> Codec:
    """Read what `save_codec` wrote.

    Raises:
        IndexCorruptError: A file is missing, damaged, or not of the same codec as the other.
    """
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        # From bytes: torch takes Ctrl-C in the middle of `load_file` for a storage that is wrong.
        codec = _codec(load((folder / _TENSORS).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise IndexCorruptError(f"the codec in {folder} cannot be read: {error}. Restore the folder.") from error
    if config != (held := _config(codec)):
        raise IndexCorruptError(f"{folder / _CONFIG} says {config}, but {_TENSORS} holds {held}: restore the folder")
    return codec


def _config(codec: Codec) -> dict[str, int]:
    config = {"nbits": codec.nbits, "dim": codec.dim, "centroids": len(codec.centroids)}
    return config if codec.fine is None else {**config, "fine": codec.fine.nbits}


def _tensors(codec: Codec) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {name: getattr(codec, name) for name in _FIRST}
    return found if codec.fine is None else found | {f"fine_{name}": getattr(codec.fine, name) for name in _SECOND}


def _codec(tensors: dict[str, Tensor]) -> Codec:
    """Invert `_tensors`."""
    centroids, scales, cutoffs, weights = (tensors.pop(name) for name in _FIRST)
    fine = Codec(centroids, scales, tensors.pop("fine_cutoffs"), tensors.pop("fine_weights")) if tensors else None
    if tensors:
        raise ValueError(f"tensors {sorted(tensors)} are no part of a codec")
    return Codec(centroids, scales, cutoffs, weights, fine)
