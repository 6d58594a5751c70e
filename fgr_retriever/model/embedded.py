"""The embedded model, read by torch, safetensors and tokenizers alone.

sentence-transformers and what it imports take twelve seconds of processor time before the first vector; this takes
three, nearly all for importing torch. The vectors are those of the general path (`fgr_retriever.model.checkpoint`),
which every other checkpoint takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import embedding, layer_norm, linear, normalize, scaled_dot_product_attention

from fgr_retriever.errors import CheckpointError
from fgr_retriever.model.bert import BertLayer, seen
from fgr_retriever.model.head import SUBFOLDER
from fgr_retriever.model.heads import load_head
from fgr_retriever.model.importance import received_attention
from fgr_retriever.model.token_model import Attend, Checkpoint, Features

_EMBEDDINGS = [
    f"embeddings.{name}"
    for name in (
        "word_embeddings.weight",
        "position_embeddings.weight",
        "token_type_embeddings.weight",
        "LayerNorm.weight",
        "LayerNorm.bias",
    )
]

FINGERPRINT = "fingerprint"
"""The file beside the weights that holds what `checkpoint.fingerprint` gives for them."""


def embedded_model() -> Path:
    """Locate the model that ships inside the package.

    Raises:
        CheckpointError: The installed package has no model folder.
    """
    folder = Path(str(resources.files("fgr_retriever"))) / "models" / "default"
    if not (folder / "modules.json").is_file():
        raise CheckpointError(
            f"the embedded model is missing from {folder}: reinstall fgr-retriever, "
            "or pass a folder or hub id to Encoder.from_pretrained"
        )
    return folder


def open_embedded() -> Checkpoint:
    """Open the model that ships inside the package.

    Raises:
        CheckpointError: The installed package has no model folder, or a file of it is damaged.
    """
    folder = embedded_model()
    head = load_head(folder / SUBFOLDER)
    try:
        model = EmbeddedModel(folder, head.branch)
        fingerprint = (folder / FINGERPRINT).read_text(encoding="ascii").strip()
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"the embedded model in {folder} is damaged: {error}. Reinstall fgr-retriever") from error
    return Checkpoint(str(folder), model, head, fingerprint, model.document_length, _attended, _attending)


class EmbeddedTokenizer:
    """The tokenizer of the embedded model, with what `windows` asks of one.

    Args:
        file: `tokenizer.json`; it says how queries are cut and padded.
    """

    model_input_names = ("input_ids", "attention_mask")

    def __init__(self, file: Path) -> None:
        try:
            self.backend_tokenizer = Tokenizer.from_str(file.read_text(encoding="utf-8"))
        except Exception as error:  # the library raises nothing narrower
            raise ValueError(f"{file.name}: {error}") from error
        self.pad_token_id = self.backend_tokenizer.token_to_id("[PAD]")


class EmbeddedModel(nn.Module):
    """BERT (Devlin et al. 2019, arXiv 1810.04805), a projection, and the mask of punctuation.

    Args:
        folder: The checkpoint, in the layout of sentence-transformers.
        branch: Number of the last layers that come after the states in `hidden`.
    """

    prompts: Mapping[str, str | None] = {}

    def __init__(self, folder: Path, branch: int = 0) -> None:
        super().__init__()
        config = _read_json(folder / "config.json")
        self.document_length: int = _read_json(folder / "sentence_bert_config.json")["document_length"]
        self.tokenizer = EmbeddedTokenizer(folder / "tokenizer.json")
        self._epsilon = config["layer_norm_eps"]
        weights = load_file(folder / "model.safetensors")
        layers, shape = config["num_hidden_layers"], (config["num_attention_heads"], self._epsilon)
        self.layers = nn.ModuleList(BertLayer.of(weights, number, *shape) for number in range(layers))
        self._branching = layers - branch
        for name in _EMBEDDINGS:
            self.register_parameter(_key(name), nn.Parameter(weights[name].float()))
        self.projection = nn.Parameter(load_file(folder / "1_Dense/model.safetensors")["linear.weight"].float())
        self.requires_grad_(False)
        skipped = _read_json(folder / "2_MultiVectorMask/config.json")["skiplist_words"]
        self._skipped = torch.tensor([self.tokenizer.backend_tokenizer.token_to_id(word) for word in skipped])

    def preprocess(self, inputs: list[str], prompt: str | None = None, **options: Any) -> Features:
        """Tokenize queries, (b, t); the model has no prompt and no other options.

        Besides what the model takes, `offsets` has the characters of each token, (b, t, 2), empty for special ones.
        """
        read = self.tokenizer.backend_tokenizer.encode_batch(inputs)
        ids, mask, special, offsets = (
            torch.tensor([getattr(one, name) for one in read])
            for name in ("ids", "attention_mask", "special_tokens_mask", "offsets")
        )
        return {"input_ids": ids, "attention_mask": mask, "offsets": offsets.int() * (1 - special.int())[..., None]}

    def forward(self, features: Features, *, task: str) -> Features:
        """Encode a batch.

        Returns:
            The features, with `token_embeddings` (b, t, 128), L2-normalised; which of them are stored or compared in
            `attention_mask`; and `hidden`, the states from which evidence branches off, (b, t, 384).
        """
        return self._run(features, task, attend=False)[0]

    def attend(self, features: Features, task: str) -> tuple[Features, Tensor]:
        """Encode a batch, and give the attention that each token receives in the last layer, (b, t) float32."""
        return self._run(features, task, attend=True)

    @property
    def _layers(self) -> Iterable[BertLayer]:
        return cast("Iterable[BertLayer]", self.layers)

    def _run(self, features: Features, task: str, attend: bool) -> tuple[Features, Tensor]:
        ids, mask = features["input_ids"], features["attention_mask"].bool()
        words, positions, types, scale, shift = (getattr(self, _key(name)) for name in _EMBEDDINGS)
        found = embedding(ids, words) + positions[: ids.shape[1]] + types[0]
        found = hidden = layer_norm(found, found.shape[-1:], scale, shift, self._epsilon)
        looked_at, received = seen(mask), torch.empty(0)
        last = len(self.layers) - 1
        for number, layer in enumerate(self._layers):
            query, key, value = layer.heads_of(found)
            if attend and number == last:
                received = received_attention(_weights(query, key, mask), mask)
            found = layer.finish(found, scaled_dot_product_attention(query, key, value, attn_mask=looked_at))
            if number < self._branching:
                hidden = found
        vectors = normalize(linear(found, self.projection), dim=-1)
        if task == "document":
            mask = mask & ~torch.isin(ids, self._skipped.to(ids.device))
        return {**features, "token_embeddings": vectors, "attention_mask": mask, "hidden": hidden}, received


def _attended(features: Features) -> Tensor:
    """Say which tokens of queries MaxSim counts: all of them."""
    mask: Tensor = features["attention_mask"].bool()
    return mask


def _attending(model: EmbeddedModel) -> Attend:
    """Give the call that also tells attention."""
    return model.attend


def _weights(query: Tensor, key: Tensor, mask: Tensor) -> Tensor:
    """Give how much each token (row) attends to each token (column), (b, heads, t, t)."""
    scores = (query @ key.mT) * query.shape[-1] ** -0.5
    found: Tensor = scores.masked_fill(~mask[:, None, None, :], -torch.inf).softmax(dim=-1)
    return found


def _key(name: str) -> str:
    """Name a parameter as torch allows it."""
    return name.replace(".", "/")


def _read_json(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
