"""One stage of training: transformers' Trainer with resume, early stopping, and every loss in the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments

from fgr_retriever.model.precision import best_dtype

Module = TypeVar("Module", bound=nn.Module)

_LOGGED = 0.02  # share of a stage between two lines of its log
_JUDGED = 0.1  # share of a stage between two looks at the held-out examples
_BRANCH = ".branch."
_SAVED = 100  # steps between two checkpoints of a stage without held-out examples
STATE_FILE = "trainer_state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """How long and how fast a stage trains.

    Args:
        epochs: Passes over the examples.
        learning_rate: Peak rate, reached after a short warm-up; falls to 0 linearly.
        head_learning_rate: Peak rate of the parameters under `head`, where the model has one.
        batch_size: Examples a step.
        patience: Looks at the held-out examples without a lower loss, after which the stage ends
            early and keeps its best weights; 0 to train to the end and keep the last.
        average_from: Share of the stage, in [0, 1], from which each checkpoint counts: the model ends with the mean of
            their weights (Izmailov et al. 2018, arXiv 1803.05407). 1 keeps the last weights.
        seed: Of the order and of dropout.
    """

    epochs: float
    learning_rate: float
    head_learning_rate: float = 0.0
    batch_size: int = 32
    patience: int = 0
    average_from: float = 1.0
    seed: int = 1


def run_stage(
    model: nn.Module,
    examples: Dataset[Any],
    collate: Callable[[list[Any]], dict[str, Tensor]],
    stage: Stage,
    out: Path,
    held_out: Dataset[Any] | None = None,
) -> None:
    """Train a model in place, or resume where an interrupted run in `out` stopped; it ends on the CPU.

    Args:
        model: Takes a batch as keywords and gives a dict with `loss`; other scalars in it are logged.
        examples: Rows; the length of `input_ids` in each decides with which others it is batched.
        collate: Makes a batch of rows.
        stage: How long and how fast.
        out: Folder for checkpoints and logs.
        held_out: Rows that are not trained on; the model's `evidence` loss on them is logged ten
            times a stage, and `stage.patience` counts by it.
    """
    judged = held_out is not None
    callbacks: list[TrainerCallback] = [_Clock()]
    if judged and stage.patience:
        callbacks.append(EarlyStoppingCallback(stage.patience))
    snapshots = _Snapshots(stage.average_from, out)
    callbacks.append(snapshots)
    trainer = _Trainer(
        stage,
        model=model,
        args=_arguments(stage, out, judged),
        train_dataset=examples,
        eval_dataset=held_out,
        data_collator=collate,
        callbacks=callbacks,
    )
    last = last_checkpoint(out)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    model.eval().cpu()
    snapshots.average(model)


def without_dropout(model: Module) -> Module:
    """Turn dropout off: few epochs do not overfit, and on a CPU it doubles the time of a step."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def last_checkpoint(out: Path) -> Path | None:
    """Find the last complete checkpoint of a stage: its state is what is written last."""
    complete = [state.parent for state in out.glob(f"checkpoint-*/{STATE_FILE}")]
    return max(complete, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)


def _arguments(stage: Stage, out: Path, judged: bool) -> TrainingArguments:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TrainingArguments(
        output_dir=str(out),
        num_train_epochs=stage.epochs,
        per_device_train_batch_size=stage.batch_size,
        per_device_eval_batch_size=stage.batch_size,
        learning_rate=stage.learning_rate,
        warmup_steps=0.1,
        lr_scheduler_type="linear",
        weight_decay=0.01,
        bf16=best_dtype(torch.device(device)) is torch.bfloat16,
        use_cpu=device == "cpu",
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,
        logging_steps=_LOGGED,
        eval_strategy="steps" if judged else "no",
        eval_steps=_JUDGED,
        save_steps=_JUDGED if judged else _SAVED,
        save_total_limit=2,
        load_best_model_at_end=judged and stage.patience > 0,
        restore_callback_states_from_checkpoint=True,  # an interruption does not renew the patience
        seed=stage.seed,
        report_to=[],
    )


class _Clock(TrainerCallback):
    """Adds the seconds that a stage has taken to its log, over all interruptions."""

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Go on from the last line of the log."""
        before = state.log_history[-1].get("seconds", 0.0) if state.log_history else 0.0
        self._start = time.monotonic() - before

    def on_log(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        """Write the time into the line that was just added."""
        state.log_history[-1]["seconds"] = round(time.monotonic() - self._start, 1)


class _Snapshots(TrainerCallback):
    """Keeps the trained weights of the last part of a stage in files, so that an interruption loses none."""

    def __init__(self, first: float, out: Path) -> None:
        self._first, self._out = first, out

    def on_save(self, args: Any, state: TrainerState, control: Any, **given: Any) -> None:
        """Keep the weights beside a checkpoint."""
        model: nn.Module = given["model"]
        if self._first < 1 and state.global_step >= self._first * state.max_steps:
            trained = {name: value.detach() for name, value in model.named_parameters() if value.requires_grad}
            save_file(trained, self._out / f"snapshot-{state.global_step}.safetensors")

    def average(self, model: nn.Module) -> None:
        """Give a model the mean of what was kept, if anything was."""
        found = [load_file(file) for file in sorted(self._out.glob("snapshot-*.safetensors"))]
        if found:
            means = {name: torch.stack([one[name] for one in found]).mean(dim=0) for name in found[0]}
            model.load_state_dict(means, strict=False)


class _Trainer(Trainer):
    """transformers' Trainer with a rate of its own for the head, and every loss in the log."""

    def __init__(self, stage: Stage, **settings: Any) -> None:
        self._stage = stage
        self._parts: list[dict[str, Tensor]] = []  # of the losses since the last line of the log
        super().__init__(**settings)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Build AdamW with two groups: the head, and the rest with those layers of the head that are an encoder's."""
        if self.optimizer is None:
            groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
            trained: nn.Module = self.model  # type: ignore[assignment]
            for name, parameter in trained.named_parameters():
                if parameter.requires_grad:
                    groups[name.startswith("head.") and _BRANCH not in name].append(parameter)
            rates = {True: self._stage.head_learning_rate, False: self._stage.learning_rate}
            self.optimizer = torch.optim.AdamW(
                [{"params": group, "lr": rates[head]} for head, group in groups.items() if group],
                weight_decay=self.args.weight_decay,
            )
        return self.optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Give the loss, and keep its parts for the log."""
        found = model(**inputs)
        self._parts.append({name: part.detach() for name, part in found.items() if part.ndim == 0 and name != "loss"})
        return (found["loss"], found) if return_outputs else found["loss"]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the means of the losses' parts to a line about training."""
        if "loss" in logs and self._parts:
            means = {name: torch.stack([parts[name] for parts in self._parts]).mean() for name in self._parts[0]}
            logs |= {name: round(mean.item(), 5) for name, mean in means.items()}
            self._parts = []
        super().log(logs, start_time)

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor, None, None]:
        """Judge held-out examples by the evidence loss alone: the other parts only keep what there was."""
        with torch.no_grad():
            found = model(**self._prepare_inputs(inputs))
        return found["evidence"], None, None
