"""Rewrites the tiny native checkpoint in the layouts of PyLate and Stanford ColBERT."""

import json
import shutil
import string
from pathlib import Path

from safetensors.torch import load_file, save_file

TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


def dense_weight(native: Path):
    (folder,) = [found.parent for found in native.glob("*_Dense/model.safetensors")]
    return load_file(folder / "model.safetensors")["linear.weight"]


def write_pylate(native: Path, folder: Path) -> Path:
    """PyLate 1.x: Transformer and Dense only; markers, lengths and expansion in the top-level config."""
    folder.mkdir()
    for name in (*TOKENIZER, "config.json", "model.safetensors"):
        shutil.copy(native / name, folder)
    (folder / "1_Dense").mkdir()
    save_file({"linear.weight": dense_weight(native)}, folder / "1_Dense" / "model.safetensors")
    dense = {"in_features": 32, "out_features": 16, "bias": False}
    dense["activation_function"] = "torch.nn.modules.linear.Identity"
    _write(folder / "1_Dense" / "config.json", dense)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": 47, "do_lower_case": False})
    modules = [("", "sentence_transformers.models.Transformer"), ("1_Dense", "pylate.models.Dense.Dense")]
    _write(
        folder / "modules.json",
        [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(modules)],
    )
    settings = {
        "model_type": "ColBERT",
        "prompts": {},
        "similarity_fn_name": "MaxSim",
        "query_prefix": "[Q] ",
        "document_prefix": "[D] ",
        "query_length": 16,
        "document_length": 48,
        "attend_to_expansion_tokens": False,
        "skiplist_words": list(string.punctuation),
    }
    _write(folder / "config_sentence_transformers.json", settings)
    return folder


def write_stanford(native: Path, folder: Path) -> Path:
    """Stanford ColBERT: one weights file with `bert.` and `linear.weight`, and artifact.metadata."""
    folder.mkdir()
    for name in TOKENIZER:
        shutil.copy(native / name, folder)
    config = json.loads((native / "config.json").read_text())
    _write(folder / "config.json", {**config, "architectures": ["HF_ColBERT"]})
    weights = {f"bert.{key}": value for key, value in load_file(native / "model.safetensors").items()}
    save_file({**weights, "linear.weight": dense_weight(native)}, folder / "model.safetensors", {"format": "pt"})
    metadata = {"query_token_id": "[Q]", "doc_token_id": "[D]", "query_maxlen": 16, "doc_maxlen": 48}
    _write(folder / "artifact.metadata", {**metadata, "mask_punctuation": True, "attend_to_mask_tokens": False})
    return folder


def _write(path: Path, content) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
