"""The training run: transformers' Trainer around the encoder, the head and the joint loss."""

from __future__ import annotations

import copy
import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import MultiVectorEncoder
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from fgr_retriever.encoder import best_dtype
from fgr_retriever.errors import ConfigError
from fgr_retriever.evaluation.spans import SpanExample
from fgr_retriever.evidence import EvidenceConfig, EvidenceHead
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.data import TokenLabels, collate, read_spans, split
from fgr_retriever.training.losses import evidence_loss, hold_loss, in_batch_maxsim, ranking_loss
from fgr_retriever.training.start import start_model
from fgr_retriever.windows import Windows

logger = logging.getLogger(__name__)

_AXES_SAMPLE = 500
_CONFIG_FILE = "training.json"


class JointModel(nn.Module):
    """Encoder and head with the joint loss; the untrained encoder is the teacher of retrieval.

    Args:
        encoder: The model to train.
        head: The evidence head to train.
        recipe: The weights of the losses.
    """

    def __init__(self, encoder: MultiVectorEncoder, head: EvidenceHead, recipe: TrainingConfig) -> None:
        super().__init__()
        self.encoder, self.head, self.recipe = encoder, head, recipe
        # In a list, so that it is neither trained nor saved with the checkpoints.
        self._untrained = [copy.deepcopy(encoder).requires_grad_(False).eval()]

    def forward(
        self, query_ids: Tensor, query_mask: Tensor, passage_ids: Tensor, passage_mask: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """Give the losses of one batch: `loss` is their weighted sum."""
        untrained = self._untrained[0].to(query_ids.device)
        queries, query_kept = _encode(self.encoder, query_ids, query_mask, "query")
        passages, passage_kept = _encode(self.encoder, passage_ids, passage_mask, "document")
        with torch.no_grad():
            old_queries, _ = _encode(untrained, query_ids, query_mask, "query")
            old_passages, _ = _encode(untrained, passage_ids, passage_mask, "document")
        labelled = passage_kept & (labels >= 0)
        own = self.head(queries, passages, query_kept, passage_kept)
        others = self.head(queries.roll(1, 0), passages, query_kept.roll(1, 0), passage_kept)
        parts = {
            "evidence": evidence_loss(own, labels, labelled),
            "irrelevant": evidence_loss(others, torch.zeros_like(labels), labelled),
            "hold": hold_loss(passages, old_passages, passage_kept) + hold_loss(queries, old_queries, query_kept),
            "ranking": ranking_loss(
                in_batch_maxsim(queries, query_kept, passages, passage_kept),
                in_batch_maxsim(old_queries, query_kept, old_passages, passage_kept),
            ),
        }
        loss = sum(getattr(self.recipe, f"{name}_weight") * part for name, part in parts.items())
        return {"loss": torch.as_tensor(loss), **{name: part.detach() for name, part in parts.items()}}


def train(config: TrainingConfig, data: Path, out: Path) -> tuple[MultiVectorEncoder, EvidenceHead, list[SpanExample]]:
    """Train, or resume where an interrupted run in `out` stopped.

    Args:
        config: The recipe.
        data: Folder that the recipe's files are relative to.
        out: Folder for checkpoints and logs.

    Returns:
        The trained encoder and head, and the examples that were held out.

    Raises:
        ConfigError: `out` holds a run with another recipe.
        InputError: A training file cannot be read.
        CheckpointError: The base model cannot be opened.
    """
    _remember(config, out)
    torch.manual_seed(config.seed)
    examples, held_out = split(read_spans(data / name for name in config.spans), config.held_out, config.seed)
    encoder = start_model(config, [example.passage for example in examples[:_AXES_SAMPLE]])
    head = EvidenceHead(
        EvidenceConfig(
            dim=config.dim,
            width=config.head_width,
            reader_layers=config.reader_layers,
            reader_width=config.reader_width,
        )
    )
    queries = Windows(encoder.tokenizer, encoder.prompts.get("query") or "", config.query_maxlen)
    passages = Windows(encoder.tokenizer, encoder.prompts.get("document") or "", config.doc_maxlen)
    model = JointModel(encoder, head, config)
    trainer = _Trainer(
        model=model,
        args=_arguments(config, out),
        train_dataset=TokenLabels(examples, queries, passages),
        data_collator=collate,
    )
    last = get_last_checkpoint(str(out))  # type: ignore[no-untyped-call, unused-ignore]
    trainer.train(resume_from_checkpoint=last)
    return encoder.eval().cpu(), head.eval().cpu(), held_out


def _remember(config: TrainingConfig, out: Path) -> None:
    """Write the recipe beside the checkpoints, or check that it is the one they came from."""
    out.mkdir(parents=True, exist_ok=True)
    path, recipe = out / _CONFIG_FILE, json.dumps(asdict(config), indent=2, sort_keys=True)
    if path.exists() and path.read_text(encoding="utf-8") != recipe:
        raise ConfigError(f"{out} holds a run with another recipe ({path}): choose another --out, or delete it")
    path.write_text(recipe, encoding="utf-8")


def _arguments(config: TrainingConfig, out: Path) -> TrainingArguments:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TrainingArguments(
        output_dir=str(out),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.learning_rate,
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
        seed=config.seed,
        report_to=[],
    )


class _Trainer(Trainer):
    """transformers' Trainer with a rate of its own for the head, and every loss in the log."""

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Build AdamW with two groups: encoder and head."""
        if self.optimizer is None:
            joint: Any = self.model
            self.optimizer = torch.optim.AdamW(
                [
                    {"params": joint.encoder.parameters(), "lr": self.args.learning_rate},
                    {"params": joint.head.parameters(), "lr": joint.recipe.head_learning_rate},
                ],
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
        """Give the weighted loss and log its parts now and then."""
        parts = model(**inputs)
        if self.state.global_step % self.args.logging_steps == 0:
            self.log({name: round(float(part), 4) for name, part in parts.items() if name != "loss"})
        return (parts["loss"], parts) if return_outputs else parts["loss"]


def _encode(model: MultiVectorEncoder, ids: Tensor, mask: Tensor, task: str) -> tuple[Tensor, Tensor]:
    """Run the encoder: (b, t, d) unit vectors and the (b, t) mask of scored tokens."""
    found = model({"input_ids": ids, "attention_mask": mask, "modality": "text"}, task=task)
    return found["token_embeddings"], found["attention_mask"].bool()
