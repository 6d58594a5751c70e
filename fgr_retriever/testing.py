"""Helpers for your own tests: an encoder whose scores you can compute by hand, and a tiny real model.

Use it as the encoder of a real engine::

    from fgr_retriever import Engine, Passage
    from fgr_retriever.testing import WordEncoder

    engine = Engine.open(tmp_path / "index", encoder=WordEncoder())
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from fgr_retriever.config import Calibration
from fgr_retriever.model.importance import quantise
from fgr_retriever.model.tokens import EvidenceCode, TokenBlock

_DIM = 128
_BLOCK_TOKENS = 10_000
_WORD = re.compile(r"\w+")


class WordEncoder:
    """A `TokenEncoder` without a model: one fixed vector for each lower-cased word.

    Tokens are the runs of word characters. The same word always has the same unit vector, and two
    different words are nearly orthogonal. So MaxSim is about the number of query words that occur in
    the passage. The evidence probability of a token is about 1 if its word is in the query, and about
    0 otherwise. A word with a capital letter has the importance 1, any other word has 0. The evidence
    code of a word is a hash of the lower-cased word and of the fingerprint of `evidence_code`.
    """

    _calibration = Calibration(threshold=0.5)

    @property
    def dim(self) -> int:
        """Width of a token embedding: 128."""
        return _DIM

    @property
    def fingerprint(self) -> str:
        """The same name for every `WordEncoder`."""
        return "word-encoder-1"

    @property
    def head_fingerprint(self) -> str:
        """The same name for every `WordEncoder`."""
        return "word-encoder-1"

    @property
    def evidence_code(self) -> EvidenceCode | None:
        """The codes: 4 bytes for each word. In a subclass, None makes an encoder without codes."""
        return EvidenceCode("word-encoder-1", 4)

    @property
    def calibration(self) -> Calibration:
        """The calibration; by default a threshold of 0.5 and a temperature of 1."""
        return self._calibration

    def calibrated(self, calibration: Calibration) -> Self:
        """Give the same encoder with another calibration."""
        other = copy(self)
        other._calibration = calibration
        return other

    def encode_queries(self, texts: Sequence[str]) -> list[Tensor]:
        """Encode queries: one (words, 128) float32 tensor each."""
        vectors = (_stack(_WORD.findall(text)).astype(np.float32) for text in texts)
        return [torch.from_numpy(found) for found in vectors]

    def query_offsets(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Give the character range of each word: one (words, 2) array for each query."""
        ranges = ([word.span() for word in _WORD.finditer(text)] for text in texts)
        return [np.array(found, dtype=np.int32).reshape(-1, 2) for found in ranges]

    def query_importance(self, texts: Sequence[str]) -> list[Tensor]:
        """Give the importance of each word: one (words,) float32 tensor for each query."""
        return [torch.from_numpy(_importance(_WORD.findall(text))) for text in texts]

    def encode_passages(
        self, texts: Iterable[str], *, show_progress: bool = False, importance: bool = False, evidence: bool = False
    ) -> Iterator[TokenBlock]:
        """Encode passages lazily in blocks of 10,000 tokens; `show_progress` changes nothing."""
        code = self.evidence_code if evidence else None
        for position, text in enumerate(texts):
            words = _WORD.finditer(text)
            block = list(islice(words, _BLOCK_TOKENS))
            while True:
                following = list(islice(words, _BLOCK_TOKENS))
                offsets = np.array([word.span() for word in block], dtype=np.int32).reshape(-1, 2)
                found = [word.group() for word in block]
                weights = quantise(_importance(found)) if importance else None
                codes = _codes(found, code) if code else None
                yield TokenBlock(position, _stack(found), offsets, not following, weights, codes)
                if not following:
                    break
                block = following

    def evidence(
        self, query: Tensor, vectors: Tensor, lengths: Sequence[int], codes: NDArray[np.uint8] | None = None
    ) -> Tensor:
        """Compute the evidence probability of every token: its best cosine with a query word.

        Negative cosines count as 0. The temperature of the calibration is applied. Codes change nothing.
        """
        found = (vectors.float() @ query.T).amax(dim=1).clamp(0, 1)
        temperature = self._calibration.temperature
        return found if temperature == 1 else (found.logit(eps=1e-7) / temperature).sigmoid()


