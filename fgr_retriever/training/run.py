"""From a recipe to a finished model folder: train, calibrate, write, describe."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from sentence_transformers import MultiVectorEncoder

from fgr_retriever.encoder import Encoder
from fgr_retriever.evidence import EvidenceHead
from fgr_retriever.training.calibrate import fit_threshold
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.trainer import train

MODEL_FOLDER = "model"


def run(config: TrainingConfig, data: Path, out: Path) -> Path:
    """Train a model, or resume, and write it as a checkpoint folder.

    Args:
        config: The recipe.
        data: Folder that the recipe's files are relative to.
        out: Folder of the run; the model goes into `model/` in it.

    Returns:
        The model folder, for `Encoder.from_pretrained` or `--model`.

    Raises:
        ConfigError: `out` holds a run with another recipe.
        InputError: A training file cannot be read, or nothing was held out.
        CheckpointError: The base model cannot be opened.
    """
    encoder, head, held_out = train(config, data, out)
    folder = out / MODEL_FOLDER
    _save(encoder, head, folder)
    threshold, curve = fit_threshold(Encoder.from_pretrained(folder), held_out)
    head.config = replace(head.config, threshold=threshold)
    head.save(folder)
    report = {"held_out": len(held_out), "threshold": threshold, "f1_by_threshold": curve, "recipe": asdict(config)}
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_card(config, len(held_out), threshold, curve[threshold]), encoding="utf-8")
    return folder


def _save(encoder: MultiVectorEncoder, head: EvidenceHead, folder: Path) -> None:
    """Write the checkpoint with bfloat16 weights; readers that know no better compute in float32."""
    encoder.to(torch.bfloat16)
    encoder.save_pretrained(str(folder), create_model_card=False)
    config = folder / "config.json"
    settings = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**settings, "dtype": "float32"}, indent=2) + "\n", encoding="utf-8")
    head.save(folder)


def _card(config: TrainingConfig, held_out: int, threshold: float, f1: float) -> str:
    """Describe the model in the format of the hub."""
    recipe = "\n".join(f"- {name}: {value}" for name, value in asdict(config).items())
    return f"""---
library_name: sentence-transformers
tags: [colbert, late-interaction, multi-vector, fgr-colbert]
---
# FGR-ColBERT model trained by fgr-retriever

Late-interaction token embeddings with an evidence head (arXiv 2604.00242). Open it with
`fgr_retriever.Encoder.from_pretrained`, or without the head with sentence-transformers' `MultiVectorEncoder`.

- evidence threshold {threshold}, fitted on {held_out} held-out examples (word F1 {f1:.3f} there)

## Recipe
{recipe}
"""
