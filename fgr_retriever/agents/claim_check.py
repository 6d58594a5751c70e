# ruff: noqa: SIM905 (word lists read best as text)
"""Judge whether the kept spans of sources support a sentence, with the engine's own model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.agents.amounts import LIST
from fgr_retriever.agents.cells import misplaced, rates
from fgr_retriever.agents.contradictions import Doubt, doubts
from fgr_retriever.agents.evidence import EvidenceSource, EvidenceSpan
from fgr_retriever.agents.grounds import Ground, find_grounds
from fgr_retriever.agents.names import is_name, replaced
from fgr_retriever.agents.opposites import ORDINALS, is_undone, stem
from fgr_retriever.agents.readings import Reading
from fgr_retriever.agents.statement import Statement, clauses
from fgr_retriever.agents.units import CURRENCIES
from fgr_retriever.evidence.support import Support, coverage
from fgr_retriever.evidence.token_evidence import Question, evidence_of, support
from fgr_retriever.model.tokens import StoredTokens, TokenEncoder, encode_for_evidence
from fgr_retriever.text.query_words import QueryWord

# A word of a claim is matched from these cosines on (mean of its tokens). Chosen with the embedded
# model on 82 sentences about fourteen texts: 36 of 37 paraphrases pass, and 2 of 45 inventions about
# the same subjects.
LEAST_MATCH = 0.4
LEAST_NAME_MATCH = 0.55
# An answer puts things in words of its own: less than this share of its content words may go unmatched.
TOO_MANY_UNMATCHED = 1 / 2
# An unmatched word of which the sources have no form may be another thing altogether: in a short sentence one is enough
# for a doubt.
MANY_FOREIGN = 1 / 3
# Below this cosine two words in a row, or half a clause, are more than another wording: chosen on the sentences of
# tests/agents/citations/development.jsonl.
LEAST_SURE_MATCH = 0.5
# From this mean cosine of its content words a claim and a source are alike though the head sees no evidence. Of 321
# true sentences 2 have neither; of those sentences beside another passage, 86 % on the same subject and
# 98 % on a different one.
LEAST_LIKENESS = 0.55
_OTHERWISE = ": a number there is that of a name or a numbering and here an amount, or the other way round"
_PRICED = frozenset(map(stem, "cost costs price priced".split()))
_GAP = 10  # characters between two words in a row
_INDEFINITE = frozenset(
    "somebody someone anybody anyone nobody everybody everyone something anything nothing everything people person "
    "roughly approximately place well make makes made".split()
)


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """A sentence and the sources that it cites, at least one.

    Args:
        text: The sentence without its citation marks.
        sources: The sources that it cites.
    """

    text: str
    sources: Sequence[EvidenceSource]


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """The support for a claim, and what speaks against it.

    Args:
        supporting: The spans of each source, by its number, in which the model sees evidence.
        doubts: Why the claim may say more, or something else, than its sources.
    """

    supporting: Mapping[int, tuple[EvidenceSpan, ...]]
    doubts: tuple[Doubt, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """What is read of one source, and its tokens."""

    reading: Reading
    text: str
    tokens: StoredTokens

    @property
    def visible(self) -> NDArray[np.bool_]:
        """Which tokens have characters, (t,)."""
        found: NDArray[np.bool_] = self.tokens.offsets[:, 1] > self.tokens.offsets[:, 0]
        return found

    @property
    def places(self) -> NDArray[np.int32]:
        """The character ranges of the tokens that have characters, (v, 2)."""
        found: NDArray[np.int32] = self.tokens.offsets[self.visible]
        return found


def judge(encoder: TokenEncoder, claims: Sequence[Claim], passages: Mapping[str, str]) -> list[Verdict]:
    """Judge claims by what was kept of their sources.

    Args:
        encoder: The model; its calibration has the lowest probability with which a token is evidence.
        claims: Sentences with the sources that they cite. Equal numbers must mean the same source.
        passages: The texts of passages by their ids, as far as they are known: of these, whole sentences are read.

    Returns:
        One verdict for each claim, in the same order.
    """
    sources = {source["number"]: source for claim in claims for source in claim.sources}
    read = _encoded(encoder, [Reading(source, passages) for source in sources.values()])
    texts = [claim.text for claim in claims]
    asked = map(Question, texts, encoder.encode_queries(texts), encoder.query_offsets(texts))
    return [
        _verdict(encoder, one, [read[source["number"]] for source in claim.sources])
        for claim, one in zip(claims, asked, strict=True)
    ]


def _encoded(encoder: TokenEncoder, readings: Sequence[Reading]) -> dict[int, _Read]:
    """Encode what is read of each source, as one text."""
    texts = [one.text for one in readings]
    blocks = groupby(encode_for_evidence(encoder, texts), key=lambda block: block.passage)
    return {
        one.number: _Read(one, text, StoredTokens.of(list(group)))
        for one, text, (_, group) in zip(readings, texts, blocks, strict=True)
    }


def _verdict(encoder: TokenEncoder, claim: Question, kept: Sequence[_Read]) -> Verdict:
    found = evidence_of(encoder, claim.vectors, [one.tokens for one in kept])
    threshold = encoder.calibration.threshold
    supports = support(claim, [one.tokens.vectors[one.visible] for one in kept])
    supporting = {
        one.reading.number: one.reading.spans_at(told.offsets[told.probabilities >= threshold, 0])
        or one.reading.spans_at(one.places[_alike(words), 0])
        for one, told, words in zip(kept, found, supports, strict=True)
    }
    rows = [one.reading.rows for one in kept]
    periods = rates(rows)
    said, told = Statement(claim.text), Statement("\n\n".join([*(one.text for one in kept), periods]))
    words = coverage(supports, [np.ones(len(one.similarities), np.bool_) for one in supports])
    grounds = find_grounds(said.text, [one.text for one in kept], [one.places for one in kept], supports)
    known, sure = set(told.stems), said.told_months(told) | _implied(said, grounds) | _priced(said, told)
    words = {word: 1.0 if word.start in sure else cosine for word, cosine in words.items()}
    doubted = [*_missing(said, words, told), *doubts(said, grounds, known, Statement(periods).amounts)]
    foreign = said.words and said.stems[0] not in known and _content(said, words).get(said.words[0], 1.0)
    if foreign and foreign < LEAST_NAME_MATCH:
        doubted += replaced(said, grounds, rows, lambda word: _pieces(encoder, word) > 1)
    return Verdict(supporting, (*doubted, *_additions(said, words, known), *_places(said, rows)))


def _pieces(encoder: TokenEncoder, word: str) -> int:
    """Count the tokens of a word: a frequent word is one."""
    (places,) = encoder.query_offsets([word])
    return int((places[:, 1] > places[:, 0]).sum())


def _alike(told: Support) -> NDArray[np.int64]:
    """Give the tokens that match a claim best if they match it closely: the head may miss another wording."""
    content = np.array([word.is_content for word in told.words], np.bool_)[told.owners]
    if not content.any() or not len(told.similarities) or told.matches()[content].mean() < LEAST_LIKENESS:
        return np.empty(0, np.int64)
    return np.unique(told.similarities[:, content].argmax(axis=0))


def _implied(said: Statement, grounds: Sequence[Ground]) -> set[int]:
    """Give the first characters of words behind a negation if what the claim rests on has both in one: "unused"."""
    if not any(is_undone(word.text) for one in grounds for word in one.region.words):
        return set()
    negated = {said.negated(place) for place in said.negations}
    return {word.start for word, short in zip(said.words, said.stems, strict=True) if short in negated}


def _priced(said: Statement, told: Statement) -> set[int]:
    """Give the first characters of words that an amount of money of the sources implies: "costs"."""
    if not any(one.measured in CURRENCIES and one in told.amounts for one in said.quantities):
        return set()
    return {word.start for word, short in zip(said.words, said.stems, strict=True) if short in _PRICED}


def _missing(said: Statement, words: Mapping[QueryWord, float], told: Statement) -> Iterator[Doubt]:
    """Find what a claim says beyond its sources: any name, number or month, or many of its words.

    Words alone may be another wording if the sources have all numbers of the claim.

    Args:
        said: The claim.
        words: Its words and how well the sources match them.
        told: The sources.
    """
    absent = [one for one in said.quantities if one not in told.amounts and one.label != LIST]
    numbers = [said.text[one.start : one.end] for one in absent]
    otherwise = [one for one in absent if told.amounts.has_otherwise(one)]
    unclear = [one for one in otherwise if not told.amounts.rivals(one)]
    for kind, found in said.exclusive.items():
        if kind == ORDINALS:  # "the first of May" may be written "1 May"
            continue
        numbers += [word for name, word in found.items() if name not in told.possible.get(kind, {})]
    verbatim = {_written(word) for word in told.words}
    content = {word: cosine for word, cosine in _content(said, words).items() if _written(word) not in verbatim}
    initials = "".join(word.text[0] for word in told.words).casefold()
    names = [word.text for word, cosine in content.items() if is_name(word, said) and cosine < LEAST_NAME_MATCH]
    names = [name for name in names if not (name.isupper() and name.casefold() in initials)]  # VAT: value added tax
    unmatched = [word.text for word, cosine in content.items() if cosine < LEAST_MATCH]
    weighed = len(_content(said, words)) + len(said.quantities) + len(said.limits)
    if numbers or names or (unmatched and len(unmatched) / weighed >= TOO_MANY_UNMATCHED):
        certain = len(numbers) > len(unclear) or bool(names) or not (said.quantities or said.exclusive)
        reason = f"the cited spans have nothing for {listed((*names, *unmatched, *numbers))}"
        yield Doubt(reason + (_OTHERWISE if otherwise else ""), certain)


def _written(word: QueryWord) -> str:
    """Give a word in lower case; "B-12" is "b12"."""
    plain = word.text.casefold()
    return plain.replace("-", "") if any(map(str.isdigit, plain)) else plain


def _content(said: Statement, words: Mapping[QueryWord, float]) -> dict[QueryWord, float]:
    """Leave out the words that say little, and the numbers, which vectors tell badly apart."""
    return {
        word: cosine
        for word, cosine in words.items()
        if word.is_content and word.start not in said.numeral and word.text.casefold() not in _INDEFINITE
    }


def _places(said: Statement, rows: Sequence[str]) -> Iterator[Doubt]:
    """Find what stands in another row or column than the claim names."""
    for one in misplaced(said, rows):
        where = "in the column" if one.is_column else "of"
        yield Doubt(f'the source says "{one.said}" {where} "{one.told}"', one.is_sure)


def _additions(said: Statement, words: Mapping[QueryWord, float], known: Collection[str]) -> Iterator[Doubt]:
    """Find what a claim adds: two words in a row, or half of a later clause, that the sources hardly match."""
    content = _content(said, words)
    low = [word for word, cosine in content.items() if cosine < LEAST_SURE_MATCH and stem(word.text) not in known]
    lacking = set(low)
    rows = [pair for pair in pairwise(content) if lacking.issuperset(pair) and pair[1].start - pair[0].end < _GAP]
    named = list(dict.fromkeys(word for pair in rows for word in pair))
    for start, end in clauses(said.text, 0, len(said.text))[1:]:
        inside, bare = ([word for word in some if start <= word.start < end] for some in (content, low))
        named += bare if len(bare) * 2 >= len(inside) and len(bare) >= min(2, len(inside)) else []
    foreign = [word for word in low if content[word] < LEAST_MATCH]
    if len(foreign) >= MANY_FOREIGN * (
        len(content) + len(said.quantities) + len(said.limits)
    ):  # "the bakery closed" for "the mill closed"
        named += foreign
    if named:
        yield Doubt(f"hardly anything in the cited spans is like {listed(word.text for word in named)}", certain=False)
    if unread := [word.text for word in said.words if word.is_content and word not in words]:
        yield Doubt(f"the sentence is too long for the model, which did not read {listed(unread)}", certain=False)


def listed(words: Iterable[str]) -> str:
    """Write words in quotation marks, each once."""
    return ", ".join(f'"{word}"' for word in dict.fromkeys(words))
