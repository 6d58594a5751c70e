"""Small texts with marked cuts: `structured/KIND/NAME.txt`, a text and three questions with what must stay whole.

After the text stands a line of equals signs, then for each question a line `? question` and lines that begin with
`= ` (must lie whole in one unit), `! ` (must not lie in that unit) or `~ ` (must lie in no unit, since it is never
evidence). In these lines `⏎` is a line break.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "structured"


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the cuts that its answer allows.

    Args:
        ask: The question.
        whole: What a span must hold without a cut.
        apart: What must not lie in the same unit.
        never: What must lie in no unit.
    """

    ask: str
    whole: str
    apart: tuple[str, ...]
    never: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MarkedText:
    """A text with its questions.

    Args:
        kind: Its kind, the name of its folder.
        name: Its own name.
        text: The text.
        questions: Three questions.
    """

    kind: str
    name: str
    text: str
    questions: tuple[Question, ...]


def marked_texts() -> Iterator[MarkedText]:
    """Read all texts, by kind and name."""
    for path in sorted(FOLDER.rglob("*.txt")):
        text, _, marks = path.read_bytes().decode().partition("\n=====\n")
        questions = tuple(map(_question, marks.split("\n? ")))
        yield MarkedText(path.parent.name, path.stem, text, questions)


def is_met(text: str, question: Question, units: Sequence[Sequence[int]]) -> bool:
    """Say whether one unit holds what must stay whole, and all keep apart what must be."""
    start = text.index(question.whole)
    holder = next(((low, high) for low, high in units if low <= start < high), (0, 0))
    unit = text[slice(*holder)]
    shown = "\0".join(text[low:high] for low, high in units)
    apart = not any(one in unit for one in question.apart)
    return start + len(question.whole) <= holder[1] and apart and not any(one in shown for one in question.never)


def _question(lines: str) -> Question:
    ask, *marks = lines.removeprefix("? ").strip("\n").split("\n")
    found: dict[str, list[str]] = {"=": [], "!": [], "~": []}
    for mark in marks:
        found[mark[0]].append(mark[2:].replace("⏎", "\n"))
    (whole,) = found["="]
    return Question(ask, whole, tuple(found["!"]), tuple(found["~"]))
