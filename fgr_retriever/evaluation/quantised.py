"""A model as seen by an index with a residual codec: the vectors of passages go through the codec."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fgr_retriever.errors import InputError
from fgr_retriever.index.codec.checks import check_sizes
from fgr_retriever.index.codec.residual_codec import Codec
from fgr_retriever.model.tokens import (
    EvidenceCode,
    TokenBlock,
    TokenEncoder,
    encode_for_evidence,
    evidence_code_of,
    makes_codes,
)

if TYPE_CHECKING:
    from fgr_retriever.config import Calibration

# What a codec is trained on; the vectors suffice for 16,384 centroids, right for up to 67 million tokens.
_SAMPLE_PASSAGES = 50_000
_SAMPLE_VECTORS = 1 << 20


@dataclass(frozen=True)
class Quantised:
    """A `TokenEncoder` whose passage vectors lose what a codec loses; queries do not change.

    Args:
        encoder: The model.
        codec: A codec trained on vectors of this model.
    """

    encoder: TokenEncoder
    codec: Codec

    @property
    def dim(self) -> int:
        """Width of a token embedding."""
        return self.encoder.dim

    @property
    def fingerprint(self) -> str:
        """Hash of the model's fingerprint and of the codec."""
        digest = hashlib.sha256(self.encoder.fingerprint.encode())
        for tensor in (self.codec.centroids, self.codec.scales, self.codec.cutoffs, self.codec.weights):
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()

    @property
    def head_fingerprint(self) -> str:
        """The model's own fingerprint: the evidence head does not change."""
        return self.encoder.head_fingerprint

    @property
    def calibration(self) -> Calibration:
        """The model's own calibration, fitted on vectors that went through no codec."""
        return self.encoder.calibration

    def calibrated(self, calibration: Calibration) -> Quantised:
        """Give the same model and codec with another calibration."""
        return replace(self, encoder=self.encoder.calibrated(calibration))

    def encode_queries(self, texts: Sequence[str]) -> list[Tensor]:
        """Encode queries with the model alone; see `TokenEncoder`."""
        return self.encoder.encode_queries(texts)

    def query_offsets(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """Give the model's own offsets; see `TokenEncoder`."""
        return self.encoder.query_offsets(texts)

    @property
    def evidence_code(self) -> EvidenceCode | None:
        """The model's own codes, which go through no codec."""
        return evidence_code_of(self.encoder)

    def encode_passages(
        self, texts: Iterable[str], *, show_progress: bool = False, importance: bool = False, evidence: bool = False
    ) -> Iterator[TokenBlock]:
        """Encode passages lazily and pass their vectors through the codec; see `EvidenceCodeEncoder`.

        Importance is not computed: nothing that is measured with a codec alone needs it.
        """
        encode = partial(encode_for_evidence, self.encoder) if evidence else self.encoder.encode_passages
        for block in encode(texts, show_progress=show_progress):
            decoded = self.codec.decode(*self.codec.encode(torch.from_numpy(block.vectors)))
            yield replace(block, vectors=decoded.to(torch.float16).numpy())

    def evidence(
        self, query: Tensor, vectors: Tensor, lengths: Sequence[int], codes: NDArray[np.uint8] | None = None
    ) -> Tensor:
        """Give the model's evidence probabilities; see `EvidenceCodeEncoder`."""
        if codes is not None and makes_codes(self.encoder):
            return self.encoder.evidence(query, vectors, lengths, codes)
        return self.encoder.evidence(query, vectors, lengths)


def codec_for(encoder: TokenEncoder, texts: Iterable[str], nbits: int, *, show_progress: bool = False) -> Codec:
    """Train the codec that an index of some passages would have.

    At most 50,000 passages and about a million of their vectors, drawn at random with a fixed seed,
    are encoded and kept in memory, whatever the number of texts.

    Args:
        encoder: The model.
        texts: The passages; a repeated text counts once, as in an index.
        nbits: Bits for each dimension: 1, 2, 4 or 8.
        show_progress: Show bars on stderr.

    Raises:
        InputError: There is no passage, or no passage has a token.
        ConfigError: `nbits` does not suit the model's width.
        MissingExtraError: faiss is not installed.
    """
    check_sizes(encoder.dim, nbits)
    sample, passages = _draw(texts)
    if not sample:
        raise InputError("no passages to train a codec on: pass at least one")
    blocks: list[TokenBlock] = []
    vectors = 0
    for block in encoder.encode_passages(sample, show_progress=show_progress):
        blocks.append(block)
        vectors += len(block.vectors)
        if vectors >= _SAMPLE_VECTORS:
            break
    tokens = round(vectors * passages / (blocks[-1].passage + 1))
    stacked = torch.from_numpy(np.concatenate([block.vectors for block in blocks]))
    return Codec.train(stacked, nbits=nbits, tokens=tokens, progress=show_progress)


def _draw(texts: Iterable[str]) -> tuple[list[str], int]:
    """Draw distinct texts in random order, each as likely as any other, and count the distinct ones."""
    generator = random.Random(0)
    seen: set[int] = set()  # hashes: the texts themselves need not fit into memory
    sample: list[str] = []
    for text in texts:
        if (key := hash(text)) in seen:
            continue
        seen.add(key)
        place = generator.randrange(len(seen))  # Vitter's algorithm R
        if len(sample) < _SAMPLE_PASSAGES:
            sample.append(text)
        elif place < _SAMPLE_PASSAGES:
            sample[place] = text
    generator.shuffle(sample)
    return sample, len(seen)
