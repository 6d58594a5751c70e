# ruff: noqa: SIM905 (word lists read best as text)
"""Where a sentence says something else than the text that it rests on, though their words are alike.

Vectors hardly tell "enabled" from "disabled", or five from six. These rules read the words: numbers with units,
limits, negations, antonyms, months and the like, and who does what to whom.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from fgr_retriever.agents.denials import denials
from fgr_retriever.agents.doubt import Doubt, differ
from fgr_retriever.agents.grounds import Ground
from fgr_retriever.agents.opposites import implies_negation, meanings, opposites
from fgr_retriever.agents.quantities import Quantity
from fgr_retriever.agents.roles import swaps
from fgr_retriever.agents.scales import amounts
from fgr_retriever.agents.statement import Statement, is_turned

_TWO_SIDED = frozenset("before after above below behind ahead under over more less".split())
_NEAR = 3  # words between a negation and what it negates
_POSTPONED = frozenset("until til befor unles".split())  # stems


def doubts(claim: Statement, grounds: Collection[Ground], told: Statement) -> Iterator[Doubt]:
    """Compare a claim with what it rests on.

    Args:
        claim: The claim.
        grounds: Its parts and what each rests on.
        told: Its sources.
    """
    yield from _polarity(claim, grounds)
    yield from denials(claim, grounds)
    for one in grounds:
        yield from _numbers(one.part, one.sentence)
        yield from _limits(one.part, one.sentence)
        yield from _excluded(one.part, one.sentence)
        yield from _paired(one.part, one.sentence)
        yield from amounts(one.part, one, told)
    yield from swaps(claim, grounds, told)


def _numbers(part: Statement, sentence: Statement) -> Iterator[Doubt]:
    """Find numbers that are in the sources, but where another one with the same unit is."""
    for one in part.quantities:
        rival = sentence.amounts.rival(one.measured) if one.measured else None
        if rival and one not in sentence.amounts:
            yield differ(_cut(sentence, rival), _cut(part, one))


def _limits(part: Statement, sentence: Statement) -> Iterator[Doubt]:
    """Find "at least" for "at most" with the same number."""
    for one in part.limits:
        turned, same = sentence.limited[not one.upper], sentence.limited[one.upper]
        if one.quantity in turned and one.quantity not in same:
            yield differ(next(other.words for other in sentence.limits if other.upper != one.upper), one.words)


def _excluded(part: Statement, sentence: Statement) -> Iterator[Doubt]:
    """Find another month, weekday, season, colour or frequency than the source has."""
    for kind, said in part.exclusive.items():
        told = sentence.exclusive.get(kind, {})
        if told and (others := [word for name, word in said.items() if name not in told]):
            yield differ(next(iter(told.values())), others[0])


def _paired(part: Statement, sentence: Statement) -> Iterator[Doubt]:
    """Find a number that belongs to another month, season and so on: "300 km in summer, 200 in winter"."""
    if part.quantities and part.exclusive:
        for clause in sentence.clauses:
            if any(one in clause.amounts for one in part.quantities):
                yield from _excluded(part, clause)


def _polarity(claim: Statement, grounds: Collection[Ground]) -> Iterator[Doubt]:
    """Find an antonym in any region, or a negation that sets a part, and the whole, apart from all of them."""
    whole = Statement(" ".join({text: None for one in grounds for text in one.clauses}))
    turned = [[_turned(one.part, region, claim) for region in (one.side, *one.others)] for one in grounds]
    antonyms = [doubt for one in grounds for doubt in _turned(one.part, one.region, claim)[0]]
    antonyms += [doubt for regions in turned for found, _ in regions[1:] for doubt in found]
    if len(antonyms) == 1 and (len(claim.negations) + len(whole.negations)) % 2:  # "not outside" is inside
        return
    yield from antonyms
    odd = _turned(claim, whole, claim)[1]
    for regions in turned:
        if all(negation for _, negation in regions) and (odd or "but" in claim.stems):
            yield from filter(None, [regions[0][1]])


def _turned(part: Statement, region: Statement, claim: Statement) -> tuple[list[Doubt], Doubt | None]:
    """Find antonyms, and a negation that only one of the two has; "not rare" for "common" is neither."""
    mine, theirs = set(part.negations), set(region.negations)
    said, told = _alone(part, region), _alone(region, part)
    said = [place for place in said if not (claim.postpones and part.stems[place] in _POSTPONED)]
    turned = {key: place for place in reversed(told) for key in meanings(region.words[place].text)}
    antonyms = []
    for place in said:
        word = part.words[place].text
        other = min((turned[key] for key in opposites(word) if key in turned), default=None)
        if other is None:
            continue
        negated = _negation_of(place, mine), _negation_of(other, theirs)
        mine.discard(negated[0])
        theirs.discard(negated[1])
        if (negated[0] < 0) == (negated[1] < 0) and not (_compares(word) and is_turned(part, region)):
            antonyms.append(differ(region.words[other].text, word))
    implied = [part.words[place].text for place in said] + [region.words[place].text for place in told]
    unclear = any(part.negated(place) not in region.stems for place in mine) or any(
        region.negated(place) not in part.stems for place in theirs
    )
    if (len(mine) + len(theirs)) % 2 == 0 or unclear or any(map(implies_negation, implied)):
        return antonyms, None
    who, places, text = ("source", theirs, region) if len(theirs) > len(mine) else ("sentence", mine, part)
    return antonyms, Doubt(f'only the {who} says "{text.words[min(places)].text}"')


def _compares(word: str) -> bool:
    """Say whether a word takes two sides, so that its opposite with the sides exchanged says the same."""
    return word.casefold().endswith("er") or word.casefold() in _TWO_SIDED


def _alone(one: Statement, other: Statement) -> list[int]:
    """Give the places of the words of a statement that the other has not in any form."""
    known = set(other.stems)
    return [place for place in one.free if one.stems[place] not in known]


def _negation_of(place: int, negations: set[int]) -> int:
    """Give the place of the negation shortly before a word, -1 without one."""
    return next((one for one in range(place - 1, place - 1 - _NEAR, -1) if one in negations), -1)


def _cut(statement: Statement, one: Quantity) -> str:
    return statement.text[one.start : one.end]
