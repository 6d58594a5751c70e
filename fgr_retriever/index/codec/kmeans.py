"""Spherical k-means: the centroids of token vectors, with faiss, and the nearest centroid of each vector."""

from __future__ import annotations

import math
from types import ModuleType

import torch
from torch import Tensor
from torch.nn.functional import normalize
from tqdm.auto import tqdm

from fgr_retriever.errors import MissingExtraError
from fgr_retriever.model.precision import best_dtype

CHUNK_BYTES = 16 << 20  # of float32 scores held at once; more is no faster
MOST_POINTS = 100  # vectors for each centroid to train on; more gain little
_LEAST_POINTS = 39  # with fewer, faiss warns that centroids are unstable
_ITERATIONS = 6  # 4 leave a squared error that is 1.3 % higher, 8 one that is 0.7 % lower


def centroid_count(tokens: int, sample: int) -> int:
    """Choose the number of centroids: a power of two, at most 4 * sqrt(tokens).

    "Proportional to the square root of the number of embeddings" (ColBERTv2, arXiv:2112.01488,
    section 3.3), whose code takes 16 * sqrt. A quarter of them finds as much, and an index is built
    in a quarter of the time: every token is compared with every centroid
    (`docs/decisions/0013-the-codec-with-the-least-error.md`).

    Args:
        tokens: Vectors of the whole corpus.
        sample: Vectors to train on; each centroid gets at least 39, so that small samples have
            fewer centroids, at least one.
    """
    most = max(1, min(int(4 * math.sqrt(tokens)), sample // _LEAST_POINTS))
    return 1 << (most.bit_length() - 1)


def spherical_kmeans(sample: Tensor, count: int, *, seed: int = 0, progress: bool = False) -> Tensor:
    """Find centroids by the cosine.

    Args:
        sample: L2-normalised vectors, (n, d) float32 on the CPU, n >= `count`.
        count: How many centroids to find.
        seed: Of the first choice of centroids.
        progress: Show a bar on stderr.

    Returns:
        L2-normalised centroids, (count, d) float32.

    Raises:
        MissingExtraError: faiss is not installed.
    """
    faiss = _faiss()
    kmeans = faiss.Kmeans(
        sample.shape[1],
        count,
        niter=1,  # one iteration a call, for the progress bar
        seed=seed,
        spherical=True,
        min_points_per_centroid=1,  # else faiss prints a warning
        gpu=faiss.get_num_gpus() > 0,
    )
    for _ in tqdm(range(_ITERATIONS), desc="k-means", unit=" iterations", disable=not progress):
        kmeans.train(sample.numpy(), init_centroids=kmeans.centroids)
    centroids = torch.from_numpy(kmeans.centroids)
    # Opposite vectors sum to zero, which has no direction: a vector of the sample takes its place.
    lost = centroids.norm(dim=1, keepdim=True) < 0.5
    return normalize(torch.where(lost, sample[:count], centroids), dim=1)


def nearest(vectors: Tensor, centroids: Tensor) -> Tensor:
    """Find the centroid with the highest cosine of each vector, a chunk of scores at a time.

    Cosines are rounded to bfloat16 where that is faster: of centroids that are about as near, either
    may be found. On token vectors that was another one for 1 in 90, and their mean squared distance
    from it rose by 0.01 %.

    Args:
        vectors: (n, d) float32.
        centroids: L2-normalised, (k, d) float32 on the same device.

    Returns:
        Numbers of centroids, (n,) int64.
    """
    size, dtype = max(1, CHUNK_BYTES // (4 * len(centroids))), best_dtype(vectors.device)
    columns = centroids.to(dtype).T
    # Few processors compare numbers in bfloat16.
    return torch.cat([(chunk.to(dtype) @ columns).float().argmax(dim=1) for chunk in torch.split(vectors, size)])


def _faiss() -> ModuleType:
    """Import faiss, which is optional because two distributions own the module."""
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("training a codec", "cpu") from error
    found: ModuleType = faiss
    return found
