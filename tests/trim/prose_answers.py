"""Prose with one marked answer each, `prose_answers.txt`, and which parts of it are scraps.

Between lines of five hyphens stand a line `# kind language`, a text, a line `? question` and a line `= answer`.
A scrap is a piece that tells nothing beyond list marks, function words and the question's own words (empty), one of
fewer than three words without a number and without a word of the answer (short), or one that begins or ends inside a
name or a quantity (torn). Names are not looked for in German, where every noun has a capital.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import regex

from fgr_retriever.text.query_words import content_stems, query_words, stems
from fgr_retriever.text.stop_words import is_content
from fgr_retriever.types import Span

FILE = Path(__file__).with_suffix(".txt")
_MARK = regex.compile(r"(?m)^\s*(?:[\p{N}\p{L}]{1,3}[.)]|[-*•\u2013])(?:\s+|$)")
_NAME = regex.compile(r"(?<=\p{Lu}\p{Ll}+) (?=\p{Lu}\p{Ll})")
_QUANTITY = regex.compile(r"(?<=\p{N})(?<!\b(?:1\d|20)\d\d)[ \u00a0](?P<unit>\p{L}+)")  # a year has no unit


@dataclass(frozen=True, slots=True)
class Marked:
    """A text with a question and its answer.

    Args:
        kind: Its kind and its language, such as "recipe en".
        text: The text.
        question: The question.
        answer: The shortest stretch of the text that answers it.
    """

    kind: str
    text: str
    question: str
    answer: str


def marked_prose() -> Iterator[Marked]:
    """Read all texts."""
    for block in FILE.read_text(encoding="utf-8").split("\n-----\n"):
        head, _, rest = block.strip("\n").partition("\n")
        text, _, marks = rest.rpartition("\n? ")
        question, _, answer = marks.partition("\n= ")
        yield Marked(head.removeprefix("# "), text, question, answer)


def scrap(one: Marked, span: Span) -> str:
    """Say which kind of scrap a piece is; nothing if it is none."""
    piece = one.text[span.start : span.end]
    words = query_words(_MARK.sub("", piece))
    known = content_stems(one.question)
    if not any(word.is_content and not known.issuperset(stems(word.text)) for word in words):
        return "empty"
    answers = not set(stems(one.answer)).isdisjoint(stems(piece))
    if len(words) < 3 and not answers and not any(map(str.isdigit, piece)):
        return "short"
    return "torn" if any(_is_torn(one, edge) for edge in (span.start, span.end)) else ""


def _is_torn(one: Marked, edge: int) -> bool:
    """Say whether a range that begins or ends here is cut inside a name or a quantity."""
    for place in (edge - 1, edge):  # the white space may lie on either side
        names = not one.kind.endswith(" de") and _NAME.match(one.text, place)
        unit = _QUANTITY.match(one.text, place)
        if names or (unit and is_content(unit["unit"])):
            return True
    return False
