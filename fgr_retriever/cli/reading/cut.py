"""Text to passages: whole paragraphs together, each passage with its place, its line and the headings above it.

A paragraph is cut, at a line end, only when it is four times as long as a passage should be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fgr_retriever.types import Json, Passage

_LONGEST_PARAGRAPH = 4
_HEADING = re.compile(r"(#{1,6})[ \t]+(.*?)[ \t#]*\r?\n?", re.DOTALL)
_FENCE = re.compile(r" {0,3}(```|~~~)")


@dataclass(slots=True)
class Cutter:
    """Cuts the texts of one file, one after the other, and numbers their passages through.

    Args:
        name: Name of the file in the index.
        passage_chars: About how many characters make a passage.
        markdown: Whether lines that begin with `#` are headings.
    """

    name: str
    passage_chars: int
    markdown: bool = False
    number: int = 0

    def cut(self, lines: Iterable[str], start: int = 0, line: int = 1, **metadata: Json) -> Iterator[Passage]:
        """Put whole paragraphs of a text together to passages.

        Args:
            lines: The lines of the text, with their ends.
            start: Where they begin, if they are a part of the text.
            line: In which line.
            **metadata: What else is known of all passages of this text.

        Returns:
            Passages with the metadata `source`, `title` (the name of the file and the headings above the passage),
            `start_index` (of the passage's first character in the text) and `line`, counted from 1.
        """
        headings, group = _Headings(self.markdown), _Group(start, line)
        for paragraph in _paragraphs(lines, self.passage_chars * _LONGEST_PARAGRAPH):
            if len(group.text) + len(paragraph.rstrip()) > self.passage_chars:
                yield from self._passages(group, metadata)
                group = group.following()
            group.add(paragraph, headings.above(paragraph))
        yield from self._passages(group, metadata)

    def _passages(self, group: _Group, metadata: dict[str, Json]) -> Iterator[Passage]:
        """Make a passage of a group of paragraphs; none if nothing is in it."""
        if text := group.text.strip():
            self.number += 1
            skipped = len(group.text) - len(group.text.lstrip())
            found: dict[str, Json] = {
                "source": self.name,
                "title": " > ".join((self.name, *group.headings)),
                "start_index": group.start + skipped,
                "line": group.line + group.text.count("\n", 0, skipped),
            }
            yield Passage(f"{self.name}#{self.number}", text, found | metadata)


@dataclass(slots=True)
class _Group:
    """Paragraphs that become one passage.

    Args:
        start: Where they begin in the text.
        line: In which line.
        text: The paragraphs.
        headings: The headings above the first of them.
    """

    start: int = 0
    line: int = 1
    text: str = ""
    headings: tuple[str, ...] = ()

    def add(self, paragraph: str, headings: tuple[str, ...]) -> None:
        if not self.text.strip():
            self.headings = headings
        self.text += paragraph

    def following(self) -> _Group:
        """Begin the next group where this one ends."""
        return _Group(self.start + len(self.text), self.line + self.text.count("\n"))


@dataclass(slots=True)
class _Headings:
    """The headings above the place at hand.

    Args:
        markdown: Whether there are any.
        open: The level and the text of each, the highest first.
        fenced: The fence of the code that the place is in.
    """

    markdown: bool
    open: list[tuple[int, str]] = field(default_factory=list)
    fenced: str = ""

    def above(self, paragraph: str) -> tuple[str, ...]:
        """Go on by a paragraph, and give the headings above its text: those that begin it, too."""
        found: tuple[str, ...] | None = None
        for line in paragraph.splitlines(keepends=True) if self.markdown else ():
            if fence := _FENCE.match(line):
                self.fenced = "" if self.fenced == fence[1] else self.fenced or fence[1]
            if not self.fenced and (heading := _HEADING.fullmatch(line)):
                level = len(heading[1])
                self.open = [one for one in self.open if one[0] < level] + [(level, heading[2].strip())]
            elif found is None:
                found = self._path()
        return self._path() if found is None else found

    def _path(self) -> tuple[str, ...]:
        return tuple(text for _, text in self.open)


def _paragraphs(lines: Iterable[str], longest: int) -> Iterator[str]:
    """Cut lines into paragraphs, each with the blank lines after it; cut one that is too long."""
    held: list[str] = []
    size = 0
    for line in lines:
        follows_blank = bool(held) and not held[-1].strip()
        if held and ((follows_blank and line.strip()) or size + len(line) > longest):
            yield "".join(held)
            held, size = [], 0
        held.append(line)
        size += len(line)
    if held:
        yield "".join(held)
