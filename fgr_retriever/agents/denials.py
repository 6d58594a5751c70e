# ruff: noqa: SIM905 (word lists read best as text)
"""Where a sentence denies what its source only affirms: "the lentils should not be rinsed" for "rinse the lentils"."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from fgr_retriever.agents.doubt import Doubt
from fgr_retriever.agents.grounds import Ground
from fgr_retriever.agents.opposites import implies_negation, meanings, opposites
from fgr_retriever.agents.statement import Statement

_RESTRICTS = frozenset("only until till before unless but instead than too otherwise".split())


def denials(claim: Statement, grounds: Collection[Ground]) -> Iterator[Doubt]:
    """Find a negation in a claim to which nothing answers where its source speaks of the same.

    Two negations cancel each other, and "but", "until" and the like leave something of what "not" takes away.

    Args:
        claim: The claim.
        grounds: Its parts and what each rests on.
    """
    for one in grounds:
        mine = _denying(one.part)
        if len(mine) != 1 or len(claim.negations) != 1 or _leaves(one.part):
            continue
        about = _speaking_of(one.part.negated(mine[0]), one)
        if not any(_answers(one.part, text) for text in about):
            yield Doubt(f'only the sentence says "{one.part.words[mine[0]].text}"', certain=False)


def _denying(statement: Statement) -> list[int]:
    """Give the places of the negations that concern what a clause says: "without" concerns what follows it only."""
    return [place for place in statement.negations if statement.words[place].text.casefold() != "without"]


def _leaves(part: Statement) -> bool:
    return any(word.text.casefold() in _RESTRICTS or implies_negation(word.text) for word in part.words)


def _speaking_of(denied: str, one: Ground) -> list[Statement]:
    """Give the clauses that have the word that a claim denies, or the whole sentence if none has."""
    found = [clause for clause in one.sentence.clauses if denied in clause.stems]
    return found or [one.sentence, *one.others]


def _answers(part: Statement, text: Statement) -> bool:
    """Say whether a text negates or restricts something itself, or has an antonym of a word of a part."""
    if _denying(text) or text.postpones or _leaves(text):
        return True
    turned = {key for word in text.words for key in meanings(word.text)}
    return any(not turned.isdisjoint(opposites(word.text)) for word in part.words)
