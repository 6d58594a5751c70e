# ruff: noqa: SIM905 (word lists read best as text)
"""Negations that only a claim has: "no longer stores", "fails to store", "without storing" for "stores"."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import regex

from fgr_retriever.agents.grounds import Ground
from fgr_retriever.agents.opposites import implies_negation, meanings, opposites, stem
from fgr_retriever.agents.statement import POSTPONING, Statement
from fgr_retriever.text.query_words import QueryWord

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
        The word; None if the claim has no negation or two that cancel each other, if its grounds have few of its words,
        or if something in them may say the same, such as "only" or "closed".
    """
    said, told = set(claim.stems), {short for one in grounds for short in one.sentence.stems}
    places = [place for place in claim.free if claim.negates(place)]
    cancelled = len(places) % 2 == 0 or (claim.postpones and told & said & POSTPONING == set())
    if cancelled or sum(short in told for short in claim.tokens) < _COPIED * len(claim.tokens):
        return None
    mine = [word for word, short in zip(claim.words, claim.stems, strict=True) if short not in told]
    negating = {claim.words[place] for place in places}
    theirs = [word for one in grounds for word in one.sentence.words if stem(word.text) not in said]
    if any(_may_negate(word) for word in mine if word not in negating) or _has_antonym(mine, theirs):
        return None
    head = claim.negated(places[0])
    for one in grounds:
        clauses = [clause for clause in one.sentence.clauses if head in clause.stems] or [one.sentence]
        if any(_negates(clause, head, said) for clause in clauses):
            return None
    return claim.words[places[0]].text


def _has_antonym(mine: Iterable[QueryWord], theirs: Iterable[QueryWord]) -> bool:
    """Say whether a word that only the claim has is the opposite of one that only the grounds have: "not early"."""
    turned = {key for word in theirs for key in meanings(word.text)}
    return any(not turned.isdisjoint(opposites(word.text)) for word in mine)


def _negates(clause: Statement, head: str, said: Collection[str]) -> bool:
    """Say whether a clause may negate the word that the claim negates."""
    end = clause.stems.index(head) if head in clause.stems else len(clause.words)
    reaching = (place for place, short in enumerate(clause.stems) if place < end or short not in _FORWARD)
    foreign = (word for word, short in zip(clause.words, clause.stems, strict=True) if short not in said)
    return any(map(clause.negates, reaching)) or any(map(_may_negate, foreign))


def _may_negate(word: QueryWord) -> bool:
    """Say whether a word that the other side has not may say what a negation says."""
    plain = word.text.casefold()
    return stem(plain) in _LIMITING or implies_negation(plain) or _LESS.fullmatch(plain) is not None
