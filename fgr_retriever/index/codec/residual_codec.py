"""The residual codec: a token vector as its nearest centroid and a few bits for each dimension.

ColBERTv2 (arXiv:2112.01488, section 3.3) stores a vector v as the number t of the centroid C_t with
the highest cosine and a quantised residual; PLAID (arXiv:2205.09707) searches by the same numbers::

    t = argmax_k C_k . v        r = v - C_t        v ~ normalise(C_t + scales * weights[bucket(r / scales)])

Every dimension's residual, divided by the usual size of residuals there, falls into one of 2^nbits
buckets. The buckets are those with the least squared error (Lloyd 1982, Max 1960): a bucket stands
for the mean of what falls into it, and the cutoffs lie half way between. (ColBERTv2's code takes
quantiles and no scales; its error at 2 bits is 1.4 times as high.) With the first dimension in the
highest bits, 8 / nbits dimensions share a byte. Centroids are float16: the residuals are those of
the rounded ones.

The vectors must be L2-normalised, as an encoder gives them: a vector whose length is not 1 (to 1 %,
more than half precision loses) or not finite is refused, because its length could not be given back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn.functional import embedding, normalize
from typing_extensions import Self

from fgr_retriever.errors import ConfigError, IndexCorruptError, InputError
from fgr_retriever.index.codec.buckets import buckets_of, lloyd_max, pack, unpack
from fgr_retriever.index.codec.kmeans import CHUNK_BYTES, MOST_POINTS, centroid_count, nearest, spherical_kmeans
from fgr_retriever.model.kernel.library import kernel

NBITS = (1, 2, 4, 8)
_LENGTH_ERROR = 0.01
_CHECKED = 1 << 16  # vectors whose lengths are computed at once
_HELD_OUT_VALUES = 1 << 22  # residuals that the buckets are learned from: 16,384 for each of 256
_LEAST_HELD_OUT = 100  # vectors; with fewer, the buckets are learned where the centroids were
_LEAST_SCALE = 1e-6  # where residuals are zero
_DECODED = 1 << 12  # vectors to decode at once: a few copies of them fit into the cache
FILES = _CONFIG, _TENSORS = "config.json", "codec.safetensors"


@dataclass(frozen=True, eq=False)
class Codec:
    """Centroids and buckets. Use `Codec.train` or `Codec.load`; safe to use from several threads.

    Args:
        centroids: (k, d) float16, L2-normalised, k >= 1; d is a multiple of 8 / nbits.
        scales: Root mean square of the residuals in each dimension, (d,) float32, above 0.
        cutoffs: Upper ends of all buckets but the last, in scales, (2^nbits - 1,) float32, ascending.
        weights: The residual that each bucket stands for, in scales, (2^nbits,) float32.

    Raises:
        ConfigError: The tensors do not fit this or each other.
    """

    centroids: Tensor
    scales: Tensor
    cutoffs: Tensor
    weights: Tensor

    def __post_init__(self) -> None:
        """Check every tensor."""
        for name, tensor in self._tensors().items():
            ndim, dtype = (2, torch.float16) if name == "centroids" else (1, torch.float32)
            if tensor.dtype != dtype or tensor.ndim != ndim or not tensor.isfinite().all():
                found = f"{tensor.dtype} {tuple(tensor.shape)}"
                raise ConfigError(f"{name} of a codec: must be finite {dtype} in {ndim} dimensions, got {found}")
        if len(self.weights) != 1 << self.nbits or len(self.cutoffs) != len(self.weights) - 1:
            raise ConfigError(
                f"a codec with {len(self.cutoffs)} cutoffs and {len(self.weights)} weights: must be 2^nbits - 1 "
                f"and 2^nbits, with nbits one of {NBITS}"
            )
        check_sizes(self.dim, self.nbits)
        if not len(self.centroids) or ((self.float_centroids.norm(dim=1) - 1).abs() > _LENGTH_ERROR).any():
            raise ConfigError("centroids of a codec: must be at least one, all of length 1")
        if len(self.scales) != self.dim or (self.scales <= 0).any():
            raise ConfigError(f"scales of a codec: must be {self.dim} numbers above 0, one for each dimension")
        if (self.cutoffs.diff() < 0).any():
            raise ConfigError("cutoffs of a codec: must ascend")

    @classmethod
    def train(
        cls, vectors: Tensor, *, nbits: int = 2, tokens: int | None = None, seed: int = 0, progress: bool = False
    ) -> Self:
        """Learn centroids and buckets from a sample of token vectors.

        The centroids come from spherical k-means on at most 100 vectors for each, the buckets from
        a twentieth of the sample that is kept aside, if that is at least 100 vectors. Equal input
        gives equal codecs on one machine.

        Args:
            vectors: L2-normalised token embeddings, (n, d) float16 or float32, n >= 1, on any device.
            nbits: Bits for each dimension: 1, 2, 4 or 8.
            tokens: Tokens of the whole corpus, which decide the number of centroids (see
                `centroid_count`); None takes n.
            seed: Of the order in which vectors are drawn.
            progress: Show a bar on stderr.

        Returns:
            The codec, on the CPU.

        Raises:
            ConfigError: `nbits` is not among these, or d is no multiple of 8 / nbits.
            InputError: There is no vector, or one is not finite or not L2-normalised.
            MissingExtraError: faiss is not installed.
        """
        _check_vectors(vectors)
        rows, width = vectors.shape
        check_sizes(width, nbits)
        if not rows:
            raise InputError("no vectors to train a codec on: pass at least one")
        order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed)).to(vectors.device)
        aside = min(rows // 20, _HELD_OUT_VALUES // width)
        aside = aside if aside >= _LEAST_HELD_OUT else 0
        count = centroid_count(rows if tokens is None else tokens, rows - aside)
        sample = vectors[order[aside:][: count * MOST_POINTS]].float().cpu()
        centroids = spherical_kmeans(sample, count, seed=seed, progress=progress).half()
        held_out = vectors[order[:aside]].float().cpu() if aside else sample[: _HELD_OUT_VALUES // width]
        residuals = held_out - centroids.float()[nearest(held_out, centroids.float())]
        scales = residuals.square().mean(dim=0).sqrt().clamp(min=_LEAST_SCALE)
        return cls(centroids, scales, *lloyd_max((residuals / scales).flatten(), 1 << nbits))

    @property
    def nbits(self) -> int:
        """Bits for each dimension."""
        return len(self.weights).bit_length() - 1

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self.centroids.shape[1]

    @cached_property
    def float_centroids(self) -> Tensor:
        """The centroids to calculate with, (k, d) float32."""
        return self.centroids.float()

    @property
    def bytes_per_token(self) -> int:
        """Size of an encoded vector: its centroid's number, in 2 bytes where that suffices, and its residual."""
        return (2 if len(self.centroids) <= 1 << 16 else 4) + self.dim * self.nbits // 8

    def encode(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Encode token vectors, in bounded memory beside the result.

        Args:
            vectors: L2-normalised, (n, d) float16 or float32 on any device; n may be 0.

        Returns:
            The centroid of each vector, (n,) int32, and its packed residual, (n, d * nbits / 8)
            uint8, on the device of `vectors`.

        Raises:
            InputError: The width is another than the codec's, or a vector is not finite or not
                L2-normalised.
        """
        _check_vectors(vectors)
        rows, width = vectors.shape
        if width != self.dim:
            raise InputError(f"vectors of width {width}: this codec was trained on width {self.dim}")
        device = vectors.device
        centroids, scales, cutoffs = (x.to(device) for x in (self.float_centroids, self.scales, self.cutoffs))
        codes = torch.empty(rows, dtype=torch.int32, device=device)
        residuals = torch.empty((rows, width * self.nbits // 8), dtype=torch.uint8, device=device)
        size = max(1, CHUNK_BYTES // (4 * max(len(centroids), 4 * width)))  # their scores, or a few copies, are held
        for start in range(0, rows, size):
            chunk = vectors[start : start + size].float()
            found = nearest(chunk, centroids)
            codes[start : start + size] = found
            residuals[start : start + size] = pack(buckets_of((chunk - centroids[found]) / scales, cutoffs), self.nbits)
        return codes, residuals

    def decode(self, codes: Tensor, residuals: Tensor, *, normalised: bool = True) -> Tensor:
        """Give back what `encode` was given, as nearly as the bits tell.

        Args:
            codes: (n,) int32.
            residuals: (n, d * nbits / 8) uint8, on the same device.
            normalised: Make the length of every vector 1, as it was; else it is a little less.

        Returns:
            (n, d) float32, on that device.

        Raises:
            InputError: Shapes or types are not those that `encode` gives, or there is no such centroid.
        """
        self._check_encoded(codes, residuals)
        if codes.device.type == "cpu" and (compiled := kernel()):
            arrays = self.float_centroids.numpy(), self.residual_table.numpy(), codes.view(torch.uint32).numpy()
            return torch.from_numpy(compiled.decode(*arrays, residuals.contiguous().numpy(), normalised))
        centroids, table = self.float_centroids.to(codes.device), self.residual_table.to(codes.device)
        places = torch.arange(0, len(table), 256, dtype=torch.int32, device=codes.device)
        vectors = torch.empty((len(codes), self.dim), device=codes.device)
        for start in range(0, len(codes), _DECODED):
            stop = start + _DECODED
            found = embedding(residuals[start:stop] + places, table).flatten(1)
            found.add_(embedding(codes[start:stop], centroids))
            vectors[start:stop] = normalize(found, dim=1) if normalised else found
        return vectors

    def quantisation_error(self, vectors: Tensor) -> float:
        """Measure the mean squared distance between vectors and what is decoded of them.

        Args:
            vectors: L2-normalised, (n, d) float16 or float32, n >= 1.

        Returns:
            From 0 to 4; twice the mean of 1 - cosine.

        Raises:
            InputError: There is no vector, or `encode` refuses them.
        """
        if not len(vectors):
            raise InputError("no vectors to measure the error on: pass at least one")
        chunks = torch.split(vectors, _CHECKED)
        errors = [(chunk.float() - self.decode(*self.encode(chunk))).square().sum() for chunk in chunks]
        return float(torch.stack(errors).sum()) / len(vectors)

    def save(self, folder: Path) -> None:
        """Write `config.json` and `codec.safetensors` into a folder, which is made if missing.

        Raises:
            OSError: The disk refused.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _CONFIG).write_text(json.dumps(self._config(), indent=2) + "\n", encoding="utf-8")
        tensors = save({name: tensor.contiguous() for name, tensor in self._tensors().items()})
        (folder / _TENSORS).write_bytes(tensors)  # where `save_file` would raise an error of its own on a full disk

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            IndexCorruptError: A file is missing, damaged, or not of the same codec as the other.
        """
        try:
            config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
            codec = cls(**load_file(folder / _TENSORS))
        except (OSError, ValueError, TypeError, RecursionError, SafetensorError) as error:
            raise IndexCorruptError(f"the codec in {folder} cannot be read: {error}. Restore the folder.") from error
        if config != (held := codec._config()):
            raise IndexCorruptError(
                f"{folder / _CONFIG} says {config}, but {_TENSORS} holds {held}: restore the folder"
            )
        return codec

    def _config(self) -> dict[str, int]:
        return {"nbits": self.nbits, "dim": self.dim, "centroids": len(self.centroids)}

    def _tensors(self) -> dict[str, Tensor]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def residual_table(self) -> Tensor:
        """The residuals that each byte stands for at each place, (d * nbits / 8 * 256, 8 / nbits) float32."""
        weights = self.weights[unpack(torch.arange(256, dtype=torch.uint8)[:, None], self.nbits).long()]
        return (self.scales.view(-1, 1, weights.shape[1]) * weights).flatten(0, 1)

    def _check_encoded(self, codes: Tensor, residuals: Tensor) -> None:
        shape = (len(codes), self.dim * self.nbits // 8)
        if codes.ndim != 1 or codes.dtype != torch.int32 or residuals.dtype != torch.uint8 or residuals.shape != shape:
            raise InputError(
                f"codes {codes.dtype} {tuple(codes.shape)} and residuals {residuals.dtype} {tuple(residuals.shape)}: "
                f"must be int32 (n,) and uint8 (n, {shape[1]})"
            )
        if len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) < len(self.centroids):
            last = len(self.centroids) - 1
            raise InputError(f"codes must be from 0 to {last}: these are of another codec, or damaged")


def _check_vectors(vectors: Tensor) -> None:
    """Raise InputError unless vectors are (n, d) floating-point numbers, finite and of length 1."""
    if vectors.ndim != 2 or not vectors.is_floating_point():
        raise InputError(f"vectors {vectors.dtype} {tuple(vectors.shape)}: must be (n, d) floating-point numbers")
    lengths = torch.cat([chunk.float().norm(dim=1) for chunk in torch.split(vectors, _CHECKED)])
    fits = (lengths - 1).abs() <= _LENGTH_ERROR  # false for what is not a number
    if not fits.all():
        row = int(fits.int().argmin())
        raise InputError(
            f"vector {row} has length {float(lengths[row]):.4g}: token vectors must be finite and L2-normalised; "
            "divide each by its length"
        )


def check_sizes(dim: int, nbits: int) -> None:
    """Raise ConfigError unless vectors of `dim` dimensions fill whole bytes at `nbits` bits, 1, 2, 4 or 8, for each."""
    if type(nbits) is not int or nbits not in NBITS:
        raise ConfigError(f"nbits={nbits!r}: must be one of {NBITS}")
    if not dim or dim % (8 // nbits):
        raise ConfigError(
            f"nbits={nbits} with vectors of width {dim}: the width must be a multiple of {8 // nbits}, to fill whole "
            "bytes; take more bits, or a model of another width"
        )
