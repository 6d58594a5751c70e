"""The light stage: the light head learns from labels and from the reader, on texts that are encoded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import MultiVectorEncoder
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import Subset

from fgr_retriever.errors import ConfigError
from fgr_retriever.model.bert import BertLayer
from fgr_retriever.model.checkpoint import open_checkpoint
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.model.hub import locate_model
from fgr_retriever.model.light_head import Interaction, LightConfig, LightHead, interact
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.data import Labelled, Row, mismatched, pad
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
        self._noise = CodecNoise(recipe.noise_bits)

    def forward(self, hidden: Tensor, kept: Tensor, labels: Tensor, **vectors: Tensor) -> dict[str, Tensor]:
        """Give the losses of one batch of b pairs.

        Args:
            hidden: The encoder's states of all windows of the passages, (w, t, h).
            kept: Which of them are kept, (w, t) int8: 1 for yes, 0 for no, -1 where a window has ended.
            labels: The probability of evidence, -1 for no label, (n,).
            vectors: What late interaction compares; see `_interaction`.
        """
        blind = self.training and float(torch.rand(())) < _WITHOUT_CODES
        states = None if blind else self.head.coder.states(hidden.float(), kept >= 0)[kept > 0]
        with torch.autocast(labels.device.type, enabled=False):  # so small that lower precision gains nothing
            found = self._interaction(**vectors)
            logits, relevance = self.head(found, None if states is None else self.head.coder(states))
        evidence = evidence_loss(logits, labels, labels >= 0, self.recipe.positive_weight)
        has = (found.rows.maxima(labels[:, None])[:, 0] > _LIKELY).float()
        whole = binary_cross_entropy_with_logits(relevance, has)
        loss = evidence + _RELEVANCE_WEIGHT * whole
        return {"loss": loss, "evidence": evidence.detach(), "relevance": whole.detach()}

    @torch.no_grad()
    def _interaction(self, queries: Tensor, query_lengths: Tensor, passages: Tensor, lengths: Tensor) -> Interaction:
        """Work out what late interaction says of each of b pairs; nothing of that is learned.

        Args:
            queries: The vectors of all queries, one query after the other, (m, d).
            query_lengths: Tokens of each query, (b,) int64.
            passages: The vectors of all passages, (n, d).
            lengths: Tokens of each passage, (b,) int64.
        """
        sides = (
            torch.split(queries.float(), query_lengths.tolist()),
            torch.split(passages.float(), lengths.tolist()),
            torch.split(lengths, 1),
        )
        return Interaction.joined(
            [interact(query, self._noise(told[None])[0], size) for query, told, size in zip(*sides, strict=True)]
        )


def collate_pairs(rows: Sequence[Row]) -> dict[str, Tensor]:
    """Make a batch of `StoredVectors` with hidden states, for `LightModel`."""
    found = {"query_lengths": torch.tensor([len(row["queries"]) for row in rows])}
    found["lengths"] = torch.tensor([len(row["input_ids"]) for row in rows])
    for name, side in (("queries", "queries"), ("passages", "input_ids"), ("labels", "labels")):
        found[name] = torch.from_numpy(np.concatenate([row[side] for row in rows]))
    for name, padding in (("hidden", 0), ("kept", -1)):
        found[name] = pad([window for row in rows for window in _windows(row, name)], padding)
    return found


def _windows(row: Row, name: str) -> list[NDArray[Any]]:
    """Cut what a row has of all its tokens into its windows; flags become numbers, beside which -1 has room."""
    told = row[name].astype(np.int8) if row[name].dtype == np.bool_ else row[name]
    return np.split(told, np.cumsum(row["windows"])[:-1])


def train_light(
    config: TrainingConfig,
    stage: Stage,
    model: Path,
    examples: Sequence[Labelled],
    judged: Sequence[Labelled],
    out: Path,
) -> LightHead:
    """Train a light head for a finished model with a reader, or resume.

    Args:
        config: The recipe.
        stage: How long and how fast.
        model: Folder of the finished model.
        examples: What to train on; a part of them is seen with a foreign question, too.
        judged: Examples that are not trained on.
        out: Folder of this stage.

    Returns:
        The trained head, not yet calibrated.
    """
    encoder = Encoder(open_checkpoint(locate_model(str(model)), branch=config.light_branch))
    everything = [*examples, *mismatched(examples, config.mismatched, config.seed)]
    shown = [place for place, example in enumerate(everything) for _ in range(example.times)]
    vectors = store_vectors(encoder, everything, out / "examples", states=True)
    seen = store_vectors(encoder, judged, out / "judged", states=True)
    taught = teach(vectors, encoder.evidence, config.teacher_weight)
    torch.manual_seed(config.seed)
    transformer: Any = cast(MultiVectorEncoder, encoder.model)[0]
    head = untrained_light(config, transformer.model)
    run_stage(LightModel(head, config), Subset(taught, shown), collate_pairs, stage, out, seen)
    return head


def untrained_light(config: TrainingConfig, transformer: Any) -> LightHead:
    """Build a light head. The layers that it has to itself start as the last ones of the encoder.

    Args:
        config: The recipe.
        transformer: The encoder, a model of transformers.

    Raises:
        ConfigError: The head shall have layers to itself, and the encoder has none that can be copied.
    """
    layers = _last_layers(config.light_branch, transformer)
    head = LightHead(
        LightConfig(
            dim=config.dim,
            hidden=transformer.config.hidden_size,
            code=config.code_size,
            width=config.light_width,
            layers=config.light_layers,
            branch=len(layers),
            branch_heads=transformer.config.num_attention_heads if layers else 1,
            branch_inner=layers[0].inner.out_features if layers else 1,
        )
    )
    for layer, start in zip(head.coder.branch, layers, strict=True):
        layer.load_state_dict(start.state_dict())
    return head


def _last_layers(count: int, transformer: Any) -> list[BertLayer]:
    """Copy the last layers of a BERT."""
    settings, weights = transformer.config, transformer.state_dict()
    first = settings.num_hidden_layers - count
    if count and (first < 0 or getattr(settings, "hidden_act", None) != "gelu"):
        raise ConfigError(
            f"light_branch={count}: {type(transformer).__name__} has {settings.num_hidden_layers} layers, which must "
            "compute GELU as those of BERT do: set it to no more than it has, or to 0"
        )
    try:
        return [BertLayer.of(weights, first + number, settings.num_attention_heads) for number in range(count)]
    except KeyError as error:
        raise ConfigError(
            f"light_branch={count}: copies the last layers of BERT, and {type(transformer).__name__} has no {error}; "
            "set it to 0"
        ) from None


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
