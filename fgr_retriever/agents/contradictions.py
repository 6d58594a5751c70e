# ruff: noqa: SIM905 (word lists read best as text)
"""Where a sentence says something else than the text that it rests on, though their words are alike.

Vectors hardly tell "enabled" from "disabled", or five from six. These rules read the words: numbers with units,
limits, negations, antonyms, months and the like, and who does what to whom.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import regex

from fgr_retriever.agents.amounts import Amounts, Quantity
from fgr_retriever.agents.denials import denied
from fgr_retriever.agents.grounds import Ground
from fgr_retriever.agents.likeness import Likeness
from fgr_retriever.agents.opposites import implies_negation, meanings, opposites
from fgr_retriever.agents.statement import POSTPONING, Statement, clauses

_PASSIVE = regex.compile(
    r"\b(?:is|are|was|were|be|been|being)\s(?:\w+\s)?\w+(?:ed|en|wn|ne|ght|lt|pt|nt|de|ld)\b|\bby\s(?!\p{N})"
)
_GENITIVE = regex.compile(r"['\N{RIGHT SINGLE QUOTATION MARK}]s\b")
_RELATIVE = regex.compile(r"\b(?:that|which|who|whom|whose)\b")
_UNIVERSAL = frozenset("all every each always any everybody everyone".split())
_PARTIAL = frozenset("most many some several few usually often sometimes mostly".split())
_SUBORDINATE = frozenset("if when whenever because while although since unless as once before after".split())
_PREPOSITIONS = frozenset("at in on during after before by for from with under within since until despite".split())
_NEAR = 3  # words between a negation and what it negates
_SAME_EVENT = 3  # so many shared words, or all but one, make two clauses speak of the same
_GOES_ON = frozenset("and but or nor".split())  # a clause that begins so may have no subject
_PRONOUNS = frozenset("it they he she its their his her this these those that which who".split())
_COPIED = 0.85  # share of the words of a claim that a sentence has if it is copied but for their order
_OPENING = 2  # words of an opening
_REVERSED = 3  # so many shared words in the reverse order change who does what to whom


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a sentence may say something else than its source.

    Args:
        reason: What differs.
        certain: False if the rules cannot tell.
    """

    reason: str
    certain: bool = True


def doubts(claim: Statement, grounds: Collection[Ground], known: Collection[str], periods: Amounts) -> Iterator[Doubt]:
    """Compare a claim with what it rests on.

    Args:
        claim: The claim.
        grounds: Its parts and what each rests on.
        known: The stems of all words of its sources.
        periods: What the columns of tables are for, such as a week.
    """
    yield from _polarity(claim, grounds)
    if word := denied(claim, grounds):
        yield Doubt(f'only the sentence says "{word}"', certain=False)
    for one in grounds:
        yield from _numbers(one.part, one.sentence, periods)
        yield from _limits(one.part, one.sentence)
        yield from _excluded(one.part, one.sentence)
        yield from _paired(one.part, one.sentence)
        yield from _quantifiers(one.part, one.region)
        yield from _subject(one.part, one.main, known)
    for sentence, _ in Counter(one.sentence for one in grounds).most_common(1):
        yield from _order(claim, sentence)


def _differ(told: str, said: str) -> Doubt:
    return Doubt(f'the source says "{told}" where the sentence says "{said}"')


def _numbers(part: Statement, sentence: Statement, periods: Amounts) -> Iterator[Doubt]:
    """Find numbers that are in the sources, but where another one with the same unit is."""
    for one in part.quantities:
        rival = sentence.amounts.rival(one.measured) if one.measured else None
        if rival and one not in sentence.amounts and one not in periods:
            yield _differ(_cut(sentence, rival), _cut(part, one))


def _limits(part: Statement, sentence: Statement) -> Iterator[Doubt]:
    """Find "at least" for "at most" with the same number."""
    for one in part.limits:
        turned, same = sentence.limited[not one.upper], sentence.limited[one.upper]
        if one.quantity in turned and one.quantity not in same:
            yield _differ(next(other.words for other in sentence.limits if other.upper != one.upper), one.words)


def _excluded(part: Statement, sentence: Statement) -> Iterator[Doubt]:
    """Find another month, weekday, season, colour or frequency than the source has."""
    for kind, said in part.exclusive.items():
        told = sentence.possible.get(kind, {})
        if told and (others := [word for name, word in said.items() if name not in told]):
            yield _differ(next(iter(told.values())), others[0])


def _paired(part: Statement, sentence: Statement) -> Iterator[Doubt]:
    """Find a number that belongs to another month, season and so on: "300 km in summer, 200 in winter"."""
    if part.quantities and part.exclusive:
        for clause in sentence.clauses:
            if any(one in clause.amounts for one in part.quantities):
                yield from _excluded(part, clause)


