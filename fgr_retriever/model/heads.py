"""Open the evidence head of a checkpoint, whichever kind it is."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from fgr_retriever.errors import CheckpointError
from fgr_retriever.model.evidence_head import EvidenceConfig, EvidenceHead
from fgr_retriever.model.head import CONFIG, WEIGHTS, Head
from fgr_retriever.model.light_head import LightConfig, LightHead

_KINDS: dict[str, tuple[type, type[Head]]] = {
    EvidenceHead.KIND: (EvidenceConfig, EvidenceHead),
    LightHead.KIND: (LightConfig, LightHead),
}


def load_head(folder: Path) -> Head:
    """Read a head from the `evidence/` subfolder of a checkpoint.

    Args:
        folder: The `evidence/` folder itself.

    Raises:
        CheckpointError: A file is missing or does not fit its config.
    """
    try:
        settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        config, kind = _KINDS[settings.pop("kind", EvidenceHead.KIND)]  # the first heads did not say
        # What is taken at once needs no first values. On this device, a normal distribution would import torch's
        # compiler, which takes a second; so first values of heads are uniform.
        with torch.device("meta"):
            head = kind(config(**settings))
        head.load_state_dict(load_file(folder / WEIGHTS), assign=True)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"the evidence head in {folder} cannot be read: {error}. Restore the folder, or delete it to fall "
            "back to raw MaxSim evidence."
        ) from error
    return head.float().eval()
