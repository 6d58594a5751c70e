"""About two hundred short passages on twelve subjects, written for this library, and questions to them."""

from __future__ import annotations

import json
from importlib.resources import files

from fgr_retriever.types import Passage


def passages() -> list[Passage]:
    """Read the shipped passages.

    Returns:
        The passages, in the order of their subjects; the metadata has `title` and `subject`, and
        `year` where one year stands out.
    """
    return [_passage(line) for line in _read("corpus.jsonl").splitlines()]


def questions() -> list[str]:
    """Read questions whose answers are in the shipped passages."""
    found: list[str] = json.loads(_read("questions.json"))
    return found


def _passage(line: str) -> Passage:
    row = json.loads(line)
    return Passage(id=row["id"], text=row["text"], metadata={"title": row["title"], **row["metadata"]})


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
