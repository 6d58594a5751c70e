# ruff: noqa: SIM905 (word lists read best as text)
"""Where a sentence says more or less than its source: all for some, other numbers of the same things, more for less."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import regex

from fgr_retriever.agents.doubt import Doubt, differ
from fgr_retriever.agents.grounds import Ground
from fgr_retriever.agents.statement import Statement, is_turned

_UNIVERSAL = frozenset("all every each always any everybody everyone".split())
_WHOLE = frozenset("all every each always any everybody everyone whole entire both everything everywhere".split())
_PARTIAL = frozenset("most many some several few usually often sometimes mostly mainly partly".split())
_MAJORITY = frozenset("most mostly majority mainly chiefly usually largely often".split())
_EXCLUSIVE = frozenset("only solely exclusively except unless just alone nothing other sole single".split())
_ONLY = regex.compile(
    r"\bonly\s(?!(?:after|before|if|when|where|while|because|until|from|a|an|about|rarely|partly|some|few|in|on|at|to"
    r"|have|has|\p{N})\b)(?:the\s)?(?=\p{L})",
    regex.IGNORECASE,
)
_ALL = regex.compile(r"\ball\s(?!times|\p{N})(?=\p{L})", regex.IGNORECASE)
_MOST = regex.compile(r"(?<!\b(?:at|the)\s)\bmost\b|\b(?:mostly|majority|mainly|chiefly|largely)\b", regex.IGNORECASE)
_ORDINALS = {word: float(n) for n, word in enumerate("first second third fourth fifth sixth seventh eighth".split(), 1)}
_JOINS = frozenset(", and or but by in to from at on than".split())
_BESIDE = 2  # words between a number and what it counts
_ROOT = 4  # letters that "dense" and "denser" have in common
_LESS, _MORE = frozenset("less fewer".split()), frozenset("more most".split())


def amounts(part: Statement, ground: Ground, told: Statement) -> Iterator[Doubt]:
    """Compare how much and how many a part of a claim and its sources say.

    Args:
        part: A part of a claim.
        ground: What it rests on.
        told: The sources.
    """
    yield from _quantifiers(part, ground.region, ground.sentence)
    yield from _counted(part, told)
    yield from _compared(part, ground.sentence)


def _quantifiers(part: Statement, region: Statement, sentence: Statement) -> Iterator[Doubt]:
    """Find "all" or "most" where the source says less, or does not say so."""
    mine, theirs, around = (_plain(one) for one in (part, region, sentence))
    said, told = mine & _UNIVERSAL, theirs & _PARTIAL
    if said and told and not theirs & _UNIVERSAL and not mine & _PARTIAL:
        yield differ(min(told), min(said))
    if said - {"each"} and "only" in theirs - mine:
        yield replace(differ("only", min(said)), certain=False)
    if _ALL.search(part.text) and not around & _WHOLE:
        yield _nowhere("all")
    if (most := _MOST.search(part.text)) and not around & (_MAJORITY | _WHOLE):
        yield _nowhere(most[0])
    only = _ONLY.search(part.text)
    counted = only and any(one.start == only.end() for one in part.quantities)
    if only and not counted and not around & _EXCLUSIVE and not sentence.negations:
        yield _nowhere("only")


def _nowhere(word: str) -> Doubt:
    return Doubt(f'the source does not say "{word}"', certain=False)


def _plain(statement: Statement) -> frozenset[str]:
    return frozenset(word.text.casefold() for word in statement.words)


def _counted(part: Statement, told: Statement) -> Iterator[Doubt]:
    """Find a number of things where the sources count them, but have another: "four hearts" for "three hearts"."""
    mine = _counts(part)
    theirs = _counts(told) if mine else {}
    counted = {value for numbers in theirs.values() for value in numbers}
    free = {one.value for one in told.quantities if not one.measured} - counted
    for thing, numbers in mine.items():
        if others := theirs.get(thing):
            for value, text in numbers.items():
                if value not in others and value not in free:
                    yield replace(differ(next(iter(others.values())), text), certain=False)


def _counts(statement: Statement) -> dict[str, dict[float, str]]:
    """Give for what is counted without a unit its numbers, and the text of each."""
    found: dict[str, dict[float, str]] = defaultdict(dict)
    words, stems = statement.words, statement.stems
    starts = [word.start for word in words]
    for one in statement.quantities:
        if one.measured in ("", "times"):
            first = bisect_left(starts, one.end)
            thing = next((at for at in range(first, min(first + _BESIDE, len(words))) if words[at].is_content), -1)
            between = statement.text[one.end : words[thing].start] if thing >= 0 else ","
            if _JOINS.isdisjoint(regex.findall(r"\w+|,", between)) and not words[thing].text[0].isdigit():
                found[stems[thing]][one.value] = statement.text[one.start : words[thing].end]
    for place, word in enumerate(words[:-1]):
        if word.text.casefold() in _ORDINALS and words[place + 1].is_content:
            number = _ORDINALS[word.text.casefold()]
            found[f"number {stems[place + 1]}"][number] = statement.text[word.start : words[place + 1].end]
    return found


def _compared(part: Statement, sentence: Statement) -> Iterator[Doubt]:
    """Find "denser" where the source says "less dense"."""
    if is_turned(part, sentence):  # "lithium is less reactive than sodium" for "sodium is more reactive than lithium"
        return
    mine, theirs = _degrees(part), _degrees(sentence)
    for root, said in mine.items():
        if (told := theirs.get(root)) and not said.keys() & told.keys():
            yield replace(differ(next(iter(told.values())), next(iter(said.values()))), certain=True)


def _degrees(statement: Statement) -> dict[str, dict[bool, str]]:
    """Give for the root of each comparative whether it says more, and its words."""
    found: dict[str, dict[bool, str]] = defaultdict(dict)
    before = ""
    for word in statement.words:
        plain = word.text.casefold()
        if before in _LESS | _MORE:
            found[plain[:_ROOT]][before in _MORE] = f"{before} {word.text}"
        elif plain.endswith("er") and len(plain) > _ROOT:
            found[plain[:_ROOT]][True] = word.text
        before = plain
    return found
