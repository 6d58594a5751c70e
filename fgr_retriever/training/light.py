"""The light stage: the light head learns from labels and from the reader, on texts that are encoded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import Subset

from fgr_retriever.model.encoder import Encoder
from fgr_retriever.model.light_head import Interaction, LightConfig, LightHead, interact
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.data import Labelled, Row, mismatched
from fgr_retriever.training.losses import evidence_loss
from fgr_retriever.training.noise import CodecNoise
from fgr_retriever.training.stage import Stage, run_stage
from fgr_retriever.training.stored import StoredVectors, store_vectors

_WITHOUT_CODES = 0.1  # share of the steps that see no codes, as an older index has none
_RELEVANCE_WEIGHT = 0.1  # of telling whether a passage has evidence at all
_LIKELY = 0.5  # label from which a token counts as evidence there


class LightModel(nn.Module):
    """The light head with its losses.

    Args:
        head: The head to train.
        recipe: The weights of the losses.
    """

    def __init__(self, head: LightHead, recipe: TrainingConfig) -> None:
        super().__init__()
        self.head, self.recipe = head, recipe

    def forward(
        self,
        matches: Tensor,
        asked: Tensor,
        query: Tensor,
        summary: Tensor,
        lengths: Tensor,
        hidden: Tensor,
        labels: Tensor,
    ) -> dict[str, Tensor]:
        """Give the losses of one batch; the first five make an `Interaction`.

        Args:
            matches: (n, 7).
            asked: (n, d).
            query: (b, d).
            summary: (b, 3).
            lengths: Tokens of each passage, (b,) int64.
            hidden: The encoder's states of all tokens, (n, h).
            labels: The probability of evidence, -1 for no label, (n,).
        """
        with torch.autocast(matches.device.type, enabled=False):  # so small that lower precision gains nothing
            found = Interaction.of(matches, asked, query, summary, lengths)
            blind = self.training and float(torch.rand(())) < _WITHOUT_CODES
            logits, relevance = self.head(found, None if blind else self.head.coder(hidden.float()))
        evidence = evidence_loss(logits, labels, labels >= 0, self.recipe.positive_weight)
        has = (found.rows.maxima(labels[:, None])[:, 0] > _LIKELY).float()
        told = binary_cross_entropy_with_logits(relevance, has)
        return {"loss": evidence + _RELEVANCE_WEIGHT * told, "evidence": evidence.detach(), "relevance": told.detach()}


class CollateInteractions:
    """Makes a batch of `StoredVectors` with hidden states.

    Args:
        bits: Half of the passages are seen as a codec of 1, 2 or 4 bits gives them back; 0 for none.
    """

    def __init__(self, bits: int) -> None:
        self._noise = CodecNoise(bits)

    @torch.no_grad()
    def __call__(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Work out what late interaction says of each pair: nothing of that is learned."""
        found = []
        for row in rows:
            vectors = self._noise(torch.from_numpy(row["input_ids"]).float()[None])[0]
            found.append(interact(torch.from_numpy(row["queries"]).float(), vectors, torch.tensor([len(vectors)])))
        return {
            **{
                name: torch.cat([getattr(one, name) for one in found])
                for name in ("matches", "asked", "query", "summary")
            },
            "lengths": torch.tensor([len(row["input_ids"]) for row in rows]),
            **{name: torch.from_numpy(np.concatenate([row[name] for row in rows])) for name in ("hidden", "labels")},
        }


def train_light(
    config: TrainingConfig, model: Path, examples: Sequence[Labelled], judged: Sequence[Labelled], out: Path
) -> LightHead:
    """Train a light head for a finished model with a reader, or resume.

    Args:
        config: The recipe.
        model: Folder of the finished model.
        examples: What to train on; a part of them is seen with a foreign question, too.
        judged: Examples that are not trained on.
        out: Folder of this stage.

    Returns:
        The trained head, not yet calibrated.
    """
    encoder = Encoder.from_pretrained(model)
    torch.manual_seed(config.seed)
    everything = [*examples, *mismatched(examples, config.mismatched, config.seed)]
    shown = [place for place, example in enumerate(everything) for _ in range(example.times)]
    vectors = store_vectors(encoder, everything, out / "examples", states=True)
    seen = store_vectors(encoder, judged, out / "judged", states=True)
    head = LightHead(
        LightConfig(
            dim=config.dim,
            hidden=vectors.hidden,
            code=config.code_size,
            width=config.light_width,
            layers=config.light_layers,
        )
    )
    stage = Stage(
        epochs=config.light_epochs,
        learning_rate=config.light_learning_rate,
        head_learning_rate=config.light_learning_rate,
        batch_size=config.batch_size,
        patience=config.patience,
        seed=config.seed,
    )
    taught = Subset(teach(vectors, encoder.evidence, config.teacher_weight), shown)
    collate = CollateInteractions(config.noise_bits)
    run_stage(LightModel(head, config), taught, collate, stage, out, seen)
    return head


def teach(
    examples: StoredVectors, evidence: Callable[[Tensor, Tensor, Sequence[int]], Tensor], weight: float
) -> StoredVectors:
    """Mix labels with what a teacher says of the same tokens.

    Args:
        examples: Examples with labels.
        evidence: The teacher: `TokenEncoder.evidence`.
        weight: Of the teacher, in [0, 1].

    Returns:
        The same examples with other labels; tokens without a label have none still.
    """
    if not weight:
        return examples
    places = []
    for number, place in enumerate(examples.places):
        row = examples[number]
        query, passage = torch.from_numpy(row["queries"]).float(), torch.from_numpy(row["input_ids"])
        told = evidence(query, passage, [len(passage)]).numpy()
        mixed = (1 - weight) * place.labels + weight * told
        places.append(place._replace(labels=np.where(place.labels < 0, -1, mixed).astype(np.float32)))
    return examples.relabelled(places)
