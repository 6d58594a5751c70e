"""One stage of training: transformers' Trainer with resume, a rate for each part, and every loss in the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from fgr_retriever.encoder import best_dtype

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """How long and how fast a stage trains.

    Args:
        epochs: Passes over the examples.
        learning_rate: Peak rate, reached after a short warm-up; falls to 0 linearly.
        head_learning_rate: Peak rate of the parameters under `head`, where the model has one.
        batch_size: Examples a step.
        seed: Of the order and of dropout.
    """

    epochs: float
    learning_rate: float
    head_learning_rate: float = 0.0
    batch_size: int = 32
    seed: int = 1


def run_stage(
    model: nn.Module,
    examples: Dataset[Any],
    collate: Callable[[list[Any]], dict[str, Tensor]],
    stage: Stage,
    out: Path,
) -> None:
    """Train a model in place, or resume where an interrupted run in `out` stopped; it ends on the CPU.

    Args:
        model: Takes a batch as keywords and gives a dict with `loss`; other scalars in it are logged.
        examples: Rows; the length of `input_ids` in each decides with which others it is batched.
        collate: Makes a batch of rows.
        stage: How long and how fast.
        out: Folder for checkpoints and logs.
    """
    trainer = _Trainer(stage, model=model, args=_arguments(stage, out), train_dataset=examples, data_collator=collate)
    last = get_last_checkpoint(str(out)) if out.exists() else None  # type: ignore[no-untyped-call, unused-ignore]
    trainer.train(resume_from_checkpoint=last)
    model.eval().cpu()


def without_dropout(model: Module) -> Module:
    """Turn dropout off: few epochs do not overfit, and on a CPU it doubles the time of a step."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def _arguments(stage: Stage, out: Path) -> TrainingArguments:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TrainingArguments(
        output_dir=str(out),
        num_train_epochs=stage.epochs,
        per_device_train_batch_size=stage.batch_size,
        learning_rate=stage.learning_rate,
        warmup_steps=0.06,
        lr_scheduler_type="linear",
        weight_decay=0.01,
        bf16=best_dtype(torch.device(device)) is torch.bfloat16,
        use_cpu=device == "cpu",
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,
        logging_steps=20,
        save_steps=100,
        save_total_limit=2,
        seed=stage.seed,
        report_to=[],
    )


class _Trainer(Trainer):
    """transformers' Trainer with a rate of its own for the head, and every loss in the log."""

    def __init__(self, stage: Stage, **settings: Any) -> None:
        self._stage = stage
        super().__init__(**settings)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Build AdamW with two groups: the head and the rest."""
        if self.optimizer is None:
            groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
            trained: nn.Module = self.model  # type: ignore[assignment]
            for name, parameter in trained.named_parameters():
                if parameter.requires_grad:
                    groups[name.startswith("head.")].append(parameter)
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
        """Give the loss and log its parts now and then."""
        found = model(**inputs)
        if self.state.global_step % self.args.logging_steps == 0:
            self.log({name: round(part.item(), 4) for name, part in found.items() if part.ndim == 0 and name != "loss"})
        return (found["loss"], found) if return_outputs else found["loss"]
