# ruff: noqa: SIM905 (word lists read best as text)
"""Where a sentence gives its words other parts than its source does: who does it, to whom, from where.

There is no parser. The rules compare the order of shared words, the prepositions before them, and what stands before
the first of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace

import regex

from fgr_retriever.agents.doubt import Doubt, differ
from fgr_retriever.agents.grounds import Ground
from fgr_retriever.agents.opposites import VAGUE
from fgr_retriever.agents.statement import Statement, clauses

_PASSIVE = regex.compile(
    r"\b(?:is|are|was|were|be|been|being)\s(?:\w+\s)?\w+(?:ed|en|wn|ne|ght|lt|pt|nt|de|ld)\b|\bby\s(?!\p{N})"
)
_GENITIVE = regex.compile(r"['\N{RIGHT SINGLE QUOTATION MARK}]s\b")
_RELATIVE = regex.compile(r"\b(?:that|which|who|whom|whose)\b")
_SUBORDINATE = frozenset("if when whenever because while although since unless as once before after".split())
_PREPOSITIONS = frozenset("at in on during after before by for from with under within since until despite".split())
_GOES_ON = frozenset("and but or nor".split())  # a clause that begins so may have no subject
_SAME_EVENT = 3  # so many shared words, or all but one, make two clauses speak of the same
_COPIED = 0.85  # share of the words of a claim that a sentence has if it is copied but for their order
_OPENING = 2  # words of an opening
_REVERSED = 3  # so many shared words in the reverse order change who does what to whom
_MARKERS = frozenset("from to into before after until since above below over under against".split())
_EXCLUDING = {
    frozenset(pair.split())
    for pair in (
        "from to|from into|before after|above below|over under|until from|until since|before since|for against"
    ).split("|")
}
_NAME = regex.compile(r"(?<=[\p{Ll}\p{N},]\s)\p{Lu}[\w-]*")
_JOINED = regex.compile(r"\b(?:(?:of|from|by|with|on|in|for|at|into|against)|to(?=\s(?:the|an?)))\s(?:the\s|an?\s)?$")
_REACH = 3  # words between a preposition and its noun


def swaps(claim: Statement, grounds: Collection[Ground], told: Statement) -> Iterator[Doubt]:
    """Compare the parts that words have in a claim and in what it rests on.

    Args:
        claim: The claim.
        grounds: Its parts and what each rests on.
        told: Its sources.
    """
    known = set(told.stems)
    for one in grounds:
        yield from _subject(one.part, one.main, known)
        yield from _marked(one.part, one.sentence)
        yield from _borrowed(claim, one, told)
    for sentence, _ in Counter(one.sentence for one in grounds).most_common(1):
        mains = dict.fromkeys(one.main.text for one in grounds if one.sentence is sentence)
        yield from _order(claim, sentence, " ".join(mains))


def _borrowed(claim: Statement, ground: Ground, told: Statement) -> Iterator[Doubt]:
    """Find a name or a noun behind a preposition that the source has, but in another sentence."""
    names = frozenset(_NAME.findall(told.text))
    for word in ground.strangers:
        before, after = claim.text[: word.start].casefold(), claim.text[word.end :]
        together = before.endswith(" and ") or after.startswith(" and ")
        if (word.text in names and not together) or (_JOINED.search(before) and word.text.casefold() not in VAGUE):
            yield Doubt(f'the source says it of something else than "{word.text}"', certain=False)


def _marked(part: Statement, sentence: Statement) -> Iterator[Doubt]:
    """Find "from Linz to Brno" for "from Brno to Linz", or "before noon" for "after noon"."""
    said, told = _markers(part), _markers(sentence)
    pairs = [(told[word], marker) for word, marker in said.items() if told.get(word) and marker]
    turned = [pair for pair in pairs if frozenset(pair) in _EXCLUDING]
    exchanged = any((said, told) in turned for told, said in turned)
    if exchanged or any("from" not in pair for pair in turned):  # what is written to a file is read from it
        yield replace(differ(*turned[0]), certain=False)


def _markers(statement: Statement) -> dict[str, str]:
    """Give the preposition before each word and number that a statement has once; empty without one."""
    found: dict[str, str] = {}
    counts = Counter(statement.stems)
    marker, distance = "", _REACH
    for word, stem in zip(statement.words, statement.stems, strict=True):
        plain = word.text.casefold()
        distance += 1
        if plain in _MARKERS:
            marker, distance = plain, 0
        elif (word.is_content or plain[0].isdigit()) and counts[stem] == 1:
            found[stem] = marker if distance <= _REACH else ""
    return found


def _subject(part: Statement, main: Statement, known: Collection[str]) -> Iterator[Doubt]:
    """Find another subject: "the tenant pays" for "the landlord pays", where the source knows both."""
    shared = set(part.tokens) & set(main.tokens)
    if len(shared) < min(_SAME_EVENT, len(part.tokens) - 1) or part.words[0].text.casefold() in _GOES_ON:
        return
    first = next((place for place, token in enumerate(part.tokens) if token in shared and " " not in token), None)
    if first is None:
        return
    said, told = part.tokens[:first], main.tokens[: main.tokens.index(part.tokens[first])]
    if said and told and all(word in known for word in said) and not _is_reordered(told, part, main):
        yield Doubt("what it says stands in the source of something else", certain=False)


def _is_reordered(told: Collection[str], part: Statement, main: Statement) -> bool:
    """Say whether only the order differs: the part has the subject of the source too, or one of them is passive."""
    passive = [len(_PASSIVE.findall(one.text)) for one in (part, main)]
    return passive[0] != passive[1] or set(told) <= set(part.tokens)


def _order(claim: Statement, sentence: Statement, main: str) -> Iterator[Doubt]:
    """Find shared words in the reverse order: "Acme sued Globex" for "Globex sued Acme", but not the passive of it."""
    turned = any(len(one.findall(claim.text)) != len(one.findall(main)) for one in (_PASSIVE, _GENITIVE))
    said, told = ([word.text.casefold() for word in one.words] for one in (claim, sentence))
    turned = turned or len({words[0] in _SUBORDINATE for words in (said, told) if words}) > 1
    turned = turned or ("less" in said) != ("less" in told)  # "B is less than A" for "A is more than B"
    relative = _RELATIVE.findall(claim.text)
    joins = (_SUBORDINATE & set(said)) - set(told)
    if turned or joins or (relative and relative != _RELATIVE.findall(sentence.text)):
        return
    asked, told = _without_opening(claim), _without_opening(sentence)
    counts, places = Counter(asked), {token: place for place, token in enumerate(told)}
    counts.update(told)  # a token that each has once counts two
    row: list[int] = []  # the lowest ends of ascending rows of each length, of the places from last to first
    for place in [places[token] for token in reversed(asked) if token in places and counts[token] == 2]:
        at = bisect_left(row, place)
        row[at : at + 1] = [place]
    if len(row) >= _REVERSED and sum(token in places for token in asked) >= _COPIED * len(asked):
        yield Doubt("its words stand in the source in the reverse order", certain=False)


def _without_opening(statement: Statement) -> list[str]:
    """Leave out what is put first for stress: "In 1904, ..."; it keeps its meaning wherever it stands."""
    if not statement.words or statement.words[0].text.casefold() not in _PREPOSITIONS:
        return statement.tokens
    ranges = clauses(statement.text, 0, len(statement.text))
    opening = Statement(statement.text[: ranges[0][1]])
    return statement.tokens[min(len(opening.tokens), _OPENING) :]
