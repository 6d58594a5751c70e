"""Where sentences end in six languages and five genres: `borders/GENRE.LANGUAGE.txt`, one sentence a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fgr_retriever.text.sentences import sentences

FOLDER = Path(__file__).parent / "borders"


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules make of the sentences of one file, written one after the other.

    Args:
        genre: The genre of the text.
        language: Its language.
        borders: Number of borders between its sentences.
        wrong: Text around each border that is missed or invented.
    """

    genre: str
    language: str
    borders: int
    wrong: tuple[str, ...]


def judged() -> Iterator[Judged]:
    """Judge each file: its sentences are joined with spaces and cut again."""
    for path in sorted(FOLDER.glob("*.txt")):
        lines = path.read_text("utf-8").splitlines()
        text, ends = "", set()
        for line in lines:
            text += (" " if text else "") + line
            ends.add(len(text))
        found = {end for _, end in sentences(text)}
        wrong = [text[max(0, end - 20) : end + 20] for end in sorted(found ^ ends)]
        genre, language = path.stem.split(".")
        yield Judged(genre, language, len(lines) - 1, tuple(wrong))
