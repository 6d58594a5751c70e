r"""The sections of a text, as its marked headings tell, and which of them are built alike.

Of sections that are built alike, such as one for each plan, depot or server, nothing but the heading says what a
sentence is about: their words are mostly the same. A search looks at each of its passages, so only lines with the mark
of a heading are read here; `headings.py` says what they are.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import regex

from fgr_retriever.text.headings import heading_of
from fgr_retriever.text.query_words import stems, telling_stems

# The mark of a heading, the rule below one, or a fence around code. `re` and not `regex`: it takes a tenth of the time.
_MARK = re.compile(
    r"^(?:(?P<rule>={3,}|-{3,}|~{3,}|\^{3,})[ \t]*\r?$|(?P<fence>[ ]{0,3}(?:```|~~~))|\#|==|\*\*|\[|[ \t]*\\)",
    re.MULTILINE,
)
_UNDERLINED = regex.compile(r"(?r)(?<=\A|\n\r?\n)[^\s\#=*\-|+][^\r\n|]{0,80}?[ \t]*+\r?\n")
_LINE = re.compile(r"[^\r\n]*")
_AROUND_NAME = " \t*:[]"
# The share of its content words that a section has in common with at least half of those beside it, on their mean: 0.4
# to 0.8 in pages with a section for each plan, depot, machine or server, 0.1 to 0.3 in handbooks and contracts.
_ALIKE = 0.39
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
    found: list[Section] = []
    later: list[tuple[int, int]] = []  # level and start of the headings behind, that none in between is above
    for start, end, level, name in reversed(list(_headings(text))):
        while later and later[-1][0] > level:
            later.pop()
        close = later[-1][1] if later else len(text)
        later.append((level, start))
        below = text[end:close]
        if body := below.strip():
            first = end + below.index(body)
            found.append(Section(start, end, first, first + len(body), level, name))
    return found[::-1]


def _headings(text: str) -> Iterator[tuple[int, int, int, str]]:
    """Yield the start, the end, the level and the name of each heading."""
    fenced = False  # a comment of code is no heading
    for mark in _MARK.finditer(text):
        rule, start, end = mark["rule"], *_line(text, mark.start())
        if rule and not fenced and (above := _UNDERLINED.match(text, 0, start)):
            lines = [above.group().strip(), rule]
            start = above.start()
        elif mark["fence"] or (rule and rule[0] == "~"):
            fenced = not fenced
            continue
        else:
            lines = [] if rule or fenced else [text[start:end]]
        if lines and (heading := heading_of(lines)):
            yield start, end, heading.level, heading.text or lines[0].strip(_AROUND_NAME)


def _line(text: str, start: int) -> tuple[int, int]:
    """Give where a line starts and ends, without the white space behind it."""
    match = _LINE.match(text, start)
    return start, start + len(match.group().rstrip()) if match else start


def named_apart(text: str, found: Sequence[Section], known: frozenset[str]) -> list[list[Section]]:
    """Find sections that are built alike, of which a question names one or some.

    Args:
        text: Any text.
        found: Its sections.
        known: Stems of the content words of the question.

    Returns:
        Groups of sections that stand side by side: of one level, in the same section. No group lies in another one.
    """
    if known.isdisjoint(stem for one in found for stem in stems(one.name)):
        return []
    groups: dict[tuple[int, int], list[Section]] = defaultdict(list)
    above: list[Section] = []
    for one in found:
        while above and above[-1].level >= one.level:
            above.pop()
        groups[above[-1].start if above else -1, one.level].append(one)
        above.append(one)
    apart: list[list[Section]] = []
    for group in groups.values():
        inside = apart and group[0].start < apart[-1][-1].close
        if not inside and _tells(group, known) and are_alike([text[one.start : one.close] for one in group]):
            apart.append(group)
    return apart


def are_alike(texts: Sequence[str], least: float = _ALIKE) -> bool:
    """Say whether texts tell the same of different things, with other names and values.

    Args:
        texts: Sections or other texts that stand side by side.
        least: The share of its content words that a text must have in common with half of the others, on the mean.
    """
    words = [telling_stems(one) for one in texts]
    counts = Counter(stem for one in words for stem in one)
    common = {stem for stem, count in counts.items() if count > 1 and 2 * count >= len(words)}
    shares = [len(one & common) / len(one) for one in words if one]
    return len(words) > 1 and len(common) >= _LEAST_COMMON and sum(shares) >= least * len(words)


def _tells(group: Sequence[Section], known: frozenset[str]) -> bool:
    """Say whether a question has a word of the names of some sections that not all have."""
    names = [known.intersection(stems(one.name)) for one in group]
    return len(group) > 1 and any(names) and len(set(names)) > 1
