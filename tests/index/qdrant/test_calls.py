"""How often a search calls the server: once, whatever the number of questions; counting comes on top."""

import pytest

from fgr_retriever import SearchConfig
from fgr_retriever.index.qdrant import centroids, search
from fgr_retriever.index.qdrant.server import Server
from tests.index.qdrant.conftest import QUESTIONS, corpus

TWENTY = [*QUESTIONS, *(f"number{number}" for number in range(16))]
ONE = {"lang": "en"}


@pytest.fixture
def calls(engine, monkeypatch):
    """The methods of the client that were called since the collection was filled."""
    engine.add(corpus())
    made, call = [], Server.__call__
    monkeypatch.setattr(Server, "__call__", lambda self, name, **rest: made.append(name) or call(self, name, **rest))
    return made


def seen(hits):
    return [(one.passage, one.score, one.spans) for one in hits]


def test_many_questions_are_one_call(engine, calls):
    found = engine.search_batch(TWENTY)
    assert calls == ["count", "query_batch_points"]
    assert [seen(hits) for hits in found] == [seen(engine.search(question)) for question in TWENTY]
    assert calls[2:] == ["query_batch_points"] * 20
    calls.clear()
    filtered = engine.search_batch(TWENTY, filter=ONE)
    assert calls == ["count", "query_batch_points"]
    assert [seen(hits) for hits in filtered] == [seen(engine.search(question, filter=ONE)) for question in TWENTY]
    assert [seen(hits) for hits in filtered] != [seen(hits) for hits in found]


def test_many_questions_with_candidates_are_one_call(engine, calls, monkeypatch):
    monkeypatch.setattr(centroids, "LEARNED_FROM", 0)
    engine._index._centroids.learn()
    few = SearchConfig(candidates=12)
    asked = [one.vectors for one in engine._questions.encode(TWENTY)]
    calls.clear()
    found = engine._index.search(asked, 3, None, few)
    assert calls == ["count", "query_batch_points"]
    for query, matches in zip(asked, found, strict=True):
        # Which of equals are among them is up to the server.
        assert [one.score for one in matches] == [score for _, score in engine._index.rank(query, 3, None, few)]


def test_a_question_without_tokens_finds_nothing_beside_others(engine, calls):
    first, second = (one.vectors for one in engine._questions.encode(QUESTIONS[:2]))
    found = engine._index.search([first[:0], first, first[:0], second], 2)
    assert [len(matches) for matches in found] == [0, 2, 0, 2]
    alone = [[hit.score for hit in engine.search(question, k=2)] for question in QUESTIONS[:2]]
    assert [[one.score for one in matches] for matches in found if matches] == alone
    calls.clear()
    assert engine._index.search([first[:0]], 2) == [[]]
    assert engine._index.search([], 2) == []
    assert calls == []


def test_an_answer_is_bounded_and_a_long_scan_goes_alone(engine, calls, monkeypatch):
    monkeypatch.setattr(search, "_MOST_POINTS", 20)
    few = engine.search_batch(TWENTY, k=3)
    assert calls == ["count", *["query_batch_points"] * 4]  # six questions at once, then the last two
    calls.clear()
    asked = [one.vectors for one in engine._questions.encode(TWENTY)]
    found = engine._index.search(asked, 3, None, SearchConfig(exact=True))
    assert calls == ["query_batch_points"] * 20
    assert [[one.score for one in matches] for matches in found] == [[hit.score for hit in hits] for hits in few]


def test_the_size_is_asked_again_after_a_while_and_after_adding(engine, calls, monkeypatch):
    engine.rank("violin")
    engine.rank("violin")
    assert calls.count("count") == 1
    engine.add(corpus(41))
    calls.clear()
    engine.rank("violin")
    assert calls.count("count") == 1
    monkeypatch.setattr(search, "_COUNTED_S", 0.0)
    engine._index._size.forget()
    engine.rank("violin")
    engine.rank("violin")
    assert calls.count("count") == 3