def _importance(words: Sequence[str]) -> NDArray[np.float32]:
    return np.array([word != word.lower() for word in words], dtype=np.float32)


def _codes(words: Sequence[str], code: EvidenceCode) -> NDArray[np.uint8]:
    """Make the evidence codes of words: (len(words), bytes) uint8."""
    names = (f"{code.fingerprint} {word.lower()}".encode("utf-8", "surrogatepass") for word in words)
    found = b"".join(hashlib.shake_128(name).digest(code.nbytes) for name in names)
    return np.frombuffer(found, np.uint8).reshape(-1, code.nbytes)


def _stack(words: Sequence[str]) -> NDArray[np.float16]:
    """Stack the vectors of words: (len(words), 128) float16."""
    rows: dict[str, int] = {}
    taken = [rows.setdefault(word.lower(), len(rows)) for word in words]
    different = np.array([_vector(word) for word in rows], dtype=np.float16).reshape(-1, _DIM)
    return different[np.array(taken, dtype=np.int64)]


@cache
def _vector(word: str) -> NDArray[np.float16]:
    """Draw the unit vector of a word from a generator that is seeded with the word."""
    digest = hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()
    drawn = np.random.default_rng(int.from_bytes(digest[:8], "little")).standard_normal(_DIM)
    unit: NDArray[np.float16] = (drawn / np.linalg.norm(drawn)).astype(np.float16)
    return unit


def tiny_checkpoint(folder: str | Path, *, head: bool = True) -> Path:
    """Save a real but tiny model with random weights, for tests of loading and encoding.

    It has one layer, 16 dimensions, the markers [Q] and [D], queries expanded with [MASK] to 16
    tokens, windows of 48 tokens, a punctuation skiplist, and a vocabulary of single characters.
    Passages with the letters of a query score high. The weights are the same every time.

    Args:
        folder: Where to save the model; created if missing.
        head: Add an evidence head.

    Returns:
        The folder, for `Encoder.from_pretrained`.
    """
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    from fgr_retriever.model.evidence_head import EvidenceConfig, EvidenceHead

    folder = Path(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tiny_bert(folder)
        expansion: dict[str, str | bool | int] = {"strategy": "fixed", "attend": False, "length": 16}
        transformer = Transformer(str(folder), document_length=48, query_expansion=expansion)
        identity = torch.nn.Identity()
        dense = Dense(32, 16, bias=False, activation_function=identity, module_input_name="token_embeddings")
        mask = MultiVectorMask(skiplist_words=list(string.punctuation))
        modules = [transformer, dense, mask, Normalize(module_input_name="token_embeddings")]
        prompts = {"query": "[Q] ", "document": "[D] "}
        model = MultiVectorEncoder(modules=modules, prompts=prompts, device="cpu")
        model.save_pretrained(str(folder), create_model_card=False)
        if head:
            config = EvidenceConfig(dim=16, width=8, reader_layers=1, reader_width=8, threshold=0.6)
            EvidenceHead(config).save(folder)
    return folder


def tiny_bert(folder: Path) -> None:
    """Save a one-layer BERT with random weights and its tokenizer, without late interaction."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    characters = string.ascii_lowercase + string.digits + string.punctuation + "日本語"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[Q]", "[D]", "[unused0]", "[unused1]"]
    vocabulary += [*characters, *("##" + character for character in characters)]
    ids = {token: i for i, token in enumerate(vocabulary)}
    backend = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    backend.decoder = decoders.WordPiece()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call, unused-ignore]
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        additional_special_tokens=["[Q]", "[D]"],
        model_max_length=64,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    tokenizer.save_pretrained(str(folder))
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(str(folder))
