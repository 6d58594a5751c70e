"""Encode all shards of a corpus on a Ray cluster: Ray Data gives each to a worker that keeps its model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fgr_retriever.arguments import check, is_count
from fgr_retriever.errors import MissingExtraError
from fgr_retriever.index.encoded.writing import EncodedShard, encode_shard
from fgr_retriever.model.tokens import TokenEncoder
from fgr_retriever.types import Passage


class _Worker:
    """Encodes one shard after the other with one model; each call reads the corpus."""

    def __init__(self, read: Callable[[], Iterable[Passage]], model: Callable[[], TokenEncoder], **how: Any) -> None:
        self._read, self._encoder, self._how = read, model(), how

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        done = encode_shard(self._read(), self._encoder, shard=f"{row['number']}/{row['of']}", **self._how)
        return {**row, "passages": done.passages, "encoded": done.encoded, "files": done.files}


def encode_on_ray(
    read: Callable[[], Iterable[Passage]],
    model: Callable[[], TokenEncoder],
    folder: str | Path,
    shards: int,
    *,
    workers: int,
    cpus: float = 1,
    gpus: float = 0,
    importance: bool = False,
) -> list[EncodedShard]:
    """Encode all shards; see `encode_shard`. After an interruption call it again: finished files are not made again.

    Args:
        read: Gives all passages of the corpus, the same in the same order at each call; called by the workers.
        model: Makes the model, once in each worker.
        folder: Where the files go: one that all workers share.
        shards: How many shards there are: at least as many as workers.
        workers: How many shards are encoded at once.
        cpus: Processors of a worker.
        gpus: GPUs of a worker; a part of one, too.
        importance: Also keep the importance of tokens.

    Returns:
        What was done, by shard.

    Raises:
        MissingExtraError: Ray is not installed.
        ConfigError: `shards` or `workers` is not an integer of at least 1.
        ray.exceptions.RayError: A worker failed; the cause is the error of `encode_shard`.
    """
    check("shards", shards, is_count(shards, 1), "an integer of at least 1")
    check("workers", workers, is_count(workers, 1), "an integer of at least 1")
    try:
        from ray.data import from_items
    except ModuleNotFoundError as error:
        raise MissingExtraError("encoding on Ray", "ray") from error
    rows = from_items([{"number": number, "of": shards} for number in range(shards)], override_num_blocks=shards)
    done = rows.map(
        _Worker,
        fn_constructor_args=[read, model],
        fn_constructor_kwargs={"folder": str(Path(folder).absolute()), "importance": importance},
        concurrency=workers,
        num_cpus=cpus,
        num_gpus=gpus,
    ).take_all()
    done.sort(key=lambda row: int(row["number"]))
    return [EncodedShard(row["passages"], row["encoded"], row["files"]) for row in done]
