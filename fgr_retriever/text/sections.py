r"""The sections of a text, as its marked headings tell, and which of them are built alike.

Of sections that are built alike, such as one for each plan, depot or server, nothing but the heading says what a
sentence is about: their words are mostly the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import regex

from fgr_retriever.text.query_words import content_stems

_MARKS = regex.compile(r"^(?:#|==|\*\*|\[|[ \t]*\\)|^[=\-~^]{3,}[ \t]*\r?$", regex.MULTILINE)
_HEADING = regex.compile(
    r"^(?:(?P<level>\#{1,6})[ \t]+(?P<name>\S[^\r\n]*?)(?:[ \t]+\#+)?"
    r"|(?P<level>={2,6})[ \t]*(?P<name>[^=\s][^=\r\n]*?)[ \t]*={2,6}"
    r"|\*\*(?P<name>[^*\r\n]{1,80})\*\*:?"
    r"|\[(?P<name>[^\]\[,\"\r\n]{1,60})\]"
    r"|[ \t]*\\(?P<level>chapter|(?:sub){0,2}section|paragraph)\*?\{(?P<name>[^{}\r\n]+)\}"
    r"|(?<=\A|\n\r?\n)(?P<name>[^\s\#=*\-|+][^\r\n|]{0,80})\r?\n(?P<level>=++|-++|~++|\^++)(?<=[=\-~^]{3})"
    r")[ \t]*(?=\r?$)",
    regex.MULTILINE,
)
_LEVELS = {"chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4, "paragraph": 5}
_RULES = {"=": 1, "-": 2, "~": 3, "^": 4}
_LOWEST = 7  # of a name in bold type or in brackets
# The share of its content words that a section has in common with at least half of those beside it, on their mean.
_ALIKE = 0.3
_LEAST_COMMON = 2


class Section(NamedTuple):
    """A heading with all that stands below it.

    Args:
        start: First character of the heading.
        end: One past its last one.
        body: Where the text below it begins.
        close: One past the last character of that.
        level: 1 for the highest.
        name: What the heading says.
    """

    start: int
    end: int
    body: int
    close: int
    level: int
    name: str


def sections(text: str) -> list[Section]:
    """Find the sections of a text, in the order of their headings: what lies in a section follows it."""
    if _MARKS.search(text) is None:
        return []
    found: list[Section] = []
    later: list[tuple[int, int]] = []  # level and start of the headings behind, that none in between is above
    for match in reversed(list(_HEADING.finditer(text))):
        level = _level(match)
        while later and later[-1][0] > level:
            later.pop()
        start, end = match.span()
        close = later[-1][1] if later else len(text)
        later.append((level, start))
        below = text[end:close]
        if body := below.strip():
            first = end + below.index(body)
            found.append(Section(start, end, first, first + len(body), level, match["name"]))
    return found[::-1]


def named_apart(text: str, known: frozenset[str]) -> list[list[Section]]:
    """Find sections that are built alike, of which a question names one or some.

    Args:
        text: Any text.
        known: Stems of the content words of the question.

    Returns:
        Groups of sections that stand side by side: of one level, in the same section. No group lies in another one.
    """
    groups: dict[tuple[int, int], list[Section]] = defaultdict(list)
    above: list[Section] = []
    for one in sections(text):
        while above and above[-1].level >= one.level:
            above.pop()
        groups[above[-1].start if above else -1, one.level].append(one)
        above.append(one)
    found: list[list[Section]] = []
    for group in groups.values():
        inside = found and group[0].start < found[-1][-1].close
        if not inside and _tells(group, known) and are_alike([text[one.start : one.close] for one in group]):
            found.append(group)
    return found


def are_alike(texts: Sequence[str]) -> bool:
    """Say whether texts tell the same of different things, with other names and values."""
    words = [content_stems(one) for one in texts]
    counts = Counter(stem for one in words for stem in one)
    common = {stem for stem, count in counts.items() if count > 1 and 2 * count >= len(words)}
    shares = [len(one & common) / len(one) for one in words if one]
    return len(words) > 1 and len(common) >= _LEAST_COMMON and sum(shares) >= _ALIKE * len(words)


def _tells(group: Sequence[Section], known: frozenset[str]) -> bool:
    """Say whether a question has a word of the names of some sections that not all have."""
    names = [content_stems(one.name) & known for one in group]
    return len(group) > 1 and any(names) and len(set(names)) > 1


def _level(match: regex.Match[str]) -> int:
    mark = match["level"]
    if mark is None:
        return _LOWEST
    return _LEVELS.get(mark) or (
        len(mark) if mark[0] == "#" or match.end("level") < match.start("name") else _RULES[mark[0]]
    )
