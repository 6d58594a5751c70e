"""Budgets without network: the estimate, and who says that it is one."""

import base64
import logging
import random

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.agents.evidence_search import EvidenceSearch
from fgr_retriever.config import TrimConfig
from fgr_retriever.engine import Engine
from fgr_retriever.errors import TokenCounterError
from fgr_retriever.model.embedded import embedded_model
from fgr_retriever.testing import WordEncoder
from fgr_retriever.trim import budget, estimate
from fgr_retriever.trim.budget import token_counter
from fgr_retriever.trim.estimate import EstimatedCounter, budget_counter
from fgr_retriever.trim.trimmer import Trimmer

REAL = token_counter("o200k_base")
SAFE = EstimatedCounter("o200k_base", token_counter(str(embedded_model())))
PROSE = "The engine keeps every clause that answers the question, and it leaves out what nobody asked for. "


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """A machine without network and without an encoding; gives the names that tiktoken was asked for."""
    asked = []

    def fail(name):
        asked.append(name)
        raise ConnectionError("no route")

    monkeypatch.setattr(tiktoken, "get_encoding", fail)
    monkeypatch.setattr(budget, "_user_cache", lambda: tmp_path)
    monkeypatch.setattr(budget, "_shipped_cache", lambda: None)
    for cached in (budget._by_name, estimate._default_counter):
        cached.cache_clear()
    yield asked
    for cached in (budget._by_name, estimate._default_counter):
        cached.cache_clear()


@given(st.text(st.characters(exclude_characters="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"), max_size=60))
def test_what_is_no_english_word_is_never_underestimated(text):
    assert SAFE(text) >= REAL(text)


@pytest.mark.parametrize(
    "text",
    [
        *PROSE.split(),
        PROSE * 20,
        PROSE.upper(),
        "Ecosystem",
        "Dropped support for Python 2.6, 3.1, 3.2",
        "[[0, 0, 1], [2, 3, 4]]",
        random.Random(1).randbytes(900).hex(),
        base64.b64encode(random.Random(2).randbytes(900)).decode(),
        "def f(x):\n        return x\n\n\n\tpass\n",
        "| a | b |\n|---|---|\n| 1 | 2 |\n",
        "Die Geschwindigkeitsbegrenzung wurde ausführlich besprochen.",
        "居里夫人于一八九八年发现了镭元素。",
        "\U0001f469\u200d\U0001f467 \ud800",
        "a" * 300,
        "",
    ],
)
def test_no_kind_of_text_is_underestimated(text):
    assert SAFE(text) >= REAL(text)


def test_prose_costs_no_more_than_half_again_and_a_token():
    assert SAFE(PROSE * 20) <= 1.5 * REAL(PROSE * 20) + 1


def test_a_budget_holds_without_network_and_the_report_says_how(offline, word_encoder):
    trimmer = Trimmer(word_encoder, TrimConfig(max_tokens=20))
    passages = trimmer.context("radium Paris", []), trimmer.trim("radium Paris", ["Curie found radium in Paris. " * 20])
    assert passages[1][0].text
    assert REAL(passages[1][0].text) <= 20
    (note,) = passages[0].report.notes
    assert "o200k_base cannot be loaded" in note
    assert "25%" in note


def test_the_network_is_tried_once_and_the_warning_comes_once(offline, caplog):
    with caplog.at_level(logging.WARNING):
        assert budget_counter("o200k_base") is budget_counter("o200k_base")
    assert offline == ["o200k_base"]
    (record,) = caplog.records
    assert "TIKTOKEN_CACHE_DIR" in record.getMessage()
    assert "25%" in record.getMessage()


def test_a_retrieval_without_a_budget_counts_nothing_and_says_nothing(offline, word_encoder):
    report = Trimmer(word_encoder).context("radium", []).report
    assert (report.tokens_before, report.notes, offline) == (None, (), [])


def test_an_evidence_search_can_be_made_without_network(offline, tmp_path, passages):
    with Engine.open(tmp_path / "index", encoder=WordEncoder()) as engine:
        engine.add(passages)
        _, evidence = EvidenceSearch.of(engine).search("radium")
    assert "estimated" in evidence["report"]["notes"][0]


def test_a_tokenizer_that_was_named_is_not_replaced(offline):
    with pytest.raises(TokenCounterError, match="cl100k_base") as caught:
        budget_counter("cl100k_base")
    assert caught.value.__suppress_context__  # not the long story of the network library