def _polarity(claim: Statement, grounds: Collection[Ground]) -> Iterator[Doubt]:
    """Find an antonym in any region, or a negation that sets a part, and the whole, apart from all of them."""
    whole = Statement(" ".join({text: None for one in grounds for text in one.clauses}))
    turned = [[_turned(one.part, region, claim, one.likeness) for region in (one.side, *one.others)] for one in grounds]
    antonyms = [doubt for one in grounds for doubt in _turned(one.part, one.region, claim, one.likeness)[0]]
    antonyms += [doubt for regions in turned for found, _ in regions[1:] for doubt in found]
    if len(antonyms) == 1 and (len(claim.negations) + len(whole.negations)) % 2:  # "not outside" is inside
        return
    yield from antonyms
    odd = grounds and _turned(claim, whole, claim, next(iter(grounds)).likeness)[1]
    for regions in turned:
        if all(negation for _, negation in regions) and (odd or "but" in claim.stems):
            yield from filter(None, [regions[0][1]])


def _turned(
    part: Statement, region: Statement, claim: Statement, likeness: Likeness
) -> tuple[list[Doubt], Doubt | None]:
    """Find antonyms, and a negation that only one of the two has; "not rare" for "common" is neither."""
    mine, theirs = set(part.negations), set(region.negations)
    said, told = _alone(part, region), _alone(region, part)
    said = [place for place in said if not (claim.postpones and part.stems[place] in POSTPONING)]
    antonyms = []
    for place, other in _antonyms(part, said, region, told, likeness):
        negated = _negation_of(place, mine), _negation_of(other, theirs)
        mine.discard(negated[0])
        theirs.discard(negated[1])
        if (negated[0] < 0) == (negated[1] < 0):
            antonyms.append(_differ(region.words[other].text, part.words[place].text))
    implied = [part.words[place].text for place in said] + [region.words[place].text for place in told]
    unclear = not all(part.negates_any(place, region.stems) for place in mine) or not all(
        region.negates_any(place, part.stems) for place in theirs
    )
    if (len(mine) + len(theirs)) % 2 == 0 or unclear or any(map(implies_negation, implied)):
        return antonyms, None
    who, places, text = ("source", theirs, region) if len(theirs) > len(mine) else ("sentence", mine, part)
    return antonyms, Doubt(f'only the {who} says "{text.words[min(places)].text}"')


def _antonyms(
    part: Statement, said: Sequence[int], region: Statement, told: Sequence[int], likeness: Likeness
) -> Iterator[tuple[int, int]]:
    """Pair the words of a part with their antonyms in a region, if these stand in their place."""
    turned = {key: place for place in reversed(told) for key in meanings(region.words[place].text)}
    others = [[one.words[place].text for place in places] for one, places in ((part, said), (region, told))]
    for place in said:
        word = part.words[place]
        other = min((turned[key] for key in opposites(word.text) if key in turned), default=None)
        if other is None:
            continue
        told_word = region.words[other].text
        if not word.is_content or likeness.are_twins(word.text, told_word, *others):  # vectors of "may" tell little
            yield place, other


def _alone(one: Statement, other: Statement) -> list[int]:
    """Give the places of the words of a statement that the other has not in any form."""
    known = set(other.stems)
    return [place for place in one.free if one.stems[place] not in known]


def _negation_of(place: int, negations: set[int]) -> int:
    """Give the place of the negation shortly before a word, -1 without one."""
    return next((one for one in range(place - 1, place - 1 - _NEAR, -1) if one in negations), -1)


def _quantifiers(part: Statement, region: Statement) -> Iterator[Doubt]:
    """Find "all" where the source says "most"."""
    mine, theirs = ({word.text.casefold() for word in one.words} for one in (part, region))
    said, told = mine & _UNIVERSAL, theirs & _PARTIAL
    if said and told and not theirs & _UNIVERSAL and not mine & _PARTIAL:
        yield _differ(min(told), min(said))
    if said - {"each"} and "only" in theirs - mine:
        yield replace(_differ("only", min(said)), certain=False)


def _subject(part: Statement, main: Statement, known: Collection[str]) -> Iterator[Doubt]:
    """Find another subject: "the tenant pays" for "the landlord pays", where the source knows both."""
    opening = {word.text.casefold() for word in main.words[:_OPENING]}
    if not _PRONOUNS.isdisjoint(opening):  # the sentence before may tell of what
        return
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


def _order(claim: Statement, sentence: Statement) -> Iterator[Doubt]:
    """Find shared words in the reverse order: "Acme sued Globex" for "Globex sued Acme", but not the passive of it."""
    turned = any(len(one.findall(claim.text)) != len(one.findall(sentence.text)) for one in (_PASSIVE, _GENITIVE))
    relative = _RELATIVE.findall(claim.text)
    turned = turned or len({one.words[0].text.casefold() in _SUBORDINATE for one in (claim, sentence) if one.words}) > 1
    if turned or (relative and relative != _RELATIVE.findall(sentence.text)):
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


def _cut(statement: Statement, one: Quantity) -> str:
    return statement.text[one.start : one.end]
