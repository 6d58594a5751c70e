"""Turn texts into token embeddings with character offsets.

The model is sentence-transformers' `MultiVectorEncoder`. Its modules are called directly here,
because it has no offsets, no windows over long texts and no batching by length.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm
from typing_extensions import Self

from fgr_retriever.config import Calibration
from fgr_retriever.errors import ConfigError
from fgr_retriever.model.embedded import open_embedded
from fgr_retriever.model.forward import Forward, Found, Take, Whole, stored, whole
from fgr_retriever.model.head import hash_weights
from fgr_retriever.model.importance import standardise
from fgr_retriever.model.precision import best_dtype, open_device
from fgr_retriever.model.reopening import Reopenable, twin
from fgr_retriever.model.token_model import Checkpoint
from fgr_retriever.model.tokens import EvidenceCode, TokenBlock
from fgr_retriever.model.windows import Window, Windows, aligned

# Windows that wait to be sorted by length, about 17 MB of vectors at 256 x 128.
_BUFFER_WINDOWS = 512


class Encoder(Reopenable):
    """A late-interaction model with its evidence head, ready to encode.

    Make one with `Encoder.default`, `Encoder.from_pretrained` or `Encoder.from_bi_encoder`. You can use it from
    several threads. `copy` and `deepcopy` give the same object; a pickle opens the model again, from the same place.

    Args:
        checkpoint: An opened checkpoint.
        device: `cpu`, `cuda`, `cuda:1`, `mps`; None uses the best device that the machine has.
        dtype: Precision of the forward pass; None uses bfloat16 if the processor gains from it, else
            float32.
    """

    def __init__(self, checkpoint: Checkpoint, *, device: str | None = None, dtype: torch.dtype | None = None) -> None:
        self.name = checkpoint.name
        self.fingerprint = checkpoint.fingerprint
        self.device = open_device(device)
        self.dtype = dtype or best_dtype(self.device)
        self.model = checkpoint.model.to(self.device, self.dtype)
        self.head = checkpoint.head
        self._reading = self.head.in_precision(best_dtype(torch.device("cpu")))  # stored vectors are read on the CPU
        self._coder = self.head.coder.ready(self.device, self.dtype) if self.head.coder else None
        self._query_mask = checkpoint.query_mask
        self._run = Forward(self.model, self.device, checkpoint.attending)
        prompts = self.model.prompts
        self._query_prompt = prompts.get("query") or None
        self._windows = Windows(self.model.tokenizer, prompts.get("document") or "", checkpoint.document_length)
        # Tokenizing queries sets padding on the shared tokenizer, which two threads must not do at once.
        self._tokenizer_lock = threading.Lock()
        self._tokenized: tuple[list[str], dict[str, Any]] = [], {}  # the last batch of queries

    @classmethod
    def default(cls, *, device: str | None = None) -> Self:
        """Open the small English model that ships with the package; works offline."""
        return cls(open_embedded(), device=device).opened_by(cls.default, device=device)

    @classmethod
    def from_pretrained(
        cls,
        folder_or_hub_id: str | Path,
        *,
        revision: str | None = None,
        device: str | None = None,
        dtype: torch.dtype | None = None,
    ) -> Self:
        """Open a ColBERT checkpoint in sentence-transformers, PyLate or Stanford layout.

        Raises:
            CheckpointError: There is nothing, the hub cannot be reached, it is no late-interaction model, or a file is
                damaged.
            ConfigError: There is no such device.
        """
        from fgr_retriever.model.hub import open_located  # the client of the hub is needed only here

        name = str(folder_or_hub_id)
        found = cls(open_located(name, revision), device=device, dtype=dtype)
        again = str(Path(name).resolve()) if Path(name).exists() else name
        return found.opened_by(cls.from_pretrained, again, revision=revision, device=device, dtype=dtype)

    @classmethod
    def from_bi_encoder(
        cls,
        folder_or_hub_id: str | Path,
        texts: Iterable[str],
        *,
        dim: int = 128,
        out: str | Path | None = None,
        device: str | None = None,
        show_progress: bool = False,
    ) -> Self:
        """Make a late-interaction model from a sentence-transformers model, without training.

        Args:
            folder_or_hub_id: A bi-encoder such as `sentence-transformers/all-MiniLM-L6-v2`.
            texts: A few hundred of your passages, to which the projection is fitted.
            dim: Width of a token embedding, at most the width of the model.
            out: A new or empty folder in which to keep the model. An index opens only with the model
                that built it, so keep it if you keep the index.
            device: See `Encoder`.
            show_progress: Show a bar on stderr.

        Raises:
            CheckpointError: The model cannot be opened, has no token vectors, or is narrower than `dim`.
            ConfigError: `dim` is not a positive integer, `out` is not empty, or there is no such device.
            InputError: There is no text.
        """
        from fgr_retriever.model.bi_encoder import open_bi_encoder  # needed only here

        found = cls(open_bi_encoder(folder_or_hub_id, texts, dim, out=out, show_progress=show_progress), device=device)
        return found if out is None else found.opened_by(cls.from_pretrained, str(Path(out).resolve()), device=device)

    @property
    def dim(self) -> int:
        """Width of a token embedding."""
        return self.head.config.dim

    @cached_property
    def head_fingerprint(self) -> str:
        """Hash of everything that changes an evidence logit; stored with a calibration in an index."""
        return self.head.fingerprint()

    @cached_property
    def evidence_code(self) -> EvidenceCode | None:
        """What the evidence codes of this model are; None if its head reads none."""
        if self.head.coder is None:
            return None
        digest = hashlib.sha256(self.fingerprint.encode())
        hash_weights(digest.update, self.head.coder.state_dict())
        return EvidenceCode(digest.hexdigest(), self.head.coder.nbytes)

    @property
    def calibration(self) -> Calibration:
        """The calibration of the model: which evidence probabilities count."""
        return self.head.config.calibration

    def calibrated(self, calibration: Calibration) -> Self:
        """Give the same model with another calibration; it shares all weights with this one."""
        other: Self = twin(self)
        other.head, other._reading = self.head.calibrated(calibration), self._reading.calibrated(calibration)
        return other

    @torch.inference_mode()
    def encode_queries(self, texts: Sequence[str]) -> list[Tensor]:
        """Encode queries with their marker and, if the model has it, [MASK] expansion.

        Args:
            texts: Queries; a longer query is cut to the model's query_maxlen.

        Returns:
            One (q, d) float32 tensor for each query, L2-normalised, on the CPU.
        """
        found: list[Tensor] = []
        for features in self._query_features(texts):
            output = self._run(features, "query")
            found += [row[keep].cpu() for row, keep in zip(output.vectors, output.kept, strict=True)]
        return found

    def query_offsets(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Give the character range in the query of each of its token vectors.

        Tokenizes only: no pass through the model.

        Args:
            texts: Queries, as for `encode_queries`.

        Returns:
            One (q, 2) array for each query, with a row for each vector of `encode_queries`. The range is
            empty for special tokens, the marker and query expansion.
        """
        found: list[NDArray[np.int32]] = []
        for features in self._query_features(texts):
            attended = features["attention_mask"].bool().numpy()
            scored = self._query_mask(features).numpy()
            if "offsets" in features:
                found += [row[kept] for row, kept in zip(features["offsets"].numpy(), scored, strict=True)]
                continue
            rows = zip(features["input_ids"].numpy(), attended, scored, strict=True)
            found += [self._offsets(texts[len(found) + i], *row) for i, row in enumerate(rows)]
        return found

    @torch.inference_mode()
    def query_importance(self, texts: Sequence[str]) -> list[Tensor]:
        """Give the importance of the tokens of queries, by the attention that they receive.

        Args:
            texts: Queries, as for `encode_queries`.

        Returns:
            One (q,) float32 tensor for each query, with a value for each vector of `encode_queries`. An
            average token has 0, and so have special tokens, the marker and query expansion.
        """
        received: list[NDArray[np.float32]] = []
        for features in self._query_features(texts):
            output = self._run(features, "query", attend=True)
            rows = zip(cast(Tensor, output.attention).cpu().numpy(), output.kept.cpu().numpy(), strict=True)
            received += [row[keep] for row, keep in rows]
        texts_of = (offsets[:, 1] > offsets[:, 0] for offsets in self.query_offsets(texts))
        return [torch.from_numpy(standardise(*one)) for one in zip(received, texts_of, strict=True)]

    def _query_features(self, texts: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Tokenize queries for the model, 64 at a time; vectors and offsets of a batch are made of the same tokens."""
        for start in range(0, len(texts), 64):
            batch = list(texts[start : start + 64])
            known, features = self._tokenized
            if batch != known:
                with self._tokenizer_lock:
                    features = self.model.preprocess(batch, prompt=self._query_prompt, task="query")
                self._tokenized = batch, features
            yield features

    def _offsets(
        self, text: str, ids: NDArray[np.int64], attended: NDArray[np.bool_], scored: NDArray[np.bool_]
    ) -> NDArray[np.int32]:
        """Find the characters of the scored tokens of one query, given its row of the batch."""
        prompt = self._query_prompt or ""
        expected, places = self._windows.tokens(prompt + text)
        places = np.maximum(places - np.int32(len(prompt)), 0)
        return aligned(ids, attended, expected, places)[scored]

    def encode_passages(
        self, texts: Iterable[str], *, show_progress: bool = False, importance: bool = False, evidence: bool = False
    ) -> Iterator[TokenBlock]:
        """Encode passages lazily, in input order, one block for each window.

        Texts longer than the model's window are encoded in overlapping windows. At most a few
        hundred windows are held at a time, whatever the number and the length of the texts.

        Args:
            texts: Passages of any length.
            show_progress: Show a bar on stderr.
            importance: Also compute the importance of each token in its window, which takes longer.
            evidence: Also make the evidence code of each token.

        Returns:
            Blocks in text order; special tokens that the model scores have empty offset ranges.

        Raises:
            ConfigError: The model makes no evidence codes.
        """
        coder = self._coder if evidence else None
        if evidence and coder is None:
            raise ConfigError(f"evidence=True: the evidence head of {self.name} reads no codes, so none are made")
        found = self._each_window(texts, partial(stored, coder=coder), show_progress, importance)
        return (TokenBlock(passage, *one[:2], window.last, *one[2:]) for passage, window, one in found)

    def encode_whole(self, texts: Iterable[str]) -> Iterator[tuple[int, Whole]]:
        """Give the number of each passage with what training needs of it, one after the other for each window."""
        return ((passage, one) for passage, _, one in self._each_window(texts, whole))

    def _each_window(
        self, texts: Iterable[str], take: Take[Found], show_progress: bool = False, attend: bool = False
    ) -> Iterator[tuple[int, Window, Found]]:
        total = len(texts) if isinstance(texts, Sequence) else None
        with tqdm(total=total, unit=" passages", desc="encoding", disable=not show_progress) as bar:
            windows = ((i, window) for i, text in enumerate(texts) for window in self._windows.of(text))
            while buffer := list(islice(windows, _BUFFER_WINDOWS)):
                with torch.inference_mode():
                    encoded = self._run.windows([window for _, window in buffer], take, attend)
                for (passage, window), one in zip(buffer, encoded, strict=True):
                    yield passage, window, one
                bar.update(sum(window.last for _, window in buffer))

    def evidence(
        self, query: Tensor, vectors: Tensor, lengths: Sequence[int], codes: NDArray[np.uint8] | None = None
    ) -> Tensor:
        """Give the evidence probability of the stored tokens of consecutive passages.

        Args:
            query: Query token embeddings, (q, d) float32.
            vectors: The passages' token embeddings one after the other, (sum(lengths), d) float16 or
                float32.
            lengths: Number of tokens of each passage.
            codes: Evidence codes of the same tokens, (sum(lengths), n) uint8; None if there are none.

        Returns:
            (sum(lengths),) float32 in [0, 1].
        """
        read = None if codes is None else torch.from_numpy(codes)
        return self._reading.probabilities(query, vectors, lengths, read)
