"""The embedded model, read by torch, safetensors and tokenizers alone.

sentence-transformers and what it imports take twelve seconds of processor time before the first vector; this takes
three, nearly all for importing torch. The vectors are those of the general path (`fgr_retriever.model.checkpoint`),
which every other checkpoint takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import embedding, gelu, layer_norm, linear, normalize, scaled_dot_product_attention

from fgr_retriever.errors import CheckpointError
from fgr_retriever.model.head import SUBFOLDER
from fgr_retriever.model.heads import load_head
from fgr_retriever.model.importance import received_attention
from fgr_retriever.model.token_model import Attend, Checkpoint, Features

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
        model = EmbeddedModel(folder)
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
    """

    prompts: Mapping[str, str | None] = {}

    def __init__(self, folder: Path) -> None:
        super().__init__()
        config = _read_json(folder / "config.json")
        self.document_length: int = _read_json(folder / "sentence_bert_config.json")["document_length"]
        self.tokenizer = EmbeddedTokenizer(folder / "tokenizer.json")
        self._layers, self._heads = config["num_hidden_layers"], config["num_attention_heads"]
        self._epsilon = config["layer_norm_eps"]
        weights = load_file(folder / "model.safetensors")
        weights |= {f"projection.{name}": one for name, one in load_file(folder / "1_Dense/model.safetensors").items()}
        for name, value in weights.items():
            self.register_parameter(_key(name), nn.Parameter(value.float(), requires_grad=False))
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
            `attention_mask`; and `hidden`, the states before the projection, (b, t, 384).
        """
        return self._run(features, task, attend=False)[0]

    def attend(self, features: Features, task: str) -> tuple[Features, Tensor]:
        """Encode a batch, and give the attention that each token receives in the last layer, (b, t) float32."""
        return self._run(features, task, attend=True)

    def _run(self, features: Features, task: str, attend: bool) -> tuple[Features, Tensor]:
        ids, mask = features["input_ids"], features["attention_mask"].bool()
        found = embedding(ids, self._of("embeddings.word_embeddings"))
        found = found + self._of("embeddings.position_embeddings")[: ids.shape[1]]
        found = self._normed("embeddings.LayerNorm", found + self._of("embeddings.token_type_embeddings")[0])
        seen = None if bool(mask.all()) else mask[:, None, None, :]
        received = torch.empty(0)
        for number in range(self._layers):
            at = f"encoder.layer.{number}"
            query, key, value = self._heads_of(at, found)
            if attend and number == self._layers - 1:
                received = received_attention(_weights(query, key, mask), mask)
            found = self._layer(at, found, scaled_dot_product_attention(query, key, value, attn_mask=seen))
        vectors = normalize(linear(found, self._of("projection.linear")), dim=-1)
        if task == "document":
            mask = mask & ~torch.isin(ids, self._skipped.to(ids.device))
        return {**features, "token_embeddings": vectors, "attention_mask": mask, "hidden": found}, received

    def _heads_of(self, at: str, tokens: Tensor) -> Iterator[Tensor]:
        """Give the queries, keys and values of a layer, (b, heads, t, width of a head) each."""
        for part in ("query", "key", "value"):
            values = self._linear(f"{at}.attention.self.{part}", tokens)
            yield values.view(*values.shape[:2], self._heads, -1).transpose(1, 2)

    def _layer(self, at: str, tokens: Tensor, read: Tensor) -> Tensor:
        """Run the rest of a layer on its input, (b, t, width), and on what its heads read, (b, heads, t, ...)."""
        read = self._linear(f"{at}.attention.output.dense", read.transpose(1, 2).flatten(2))
        tokens = self._normed(f"{at}.attention.output.LayerNorm", tokens + read)
        hidden = gelu(self._linear(f"{at}.intermediate.dense", tokens))
        return self._normed(f"{at}.output.LayerNorm", tokens + self._linear(f"{at}.output.dense", hidden))

    def _linear(self, name: str, values: Tensor) -> Tensor:
        return linear(values, self._of(name), self._of(name, "bias"))

    def _normed(self, name: str, values: Tensor) -> Tensor:
        return layer_norm(values, values.shape[-1:], self._of(name), self._of(name, "bias"), self._epsilon)

    def _of(self, name: str, kind: str = "weight") -> Tensor:
        found: Tensor = getattr(self, _key(f"{name}.{kind}"))
        return found


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
