"""A corpus for the tests of encoded files, and encoders that say what they were asked."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fgr_retriever.index.encoded.writing import EncodedShard, encode_shard
from fgr_retriever.testing import WordEncoder
from fgr_retriever.types import Passage

WORDS = ["kiln", "glaze", "clay", "wheel", "slip", "ash", "oven", "fire", "bowl", "shelf", "cone", "salt"]


@cache
def corpus() -> tuple[Passage, ...]:
    """Sixty passages: some have no word, a lone surrogate, or more tokens than the encoder gives in one block."""
    texts = [" ".join(WORDS[(number * step) % len(WORDS)] for step in range(1, 9)) for number in range(57)]
    texts = [f"The {text.capitalize()} is {number}. It burns." for number, text in enumerate(texts)]
    texts += ["", "clay \ud800 ash\n\nsalt", "Long " + "ash clay " * 5_100]
    return tuple(Passage(f"p{number}", text, {"n": number, "ä": [None]}) for number, text in enumerate(texts))


class Counting(WordEncoder):
    """Counts the texts that it encodes."""

    def __init__(self) -> None:
        self.texts = 0

    def encode_passages(self, texts, *, show_progress=False, importance=False, evidence=False):
        def counted():
            for text in texts:
                self.texts += 1
                yield text

        return super().encode_passages(counted(), importance=importance, evidence=evidence)


class Other(WordEncoder):
    """Another model."""

    @property
    def fingerprint(self) -> str:
        return "another-model"


def encode_all(folder: Path, shards: int = 3, passages=None, encoder=None, **options) -> list[EncodedShard]:
    """Encode all shards of a corpus, the last one first."""
    given = corpus() if passages is None else passages
    encoder = encoder or WordEncoder()
    numbers = reversed(range(shards))
    return [encode_shard(given, encoder, folder, f"{number}/{shards}", **options) for number in numbers]


def contents(folder: Path) -> dict[str, bytes]:
    """Read all files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
