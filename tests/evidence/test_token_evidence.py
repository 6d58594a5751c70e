from dataclasses import replace

import numpy as np
import pytest

from fgr_retriever import Encoder
from fgr_retriever.config import TrimConfig
from fgr_retriever.evidence.token_evidence import Question, evidence_of, read_hits, support
from fgr_retriever.index.match import Match
from fgr_retriever.model.tokens import StoredTokens
from fgr_retriever.text.units import Units, as_ranges
from fgr_retriever.types import Passage

TEXTS = [
    "Marie Curie, born in Warsaw, found radium. She was not rich.",
    "",
    "Radium glows in the dark.\n\nBread is old, they say, and radium is young.",
    "Nothing here.",
]


@pytest.fixture
def question(word_encoder):
    return Question.encode(word_encoder, ["Who found radium?"])[0]


@pytest.fixture
def found(word_encoder):
    """Matches, whose tokens begin and end with a special token."""
    matches = []
    for number, text in enumerate(TEXTS):
        tokens = StoredTokens.of(list(word_encoder.encode_passages([text])))
        special = np.zeros((1, 128), np.float16), np.zeros((1, 2), np.int32)
        vectors = np.concatenate([special[0], tokens.vectors, special[0]])
        offsets = np.concatenate([special[1], tokens.offsets, special[1]])
        matches.append(Match(Passage(str(number), text), 1.0 - number, StoredTokens(vectors, offsets)))
    return matches


def seen(hit):
    told = hit.token_scores
    return hit.rank, hit.score, hit.spans, told.offsets.tolist(), told.probabilities.tolist(), matched(hit.support)


def matched(found):
    return found.words, found.owners.tolist(), found.similarities.tolist()


@pytest.mark.parametrize("unit", ["token", "phrase", "sentence"])
def test_hits_are_the_same_with_units_without_and_one_by_one(word_encoder, question, found, unit):
    config = TrimConfig(unit=unit)
    with_units = [replace(one, units=Units.of(one.passage.text)) for one in found]
    hits = [seen(hit) for hit in read_hits(word_encoder, question, found, config, first=3)]
    assert [seen(hit) for hit in read_hits(word_encoder, question, with_units, config, first=3)] == hits
    alone = [read_hits(word_encoder, question, [one], config, first=3 + place) for place, one in enumerate(found)]
    assert [seen(hit) for (hit,) in alone] == hits
    assert [bool(spans) for _, _, spans, *_ in hits] == [True, False, True, False]


def test_given_units_are_used(word_encoder, question, found):
    size = len(TEXTS[0])
    whole = Units(as_ranges([(0, size)]), as_ranges([(0, size)]), np.zeros(0, np.int64))
    (own,) = read_hits(word_encoder, question, found[:1], TrimConfig())
    (given,) = read_hits(word_encoder, question, [replace(found[0], units=whole)], TrimConfig())
    assert [TEXTS[0][one.start : one.end] for one in own.spans] == ["found radium."]
    assert [(one.start, one.end) for one in given.spans] == [(0, size)]


def test_special_tokens_have_neither_evidence_nor_support(word_encoder, question, found):
    tokens = [one.tokens for one in found]
    visible = [one.vectors[one.offsets[:, 1] > 0] for one in tokens]
    hits = read_hits(word_encoder, question, found, TrimConfig())
    for hit, told, alone, text in zip(
        hits, evidence_of(word_encoder, question.vectors, tokens), support(question, visible), TEXTS, strict=True
    ):
        assert len(hit.token_scores) == len(hit.support.similarities) == len(text.replace(",", "").split())
        assert hit.token_scores.probabilities.tolist() == told.probabilities.tolist()
        assert matched(hit.support) == matched(alone)


def test_no_passages_no_hits(word_encoder, question):
    assert read_hits(word_encoder, question, [], TrimConfig()) == []
    assert evidence_of(word_encoder, question.vectors, []) == []
    assert support(question, []) == []


def test_a_token_that_begins_before_its_word_belongs_to_it():
    (question,) = Question.encode(Encoder.default(), ["Who pays £1,850?"])
    tokens = [question.text[start:end] for start, end in question.offsets.tolist()]
    assert "£1" in tokens  # one token, where the word is "1"
    vectors = np.zeros((1, 128), np.float16)
    assert [word.text for word in support(question, [vectors])[0].words] == ["Who", "pays", "1", "850"]
