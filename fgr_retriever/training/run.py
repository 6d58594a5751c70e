"""From a recipe to a finished model folder: prepare, train together, train the head, calibrate, write."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import MultiVectorEncoder
from torch import nn
from torch.utils.data import Dataset, Subset

from fgr_retriever.errors import ConfigError, InputError
from fgr_retriever.model.embedded import FINGERPRINT
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.model.evidence_head import EvidenceConfig, EvidenceHead
from fgr_retriever.model.head import SUBFOLDER, Head
from fgr_retriever.model.heads import load_head
from fgr_retriever.model.precision import machine
from fgr_retriever.model.windows import Windows
from fgr_retriever.training.calibrate import fit_threshold
from fgr_retriever.training.card import card
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.curves import (
    LOSSES_PICTURE,
    THRESHOLDS_PICTURE,
    draw_losses,
    draw_thresholds,
    read_stages,
    write_curves,
)
from fgr_retriever.training.data import Labelled, Row, TokenLabels, collate, labelled
from fgr_retriever.training.head import HeadModel
from fgr_retriever.training.joint import JointModel
from fgr_retriever.training.light import train_light
from fgr_retriever.training.mixture import Mixture, prepare
from fgr_retriever.training.report import Report, measure, sources_of, spread
from fgr_retriever.training.stage import Stage, run_stage, without_dropout
from fgr_retriever.training.start import start_model
from fgr_retriever.training.stored import collate_vectors, store_vectors
from fgr_retriever.training.tuples import Placed, TupleCollate

MODEL_FOLDER = "model"
_RECIPE_FILE = "training.json"
_AXES_SAMPLE = 500
_JUDGED = 400  # held-out examples that early stopping looks at: enough to tell, and soon done


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
    _remember(config, out)
    mixture = prepare(config, data, out)
    head = train(config, mixture, out)
    folder = out / MODEL_FOLDER
    threshold, f1_by_threshold = fit_threshold(Encoder.from_pretrained(folder), mixture.held_out)
    head.config = replace(head.config, threshold=threshold)
    head.save(folder)
    used = mixture.exact + mixture.relabelled
    report = Report(
        recipe=config,
        sources=sources_of(config, mixture, data),
        longest=max(len(example.passage) for example in used),
        without_evidence=sum(not example.ranges for example in mixture.exact) / len(mixture.exact),
        stages=read_stages(out),
        machine=machine(),
        threshold=threshold,
        temperature=head.config.temperature,
        f1_by_threshold=f1_by_threshold,
        scores=measure(Encoder.from_pretrained(folder), mixture.held_out, config.aside, data),
    )
    _write(report, out)
    (folder / FINGERPRINT).write_text(Encoder.from_pretrained(folder).fingerprint + "\n", encoding="ascii")
    return folder


def train(config: TrainingConfig, mixture: Mixture, out: Path) -> Head:
    """Train encoder and head together, then the head alone, then the light head if there shall be one; or resume.

    What is drawn by chance depends on the recipe's seed alone, not on what this process did before.

    Args:
        config: The recipe.
        mixture: What to train on.
        out: Folder of the run; the stages go into `joint/`, `head/` and `light/` in it, the model into `model/`.

    Returns:
        The trained head, on the CPU, not yet calibrated.

    Raises:
        InputError: Nothing was held out.
    """
    if not mixture.held_out:
        raise InputError("no held-out examples: raise held_out, or give more spans")
    torch.manual_seed(config.seed)  # here, since what ran before differs between a first run and a resumed one
    encoder = without_dropout(start_model(config, [example.passage for example in mixture.exact[:_AXES_SAMPLE]]))
    head = EvidenceHead(
        EvidenceConfig(
            dim=config.dim,
            width=config.head_width,
            reader_layers=config.reader_layers,
            reader_width=config.reader_width,
        )
    )
    examples = mixture.exact + mixture.relabelled
    judged = labelled(spread(mixture.held_out, _JUDGED))
    shown = [place for place, example in enumerate(examples) for _ in range(example.times)]
    stage = Stage(
        epochs=config.epochs,
        learning_rate=config.learning_rate,
        head_learning_rate=config.head_learning_rate,
        batch_size=config.batch_size,
        patience=config.patience,
        seed=config.seed,
    )
    joint = JointModel(encoder, head, config)
    if not _restored(joint, out / "joint.safetensors"):
        rows, batch = _rows(encoder, Subset(_token_labels(encoder, examples, config), shown), mixture, config)
        run_stage(joint, rows, batch, stage, out / "joint", _token_labels(encoder, judged, config))
        _keep(joint, out / "joint.safetensors")
    folder = out / MODEL_FOLDER
    _save(encoder, head, folder)
    head_model = HeadModel(head, config)
    if not _restored(head_model, out / "head.safetensors"):
        finished = Encoder.from_pretrained(folder)
        vectors = Subset(store_vectors(finished, examples, out / "head" / "examples"), shown)
        seen = store_vectors(finished, judged, out / "head" / "judged")
        stage = replace(stage, epochs=config.head_epochs, head_learning_rate=config.head_alone_learning_rate)
        run_stage(head_model, vectors, collate_vectors, stage, out / "head", seen)
        _keep(head_model, out / "head.safetensors")
    head.save(folder)
    if not config.light_width:
        return head
    return _train_light(config, stage, [examples, judged], out)


def _train_light(config: TrainingConfig, stage: Stage, sets: list[list[Labelled]], out: Path) -> Head:
    """Train the light head over the finished model, or take the one that is finished, and save it into the model."""
    folder, finished = out / MODEL_FOLDER, out / "light" / "finished"
    if not finished.exists():
        unfinished = finished.with_suffix(".unfinished")
        stage = replace(
            stage,
            epochs=config.light_epochs,
            learning_rate=config.branch_learning_rate,
            head_learning_rate=config.light_learning_rate,
            average_from=config.light_average_from,
            # Where weights are averaged, the loss on held-out examples rises while their F1 still does.
            patience=config.patience if config.light_average_from == 1 else 0,
        )
        examples, judged = sets
        train_light(config, stage, folder, examples, judged, out / "light").save(unfinished)
        unfinished.rename(finished)
    light = load_head(finished / SUBFOLDER)
    light.save(folder)
    return light


def _rows(
    encoder: MultiVectorEncoder, rows: Dataset[Row], mixture: Mixture, config: TrainingConfig
) -> tuple[Dataset[Row], Callable[[list[Row]], dict[str, Any]]]:
    """Give the rows of the joint stage and what makes a batch of them: with tuples, if there are any."""
    if mixture.tuples is None:
        return rows, collate
    windows = _windows(encoder, config)
    return Placed(rows), TupleCollate(mixture.tuples, *windows, count=config.tuples_per_step, ways=config.ways)


def _token_labels(encoder: MultiVectorEncoder, examples: list[Labelled], config: TrainingConfig) -> TokenLabels:
    return TokenLabels(examples, *_windows(encoder, config))


def _windows(encoder: MultiVectorEncoder, config: TrainingConfig) -> tuple[Windows, Windows]:
    """Cut queries and passages as the model will."""
    queries = Windows(encoder.tokenizer, encoder.prompts.get("query") or "", config.query_maxlen)
    return queries, Windows(encoder.tokenizer, encoder.prompts.get("document") or "", config.doc_maxlen)


def _keep(model: nn.Module, file: Path) -> None:
    """Write the weights of a finished stage."""
    unfinished = file.with_suffix(".unfinished")
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, unfinished)
    unfinished.replace(file)


def _restored(model: nn.Module, file: Path) -> bool:
    """Load the weights of a finished stage, if it is finished."""
    if not file.exists():
        return False
    model.load_state_dict(load_file(file))
    return True


def _remember(config: TrainingConfig, out: Path) -> None:
    """Write the recipe beside the checkpoints, or check that it is the one they came from."""
    out.mkdir(parents=True, exist_ok=True)
    path, recipe = out / _RECIPE_FILE, json.dumps(asdict(config), indent=2, sort_keys=True)
    if path.exists() and path.read_text(encoding="utf-8") != recipe:
        raise ConfigError(f"{out} holds a run with another recipe ({path}): choose another --out, or delete it")
    path.write_text(recipe, encoding="utf-8")


def _save(encoder: MultiVectorEncoder, head: EvidenceHead, folder: Path) -> None:
    """Write the checkpoint with bfloat16 weights; readers that know no better compute in float32."""
    encoder.to(torch.bfloat16)
    encoder.save_pretrained(str(folder), create_model_card=False)
    config = folder / "config.json"
    settings = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**settings, "dtype": "float32"}, indent=2) + "\n", encoding="utf-8")
    head.save(folder)


def _write(report: Report, out: Path) -> None:
    """Write the report and the curves into the folder of the run, card and pictures into that of the model."""
    (out / "report.json").write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
    write_curves(report.stages, out / "curves.json")
    folder = out / MODEL_FOLDER
    draw_losses(report.stages, folder / LOSSES_PICTURE)
    draw_thresholds(report.f1_by_threshold, report.threshold, folder / THRESHOLDS_PICTURE)
    (folder / "README.md").write_text(card(report), encoding="utf-8")
