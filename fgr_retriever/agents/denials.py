# ruff: noqa: SIM905 (word lists read best as text)
"""Negations that only a claim has: "no longer stores", "fails to store", "without storing" for "stores"."""

from __future__ import annotations

from collections.abc import Collection

import regex

from fgr_retriever.agents.grounds import Ground
from fgr_retriever.agents.opposites import implies_negation, meanings, opposites, stem
from fgr_retriever.agents.statement import POSTPONING, Statement

_LIMITING = frozenset(map(stem, "only exclusively unless until else close lose withdraw".split()))  # as "not" does
_FORWARD = frozenset(map(stem, "without instead".split()))  # negate only what follows them
_COPIED = 0.6  # share of the words of a claim that its grounds must have: a paraphrase may say "not open" for "closed"
_LESS = regex.compile(r"\w{3,}less(?:ly)?")


def denied(claim: Statement, grounds: Collection[Ground]) -> str | None:
    """Find the word with which a claim negates what its grounds say without any negation.

    Args:
        claim: The claim.
        grounds: Its parts and what each rests on.

    Returns:
        The word; None if the claim has no negation or two that cancel each other, if it has few words of its grounds, or
        if something in them may say the same, such as "only" or "closed".
    """
    words = {short for one in grounds for short in one.sentence.stems}
    places = [place for place in claim.free if claim.negates(place)]
    if not grounds or not len(places) % 2 or (claim.postpones and not words & set(claim.stems) & POSTPONING):
        return None
    if sum(short in words for short in claim.tokens) < _COPIED * len(claim.tokens):
        return None
    if any(_limits(claim, place, words) for place in range(len(claim.words)) if place not in places):
        return None
    head, said = claim.negated(places[0]), set(claim.stems)
    told = {
        key
        for one in grounds
        for word in one.sentence.words
        if stem(word.text) not in said
        for key in meanings(word.text)
    }
    if any(not told.isdisjoint(opposites(word.text)) for word in claim.words if stem(word.text) not in words):
        return None
    for one in grounds:
        told = [clause for clause in one.sentence.clauses if head in clause.stems] or [one.sentence]
        if any(_is_open(clause, head, said) for clause in told):
            return None
    return claim.words[places[0]].text


def _is_open(clause: Statement, head: str, said: Collection[str]) -> bool:
    """Say whether a clause may negate the word that the claim negates."""
    end = clause.stems.index(head) if head in clause.stems else len(clause.words)
    reach = [place for place, short in enumerate(clause.stems) if place < end or short not in _FORWARD]
    if any(clause.negates(place) for place in reach):
        return True
    return any(_limits(clause, place, said) for place in range(len(clause.words)))


def _limits(statement: Statement, place: int, known: Collection[str]) -> bool:
    """Say whether a word that the other side has not may say what a negation says."""
    word, short = statement.words[place].text, statement.stems[place]
    return short not in known and bool(short in _LIMITING or implies_negation(word) or _LESS.fullmatch(word.casefold()))
