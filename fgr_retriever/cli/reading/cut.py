"""Text to passages: whole paragraphs together, each passage with its place, its line and the headings above it.

A passage ends before a heading, or where the last paragraph that fits ends; never behind a heading, nor behind another
line that belongs to what follows it. A paragraph is cut, at a line end, only when it is four times as long as a passage
should be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from fgr_retriever.text.headings import LOWEST, Heading, belongs_to_next, heading_of, is_heading_in
from fgr_retriever.text.lines import FENCE
from fgr_retriever.types import Json, Passage

_LONGEST_PARAGRAPH = 4
_ENOUGH = 1 / 4  # of a passage: one with so much ends before a heading
_ENOUGH_UNMARKED = 1 / 2  # the same before a line that is perhaps none, if there is no more room
_NO_HEADING = LOWEST + 1


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
        group = _Group(start, line)
        for paragraph in self._paragraphs(lines):
            while count := group.passage_before(paragraph, self.passage_chars):
                yield from self._passages(group, count, metadata)
                group = group.following(count)
            group.add(paragraph)
        while count := group.passage_before(None, self.passage_chars):
            yield from self._passages(group, count, metadata)
            group = group.following(count)

    def _paragraphs(self, lines: Iterable[str]) -> Iterator[_Paragraph]:
        """Read the paragraphs of a text."""
        open_headings: list[Heading] = []
        before: Sequence[str] = ()
        for text, is_code in _texts_of_paragraphs(lines, self.passage_chars * _LONGEST_PARAGRAPH):
            held = [line for line in text.splitlines() if line.strip()]
            is_comment = is_code or (not self.markdown and text.lstrip().startswith("#"))
            heading = heading_of(held) if held and not is_comment else None
            if heading and heading.text:
                open_headings = [one for one in open_headings if one.level < heading.level] + [heading]
            yield _Paragraph(
                text,
                tuple(one.text for one in open_headings) if held else (),
                _NO_HEADING if heading is None else heading.level,
                bool(held and before) and not belongs_to_next(before, held),
            )
            before = held

    def _passages(self, group: _Group, count: int, metadata: dict[str, Json]) -> Iterator[Passage]:
        """Make a passage of the first paragraphs of a group; none if nothing is in them."""
        whole = group.text(count)
        if text := whole.strip():
            self.number += 1
            skipped = len(whole) - len(whole.lstrip())
            found: dict[str, Json] = {
                "source": self.name,
                "title": " > ".join((self.name, *group.headings(count))),
                "start_index": group.start + skipped,
                "line": group.line + whole.count("\n", 0, skipped),
            }
            yield Passage(f"{self.name}#{self.number}", text, found | metadata)


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """A paragraph with the blank lines after it.

    Args:
        text: All of it.
        headings: The headings above its text, the one that it begins with, too.
        level: Of the heading that it begins with.
        may_begin: Whether a passage may begin with it: what is before it does not belong to it.
    """

    text: str
    headings: tuple[str, ...]
    level: int
    may_begin: bool


@dataclass(slots=True)
class _Group:
    """Paragraphs that become one passage, or more.

    Args:
        start: Where they begin in the text.
        line: In which line.
        paragraphs: The paragraphs.
        size: How many characters they have.
    """

    start: int
    line: int
    paragraphs: list[_Paragraph] = field(default_factory=list)
    size: int = 0

    def add(self, paragraph: _Paragraph) -> None:
        self.paragraphs.append(paragraph)
        self.size += len(paragraph.text)

    def text(self, count: int) -> str:
        """Join the first paragraphs."""
        return "".join(one.text for one in self.paragraphs[:count])

    def headings(self, count: int) -> tuple[str, ...]:
        """Give the headings above all of the text in the first paragraphs; of headings in a row, the last."""
        found: tuple[str, ...] | None = None
        for place, one in enumerate(self.paragraphs[:count]):
            is_text = place + 1 == count or self.paragraphs[place + 1].may_begin or one.level == _NO_HEADING
            if is_text and one.text.strip():
                found = one.headings if found is None else _shared(found, one.headings)
        return found or ()

    def following(self, count: int) -> _Group:
        """Give the group without its first paragraphs."""
        gone = self.text(count)
        rest = self.paragraphs[count:]
        return _Group(self.start + len(gone), self.line + gone.count("\n"), rest, self.size - len(gone))

    def passage_before(self, behind: _Paragraph | None, limit: int) -> int:
        """Count the first paragraphs that are a passage by themselves, as the next one shows.

        Args:
            behind: The next paragraph; None at the end of the text.
            limit: About how many characters make a passage.

        Returns:
            How many of the first paragraphs to cut off; 0 if the next one is to be added first.
        """
        fits = behind is not None and self.size + len(behind.text.rstrip()) <= limit
        if behind is not None and fits and behind.level >= LOWEST:
            return 0
        if (place := self._before_heading(limit)) or fits:
            return place
        if behind is None:
            return len(self.paragraphs)
        borders = list(_borders([*self.paragraphs, behind]))
        marked = [one for one in borders if one.level < LOWEST and one.size >= limit * _ENOUGH]
        unmarked = [one for one in borders if one.level == LOWEST and one.size >= limit * _ENOUGH_UNMARKED]
        if best := (marked or unmarked or borders):
            highest = min(one.level for one in best) if best is not borders else _NO_HEADING
            return max(one.place for one in best if one.level <= highest)
        # So many lines in a row that could all be headings are none.
        return len(self.paragraphs) if self.size > limit else 0

    def _before_heading(self, limit: int) -> int:
        """Count the paragraphs before the first of the highest headings, if enough is before it and behind it."""
        enough = limit * _ENOUGH
        if self.size < 2 * enough:
            return 0
        marked = [one for one in _borders(self.paragraphs) if one.level < LOWEST and one.size >= enough]
        best = min(marked, key=lambda one: one.level, default=None)
        return best.place if best and self.size - best.size >= enough else 0


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """Give the headings that two paths begin with."""
    return tuple(mine for mine, theirs in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


@dataclass(frozen=True, slots=True)
class _Border:
    """A place where one passage may end and another begin.

    Args:
        place: How many paragraphs are before it.
        size: How many characters are before it.
        level: Of the heading behind it.
    """

    place: int
    size: int
    level: int


def _borders(paragraphs: Sequence[_Paragraph]) -> Iterator[_Border]:
    size = 0
    for place, one in enumerate(paragraphs):
        if place and one.may_begin:
            yield _Border(place, size, one.level)
        size += len(one.text)


def _texts_of_paragraphs(lines: Iterable[str], longest: int) -> Iterator[tuple[str, bool]]:
    """Cut lines into paragraphs, each with the blank lines after it, before headings, and where one is too long.

    Yields:
        A paragraph, and whether it begins in a fence of code.
    """
    held: list[str] = []
    size, fence, is_code = 0, "", False
    for line in lines:
        begins = bool(held and line.strip()) and (not held[-1].strip() or (not fence and is_heading_in(line, held)))
        if held and (begins or size + len(line) > longest):
            stays = not begins and len(held) > 1 and bool(held[-1].strip()) and belongs_to_next(held[-1:], [line])
            yield "".join(held[: len(held) - stays]), is_code
            held = held[len(held) - stays :]
            size, is_code = sum(map(len, held)), bool(fence)
        held.append(line)
        size += len(line)
        if mark := FENCE.match(line):
            fence = "" if fence and mark[1].startswith(fence) else fence or mark[1]
    if held:
        yield "".join(held), is_code
