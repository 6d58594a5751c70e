"""Judge whether the kept spans of sources support a sentence, with the engine's own model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from fgr_retriever.agents.evidence_search import EvidenceSource, EvidenceSpan
from fgr_retriever.evidence.support import coverage
from fgr_retriever.evidence.token_evidence import Question, evidence_of, support
from fgr_retriever.model.tokens import StoredTokens, TokenEncoder, encode_for_evidence
from fgr_retriever.text.query_words import QueryWord

# A word of a claim is matched from these cosines on (mean of its tokens). Chosen with the embedded
# model on 82 sentences about fourteen texts: 36 of 37 paraphrases pass, and 2 of 45 inventions about
# the same subjects.
LEAST_MATCH = 0.4
LEAST_NAME_MATCH = 0.55
# An answer puts things in words of its own: less than this share of its content words may go unmatched.
TOO_MANY_UNMATCHED = 1 / 3
_ELISION = " … "
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


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
    """The support for a claim, and what is missing.

    Args:
        supporting: The spans of each source, by its number, in which the model sees evidence.
        missing: Words and numbers of the claim that its sources lack; empty if few enough are lacking.
    """

    supporting: Mapping[int, tuple[EvidenceSpan, ...]]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """The kept text of one source, its spans in it, (s, 2), and its tokens."""

    source: EvidenceSource
    text: str
    ranges: NDArray[np.int64]
    tokens: StoredTokens

    @property
    def visible(self) -> NDArray[np.bool_]:
        """Which tokens have characters, (t,)."""
        found: NDArray[np.bool_] = self.tokens.offsets[:, 1] > self.tokens.offsets[:, 0]
        return found

    def spans_at(self, places: NDArray[np.int32]) -> tuple[EvidenceSpan, ...]:
        """Give the spans that hold one of some characters."""
        owners = self.ranges[:, 0].searchsorted(places, "right") - 1
        inside = (owners >= 0) & (places < self.ranges[owners, 1])
        return tuple(self.source["spans"][i] for i in np.unique(owners[inside]).tolist())


def judge(encoder: TokenEncoder, claims: Sequence[Claim]) -> list[Verdict]:
    """Judge claims by what was kept of their sources.

    Args:
        encoder: The model; its calibration has the lowest probability with which a token is evidence.
        claims: Sentences with the sources that they cite. Equal numbers must mean the same source.

    Returns:
        One verdict for each claim, in the same order.
    """
    kept = _encoded(encoder, {source["number"]: source for claim in claims for source in claim.sources}.values())
    texts = [claim.text for claim in claims]
    read = map(Question, texts, encoder.encode_queries(texts), encoder.query_offsets(texts))
    return [
        _verdict(encoder, one, [kept[source["number"]] for source in claim.sources])
        for claim, one in zip(claims, read, strict=True)
    ]


def _encoded(encoder: TokenEncoder, sources: Iterable[EvidenceSource]) -> dict[int, _Kept]:
    """Encode what was kept of each source, as one text."""
    listed = list(sources)
    texts = [_ELISION.join(span["text"] for span in source["spans"]) for source in listed]
    blocks = groupby(encode_for_evidence(encoder, texts), key=lambda block: block.passage)
    return {
        source["number"]: _Kept(source, text, _ranges(source), StoredTokens.of(list(group)))
        for source, text, (_, group) in zip(listed, texts, blocks, strict=True)
    }


def _ranges(source: EvidenceSource) -> NDArray[np.int64]:
    """Find the spans of a source in its joined text."""
    lengths = np.array([len(span["text"]) for span in source["spans"]], dtype=np.int64)
    ends = lengths.cumsum() + len(_ELISION) * np.arange(len(lengths))
    return np.stack([ends - lengths, ends], axis=1)


def _verdict(encoder: TokenEncoder, claim: Question, kept: Sequence[_Kept]) -> Verdict:
    found = evidence_of(encoder, claim.vectors, [one.tokens for one in kept])
    threshold = encoder.calibration.threshold
    supporting = {
        one.source["number"]: one.spans_at(told.offsets[told.probabilities >= threshold, 0])
        for one, told in zip(kept, found, strict=True)
    }
    supports = support(claim, [one.tokens.vectors[one.visible] for one in kept])
    words = coverage(supports, [np.ones(len(one.similarities), np.bool_) for one in supports])
    return Verdict(supporting, _missing(claim.text, words, " ".join(one.text for one in kept)))


def _missing(text: str, words: Mapping[QueryWord, float], source: str) -> tuple[str, ...]:
    """Name what a claim says beyond its sources: any name or number, or many of its words.

    Args:
        text: The claim.
        words: Its words and how well the sources match them.
        source: The texts of the sources.
    """
    known = _numbers(source)
    numbers = [number for number in _numbers(text) if number not in known]  # vectors tell numbers badly apart
    content = {word: cosine for word, cosine in words.items() if word.is_content and not _NUMBER.search(word.text)}
    first = min((word.start for word in words), default=0)
    names = [word.text for word, cosine in content.items() if _is_name(word, first) and cosine < LEAST_NAME_MATCH]
    unmatched = [word.text for word, cosine in content.items() if cosine < LEAST_MATCH]
    if numbers or names or (unmatched and len(unmatched) / len(content) >= TOO_MANY_UNMATCHED):
        return tuple(dict.fromkeys((*names, *unmatched, *numbers)))
    return ()


def _is_name(word: QueryWord, first: int) -> bool:
    """Say whether a word has a capital that does not come from the begin of the sentence."""
    return word.start > first and word.text[0].isupper()


def _numbers(text: str) -> list[str]:
    """List the numbers of a text, each once, without separators of thousands."""
    return list(dict.fromkeys(number.replace(",", "") for number in _NUMBER.findall(text)))
